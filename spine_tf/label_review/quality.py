"""How far each label can be believed, from models that did not see it, and rows that look alike.

The figures are cleanlab's (Northcutt, Jiang and Chuang, Confident Learning, JAIR 70, 2021). Of its
scores the margin, unadjusted for the classes, put planted errors first most reliably
(benchmarks/label_noise.py): with grades that shade into each other, the mere probability of a label
is as low for a right but difficult row as for a wrong one.
"""

import dataclasses

import numpy as np
from cleanlab import count as cleanlab_count, filter as cleanlab_filter, rank as cleanlab_rank

from spine_tf.scoring import predictions as predictions_module


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Quality:
    """What cleanlab says of n labels.

    Attributes:
        scores: float64 (n,), 0 is surely wrong, 1 surely right: the lead of the given class over
            the most probable other one, brought from [-1, 1] to [0, 1].
        is_flagged: bool (n,), the lowest scores, as many as confident learning estimates to be
            wrong.
    """

    scores: np.ndarray
    is_flagged: np.ndarray

    @property
    def order(self) -> np.ndarray:
        """The rows from most to least suspicious, int64 (n,)."""
        return np.argsort(self.scores, kind="stable")


def assess(predictions: predictions_module.Predictions) -> Quality:
    """Judges the labels of out-of-fold predictions.

    Raises:
        ValueError: a class has no label, which leaves nothing to compare it with.
    """
    counts = np.bincount(predictions.labels, minlength=predictions.num_classes)
    if not counts.all():
        raise ValueError(
            f"class {int(np.argmin(counts))} has no label: expected rows of each of "
            f"{predictions.num_classes} classes"
        )
    scores = cleanlab_rank.get_label_quality_scores(
        predictions.labels, predictions.probabilities, method="normalized_margin"
    )
    # One process: the rows are few, and a pool would start a TensorFlow in each.
    is_flagged = cleanlab_filter.find_label_issues(
        predictions.labels,
        predictions.probabilities,
        filter_by="low_normalized_margin",
        n_jobs=1,
    )
    return Quality(scores=np.asarray(scores, np.float64), is_flagged=np.asarray(is_flagged, bool))


def require_skill(predictions: predictions_module.Predictions, run: str) -> None:
    """Refuses to judge labels by models that know no more than which class is frequent.

    Args:
        predictions: out of fold.
        run: whose models they are of, for the message.

    Raises:
        ValueError: they are right no more often than an answer that is always the same, neither
            on all rows nor, beyond luck, on the mean over the classes.
    """
    is_right = predictions.predicted == predictions.labels
    counts = np.bincount(predictions.labels, minlength=predictions.num_classes)
    known = np.flatnonzero(counts)
    recalls = np.array([is_right[predictions.labels == k].mean() for k in known])
    accuracy, balanced = float(is_right.mean()), float(recalls.mean())
    majority, chance = float(counts.max() / counts.sum()), 1.0 / len(recalls)
    # Of a mean of independent shares; a lead of two of them is no longer luck.
    error = float(np.sqrt((recalls * (1.0 - recalls) / counts[known]).sum())) / len(recalls)
    if accuracy <= majority and balanced <= chance + 2.0 * error:
        raise ValueError(
            f"the models of {run} can judge no label: out of fold they are right on {accuracy:.1%} "
            f"(balanced {balanced:.1%}), the most frequent class alone is on {majority:.1%} "
            f"({chance:.1%}): train longer, another family, or on more studies; "
            "--allow_unskilled judges all the same"
        )


def true_given_label(predictions: predictions_module.Predictions) -> np.ndarray:
    """Returns confident learning's estimate of how often a label is of another class.

    Returns:
        float64 (classes, classes): rows are the given class, columns the true one; each row sums
        to 1.
    """
    joint = cleanlab_count.estimate_joint(predictions.labels, predictions.probabilities)
    return joint / joint.sum(axis=1, keepdims=True)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Space:
    """n rows among which neighbours are looked for: what a suspicious label is to be compared with.

    Two rows are near if the model that trained on neither has near features for them (Euclidean,
    each feature scaled to unit variance). So neighbours lie in the same fold; they are of other
    studies, and their labels are not suspicious themselves.

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
