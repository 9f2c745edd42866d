"""The configuration of what a run sees: which examples, how augmented, which labels believed."""

import dataclasses
from typing import Annotated

from spine_tf.configuration import limits


@dataclasses.dataclass(frozen=True, kw_only=True)
class AugmentationConfig:
    """Random changes of training images; zero turns one off.

    Attributes:
        unchanged: share of the images that are left as they are. Where a record's pixels are about
            as large as the model's, moving an image smooths it, and a model that saw moved images
            alone takes sharp ones for another kind. -1 leaves half there, and none where records
            have 1.4 pixels or more for one of the model's, which are equally sharp in any pose.
        rotation_degrees: rotation by up to this angle either way.
        shift: translation by up to this fraction of the side either way.
        scale: zoom by a factor of up to 1 +- this.
        stretch: factor between 1 / (1 + this) and 1 + this on heights alone, as where a header
            has the wrong distance of rows.
        jitter_mm: how far from its point a crop is cut, in millimetres along each axis, up to this
            either way; what comes into view is tissue where the record holds more than the input.
        shear: horizontal shear by up to this fraction of the height either way.
        contrast: factor of up to 1 +- this on the distance from the image's mean.
        brightness: offset of up to this either way, of the range [0, 1].
        gamma: exponent between exp(-this) and exp(this).
        noise: standard deviation of added Gaussian noise.
        blur: largest standard deviation of a Gaussian blur, in pixels.
        curve: how far the grey values are bent by a rising curve drawn anew, 0 to 1: dark tissue
            may become bright beside other tissue, never brighter than what was above it.
        bias: largest natural logarithm of a smooth shading, either way.
        ghost: largest strength of a copy of the image that is shifted along its rows.
        field_cut: share of the side that is set to zero at each border, up to this.
        slice_reversal: probability that the slices of a crop are put in the opposite order.
        slice_repeat: probability that all slices of a crop are the middle one, as where a study has
            no others.
        cutout: side of an erased square, as a fraction of the image's side.
        flip: probability of a left-right flip; refused where crops are mirrored by side.
        slice_shuffle: probability that the slices of a crop are put in another order.
        mixup: alpha of the Beta distribution by which two images are averaged.
        cutmix: alpha of the same distribution for the area of a box cut from another image.
    """

    unchanged: Annotated[float, limits.Range(-1.0, 1.0)] = -1.0
    rotation_degrees: Annotated[float, limits.Range(0.0, 180.0)] = 10.0
    shift: Annotated[float, limits.Range(0.0, 0.95)] = 0.05
    scale: Annotated[float, limits.Range(0.0, 0.95)] = 0.1
    stretch: Annotated[float, limits.Range(0.0, 2.0)] = 0.0
    jitter_mm: Annotated[float, limits.Range(0.0, 100.0)] = 0.0
    shear: Annotated[float, limits.Range(0.0, 0.95)] = 0.0
    contrast: Annotated[float, limits.Range(0.0, 0.95)] = 0.2
    brightness: Annotated[float, limits.Range(0.0, 0.95)] = 0.1
    gamma: Annotated[float, limits.Range(0.0, 2.0)] = 0.0
    noise: Annotated[float, limits.Range(0.0, 0.95)] = 0.0
    blur: Annotated[float, limits.Range(0.0, 16.0)] = 0.0
    curve: Annotated[float, limits.Range(0.0, 1.0)] = 0.0
    bias: Annotated[float, limits.Range(0.0, 2.0)] = 0.0
    ghost: Annotated[float, limits.Range(0.0, 0.95)] = 0.0
    field_cut: Annotated[float, limits.Range(0.0, 0.45)] = 0.0
    slice_reversal: Annotated[float, limits.Range(0.0, 1.0)] = 0.0
    slice_repeat: Annotated[float, limits.Range(0.0, 1.0)] = 0.0
    cutout: Annotated[float, limits.Range(0.0, 0.95)] = 0.0
    flip: Annotated[float, limits.Range(0.0, 1.0)] = 0.0
    slice_shuffle: Annotated[float, limits.Range(0.0, 1.0)] = 0.0
    mixup: Annotated[float, limits.Range(0.0, 4.0)] = 0.0
    cutmix: Annotated[float, limits.Range(0.0, 4.0)] = 0.0

    def __post_init__(self) -> None:
        limits.check(self)
        if -1.0 < self.unchanged < 0.0:
            raise ValueError(f"unchanged is {self.unchanged}, expected 0.0 to 1.0, or -1")


@dataclasses.dataclass(frozen=True, kw_only=True)
class LabelReviewConfig:
    """What training makes of labels that are probably wrong; see `training.reviewed_labels`.

    Attributes:
        path: the label_review.csv that spine_tf.clean wrote; "" is none.
        action: "drop" leaves suspicious training rows out, "down_weight" lets them weigh a quarter,
            "soften" gives half of their target to the out-of-fold probabilities.
        budget: share of the training rows that is treated, the most suspicious first. Labels that
            a reader confirmed as wrong are always treated, those confirmed as right never; a class
            that the reader wrote is the label.
    """

    path: str = ""
    action: Annotated[str, limits.Choice(("drop", "down_weight", "soften"))] = "soften"
    budget: Annotated[float, limits.Range(0.0, 0.5)] = 0.1

    def __post_init__(self) -> None:
        limits.check(self)


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
        memory_budget_mb: MiB that "auto" may hold decoded, of all folds together. Where all crops
            of a directory fit, each is decoded once in a program; where they don't, whatever
            looks at crops (validation, calibration, predictions, reports, reviews) reads them batch
            by batch. Features of a frozen backbone are held beside it.
        sampling: "shuffle" sees every training example once an epoch; "balanced" sees as many of
            each class, the rare ones repeatedly; needs the crops in memory.
        augmentation: random changes of training images.
        label_review: labels that training does not quite believe.
        mild_split: the mild_split.csv of a task that tells the halves of Moderate apart.
    """

    val_fold: Annotated[int, limits.Range(0, 999)] = 0
    inner_fold: Annotated[str, limits.Choice(("next", "none"))] = "next"
    feed: Annotated[str, limits.Choice(("auto", "memory", "device", "stream"))] = "auto"
    memory_budget_mb: Annotated[int, limits.Range(1, 10_000_000)] = 4096
    sampling: Annotated[str, limits.Choice(("shuffle", "balanced"))] = "shuffle"
    augmentation: AugmentationConfig = dataclasses.field(default_factory=AugmentationConfig)
    label_review: LabelReviewConfig = dataclasses.field(default_factory=LabelReviewConfig)
    mild_split: str = ""

    def __post_init__(self) -> None:
        limits.check(self)

    @property
    def keep_mb(self) -> float:
        """MiB of decoded crops that may stay with an open directory."""
        return 0.0 if self.feed == "stream" else self.memory_budget_mb
