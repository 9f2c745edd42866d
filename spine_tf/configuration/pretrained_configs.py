"""The configuration of each model family that begins with a published network."""

import abc
import dataclasses
from typing import Annotated, ClassVar

from spine_tf.configuration import backbones, family_config, limits

_MOST_BLOCKS = max(backbone.num_blocks for backbone in backbones.BACKBONES.values())


@dataclasses.dataclass(frozen=True, kw_only=True)
class PretrainedConfig(family_config.ModelConfig, abc.ABC):
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

    @classmethod
    def takes_weights(cls, weights: str) -> bool:
        """Says that the family can start from any weights."""
        return True

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
