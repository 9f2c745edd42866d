"""Studies that come with the package: what each varies, as the texts of --factors and --variant."""

import types
from collections.abc import Mapping

from spine_tf.ablation import variant as variant_module

PRESETS: Mapping[str, tuple[str, ...]] = types.MappingProxyType(
    {
        "preprocessing": (
            "roi_mm=30,40,50,60,70",
            "roi_px=64,96,128,160,224",
            "num_slices=1,3,5,7",
            "window=slice,series,crop",
            "mirror_right=true,false",
            "model.bias_correction=0.0,0.1,0.2",
        ),
        "order": (
            "model.head=softmax,ordinal",
            "training.label_softness=0.0,0.3,0.5,1.0",
            "training.loss=quadratic_kappa",
            "ordinal head, soft labels:model.head=ordinal,training.label_softness=0.5",
        ),
        "architectures": (
            "model=simple,dense,densenet,residual,resnet50,transfer",
            "num_slices=3",
            "slices on 3 slices:model=slices,num_slices=3",
        ),
        "augmentation": (
            "no augmentation:data.augmentation.rotation_degrees=0,data.augmentation.shift=0,"
            "data.augmentation.scale=0,data.augmentation.contrast=0,data.augmentation.brightness=0",
            "data.augmentation.rotation_degrees=0,10,20",
            "data.augmentation.gamma=0.3",
            "data.augmentation.noise=0.02",
            "data.augmentation.cutout=0.25",
            "data.augmentation.blur=1.0",
            "data.augmentation.shear=0.1",
            "data.augmentation.mixup=0.2",
            "data.augmentation.cutmix=1.0",
        ),
        "sampling": (
            "data.sampling=balanced",
            "training.class_weights=none,balanced,competition",
        ),
        "loss": (
            "training.loss=cross_entropy,focal",
            "training.label_smoothing=0.0,0.1",
        ),
    }
)


def of(name: str) -> list[variant_module.Variant]:
    """Returns the variants of a preset; ValueError names those there are."""
    if name not in PRESETS:
        raise ValueError(f"--presets has {name!r}, expected some of {', '.join(PRESETS)}")
    return [variant for text in PRESETS[name] for variant in _read(text)]


def _read(text: str) -> list[variant_module.Variant]:
    is_bundle = ":" in text.partition("=")[0]
    return [variant_module.parse_bundle(text)] if is_bundle else variant_module.parse_factor(text)
