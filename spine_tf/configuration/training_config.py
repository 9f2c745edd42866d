"""The configuration of how a model is fitted: epochs, optimiser, loss, stopping."""

import dataclasses
import types
from collections.abc import Mapping
from typing import Annotated

from spine_tf.configuration import limits

# The figures of the inner fold that may say which epoch is best, and whether more is better.
MONITORS: Mapping[str, bool] = types.MappingProxyType(
    {
        "val_log_loss": False,
        "val_weighted_log_loss": False,
        "val_brier": False,
        "val_accuracy": True,
        "val_balanced_accuracy": True,
        "val_auc": True,
        "val_quadratic_kappa": True,
    }
)
# The same of heatmaps, see training/landmark_figures.py.
LANDMARK_MONITORS: Mapping[str, bool] = types.MappingProxyType(
    {
        "val_log_loss": False,
        "val_median_mm": False,
        "val_p95_mm": False,
        "val_level_right": True,
        "val_slice_error": False,
    }
)
ALL_MONITORS: Mapping[str, bool] = types.MappingProxyType({**MONITORS, **LANDMARK_MONITORS})
_SWITCH = limits.Choice(("auto", "on", "off"))


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How a model is fitted.

    Attributes:
        epochs: most epochs; `patience` may end training before.
        batch_size: examples of a training step.
        optimizer: "adamw" or "sgd" (Nesterov momentum 0.9).
        learning_rate: the optimiser's learning rate at its peak.
        weight_decay: decoupled decay of the weights, of kernels only.
        schedule: "cosine" to zero at the last epoch, or "constant", both after the warm-up.
        warmup_epochs: epochs of linear rise to the peak.
        gradient_clip: largest global norm of a gradient; 0 is no limit.
        ema_decay: decay of an exponential moving average of the weights, which is then what is
            evaluated and saved; 0 is none.
        loss: "cross_entropy", "focal", or "quadratic_kappa" (1 - kappa of the batch, with a fifth
            of the cross entropy).
        focal_gamma: focusing exponent of the focal loss.
        label_smoothing: probability spread evenly over the classes.
        label_softness: spreads a class over its neighbours, exp(-distance / this) of it to each; 0
            is off. Of two classes it is label smoothing by another name.
        class_weights: "none", "balanced" (inverse frequency), or "competition" (1, 2, 4).
        patience: epochs without a better inner fold after which training ends; 0 never.
        monitor: what "better" means: a logged figure of the inner fold.
        mixed_precision: float16 with loss scaling: "on" needs a GPU, "auto" uses it on a GPU that
            has tensor cores, "off" computes in float32.
        xla: compile the training step: "auto" does on a GPU where a small convolution compiles.
        deterministic: the same seed gives the same weights, at some cost in speed.
    """

    epochs: Annotated[int, limits.Range(1, 100_000)] = 60
    batch_size: Annotated[int, limits.Range(1, 65_536)] = 16
    optimizer: Annotated[str, limits.Choice(("adamw", "sgd"))] = "adamw"
    learning_rate: Annotated[float, limits.Range(1e-9, 10.0)] = 1e-3
    weight_decay: Annotated[float, limits.Range(0.0, 1.0)] = 1e-4
    schedule: Annotated[str, limits.Choice(("cosine", "constant"))] = "cosine"
    warmup_epochs: Annotated[int, limits.Range(0, 100_000)] = 2
    gradient_clip: Annotated[float, limits.Range(0.0, 1e6)] = 1.0
    ema_decay: Annotated[float, limits.Range(0.0, 0.99999)] = 0.0
    loss: Annotated[str, limits.Choice(("cross_entropy", "focal", "quadratic_kappa"))] = (
        "cross_entropy"
    )
    focal_gamma: Annotated[float, limits.Range(0.0, 10.0)] = 2.0
    label_smoothing: Annotated[float, limits.Range(0.0, 0.9)] = 0.0
    label_softness: Annotated[float, limits.Range(0.05, 10.0, or_zero=True)] = 0.0
    class_weights: Annotated[str, limits.Choice(("none", "balanced", "competition"))] = "none"
    patience: Annotated[int, limits.Range(0, 100_000)] = 15
    monitor: Annotated[str, limits.Choice(tuple(ALL_MONITORS))] = "val_log_loss"
    mixed_precision: Annotated[str, _SWITCH] = "auto"
    xla: Annotated[str, _SWITCH] = "auto"
    deterministic: bool = True

    def __post_init__(self) -> None:
        limits.check(self)
