"""How far each label can be believed, from probabilities of models that did not see it.

The figures are cleanlab's (Northcutt, Jiang and Chuang, Confident Learning, JAIR 70, 2021).
"""

import dataclasses

import numpy as np
from cleanlab import count as cleanlab_count
from cleanlab import filter as cleanlab_filter
from cleanlab import rank as cleanlab_rank

from spine_tf.evaluation import predictions as predictions_lib


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Quality:
    """What cleanlab says of n labels.

    Attributes:
        scores: float64 (n,), from 0, surely wrong, to 1: the probability of the given class, after
            each class's probabilities were brought to a common mean confidence, since a class that
            models seldom dare to name would fill the front otherwise.
        is_flagged: bool (n,), whether confident learning, which also estimates how many labels are
            wrong, takes this one for wrong (`prune_by_noise_rate`).
    """

    scores: np.ndarray
    is_flagged: np.ndarray

    @property
    def order(self) -> np.ndarray:
        """The rows from most to least suspicious, int64 (n,)."""
        return np.argsort(self.scores, kind="stable")


def assess(predictions: predictions_lib.Predictions) -> Quality:
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
    probabilities = predictions.probabilities
    scores = cleanlab_rank.get_label_quality_scores(
        predictions.labels, probabilities, method="self_confidence", adjust_pred_probs=True
    )
    # One process: the rows are few, and a pool would start a TensorFlow in each.
    is_flagged = cleanlab_filter.find_label_issues(predictions.labels, probabilities, n_jobs=1)
    return Quality(scores=np.asarray(scores, np.float64), is_flagged=np.asarray(is_flagged, bool))


def true_given_label(predictions: predictions_lib.Predictions) -> np.ndarray:
    """Returns confident learning's estimate of how often a label is truly another class.

    Returns:
        float64 (classes, classes): rows are the given class, columns the true one; each row sums
        to 1.
    """
    joint = cleanlab_count.estimate_joint(predictions.labels, predictions.probabilities)
    return joint / joint.sum(axis=1, keepdims=True)
