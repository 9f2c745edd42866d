"""The configuration of each model family."""

import abc
import dataclasses
import types
from collections.abc import Mapping
from typing import Annotated, ClassVar

from spine_tf import labels
from spine_tf.configuration import backbones, limits

_MOST_BLOCKS = max(backbone.num_blocks for backbone in backbones.BACKBONES.values())


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """What every model family has; a family adds its own fields.

    Attributes:
        weights: "none" (random start), or the directory of a run of spine_tf.train, such as one on
            phantom studies: layers of the same name and shape start from its weights.
        input_mm: side of what the model sees, in millimetres around the record's point; 0 is all
            that the record holds. A record that holds more gives tissue to what is turned in.
        input_px: the same in pixels of the model's input; 0 keeps the record's pixels. Two thirds
            of the record's or less let turned and unturned images be equally sharp.
        bias_correction: evens out the coil's shading: standard deviation of the low-pass that each
            slice is divided by, as a fraction of the side; 0 is off.
        activation: activation function of the hidden layers.
        pooling: how the last feature map becomes a vector (`dense`: a small grid).
        dropout: fraction dropped before the head.
        head: "softmax", or "ordinal" (cumulative logits: one score, ordered thresholds).
    """

    family: ClassVar[str]
    tasks: ClassVar[tuple[str, ...]] = tuple(labels.TASKS)

    weights: str = "none"
    input_mm: Annotated[float, limits.Range(1.0, 1000.0, or_zero=True)] = 0.0
    input_px: Annotated[int, limits.Range(16, 1024, or_zero=True)] = 0
    bias_correction: Annotated[float, limits.Range(0.02, 1.0, or_zero=True)] = 0.0
    activation: Annotated[str, limits.Choice(("relu", "gelu", "silu", "elu"))] = "relu"
    pooling: Annotated[str, limits.Choice(("average", "max"))] = "average"
    dropout: Annotated[float, limits.Range(0.0, 0.95)] = 0.3
    head: Annotated[str, limits.Choice(("softmax", "ordinal"))] = "softmax"

    def __post_init__(self) -> None:
        limits.check(self)

    @property
    def is_told(self) -> bool:
        """Whether the network is told which condition and level it looks at."""
        return False


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
        norm_momentum: momentum of batch normalisation's moving averages; others have none.
        condition_input: tells the network which condition and level each crop is of: its last
            features are scaled and shifted by them. For records of several.
    """

    own_stem_kernel: ClassVar[int] = 5

    width: Annotated[float, limits.Range(0.0625, 16.0)] = 1.0
    stem_kernel: Annotated[int, limits.Range(0, 15)] = 0
    stem_stride: Annotated[int, limits.Range(1, 4)] = 2
    norm: Annotated[str, limits.Choice(("batch", "group", "layer", "none"))] = "batch"
    norm_momentum: Annotated[float, limits.Range(0.0, 0.9999)] = 0.9
    condition_input: bool = False

    @property
    def is_told(self) -> bool:
        return self.condition_input

    def __post_init__(self) -> None:
        super().__post_init__()
        if not takes_weights(type(self), self.weights):
            raise ValueError(
                f"weights is {self.weights!r}, expected none or the directory of a run: those are "
                f"a backbone's, which {self.family} has not; where several families are chosen, "
                "set them for one, as in --set resnet50:model.weights=none"
            )
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
    """What the families have in common that halve the side after each convolution.

    Attributes:
        filters: feature maps of each convolution, before `width`.
        kernel_size: side of each convolution's kernel, in pixels.
    """

    filters: Annotated[tuple[int, ...], limits.Widths()] = (16, 32, 64)
    kernel_size: Annotated[int, limits.Range(1, 11)] = 3

    @property
    def first_kernel(self) -> int:
        return self.stem_kernel or self.kernel_size


@dataclasses.dataclass(frozen=True, kw_only=True)
class SimpleConfig(PoolingChainConfig):
    """The report's small custom classifier: convolutions with pooling, one hidden layer.

    Attributes:
        units: width of the hidden layer.
    """

    family: ClassVar[str] = "simple"

    units: Annotated[int, limits.Range(1, 4096)] = 64


@dataclasses.dataclass(frozen=True, kw_only=True)
class DenseConfig(PoolingChainConfig):
    """Convolutions, then fully connected layers with dropout on the flattened feature map.

    Attributes:
        grid_px: the feature map is pooled to this side before it is flattened.
        units: width of each fully connected layer.
    """

    family: ClassVar[str] = "dense"

    filters: Annotated[tuple[int, ...], limits.Widths()] = (16, 32, 64, 96)
    grid_px: Annotated[int, limits.Range(1, 16)] = 4
    units: Annotated[tuple[int, ...], limits.Widths()] = (128, 64)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DenseNetConfig(ConvolutionalConfig):
    """Densely connected convolutions: each layer sees the outputs of all before it in its block.

    Attributes:
        stem_filters: feature maps of the first convolution, before `width`.
        stem_pool: the first convolution is followed by a pooling to half the side.
        growth_rate: feature maps that a layer adds.
        kernel_size: side of the kernels of those layers, in pixels.
        blocks: layers of each block.
        compression: fraction of the feature maps that a transition keeps.
    """

    family: ClassVar[str] = "densenet"

    stem_filters: Annotated[int, limits.Range(1, 512)] = 24
    stem_pool: bool = True
    growth_rate: Annotated[int, limits.Range(1, 128)] = 12
    kernel_size: Annotated[int, limits.Range(1, 11)] = 3
    blocks: Annotated[tuple[int, ...], limits.Widths()] = (3, 3, 3)
    compression: Annotated[float, limits.Range(0.1, 1.0)] = 0.5


@dataclasses.dataclass(frozen=True, kw_only=True)
class StagesConfig(ConvolutionalConfig):
    """What the families have in common that are built of residual blocks in stages.

    Attributes:
        stem_pool: the first convolution is followed by a pooling to half the side.
        filters: width of each stage; each after the first halves the side.
        blocks_per_stage: residual blocks of a stage.
        kernel_size: side of the kernels of their convolutions, in pixels.
    """

    stem_pool: bool = True
    filters: Annotated[tuple[int, ...], limits.Widths()] = (16, 32, 64, 96)
    blocks_per_stage: Annotated[int, limits.Range(1, 16)] = 1
    kernel_size: Annotated[int, limits.Range(1, 11)] = 3


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

    slice_pooling: Annotated[str, limits.Choice(("attention", "lstm", "average", "max"))] = (
        "attention"
    )
    slice_units: Annotated[int, limits.Range(1, 1024)] = 32


@dataclasses.dataclass(frozen=True, kw_only=True)
class UNetConfig(ConvolutionalConfig):
    """Heatmaps: down to the whole image's context, and up again beside what was seen on the way.

    `pooling` halves the side on the way down; `dropout` acts at the lowest stage. There is no
    vector of features, so `head` and `condition_input` have no choice.

    Attributes:
        filters: width of each stage, before `width`; each after the first halves the side.
        kernel_size: side of the kernels of the stages' convolutions, in pixels.
        blocks_per_stage: convolutions of a stage on the way down; on the way up there is one.
        output_stride: pixels of the input from one pixel of the heatmaps to the next.
    """

    family: ClassVar[str] = "unet"
    tasks: ClassVar[tuple[str, ...]] = ("landmarks",)

    pooling: Annotated[str, limits.Choice(("average", "max"))] = "max"
    dropout: Annotated[float, limits.Range(0.0, 0.95)] = 0.0
    filters: Annotated[tuple[int, ...], limits.Widths()] = (12, 32, 48, 64, 96, 128)
    kernel_size: Annotated[int, limits.Range(1, 11)] = 3
    blocks_per_stage: Annotated[int, limits.Range(1, 16)] = 2
    output_stride: Annotated[int, limits.Range(1, 64)] = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.head != "softmax":
            raise ValueError(f"head is {self.head!r}, but heatmaps have none: leave it out")
        if self.condition_input:
            raise ValueError(
                "condition_input is true, but windows are of no condition: leave it out"
            )
        if self.output_stride not in self.strides:
            raise ValueError(
                f"output_stride is {self.output_stride}, expected that of a stage: one of "
                f"{', '.join(map(str, self.strides))}, by stem_stride and filters"
            )

    @property
    def strides(self) -> tuple[int, ...]:
        """Pixels of the input from one pixel of each stage to the next."""
        return tuple(self.stem_stride * 2**stage for stage in range(len(self.filters)))


@dataclasses.dataclass(frozen=True, kw_only=True)
class LevelConfig(StagesConfig):
    """All views of a level together: one residual encoder of slices, attention, five answers.

    A missing view is no picture: `norm` has no kind that would mix it with others.

    Attributes:
        units: width of a slice's token and of the attention.
        num_heads: of the attention; they share the units.
        view_dropout: share of the views that a training step leaves out.
        single_share: weight of answers from a condition's own view alone, beside those from all.
    """

    family: ClassVar[str] = "level"
    tasks: ClassVar[tuple[str, ...]] = ("levels",)

    norm: Annotated[str, limits.Choice(("group", "layer", "none"))] = "group"
    units: Annotated[int, limits.Range(4, 1024)] = 64
    num_heads: Annotated[int, limits.Range(1, 64)] = 4
    view_dropout: Annotated[float, limits.Range(0.0, 0.9)] = 0.15
    single_share: Annotated[float, limits.Range(0.0, 1.0)] = 0.3

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.units % self.num_heads:
            raise ValueError(
                f"units is {self.units}, which {self.num_heads} heads can't share: expected a "
                "multiple of num_heads"
            )
        for name, default in (("head", "softmax"), ("condition_input", False)):
            if getattr(self, name) != default:
                raise ValueError(
                    f"{name} is {getattr(self, name)!r}, which family level has not: leave it out"
                )


@dataclasses.dataclass(frozen=True, kw_only=True)
class PretrainedConfig(ModelConfig, abc.ABC):
    """A published network with a new head: a frozen phase, then fine-tuning of the last blocks.

    `activation` acts on the head's hidden layers; the backbone is as published.

    Attributes:
        weights: "imagenet", "none" (random start, everything trains from the first epoch), the
            path of an .h5 or .keras file (efficientnet_lite0: of PyTorch's .pth too), or the
            directory of a run of spine_tf.train, whose backbone is then frozen at first.
        weights_scaling: how the weights want their input: "caffe" (blue, green, red, ImageNet mean
            subtracted, 0-255), "torch" (ImageNet mean and deviation, of 0-1), "unit" (-1 to 1),
            "lite" (127 subtracted, over 128, of 0-255) or "auto" (`resnet50`: caffe for imagenet,
            unit for a file, such as RadImageNet's; `transfer`: as ImageNet's of that backbone).
        frozen_epochs: epochs in which only the head trains; needs weights.
        feature_copies: augmented copies of each training image whose features the frozen phase
            trains on, one an epoch; 0 is the image alone, without augmentation.
        trainable_blocks: blocks of the backbone, counted from the last, that train afterwards; at
            most as many as it has.
        fine_tune_factor: the learning rate of that second phase over the first's.
        units: width of each hidden layer of the head; none is no hidden layer.
    """

    weights: str = "imagenet"
    weights_scaling: Annotated[str, limits.Choice(("auto", "caffe", "torch", "unit", "lite"))] = (
        "auto"
    )
    frozen_epochs: Annotated[int, limits.Range(0, 10_000)] = 10
    feature_copies: Annotated[int, limits.Range(0, 1000)] = 0
    trainable_blocks: Annotated[int, limits.Range(0, _MOST_BLOCKS)] = 3
    fine_tune_factor: Annotated[float, limits.Range(1e-6, 1.0)] = 0.1
    units: Annotated[tuple[int, ...], limits.Widths(or_none=True)] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        most = limits.Range(0, self.network.num_blocks)
        most.require("trainable_blocks", self.trainable_blocks)

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

    trainable_blocks: Annotated[
        int, limits.Range(0, backbones.BACKBONES["resnet50"].num_blocks)
    ] = 3

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
        backbone: name of the published network.
    """

    family: ClassVar[str] = "transfer"

    backbone: Annotated[str, limits.Choice(tuple(backbones.BACKBONES))] = "efficientnetv2b0"

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
            UNetConfig,
            LevelConfig,
            ResNet50Config,
            TransferConfig,
        )
    }
)


def takes_weights(family: type[ModelConfig], weights: str) -> bool:
    """Says whether a family can start from weights, by their name: a backbone's need a backbone."""
    is_backbones = weights == "imagenet" or weights.endswith((".h5", ".keras", ".pth"))
    return not is_backbones or issubclass(family, PretrainedConfig)
