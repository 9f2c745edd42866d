"""A variant: a name, and what it changes in the base; from the texts of flags, or of a preset.

--factors field=value,value,...          one variant a value
--variant name:field=value,field=value   one variant that changes several fields
--presets name                           texts of both kinds that come with the package
"""

import dataclasses
import re
import types
from collections.abc import Iterable, Iterator, Mapping

from spine_tf.configuration import overrides

BASE = "base"

# What all variants share: --task, --seeds and the folds decide it.
_SHARED = ("task", "seed", "model.family", "data.val_fold")
_LONGEST_NAME = 100


@dataclasses.dataclass(frozen=True, kw_only=True)
class Variant:
    """What is changed.

    Attributes:
        name: in tables and figures, such as "roi_mm=30".
        group: the factor, or the name of a bundle; neighbours in tables and figures.
        settings: `field=value`, in order; the fields of RoiConfig, `model` for the family, and
            those of the configuration.
    """

    name: str
    group: str
    settings: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.name or len(self.name) > _LONGEST_NAME or self.slug == BASE:
            raise ValueError(
                f"the variant {self.name!r} needs a name of 1 to {_LONGEST_NAME} characters other "
                f"than {BASE!r}"
            )
        for setting in self.settings:
            field = overrides.parse(setting).field
            if field in _SHARED:
                raise ValueError(f"{self.name}: {field} can't vary, all variants share it")

    @property
    def slug(self) -> str:
        """The name of its directory."""
        return re.sub(r"[^A-Za-z0-9_.=+-]+", "_", self.name)


def read_variants(
    factors: Iterable[str], bundles: Iterable[str], preset_names: Iterable[str]
) -> tuple[Variant, ...]:
    """Returns the variants that a command asks for, each once: presets, factors, bundles.

    Raises:
        ValueError: a text that is none, or an unknown preset.
    """
    read = [variant for name in preset_names for variant in _of_preset(name)]
    read += [variant for text in factors for variant in parse_factor(text)]
    read += [parse_bundle(text) for text in bundles]
    found: dict[str, Variant] = {}
    for variant in read:
        if found.setdefault(variant.name, variant).settings != variant.settings:
            raise ValueError(f"two variants are named {variant.name!r}: give them different names")
    return tuple(found.values())


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
        "region": ("model.input_mm=30,40,50,60,70", "data.augmentation.jitter_mm=0,3"),
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


def _of_preset(name: str) -> list[Variant]:
    if name not in PRESETS:
        raise ValueError(f"--presets has {name!r}, expected some of {', '.join(PRESETS)}")
    return [variant for text in PRESETS[name] for variant in _parse(text)]


def _parse(text: str) -> list[Variant]:
    is_bundle = ":" in text.partition("=")[0]
    return [parse_bundle(text)] if is_bundle else parse_factor(text)


def parse_factor(text: str) -> list[Variant]:
    """Returns the variants of `field=value,value,...`; values are JSON, else strings."""
    field, equals, values = text.partition("=")
    found = list(_split(values))
    if not equals or not field or not all(found):
        raise ValueError(f"--factors is {text!r}, expected field=value,value,...")
    return [
        Variant(name=f"{field}={value}", group=field, settings=(f"{field}={value}",))
        for value in found
    ]


def parse_bundle(text: str) -> Variant:
    """Returns the variant of `name:field=value,field=value`."""
    name, colon, settings = text.partition(":")
    found = tuple(_split(settings))
    if not colon or not all(found):
        raise ValueError(f"--variant is {text!r}, expected name:field=value,field=value")
    return Variant(name=name.strip(), group=name.strip(), settings=found)


def _split(text: str) -> Iterator[str]:
    """Parts between commas that are not inside brackets, as in 1,[2,3]."""
    depth, part = 0, ""
    for character in text:
        depth += (character in "[{") - (character in "]}")
        if character == "," and depth == 0:
            yield part.strip()
            part = ""
        else:
            part += character
    yield part.strip()
