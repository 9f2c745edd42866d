"""The configuration of each model family."""

import dataclasses
import types
from collections.abc import Mapping
from typing import Annotated, ClassVar

from spine_tf.configuration import family_config, limits, pretrained_configs


@dataclasses.dataclass(frozen=True, kw_only=True)
class PoolingChainConfig(family_config.ConvolutionalConfig):
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
class DenseNetConfig(family_config.ConvolutionalConfig):
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
class StagesConfig(family_config.ConvolutionalConfig):
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
class UNetConfig(family_config.ConvolutionalConfig):
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


MODEL_CONFIGS: Mapping[str, type[family_config.ModelConfig]] = types.MappingProxyType(
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
            pretrained_configs.ResNet50Config,
            pretrained_configs.TransferConfig,
        )
    }
)
