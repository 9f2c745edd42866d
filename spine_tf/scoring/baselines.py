"""What a classifier has to beat: answers that look at no pixel, and the report's figures."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from spine_tf import labels
from spine_tf.scoring import predictions as predictions_module

# Accuracy of the reference experiment's report, by task: L4/L5, subarticular stenosis.
REPORT_ACCURACY = {"binary": 0.917, "multiclass": 0.7324}
REPORT_NOTE = (
    "accuracy in the reference experiment's report; its split, not known to keep studies whole, "
    "and its number of examples differ, so it is a landmark, not a like-for-like comparison"
)


def majority(
    predictions: predictions_module.Predictions, class_prior: Sequence[float]
) -> predictions_module.Predictions:
    """Returns the same examples, all answered with the most frequent class."""
    certain = np.eye(predictions.num_classes)[int(np.argmax(class_prior))]
    return _constant(predictions, certain)


def prior(
    predictions: predictions_module.Predictions, class_prior: Sequence[float]
) -> predictions_module.Predictions:
    """Returns the same examples, all answered with the class frequencies."""
    return _constant(predictions, np.asarray(class_prior, np.float64))


def report(predictions: predictions_module.Predictions, task: labels.Task) -> dict[str, Any] | None:
    """Returns the report's accuracy, or None for examples that it did not look at."""
    is_subarticular = all("subarticular" in name for name in np.unique(predictions.conditions))
    is_at_its_level = set(predictions.levels) == {"l4_l5"}
    if not is_subarticular or not is_at_its_level or task.name not in REPORT_ACCURACY:
        return None
    reason = "the report gives no interval"
    value = REPORT_ACCURACY[task.name]
    return {
        "accuracy": {"value": value, "low": None, "high": None, "reason": reason},
        "note": REPORT_NOTE,
    }


def frequencies(predictions: predictions_module.Predictions) -> tuple[float, ...]:
    """Returns the fraction of each class among the labels."""
    counts = np.bincount(predictions.labels, minlength=predictions.num_classes)
    return tuple(float(count) / len(predictions) for count in counts)


def _constant(
    predictions: predictions_module.Predictions, answer: np.ndarray
) -> predictions_module.Predictions:
    return predictions_module.Predictions(
        keys=predictions.keys,
        labels=predictions.labels,
        probabilities=np.tile(answer, (len(predictions), 1)),
    )
