"""The configuration of how a model is fitted: epochs, optimiser, loss, stopping."""

import dataclasses
import types
from collections.abc import Mapping

from spine_tf.configuration import fields

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


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How a model is fitted.

    Attributes:
        epochs: the most there will be.
        batch_size: examples a step.
        optimizer: "adamw" or "sgd" (Nesterov momentum 0.9).
        learning_rate: at its peak.
        weight_decay: decoupled, of kernels only.
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

    epochs: int = 60
    batch_size: int = 16
    optimizer: str = "adamw"
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    schedule: str = "cosine"
    warmup_epochs: int = 2
    gradient_clip: float = 1.0
    ema_decay: float = 0.0
    loss: str = "cross_entropy"
    focal_gamma: float = 2.0
    label_smoothing: float = 0.0
    label_softness: float = 0.0
    class_weights: str = "none"
    patience: int = 15
    monitor: str = "val_log_loss"
    mixed_precision: str = "auto"
    xla: str = "auto"
    deterministic: bool = True

    def __post_init__(self) -> None:
        fields.require_range("epochs", self.epochs, 1, 100_000)
        fields.require_range("batch_size", self.batch_size, 1, 65_536)
        fields.require_choice("optimizer", self.optimizer, ("adamw", "sgd"))
        fields.require_range("learning_rate", self.learning_rate, 1e-9, 10.0)
        fields.require_range("weight_decay", self.weight_decay, 0.0, 1.0)
        fields.require_choice("schedule", self.schedule, ("cosine", "constant"))
        fields.require_range("warmup_epochs", self.warmup_epochs, 0, 100_000)
        fields.require_range("gradient_clip", self.gradient_clip, 0.0, 1e6)
        fields.require_range("ema_decay", self.ema_decay, 0.0, 0.99999)
        fields.require_choice("loss", self.loss, ("cross_entropy", "focal", "quadratic_kappa"))
        fields.require_range("focal_gamma", self.focal_gamma, 0.0, 10.0)
        fields.require_range("label_smoothing", self.label_smoothing, 0.0, 0.9)
        if self.label_softness != 0.0:
            fields.require_range("label_softness", self.label_softness, 0.05, 10.0)
        fields.require_choice(
            "class_weights", self.class_weights, ("none", "balanced", "competition")
        )
        fields.require_range("patience", self.patience, 0, 100_000)
        fields.require_choice("monitor", self.monitor, tuple(MONITORS))
        fields.require_choice("mixed_precision", self.mixed_precision, ("auto", "on", "off"))
        fields.require_choice("xla", self.xla, ("auto", "on", "off"))
