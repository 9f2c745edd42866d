"""The configuration of a run: frozen dataclasses, one JSON schema, single-field overrides."""

import dataclasses
import json
import pathlib
import types
from collections.abc import Iterable, Mapping
from typing import Any

from spine_tf import labels
from spine_tf.configuration import fields as fields_module, limits, model_configs

WINDOWS = ("slice", "series", "crop")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RoiConfig:
    """The region of interest that is cut out around a coordinate.

    Attributes:
        roi_mm: side of the square in millimetres.
        roi_px: side of the square in output pixels.
        num_slices: slices of a crop, odd; the annotated one is in the middle.
        mirror_right: flip axial crops of one side so that lateral lies to the image's right.
        window: the pixels whose 0.5 and 99.5 percentile are mapped to 0 and 1: those of the
            annotated "slice", of all slices of its "series", or of the "crop".
    """

    roi_mm: float = 50.0
    roi_px: int = 128
    num_slices: int = 1
    mirror_right: bool = True
    window: str = "slice"

    def __post_init__(self) -> None:
        limits.require_range("roi_mm", self.roi_mm, 1.0, 1000.0)
        limits.require_range("roi_px", self.roi_px, 8, 1024)
        limits.require_range("num_slices", self.num_slices, 1, 63)
        if self.num_slices % 2 == 0:
            raise ValueError(f"num_slices is {self.num_slices}, expected an odd number")
        limits.require_choice("window", self.window, WINDOWS)


@dataclasses.dataclass(frozen=True, kw_only=True)
class AugmentationConfig:
    """Random changes of training images; zero turns one off.

    Attributes:
        unchanged: share of the images that are left as they are. Moving an image resamples it,
            which smooths; a model that saw moved images alone takes sharp ones for another kind.
        rotation_degrees: rotation by up to this angle either way.
        shift: translation by up to this fraction of the side either way.
        scale: zoom by a factor of up to 1 +- this.
        shear: horizontal shear by up to this fraction of the height either way.
        contrast: factor of up to 1 +- this on the distance from the image's mean.
        brightness: offset of up to this either way, of the range [0, 1].
        gamma: exponent between exp(-this) and exp(this).
        noise: standard deviation of added Gaussian noise.
        blur: largest standard deviation of a Gaussian blur, in pixels.
        cutout: side of an erased square, as a fraction of the image's side.
        flip: probability of a left-right flip; refused where crops are mirrored by side.
        slice_shuffle: probability that the slices of a crop are put in another order.
        mixup: alpha of the Beta distribution by which two images are averaged.
        cutmix: alpha of the same distribution for the area of a box cut from another image.
    """

    unchanged: float = 0.5
    rotation_degrees: float = 10.0
    shift: float = 0.05
    scale: float = 0.1
    shear: float = 0.0
    contrast: float = 0.2
    brightness: float = 0.1
    gamma: float = 0.0
    noise: float = 0.0
    blur: float = 0.0
    cutout: float = 0.0
    flip: float = 0.0
    slice_shuffle: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0

    def __post_init__(self) -> None:
        limits.require_range("unchanged", self.unchanged, 0.0, 1.0)
        limits.require_range("rotation_degrees", self.rotation_degrees, 0.0, 180.0)
        for name in ("shift", "scale", "shear", "contrast", "brightness", "noise", "cutout"):
            limits.require_range(name, getattr(self, name), 0.0, 0.95)
        limits.require_range("gamma", self.gamma, 0.0, 2.0)
        limits.require_range("blur", self.blur, 0.0, 16.0)
        limits.require_range("flip", self.flip, 0.0, 1.0)
        limits.require_range("slice_shuffle", self.slice_shuffle, 0.0, 1.0)
        limits.require_range("mixup", self.mixup, 0.0, 4.0)
        limits.require_range("cutmix", self.cutmix, 0.0, 4.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LabelReviewConfig:
    """What training makes of labels that are probably wrong; see `label_review.cure`.

    Attributes:
        path: the label_review.csv that spine_tf.clean wrote; "" is none.
        action: "drop" leaves suspicious training rows out, "down_weight" lets them weigh a quarter,
            "soften" gives half of their target to the out-of-fold probabilities.
        budget: share of the training rows that is treated, the most suspicious first. Labels that
            a reader confirmed as wrong are always treated, those confirmed as right never; a class
            that the reader wrote is the label.
    """

    path: str = ""
    action: str = "soften"
    budget: float = 0.1

    def __post_init__(self) -> None:
        limits.require_choice("action", self.action, ("drop", "down_weight", "soften"))
        limits.require_range("budget", self.budget, 0.0, 0.5)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Which examples a run sees, and how.

    Attributes:
        val_fold: the fold that is held out for `metrics.json`.
        inner_fold: "next" keeps fold (val_fold + 1) mod k for early stopping and calibration;
            "none" trains on it too, and the last epoch counts.
        feed: "memory" decodes all crops once and keeps them on the host, "device" on the device
            that trains, "stream" reads shards each epoch; "auto" takes memory while the crops fit
            memory_budget_mb.
        memory_budget_mb: what "auto" may hold decoded.
        sampling: "shuffle" sees every training example once an epoch; "balanced" sees as many of
            each class, the rare ones repeatedly; needs the crops in memory.
        augmentation: random changes of training images.
        label_review: labels that training does not quite believe.
        mild_split: the mild_split.csv of a task that tells the halves of Moderate apart.
    """

    val_fold: int = 0
    inner_fold: str = "next"
    feed: str = "auto"
    memory_budget_mb: int = 4096
    sampling: str = "shuffle"
    augmentation: AugmentationConfig = dataclasses.field(default_factory=AugmentationConfig)
    label_review: LabelReviewConfig = dataclasses.field(default_factory=LabelReviewConfig)
    mild_split: str = ""

    def __post_init__(self) -> None:
        limits.require_range("val_fold", self.val_fold, 0, 999)
        limits.require_choice("inner_fold", self.inner_fold, ("next", "none"))
        limits.require_choice("feed", self.feed, ("auto", "memory", "device", "stream"))
        limits.require_choice("sampling", self.sampling, ("shuffle", "balanced"))
        limits.require_range("memory_budget_mb", self.memory_budget_mb, 1, 10_000_000)


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
        limits.require_range("epochs", self.epochs, 1, 100_000)
        limits.require_range("batch_size", self.batch_size, 1, 65_536)
        limits.require_choice("optimizer", self.optimizer, ("adamw", "sgd"))
        limits.require_range("learning_rate", self.learning_rate, 1e-9, 10.0)
        limits.require_range("weight_decay", self.weight_decay, 0.0, 1.0)
        limits.require_choice("schedule", self.schedule, ("cosine", "constant"))
        limits.require_range("warmup_epochs", self.warmup_epochs, 0, 100_000)
        limits.require_range("gradient_clip", self.gradient_clip, 0.0, 1e6)
        limits.require_range("ema_decay", self.ema_decay, 0.0, 0.99999)
        limits.require_choice("loss", self.loss, ("cross_entropy", "focal", "quadratic_kappa"))
        limits.require_range("focal_gamma", self.focal_gamma, 0.0, 10.0)
        limits.require_range("label_smoothing", self.label_smoothing, 0.0, 0.9)
        if self.label_softness != 0.0:
            limits.require_range("label_softness", self.label_softness, 0.05, 10.0)
        limits.require_choice(
            "class_weights", self.class_weights, ("none", "balanced", "competition")
        )
        limits.require_range("patience", self.patience, 0, 100_000)
        limits.require_choice("monitor", self.monitor, tuple(MONITORS))
        limits.require_choice("mixed_precision", self.mixed_precision, ("auto", "on", "off"))
        limits.require_choice("xla", self.xla, ("auto", "on", "off"))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """Everything that decides what a run computes from a records directory."""

    task: str
    model: model_configs.ModelConfig
    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    training: TrainingConfig = dataclasses.field(default_factory=TrainingConfig)
    seed: int = 0

    def __post_init__(self) -> None:
        labels.get_task(self.task)
        limits.require_range("seed", self.seed, 0, 2**31 - 1)
        if self.data.sampling == self.training.class_weights == "balanced":
            raise ValueError(
                "data.sampling and training.class_weights are both balanced, which would correct "
                "the class frequencies twice: set one of them to its default"
            )

    @property
    def task_spec(self) -> labels.Task:
        """The task that `task` names."""
        return labels.get_task(self.task)


def roi_to_dict(roi: RoiConfig) -> dict[str, Any]:
    """Returns a region of interest as JSON types.

    The window by slice is left out, so that a manifest without the field means just that.
    """
    values = dataclasses.asdict(roi)
    if roi.window == RoiConfig.window:
        del values["window"]
    return values


def roi_from_dict(values: Mapping[str, Any]) -> RoiConfig:
    """Returns the region of interest of a records directory.

    Args:
        values: the configuration in its manifest, with more than the region of interest.

    Raises:
        ValueError: a field is missing, of another type or out of range.
    """
    names = [field.name for field in dataclasses.fields(RoiConfig)]
    for name in names:
        if name != "window" and name not in values:
            raise ValueError(f"the region of interest has no {name}; expected {', '.join(names)}")
    return fields_module.build(RoiConfig, {n: values[n] for n in names if n in values}, "")


def default_config(task: str, family: str) -> Config:
    """Returns the configuration of a family with nothing set."""
    return from_dict({"task": task, "model": {"family": family}})


def to_dict(config: Config) -> dict[str, Any]:
    """Returns the configuration as JSON types; `from_dict` is its inverse."""
    result = json.loads(json.dumps(dataclasses.asdict(config)))
    result["model"] = {"family": config.model.family, **result["model"]}
    return result


def from_dict(values: Mapping[str, Any]) -> Config:
    """Builds a configuration from JSON types; fields that are left out keep their defaults.

    Raises:
        ValueError: a field that does not exist, a value of another type or out of range.
    """
    values = dict(values)
    model = values.get("model")
    if not isinstance(model, Mapping) or "family" not in model:
        raise ValueError(
            'the configuration has no model family: expected {"model": {"family": ...}} '
            f"with one of {', '.join(model_configs.MODEL_CONFIGS)}"
        )
    fields = {name: value for name, value in model.items() if name != "family"}
    values["model"] = fields_module.build(_model_config_class(model["family"]), fields, "model.")
    return fields_module.build(Config, values, "")


def read_config(path: pathlib.Path) -> Config:
    """Reads a configuration file; its `provenance`, if any, is left aside.

    Raises:
        ValueError: the file is missing, no JSON, or no configuration.
    """
    try:
        values = json.loads(path.read_text("utf-8"))
    except FileNotFoundError as err:
        raise ValueError(f"{path} does not exist; expected a configuration JSON") from err
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as err:
        raise ValueError(f"{path} is not a configuration JSON: {err}") from err
    if not isinstance(values, dict):
        raise ValueError(f"{path} holds a {type(values).__name__}, expected a JSON object")
    values.pop("provenance", None)
    try:
        return from_dict(values)
    except ValueError as err:
        raise ValueError(f"{path}: {err}") from err


def with_settings(config: Config, settings: Iterable[str]) -> Config:
    """Returns the configuration with `field=value` settings applied in order.

    Args:
        config: the one to start from.
        settings: such as "model.dropout=0.3"; the value is parsed as JSON, else taken as a string.

    Raises:
        ValueError: a setting without "=", a field that does not exist, a value that does not fit.
    """
    values = to_dict(config)
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals:
            raise ValueError(f"--set {setting!r} has no '=', expected field=value")
        try:
            value = json.loads(text)
        except json.JSONDecodeError:
            value = text
        if name == "model.family":
            raise ValueError("--set model.family is not possible, choose the family with --model")
        fields_module.assign(values, name, value)
    return from_dict(values)


def has_field(family: str, setting: str) -> bool:
    """Returns whether a family can take a `field=value`: one of "model." has to be its own."""
    parent, _, field = setting.partition("=")[0].partition(".")
    if parent != "model":
        return True
    return field in {item.name for item in dataclasses.fields(_model_config_class(family))}


def _model_config_class(family: Any) -> type[model_configs.ModelConfig]:
    if family not in model_configs.MODEL_CONFIGS:
        raise ValueError(
            f"model is {family!r}, expected one of {', '.join(model_configs.MODEL_CONFIGS)}"
        )
    return model_configs.MODEL_CONFIGS[family]
