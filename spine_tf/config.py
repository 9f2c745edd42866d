"""The configuration of a run: frozen dataclasses, one JSON schema, single-field overrides."""

import dataclasses
import json
import math
import pathlib
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from spine_tf import labels


@dataclasses.dataclass(frozen=True, kw_only=True)
class RoiConfig:
    """The region of interest that is cut out around a coordinate.

    Attributes:
        roi_mm: side of the square in millimetres.
        roi_px: side of the square in output pixels.
        num_slices: slices of a crop, odd; the annotated one is in the middle.
        mirror_right: flip axial crops of one side so that lateral lies to the image's right.
    """

    roi_mm: float = 50.0
    roi_px: int = 128
    num_slices: int = 1
    mirror_right: bool = True

    def __post_init__(self) -> None:
        _require_range("roi_mm", self.roi_mm, 1.0, 1000.0)
        _require_range("roi_px", self.roi_px, 8, 1024)
        _require_range("num_slices", self.num_slices, 1, 63)
        if self.num_slices % 2 == 0:
            raise ValueError(f"num_slices is {self.num_slices}, expected an odd number")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """What every model family has; a family adds its own fields.

    Attributes:
        input_px: side to which the crop is resized inside the model; 0 keeps it as stored.
        activation: of the hidden layers.
        pooling: how the last feature map becomes a vector (`dense`: a small grid).
        dropout: fraction dropped before the head.
        head: "softmax", or "ordinal" (cumulative logits: one score, ordered thresholds).
    """

    family: ClassVar[str]

    input_px: int = 0
    activation: str = "relu"
    pooling: str = "average"
    dropout: float = 0.3
    head: str = "softmax"

    def __post_init__(self) -> None:
        if self.input_px != 0:
            _require_range("input_px", self.input_px, 16, 1024)
        _require_choice("activation", self.activation, ("relu", "gelu", "silu", "elu"))
        _require_choice("pooling", self.pooling, ("average", "max"))
        _require_range("dropout", self.dropout, 0.0, 0.95)
        _require_choice("head", self.head, ("softmax", "ordinal"))


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConvolutionalConfig(ModelConfig):
    """What the families that train from a random start have in common.

    Attributes:
        norm: normalisation after each convolution: "batch", "group" or "none".
        norm_momentum: of batch normalisation's moving averages; only batch normalisation has any.
    """

    norm: str = "batch"
    norm_momentum: float = 0.9

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_choice("norm", self.norm, ("batch", "group", "none"))
        _require_range("norm_momentum", self.norm_momentum, 0.0, 0.9999)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SimpleConfig(ConvolutionalConfig):
    """The report's small custom classifier: convolutions with pooling, one hidden layer."""

    family: ClassVar[str] = "simple"

    filters: tuple[int, ...] = (16, 32, 64)
    kernel_size: int = 3
    units: int = 64

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_widths("filters", self.filters)
        _require_range("kernel_size", self.kernel_size, 1, 11)
        _require_range("units", self.units, 1, 4096)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DenseConfig(ConvolutionalConfig):
    """Convolutions, then fully connected layers with dropout on the flattened feature map.

    Attributes:
        grid_px: the feature map is pooled to this side before it is flattened.
    """

    family: ClassVar[str] = "dense"

    filters: tuple[int, ...] = (16, 32, 64, 96)
    kernel_size: int = 3
    grid_px: int = 4
    units: tuple[int, ...] = (128, 64)

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_widths("filters", self.filters)
        _require_range("kernel_size", self.kernel_size, 1, 11)
        _require_range("grid_px", self.grid_px, 1, 16)
        _require_widths("units", self.units)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DenseNetConfig(ConvolutionalConfig):
    """Densely connected convolutions: each layer sees the outputs of all before it in its block.

    Attributes:
        growth_rate: feature maps that a layer adds.
        blocks: layers of each block.
        compression: fraction of the feature maps that a transition keeps.
    """

    family: ClassVar[str] = "densenet"

    stem_filters: int = 24
    growth_rate: int = 12
    blocks: tuple[int, ...] = (3, 3, 3)
    compression: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_range("stem_filters", self.stem_filters, 1, 512)
        _require_range("growth_rate", self.growth_rate, 1, 128)
        _require_widths("blocks", self.blocks)
        _require_range("compression", self.compression, 0.1, 1.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResidualConfig(ConvolutionalConfig):
    """Residual blocks in stages; each stage after the first halves the side.

    Attributes:
        filters: width of each stage.
        blocks_per_stage: residual blocks of a stage.
    """

    family: ClassVar[str] = "residual"

    filters: tuple[int, ...] = (16, 32, 64, 96)
    blocks_per_stage: int = 1
    kernel_size: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_widths("filters", self.filters)
        _require_range("blocks_per_stage", self.blocks_per_stage, 1, 16)
        _require_range("kernel_size", self.kernel_size, 1, 11)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResNet50Config(ModelConfig):
    """ResNet-50 with a new head: a frozen phase, then fine-tuning of the last blocks.

    `activation` acts on the head's hidden layers; the backbone is as published.

    Attributes:
        weights: "imagenet", "none" (random start, everything trains from the first epoch), or the
            path of an .h5 or .keras file.
        weights_scaling: how the weights want their input: "caffe" (BGR, ImageNet mean subtracted,
            0-255; keras.applications), "unit" (-1 to 1; RadImageNet) or "auto" (caffe for
            imagenet, unit for a file).
        frozen_epochs: epochs in which only the head trains; needs weights.
        trainable_blocks: residual blocks, counted from the last of 16, that train afterwards.
        fine_tune_factor: the learning rate of that second phase over the first's.
        units: hidden layers of the head.
    """

    family: ClassVar[str] = "resnet50"

    weights: str = "imagenet"
    weights_scaling: str = "auto"
    frozen_epochs: int = 10
    trainable_blocks: int = 3
    fine_tune_factor: float = 0.1
    units: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_choice("weights_scaling", self.weights_scaling, ("auto", "caffe", "unit"))
        _require_range("frozen_epochs", self.frozen_epochs, 0, 10_000)
        _require_range("trainable_blocks", self.trainable_blocks, 0, 16)
        _require_range("fine_tune_factor", self.fine_tune_factor, 1e-6, 1.0)
        if self.units:
            _require_widths("units", self.units)


MODEL_CONFIGS: Mapping[str, type[ModelConfig]] = types.MappingProxyType(
    {
        config.family: config
        for config in (SimpleConfig, DenseConfig, DenseNetConfig, ResidualConfig, ResNet50Config)
    }
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class AugmentationConfig:
    """Random changes of training images; zero turns one off.

    Attributes:
        rotation_degrees: rotation by up to this angle either way.
        shift: translation by up to this fraction of the side either way.
        scale: zoom by a factor of up to 1 +- this.
        contrast: factor of up to 1 +- this on the distance from the image's mean.
        brightness: offset of up to this either way, of the range [0, 1].
        gamma: exponent between exp(-this) and exp(this).
        noise: standard deviation of added Gaussian noise.
        cutout: side of an erased square, as a fraction of the image's side.
        mixup: parameter alpha of the Beta distribution that mixes pairs.
    """

    rotation_degrees: float = 10.0
    shift: float = 0.05
    scale: float = 0.1
    contrast: float = 0.2
    brightness: float = 0.1
    gamma: float = 0.0
    noise: float = 0.0
    cutout: float = 0.0
    mixup: float = 0.0

    def __post_init__(self) -> None:
        _require_range("rotation_degrees", self.rotation_degrees, 0.0, 180.0)
        for name in ("shift", "scale", "contrast", "brightness", "noise", "cutout"):
            _require_range(name, getattr(self, name), 0.0, 0.95)
        _require_range("gamma", self.gamma, 0.0, 2.0)
        _require_range("mixup", self.mixup, 0.0, 4.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Which examples a run sees, and how.

    Attributes:
        val_fold: the fold that is held out for `metrics.json`.
        inner_fold: "next" keeps fold (val_fold + 1) mod k for early stopping and calibration;
            "none" trains on it too, and the last epoch counts.
        feed: "memory" decodes all crops once, "stream" reads shards each epoch, "auto" takes
            memory while the crops fit memory_budget_mb.
        memory_budget_mb: what "auto" may hold decoded.
        augmentation: random changes of training images.
    """

    val_fold: int = 0
    inner_fold: str = "next"
    feed: str = "auto"
    memory_budget_mb: int = 4096
    augmentation: AugmentationConfig = dataclasses.field(default_factory=AugmentationConfig)

    def __post_init__(self) -> None:
        _require_range("val_fold", self.val_fold, 0, 999)
        _require_choice("inner_fold", self.inner_fold, ("next", "none"))
        _require_choice("feed", self.feed, ("auto", "memory", "stream"))
        _require_range("memory_budget_mb", self.memory_budget_mb, 1, 10_000_000)


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
        loss: "cross_entropy" or "focal".
        focal_gamma: focusing exponent of the focal loss.
        label_smoothing: probability spread evenly over the classes.
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
    class_weights: str = "none"
    patience: int = 15
    monitor: str = "val_log_loss"
    mixed_precision: str = "auto"
    xla: str = "auto"
    deterministic: bool = True

    def __post_init__(self) -> None:
        _require_range("epochs", self.epochs, 1, 100_000)
        _require_range("batch_size", self.batch_size, 1, 65_536)
        _require_choice("optimizer", self.optimizer, ("adamw", "sgd"))
        _require_range("learning_rate", self.learning_rate, 1e-9, 10.0)
        _require_range("weight_decay", self.weight_decay, 0.0, 1.0)
        _require_choice("schedule", self.schedule, ("cosine", "constant"))
        _require_range("warmup_epochs", self.warmup_epochs, 0, 100_000)
        _require_range("gradient_clip", self.gradient_clip, 0.0, 1e6)
        _require_range("ema_decay", self.ema_decay, 0.0, 0.99999)
        _require_choice("loss", self.loss, ("cross_entropy", "focal"))
        _require_range("focal_gamma", self.focal_gamma, 0.0, 10.0)
        _require_range("label_smoothing", self.label_smoothing, 0.0, 0.9)
        _require_choice("class_weights", self.class_weights, ("none", "balanced", "competition"))
        _require_range("patience", self.patience, 0, 100_000)
        _require_choice("monitor", self.monitor, tuple(MONITORS))
        _require_choice("mixed_precision", self.mixed_precision, ("auto", "on", "off"))
        _require_choice("xla", self.xla, ("auto", "on", "off"))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """Everything that decides what a run computes from a records directory."""

    task: str
    model: ModelConfig
    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    training: TrainingConfig = dataclasses.field(default_factory=TrainingConfig)
    seed: int = 0

    def __post_init__(self) -> None:
        labels.get_task(self.task)
        _require_range("seed", self.seed, 0, 2**31 - 1)

    @property
    def task_spec(self) -> labels.Task:
        """The task that `task` names."""
        return labels.get_task(self.task)


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
            f"with one of {', '.join(MODEL_CONFIGS)}"
        )
    fields = {name: value for name, value in model.items() if name != "family"}
    values["model"] = _build(_model_config_class(model["family"]), fields, "model.")
    return _build(Config, values, "")


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
        _assign(values, name, value)
    return from_dict(values)


def _assign(values: dict[str, Any], name: str, value: Any) -> None:
    *parents, leaf = name.split(".")
    target: Any = values
    for parent in parents:
        target = target.get(parent) if isinstance(target, dict) else None
    if not isinstance(target, dict) or leaf not in target or isinstance(target[leaf], dict):
        raise ValueError(f"there is no field {name!r}; there are {', '.join(_leaves(values))}")
    target[leaf] = value


def _leaves(values: Mapping[str, Any], prefix: str = "") -> list[str]:
    names = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            names.extend(_leaves(value, f"{prefix}{name}."))
        else:
            names.append(prefix + name)
    return names


def _model_config_class(family: Any) -> type[ModelConfig]:
    if family not in MODEL_CONFIGS:
        raise ValueError(f"model is {family!r}, expected one of {', '.join(MODEL_CONFIGS)}")
    return MODEL_CONFIGS[family]


def _build(cls: type, values: Mapping[str, Any], prefix: str) -> Any:
    hints = typing.get_type_hints(cls)
    names = [field.name for field in dataclasses.fields(cls)]
    unknown = sorted(set(values) - set(names))
    if unknown:
        raise ValueError(f"there is no field {prefix}{unknown[0]}; there are {', '.join(names)}")
    arguments = {
        name: _convert(hints[name], value, prefix + name) for name, value in values.items()
    }
    try:
        return cls(**arguments)
    except TypeError as err:
        raise ValueError(f"{prefix or 'configuration'}: {err}") from err
    except ValueError as err:
        raise ValueError(f"{prefix}{err}") from err


def _convert(hint: Any, value: Any, name: str) -> Any:
    if isinstance(value, ModelConfig):
        return value
    if dataclasses.is_dataclass(hint) and isinstance(value, Mapping):
        return _build(typing.cast(type, hint), value, f"{name}.")
    if typing.get_origin(hint) is tuple and isinstance(value, list | tuple):
        item = typing.get_args(hint)[0]
        return tuple(_convert(item, element, name) for element in value)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if hint is float and is_number and math.isfinite(value):
        return float(value)
    if hint is int and is_number and value == int(value):
        return int(value)
    if hint in (bool, str) and isinstance(value, hint):
        return value
    is_list = typing.get_origin(hint) is tuple
    expected = "list of integers" if is_list else getattr(hint, "__name__", str(hint))
    raise ValueError(f"{name} is {value!r}, expected {expected}")


def _require_range(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ValueError(f"{name} is {value}, expected {low} to {high}")


def _require_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} is {value!r}, expected one of {', '.join(choices)}")


def _require_widths(name: str, values: tuple[int, ...]) -> None:
    if not values or min(values) < 1 or max(values) > 4096:
        raise ValueError(f"{name} is {list(values)}, expected at least one number from 1 to 4096")
