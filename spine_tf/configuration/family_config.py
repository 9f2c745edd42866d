"""What the configurations of model families have in common."""

import dataclasses
from typing import Annotated, ClassVar

from spine_tf import labels
from spine_tf.configuration import limits


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

    @classmethod
    def takes_weights(cls, weights: str) -> bool:
        """Says whether the family can start from weights, by their name: not from a backbone's."""
        return weights != "imagenet" and not weights.endswith((".h5", ".keras", ".pth"))

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
        if not self.takes_weights(self.weights):
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
