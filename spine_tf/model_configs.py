"""The configuration of each model family."""

import dataclasses
import types
from collections.abc import Mapping
from typing import ClassVar

from spine_tf import limits


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
            limits.require_range("input_px", self.input_px, 16, 1024)
        limits.require_choice("activation", self.activation, ("relu", "gelu", "silu", "elu"))
        limits.require_choice("pooling", self.pooling, ("average", "max"))
        limits.require_range("dropout", self.dropout, 0.0, 0.95)
        limits.require_choice("head", self.head, ("softmax", "ordinal"))


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
        limits.require_choice("norm", self.norm, ("batch", "group", "none"))
        limits.require_range("norm_momentum", self.norm_momentum, 0.0, 0.9999)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SimpleConfig(ConvolutionalConfig):
    """The report's small custom classifier: convolutions with pooling, one hidden layer."""

    family: ClassVar[str] = "simple"

    filters: tuple[int, ...] = (16, 32, 64)
    kernel_size: int = 3
    units: int = 64

    def __post_init__(self) -> None:
        super().__post_init__()
        limits.require_widths("filters", self.filters)
        limits.require_range("kernel_size", self.kernel_size, 1, 11)
        limits.require_range("units", self.units, 1, 4096)


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
        limits.require_widths("filters", self.filters)
        limits.require_range("kernel_size", self.kernel_size, 1, 11)
        limits.require_range("grid_px", self.grid_px, 1, 16)
        limits.require_widths("units", self.units)


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
        limits.require_range("stem_filters", self.stem_filters, 1, 512)
        limits.require_range("growth_rate", self.growth_rate, 1, 128)
        limits.require_widths("blocks", self.blocks)
        limits.require_range("compression", self.compression, 0.1, 1.0)


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
        limits.require_widths("filters", self.filters)
        limits.require_range("blocks_per_stage", self.blocks_per_stage, 1, 16)
        limits.require_range("kernel_size", self.kernel_size, 1, 11)


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
        limits.require_choice("weights_scaling", self.weights_scaling, ("auto", "caffe", "unit"))
        limits.require_range("frozen_epochs", self.frozen_epochs, 0, 10_000)
        limits.require_range("trainable_blocks", self.trainable_blocks, 0, 16)
        limits.require_range("fine_tune_factor", self.fine_tune_factor, 1e-6, 1.0)
        if self.units:
            limits.require_widths("units", self.units)


MODEL_CONFIGS: Mapping[str, type[ModelConfig]] = types.MappingProxyType(
    {
        config.family: config
        for config in (SimpleConfig, DenseConfig, DenseNetConfig, ResidualConfig, ResNet50Config)
    }
)
