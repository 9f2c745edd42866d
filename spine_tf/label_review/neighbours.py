"""Rows that look like a given one: what a suspicious label is to be compared with.

Two rows are near if the model that trained on neither has near features for them (Euclidean, each
feature scaled to unit variance). So neighbours lie in the same fold; they are of other studies, and
their labels are not suspicious themselves.
"""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Space:
    """n rows among which neighbours are looked for.

    Attributes:
        features: float (n, features); comparable within a fold only.
        folds: str (n,).
        studies: int64 (n,).
        labels: int64 (n,), the given classes.
        is_trusted: bool (n,), rows that may be shown as examples of their class.
    """

    features: np.ndarray
    folds: np.ndarray
    studies: np.ndarray
    labels: np.ndarray
    is_trusted: np.ndarray

    def nearest(self, row: int, label: int, count: int) -> list[int]:
        """Returns the nearest trusted rows of a class, nearest first; fewer where there are few."""
        is_candidate = (
            self.is_trusted
            & (self.labels == label)
            & (self.folds == self.folds[row])
            & (self.studies != self.studies[row])
        )
        candidates = np.flatnonzero(is_candidate)
        distances = np.linalg.norm(self.features[candidates] - self.features[row], axis=1)
        return candidates[np.argsort(distances, kind="stable")[:count]].tolist()


def standardize(features: np.ndarray) -> np.ndarray:
    """Returns features of one fold with mean 0 and variance 1; a constant one becomes 0."""
    deviation = features.std(axis=0)
    return (features - features.mean(axis=0)) / np.where(deviation > 0.0, deviation, 1.0)
