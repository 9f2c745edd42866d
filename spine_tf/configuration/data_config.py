"""The configuration of what a run sees: which examples, how augmented, which labels believed."""

import dataclasses

from spine_tf.configuration import fields


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
        fields.require_range("unchanged", self.unchanged, 0.0, 1.0)
        fields.require_range("rotation_degrees", self.rotation_degrees, 0.0, 180.0)
        for name in ("shift", "scale", "shear", "contrast", "brightness", "noise", "cutout"):
            fields.require_range(name, getattr(self, name), 0.0, 0.95)
        fields.require_range("gamma", self.gamma, 0.0, 2.0)
        fields.require_range("blur", self.blur, 0.0, 16.0)
        fields.require_range("flip", self.flip, 0.0, 1.0)
        fields.require_range("slice_shuffle", self.slice_shuffle, 0.0, 1.0)
        fields.require_range("mixup", self.mixup, 0.0, 4.0)
        fields.require_range("cutmix", self.cutmix, 0.0, 4.0)


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
    action: str = "soften"
    budget: float = 0.1

    def __post_init__(self) -> None:
        fields.require_choice("action", self.action, ("drop", "down_weight", "soften"))
        fields.require_range("budget", self.budget, 0.0, 0.5)


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
        memory_budget_mb: MiB that "auto" may hold decoded. Where all crops of a directory fit, each
            is decoded once in a program.
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
        fields.require_range("val_fold", self.val_fold, 0, 999)
        fields.require_choice("inner_fold", self.inner_fold, ("next", "none"))
        fields.require_choice("feed", self.feed, ("auto", "memory", "device", "stream"))
        fields.require_choice("sampling", self.sampling, ("shuffle", "balanced"))
        fields.require_range("memory_budget_mb", self.memory_budget_mb, 1, 10_000_000)

    @property
    def keep_mb(self) -> float:
        """MiB of decoded crops that may stay with an open directory."""
        return 0.0 if self.feed == "stream" else self.memory_budget_mb
