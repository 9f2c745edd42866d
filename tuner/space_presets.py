"""The search spaces that come with the package: which fields of a configuration a search varies.

A space is a function `declare(hp, config)`: it declares Keras Tuner hyperparameters on `hp` for the
family and task of `config`, each named after the field it sets. Lists are choices of JSON text.
"""

import contextlib
import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from spine_tf.configuration import (
    config as config_module,
    family_config,
    own_code,
    pretrained_configs,
)

if TYPE_CHECKING:
    import keras_tuner

Declare = Callable[["keras_tuner.HyperParameters", config_module.Config], None]


# Of what the model sees; 0 is all that the records hold. Those that they lack are left out.
_SIDES_MM = (0.0, 30.0, 40.0, 50.0, 60.0)


def declare_small(hp: "keras_tuner.HyperParameters", config: config_module.Config) -> None:
    """Few values of what matters most: finite, for an afternoon or a grid."""
    hp.Choice("training.learning_rate", [3e-4, 1e-3, 3e-3], default=1e-3)
    hp.Choice("model.dropout", [0.0, 0.3, 0.5], default=0.3)
    hp.Choice("training.weight_decay", [1e-4, 1e-2], default=1e-4)
    _declare_side(hp, config)
    with _unless_frozen(hp, config):
        hp.Choice("data.augmentation.rotation_degrees", [0.0, 10.0, 20.0], default=10.0)
        hp.Choice("data.augmentation.scale", [0.0, 0.1, 0.2], default=0.1)
        hp.Choice("data.augmentation.jitter_mm", [0.0, 3.0])
    if _has_heads(config):
        hp.Choice("model.head", ["softmax", "ordinal"])
    for name, values in _SMALL_ARCHITECTURE[config.model.family].items():
        hp.Choice(name, list(values))


def declare_full(hp: "keras_tuner.HyperParameters", config: config_module.Config) -> None:
    """Architecture, optimiser, regularisation, augmentation, loss and head."""
    _declare_architecture(hp, config)
    _declare_optimizer(hp)
    with _unless_frozen(hp, config):
        _declare_augmentation(hp, config)
    _declare_loss(hp, config)


# Frozen epochs that no training reaches: only the head trains, on features computed once.
HEAD_ONLY = 10_000

PRESETS: Mapping[str, Declare] = {"small": declare_small, "full": declare_full}

_SMALL_ARCHITECTURE: Mapping[str, Mapping[str, tuple[str | int, ...]]] = {
    "simple": {"model.filters": ("[16, 32, 64]", "[8, 16, 32]"), "model.units": (64, 128)},
    "dense": {
        "model.filters": ("[16, 32, 64, 96]", "[16, 32, 64]"),
        "model.units": ("[128, 64]", "[256]"),
    },
    "densenet": {"model.growth_rate": (12, 8), "model.blocks": ("[3, 3, 3]", "[2, 3, 4]")},
    "residual": {
        "model.filters": ("[16, 32, 64, 96]", "[16, 32, 64]"),
        "model.blocks_per_stage": (1, 2),
    },
    "slices": {
        "model.filters": ("[16, 32, 64, 96]", "[16, 32, 64]"),
        "model.slice_pooling": ("attention", "lstm"),
    },
    "unet": {
        "model.filters": ("[12, 32, 48, 64, 96, 128]", "[24, 48, 64, 96, 128]"),
        "model.input_px": (0, 128),
    },
    "level": {"model.filters": ("[16, 32, 64, 96]", "[16, 32, 64]"), "model.units": (64, 128)},
    "resnet50": {"model.units": ("[]", "[128]")},
    "transfer": {"model.units": ("[]", "[128]")},
}

_FULL_ARCHITECTURE: Mapping[str, Mapping[str, tuple[str | int | float, ...]]] = {
    "simple": {
        "model.filters": ("[8, 16, 32]", "[16, 32, 64]", "[32, 64, 128]", "[16, 32, 64, 96]"),
        "model.kernel_size": (3, 5),
        "model.units": (32, 64, 128, 256),
    },
    "dense": {
        "model.filters": ("[16, 32, 64]", "[16, 32, 64, 96]", "[32, 64, 96, 128]"),
        "model.kernel_size": (3, 5),
        "model.grid_px": (2, 4),
        "model.units": ("[64]", "[128, 64]", "[256, 64]", "[256]"),
    },
    "densenet": {
        "model.stem_filters": (16, 24, 32),
        "model.growth_rate": (8, 12, 16),
        "model.blocks": ("[2, 2, 2]", "[3, 3, 3]", "[2, 3, 4]", "[4, 4, 4]"),
        "model.compression": (0.5, 0.75),
    },
    "residual": {
        "model.filters": ("[16, 32, 64]", "[16, 32, 64, 96]", "[32, 64, 96, 128]"),
        "model.blocks_per_stage": (1, 2),
        "model.kernel_size": (3, 5),
    },
    "slices": {
        "model.filters": ("[16, 32, 64]", "[16, 32, 64, 96]", "[32, 64, 96, 128]"),
        "model.blocks_per_stage": (1, 2),
        "model.slice_pooling": ("attention", "lstm", "average", "max"),
        "model.slice_units": (16, 32, 64),
    },
    "unet": {
        "model.filters": (
            *("[12, 32, 48, 64, 96, 128]", "[8, 16, 32, 48, 64]"),
            *("[16, 32, 48, 64, 96]", "[24, 48, 64, 96, 128]"),
        ),
        "model.input_px": (0, 128),
        "model.output_stride": (2, 4),
        "model.blocks_per_stage": (1, 2),
        "model.kernel_size": (3, 5),
    },
    "level": {
        "model.filters": ("[16, 32, 64]", "[16, 32, 64, 96]", "[32, 64, 96, 128]"),
        "model.blocks_per_stage": (1, 2),
        "model.units": (32, 64, 128),
        "model.num_heads": (2, 4, 8),
        "model.view_dropout": (0.0, 0.15, 0.3),
        "model.single_share": (0.0, 0.3, 1.0),
    },
    "resnet50": {"model.units": ("[]", "[64]", "[128]", "[256]")},
    "transfer": {"model.units": ("[]", "[64]", "[128]", "[256]")},
}

# Small ones of each kind; a file of weights fits one of them only, so then none is searched.
_BACKBONES = (
    "efficientnetv2b0",
    "convnext_tiny",
    "densenet121",
    "mobilenetv3small",
    "resnet50v2",
)


def _declare_architecture(hp: "keras_tuner.HyperParameters", config: config_module.Config) -> None:
    for name, values in _FULL_ARCHITECTURE[config.model.family].items():
        hp.Choice(name, list(values))
    if isinstance(config.model, pretrained_configs.TransferConfig) and config.model.weights in (
        "imagenet",
        "none",
    ):
        hp.Choice("model.backbone", list(_BACKBONES))
    _declare_side(hp, config)
    hp.Float("model.dropout", 0.0, 0.6)
    hp.Choice("model.bias_correction", [0.0, 0.1, 0.25])
    hp.Choice("model.pooling", ["average", "max"])
    if isinstance(config.model, family_config.ConvolutionalConfig):
        hp.Choice("model.activation", ["relu", "gelu", "silu"])
        # The first is the family's own.
        hp.Choice("model.norm", ["group", "layer"] if _is_of_levels(config) else ["batch", "group"])
        hp.Choice("model.stem_stride", [2, 1])
    with _unless_frozen(hp, config):
        if is_pretrained(config.model):
            hp.Choice("model.trainable_blocks", [1, 3, 5], default=3)
            hp.Float("model.fine_tune_factor", 0.01, 0.5, sampling="log")


def _declare_side(hp: "keras_tuner.HyperParameters", config: config_module.Config) -> None:
    """What a model of crops sees around a point; a window is all that may show points."""
    if not _is_of_points(config):
        hp.Choice("model.input_mm", list(_SIDES_MM))


def _declare_optimizer(hp: "keras_tuner.HyperParameters") -> None:
    hp.Choice("training.optimizer", ["adamw", "sgd"])
    for optimizer, low, high in (("adamw", 1e-4, 1e-2), ("sgd", 1e-3, 1e-1)):
        with hp.conditional_scope("training.optimizer", [optimizer]), hp.name_scope(optimizer):
            hp.Float("training.learning_rate", low, high, sampling="log")
    hp.Float("training.weight_decay", 1e-6, 1e-1, sampling="log")
    hp.Choice("training.batch_size", [16, 32, 64], default=32)
    hp.Choice("training.ema_decay", [0.0, 0.98])
    hp.Choice("training.schedule", ["cosine", "constant"])


def _declare_augmentation(hp: "keras_tuner.HyperParameters", config: config_module.Config) -> None:
    hp.Float("data.augmentation.rotation_degrees", 0.0, 30.0)
    hp.Float("data.augmentation.shift", 0.0, 0.15)
    hp.Float("data.augmentation.scale", 0.0, 0.3)
    hp.Float("data.augmentation.shear", 0.0, 0.15)
    hp.Choice("data.augmentation.jitter_mm", [0.0, 2.0, 4.0])
    # -1 is the records' own: half, or none where they are finer than the model.
    hp.Choice("data.augmentation.unchanged", [-1.0, 0.0, 0.5])
    hp.Float("data.augmentation.contrast", 0.0, 0.5)
    hp.Float("data.augmentation.brightness", 0.0, 0.3)
    hp.Float("data.augmentation.gamma", 0.0, 0.5)
    hp.Float("data.augmentation.noise", 0.0, 0.1)
    hp.Choice("data.augmentation.cutout", [0.0, 0.25])
    if _is_of_points(config):
        hp.Choice("data.augmentation.field_cut", [0.0, 0.1, 0.2])
    elif not _is_of_levels(config):
        hp.Choice("data.augmentation.mixup", [0.0, 0.2, 0.4])


def _declare_loss(hp: "keras_tuner.HyperParameters", config: config_module.Config) -> None:
    if _is_of_points(config):
        _declare_loss_names(hp, "cross_entropy", "focal")
        return
    is_ordered = len(config.task_spec.classes) > 2
    has_kappa = is_ordered and not _is_of_levels(config)
    _declare_loss_names(hp, "cross_entropy", "focal", *(["quadratic_kappa"] if has_kappa else []))
    hp.Float("training.label_smoothing", 0.0, 0.2)
    balanced = [] if _is_of_levels(config) else ["balanced"]
    hp.Choice("training.class_weights", ["none", *balanced, "competition"])
    if is_ordered:
        hp.Choice("training.label_softness", [0.0, 0.25, 0.5])
    if _has_heads(config):
        hp.Choice("model.head", ["softmax", "ordinal"])


def _declare_loss_names(hp: "keras_tuner.HyperParameters", *names: str) -> None:
    hp.Choice("training.loss", list(names))
    with hp.conditional_scope("training.loss", ["focal"]):
        hp.Float("training.focal_gamma", 0.5, 3.0)


def _is_of_levels(config: config_module.Config) -> bool:
    return config.task == "levels"


def _is_of_points(config: config_module.Config) -> bool:
    return config.task == "landmarks"


def _has_heads(config: config_module.Config) -> bool:
    """Whether there is an ordinal head to choose: of three classes in an order."""
    if _is_of_levels(config) or _is_of_points(config):
        return False
    return len(config.task_spec.classes) > 2


def is_pretrained(model: family_config.ModelConfig) -> bool:
    """Returns whether there is a backbone to freeze: a random start trains from the first epoch."""
    return isinstance(model, pretrained_configs.PretrainedConfig) and model.is_pretrained


@contextlib.contextmanager
def _unless_frozen(
    hp: "keras_tuner.HyperParameters", config: config_module.Config
) -> Iterator[None]:
    """What is declared within has no effect while only the head trains, on cached features.

    A pretrained backbone is either frozen to the end, which is fast, or opened after 10 epochs.
    """
    if not is_pretrained(config.model):
        yield
        return
    hp.Choice("model.frozen_epochs", [HEAD_ONLY, 10])
    with hp.conditional_scope("model.frozen_epochs", [10]):
        yield


def get_space(name: str) -> Declare:
    """Returns the search space of that name.

    Args:
        name: a preset, or the path of a Python file.

    Raises:
        ValueError: no preset and no file, or a file that fails or does not define `declare`.
    """
    if name in PRESETS:
        return PRESETS[name]
    if not name.endswith(".py"):
        raise ValueError(
            f"--space is {name!r}, expected {', '.join(PRESETS)}, or the path of a .py file"
        )
    return own_code.read_function(
        pathlib.Path(name),
        "declare",
        flag="space",
        purpose="declare(hp, config): it declares hyperparameters named after fields, such as "
        "hp.Float('model.dropout', 0.0, 0.5)",
    )
