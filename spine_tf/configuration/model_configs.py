"""The configuration of each model family."""

import abc
import dataclasses
import types
from collections.abc import Mapping
from typing import ClassVar

from spine_tf.configuration import backbones, fields


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """What every model family has; a family adds its own fields.

    Attributes:
        input_px: side to which the crop is resized inside the model; 0 keeps it as stored.
        bias_correction: evens out the coil's shading: standard deviation of the low-pass that each
            slice is divided by, as a fraction of the side; 0 is off.
        activation: of the hidden layers.
        pooling: how the last feature map becomes a vector (`dense`: a small grid).
        dropout: fraction dropped before the head.
        head: "softmax", or "ordinal" (cumulative logits: one score, ordered thresholds).
    """

    family: ClassVar[str]

    input_px: int = 0
    bias_correction: float = 0.0
    activation: str = "relu"
    pooling: str = "average"
    dropout: float = 0.3
    head: str = "softmax"

    def __post_init__(self) -> None:
        if self.input_px != 0:
            fields.require_range("input_px", self.input_px, 16, 1024)
        if self.bias_correction != 0.0:
            fields.require_range("bias_correction", self.bias_correction, 0.02, 1.0)
        fields.require_choice("activation", self.activation, ("relu", "gelu", "silu", "elu"))
        fields.require_choice("pooling", self.pooling, ("average", "max"))
        fields.require_range("dropout", self.dropout, 0.0, 0.95)
        fields.require_choice("head", self.head, ("softmax", "ordinal"))


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConvolutionalConfig(ModelConfig):
    """What the families that train from a random start have in common.

    Attributes:
        width: factor on the feature maps of every convolution.
        stem_kernel: kernel size of the first convolution; 0 is the family's own (`simple` and
            `dense`: kernel_size, else 5).
        stem_stride: stride of the first convolution.
        norm: normalisation after each convolution: "batch", "group", "layer" (over the channels of
            a place) or "none".
        norm_momentum: of batch normalisation's moving averages; only batch normalisation has any.
    """

    own_stem_kernel: ClassVar[int] = 5

    width: float = 1.0
    stem_kernel: int = 0
    stem_stride: int = 2
    norm: str = "batch"
    norm_momentum: float = 0.9

    def __post_init__(self) -> None:
        super().__post_init__()
        fields.require_range("width", self.width, 0.0625, 16.0)
        fields.require_range("stem_kernel", self.stem_kernel, 0, 15)
        fields.require_range("stem_stride", self.stem_stride, 1, 4)
        fields.require_choice("norm", self.norm, ("batch", "group", "layer", "none"))
        fields.require_range("norm_momentum", self.norm_momentum, 0.0, 0.9999)
        if self.first_kernel == 1 and self.stem_stride > 1:
            # TensorFlow 2.21 corrupts the heap in the gradient of such a layer on a CPU.
            raise ValueError(
                f"stem_stride is {self.stem_stride} with a first kernel of 1, expected a stride of "
                "1: set model.stem_kernel to 2 or more, or model.stem_stride=1"
            )

    @property
    def first_kernel(self) -> int:
        """Kernel size of the first convolution."""
        return self.stem_kernel or self.own_stem_kernel

    def scaled(self, filters: int) -> int:
        """Returns the feature maps of a convolution after `width`."""
        return max(1, round(filters * self.width))


@dataclasses.dataclass(frozen=True, kw_only=True)
class PoolingChainConfig(ConvolutionalConfig):
    """What the families have in common that halve the side after each convolution."""

    filters: tuple[int, ...] = (16, 32, 64)
    kernel_size: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        fields.require_widths("filters", self.filters)
        fields.require_range("kernel_size", self.kernel_size, 1, 11)

    @property
    def first_kernel(self) -> int:
        return self.stem_kernel or self.kernel_size


@dataclasses.dataclass(frozen=True, kw_only=True)
class SimpleConfig(PoolingChainConfig):
    """The report's small custom classifier: convolutions with pooling, one hidden layer."""

    family: ClassVar[str] = "simple"

    units: int = 64

    def __post_init__(self) -> None:
        super().__post_init__()
        fields.require_range("units", self.units, 1, 4096)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DenseConfig(PoolingChainConfig):
    """Convolutions, then fully connected layers with dropout on the flattened feature map.

    Attributes:
        grid_px: the feature map is pooled to this side before it is flattened.
    """

    family: ClassVar[str] = "dense"

    filters: tuple[int, ...] = (16, 32, 64, 96)
    grid_px: int = 4
    units: tuple[int, ...] = (128, 64)

    def __post_init__(self) -> None:
        super().__post_init__()
        fields.require_range("grid_px", self.grid_px, 1, 16)
        fields.require_widths("units", self.units)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DenseNetConfig(ConvolutionalConfig):
    """Densely connected convolutions: each layer sees the outputs of all before it in its block.

    Attributes:
        stem_pool: the first convolution is followed by a pooling to half the side.
        growth_rate: feature maps that a layer adds.
        kernel_size: of those layers.
        blocks: layers of each block.
        compression: fraction of the feature maps that a transition keeps.
    """

    family: ClassVar[str] = "densenet"

    stem_filters: int = 24
    stem_pool: bool = True
    growth_rate: int = 12
    kernel_size: int = 3
    blocks: tuple[int, ...] = (3, 3, 3)
    compression: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        fields.require_range("stem_filters", self.stem_filters, 1, 512)
        fields.require_range("growth_rate", self.growth_rate, 1, 128)
        fields.require_range("kernel_size", self.kernel_size, 1, 11)
        fields.require_widths("blocks", self.blocks)
        fields.require_range("compression", self.compression, 0.1, 1.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class StagesConfig(ConvolutionalConfig):
    """What the families have in common that are built of residual blocks in stages.

    Attributes:
        stem_pool: the first convolution is followed by a pooling to half the side.
        filters: width of each stage; each after the first halves the side.
        blocks_per_stage: residual blocks of a stage.
    """

    stem_pool: bool = True
    filters: tuple[int, ...] = (16, 32, 64, 96)
    blocks_per_stage: int = 1
    kernel_size: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        fields.require_widths("filters", self.filters)
        fields.require_range("blocks_per_stage", self.blocks_per_stage, 1, 16)
        fields.require_range("kernel_size", self.kernel_size, 1, 11)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResidualConfig(StagesConfig):
    """Residual blocks in stages; the slices are the channels of one image."""

    family: ClassVar[str] = "residual"


@dataclasses.dataclass(frozen=True, kw_only=True)
class SlicesConfig(StagesConfig):
    """One residual encoder for every slice, then pooling over the slices.

    Attributes:
        slice_pooling: "attention" (gated by the slice's own features), "lstm" (in both directions),
            "average" or "max".
        slice_units: width of the attention or of the LSTM; the other poolings have none.
    """

    family: ClassVar[str] = "slices"

    slice_pooling: str = "attention"
    slice_units: int = 32

    def __post_init__(self) -> None:
        super().__post_init__()
        fields.require_choice(
            "slice_pooling", self.slice_pooling, ("attention", "lstm", "average", "max")
        )
        fields.require_range("slice_units", self.slice_units, 1, 1024)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PretrainedConfig(ModelConfig, abc.ABC):
    """A published network with a new head: a frozen phase, then fine-tuning of the last blocks.

    `activation` acts on the head's hidden layers; the backbone is as published.

    Attributes:
        weights: "imagenet", "none" (random start, everything trains from the first epoch), or the
            path of an .h5 or .keras file (efficientnet_lite0: of PyTorch's .pth too).
        weights_scaling: how the weights want their input: "caffe" (blue, green, red, ImageNet mean
            subtracted, 0-255), "torch" (ImageNet mean and deviation, of 0-1), "unit" (-1 to 1),
            "lite" (127 subtracted, over 128, of 0-255) or "auto" (`resnet50`: caffe for imagenet,
            unit for a file, such as RadImageNet's; `transfer`: as ImageNet's of that backbone).
        frozen_epochs: epochs in which only the head trains; needs weights.
        feature_copies: augmented copies of each training image whose features the frozen phase
            trains on, one an epoch; 0 is the image alone, without augmentation.
        trainable_blocks: blocks of the backbone, counted from the last, that train afterwards.
        fine_tune_factor: the learning rate of that second phase over the first's.
        units: hidden layers of the head.
    """

    weights: str = "imagenet"
    weights_scaling: str = "auto"
    frozen_epochs: int = 10
    feature_copies: int = 0
    trainable_blocks: int = 3
    fine_tune_factor: float = 0.1
    units: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        fields.require_choice(
            "weights_scaling", self.weights_scaling, ("auto", "caffe", "torch", "unit", "lite")
        )
        fields.require_range("frozen_epochs", self.frozen_epochs, 0, 10_000)
        fields.require_range("feature_copies", self.feature_copies, 0, 1000)
        fields.require_range("trainable_blocks", self.trainable_blocks, 0, self.network.num_blocks)
        fields.require_range("fine_tune_factor", self.fine_tune_factor, 1e-6, 1.0)
        if self.units:
            fields.require_widths("units", self.units)

    @property
    @abc.abstractmethod
    def network(self) -> backbones.Backbone:
        """What is known of the backbone."""

    @property
    def scaling(self) -> str:
        """How the backbone's input is scaled: "caffe", "torch", "unit" or "lite"."""
        return self.network.scaling if self.weights_scaling == "auto" else self.weights_scaling

    @property
    def is_pretrained(self) -> bool:
        """Whether there are weights to keep: a random start trains as a whole."""
        return self.weights != "none"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResNet50Config(PretrainedConfig):
    """ResNet-50, the report's transfer model."""

    family: ClassVar[str] = "resnet50"

    @property
    def network(self) -> backbones.Backbone:
        return backbones.BACKBONES["resnet50"]

    @property
    def scaling(self) -> str:
        if self.weights_scaling == "auto" and self.weights != "imagenet":
            return "unit"
        return super().scaling


@dataclasses.dataclass(frozen=True, kw_only=True)
class TransferConfig(PretrainedConfig):
    """Any backbone of the table in spine_tf/configuration/backbones.py.

    Attributes:
        backbone: its name there.
    """

    family: ClassVar[str] = "transfer"

    backbone: str = "efficientnetv2b0"

    def __post_init__(self) -> None:
        fields.require_choice("backbone", self.backbone, tuple(backbones.BACKBONES))
        super().__post_init__()

    @property
    def network(self) -> backbones.Backbone:
        return backbones.BACKBONES[self.backbone]


MODEL_CONFIGS: Mapping[str, type[ModelConfig]] = types.MappingProxyType(
    {
        config.family: config
        for config in (
            SimpleConfig,
            DenseConfig,
            DenseNetConfig,
            ResidualConfig,
            SlicesConfig,
            ResNet50Config,
            TransferConfig,
        )
    }
)
