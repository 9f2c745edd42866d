"""Controls of the data that figures rest on: studies apart, crops not alike across splits."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from spine_tf.scoring import figure
from tfrecords import records, stored_images

# Crops are compared at this side: coarse enough to forgive noise, fine enough to tell discs apart.
_SIDE_PX = 16
_CHUNK = 256
ALIKE = 0.98


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pair:
    """Two crops of different splits.

    Attributes:
        first, second: their keys.
        correlation: Pearson's correlation of the two, -1 to 1.
    """

    first: str
    second: str
    correlation: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Nearest:
    """The crops that look most alike though they lie in different splits.

    Attributes:
        alike_above: the correlation that counts as a duplicate.
        num_alike: crops with such a partner in another split.
        num_examples: crops that were compared.
        pairs: the closest, every crop in one pair at most.
    """

    alike_above: float
    num_alike: int
    num_examples: int
    pairs: Sequence[Pair]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shuffled:
    """What a model reaches that was trained on permuted labels.

    Attributes:
        balanced_accuracy: on the permuted held-out fold.
        chance: one over the classes.
        split: the held-out fold.
        num_examples: in it.
        epochs: number of epochs that are trained.
    """

    balanced_accuracy: figure.Figure
    chance: float
    split: str
    num_examples: int
    epochs: int

    @property
    def is_passed(self) -> bool:
        """Whether the interval does not lie above chance."""
        return not self.balanced_accuracy.is_above(self.chance)

    def to_json(self) -> dict[str, Any]:
        """Returns the fields and whether the control is passed."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {**figure.as_json(values), "is_passed": self.is_passed}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Controls:
    """What was found.

    Attributes:
        studies: split -> number of studies, none of them in two.
        nearest: the most alike crops of different splits.
        shuffled: the control that trains; None where it was not asked for.
    """

    studies: Mapping[str, int]
    nearest: Nearest
    shuffled: Shuffled | None = None

    def to_json(self) -> dict[str, Any]:
        """Returns what was asked for."""
        found = {"studies": dict(self.studies), "nearest": figure.as_json(self.nearest)}
        return found if self.shuffled is None else {**found, "shuffled": self.shuffled.to_json()}


def count_studies(source: records.Records) -> dict[str, int]:
    """Returns the number of studies of each split.

    Raises:
        ValueError: a study lies in two splits, so that figures would be too good.
    """
    studies = {split: source.index([split]).columns["study_id"] for split in source.splits}
    return {split: len(np.unique(found)) for split, found in studies.items()}


def nearest_across_splits(
    images: stored_images.Images, keys: Sequence[str], splits: Sequence[str], *, count: int = 6
) -> Nearest:
    """Finds the crops that look most alike though they lie in different splits.

    Args:
        images: float32 (n, height, width, slices), in [0, 1]; the middle slice is compared.
        keys: the crops' keys.
        splits: the split of each.
        count: pairs to name.
    """
    shapes = _standardised(images)
    names, split_of = np.unique(np.array(splits), return_inverse=True)
    if len(names) < 2:
        return Nearest(alike_above=ALIKE, num_alike=0, num_examples=len(keys), pairs=())
    best = np.empty(len(keys))
    partner = np.empty(len(keys), np.int64)
    for start in range(0, len(keys), _CHUNK):
        rows = slice(start, start + _CHUNK)
        correlation = shapes[rows] @ shapes.T
        correlation[split_of[rows, None] == split_of[None, :]] = -np.inf
        partner[rows] = correlation.argmax(axis=1)
        best[rows] = correlation.max(axis=1)
    return Nearest(
        alike_above=ALIKE,
        num_alike=int((best >= ALIKE).sum()),
        num_examples=len(keys),
        pairs=_closest_pairs(best, partner, keys, count),
    )


def _closest_pairs(
    best: np.ndarray, partner: np.ndarray, keys: Sequence[str], count: int
) -> list[Pair]:
    pairs: list[Pair] = []
    taken: set[int] = set()
    for row in np.argsort(-best, kind="stable").tolist():
        other = int(partner[row])
        if len(pairs) < count and not {row, other} & taken:
            taken |= {row, other}
            pairs.append(Pair(first=keys[row], second=keys[other], correlation=float(best[row])))
    return pairs


def _standardised(images: stored_images.Images) -> np.ndarray:
    """Middle slices shrunk by averaging, mean 0 and norm 1, float32 (n, pixels)."""
    starts = range(0, len(images), _CHUNK)
    return np.concatenate([_shrunk(images[start : start + _CHUNK]) for start in starts])


def _shrunk(images: np.ndarray) -> np.ndarray:
    middle = images[..., images.shape[3] // 2]
    step = max(1, middle.shape[1] // _SIDE_PX)
    side = middle.shape[1] // step
    cut = middle[:, : side * step, : side * step]
    small = cut.reshape(len(cut), side, step, side, step).mean(axis=(2, 4)).reshape(len(cut), -1)
    small = small - small.mean(axis=1, keepdims=True)
    return small / np.maximum(np.linalg.norm(small, axis=1, keepdims=True), 1e-9)
