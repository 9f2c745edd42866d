"""Figures of merit of weighted examples: many sets of weights, that is resamples, at once.

Every figure is NaN where it is undefined. With weights of one they are the usual figures; the tests
compare them with scikit-learn.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from spine_tf import labels
from spine_tf.scoring import predictions as predictions_module

ECE_BINS = 15

# Probabilities are clipped here before the logarithm, as scikit-learn does for float64.
_SMALLEST = np.finfo(np.float64).eps

# Weights that are worked on at a time: what is made of them stays in tens of megabytes.
_CHUNK = 1_000_000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Values:
    """Values of all figures under `b` sets of weights.

    Attributes:
        overall: by name, float64 (b,).
        per_class: by class, then by name, float64 (b,).
        confusion: float64 (b, classes, classes); rows are the truth, columns the prediction.
    """

    overall: Mapping[str, np.ndarray]
    per_class: Mapping[str, Mapping[str, np.ndarray]]
    confusion: np.ndarray


def compute(
    predictions: predictions_module.Predictions,
    task: labels.Task,
    weights: np.ndarray | None = None,
) -> Values:
    """Returns all figures under each set of weights.

    - accuracy, log_loss (natural logarithm), balanced_accuracy (mean recall of all classes);
    - weighted_log_loss: each row weighs 1, 2 or 4 by its true severity, as in the competition;
    - auc: mean over the classes of the area under the one-against-rest ROC curve;
    - quadratic_kappa: agreement beyond chance, a disagreement weighs by its squared distance;
    - expected_calibration_error: mean |confidence - accuracy| over 15 bins of equal width;
    - brier: mean squared error of the probabilities, summed over the classes, halved for two;
    - of each class: recall, precision, f1, auc.

    Args:
        predictions: n of them.
        task: whose classes the columns are.
        weights: float64 (b, n), not negative; None is one set of ones.
    """
    if weights is None:
        weights = np.ones((1, len(predictions)))
    step = max(1, _CHUNK // len(predictions))
    if len(weights) > step:
        parts = [weights[start : start + step] for start in range(0, len(weights), step)]
        return _join([compute(predictions, task, part) for part in parts])
    num_classes = len(task.classes)
    confusion = _confusion(predictions, num_classes, weights)
    areas = [
        area_under_roc(predictions.probabilities[:, k], predictions.labels == k, weights)
        for k in range(num_classes)
    ]
    per_class = _per_class(task, confusion, areas)
    recalls = np.stack([per_class[name]["recall"] for name in task.classes])
    losses = example_log_losses(predictions)
    row_weights = np.asarray(task.class_weights)[predictions.labels]
    is_right = (predictions.predicted == predictions.labels).astype(np.float64)
    overall = {
        "accuracy": _mean(is_right, weights),
        "log_loss": _mean(losses, weights),
        "balanced_accuracy": recalls.mean(axis=0),
        "weighted_log_loss": _ratio(weights @ (row_weights * losses), weights @ row_weights),
        "auc": np.mean(areas, axis=0),
        "quadratic_kappa": _quadratic_kappa(confusion, task),
        "expected_calibration_error": _calibration_error(predictions, is_right, weights),
        "brier": _mean(_example_briers(predictions), weights),
    }
    return Values(overall=overall, per_class=per_class, confusion=confusion)


def _join(parts: Sequence[Values]) -> Values:
    return Values(
        overall={
            name: np.concatenate([part.overall[name] for part in parts])
            for name in parts[0].overall
        },
        per_class={
            class_name: {
                name: np.concatenate([part.per_class[class_name][name] for part in parts])
                for name in figures
            }
            for class_name, figures in parts[0].per_class.items()
        },
        confusion=np.concatenate([part.confusion for part in parts]),
    )


def example_log_losses(predictions: predictions_module.Predictions) -> np.ndarray:
    """Returns minus the logarithm of the probability of the true class, float64 (n,)."""
    rows = np.arange(len(predictions))
    truth = predictions.probabilities[rows, predictions.labels]
    return -np.log(np.clip(truth, _SMALLEST, 1.0))


def area_under_roc(scores: np.ndarray, is_positive: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Returns the chance that a positive outscores a negative; a tie counts half.

    Args:
        scores: float64 (n,).
        is_positive: bool (n,).
        weights: float64 (b, n).

    Returns:
        float64 (b,); NaN where either kind has no weight.
    """
    order = np.argsort(scores, kind="stable")
    winners, losers = order[is_positive[order]], order[~is_positive[order]]
    lower = np.searchsorted(scores[losers], scores[winners], side="left")
    not_higher = np.searchsorted(scores[losers], scores[winners], side="right")
    # Positives beside a running sum of negatives: 8 times as fast as sums over ordered scores.
    outscored = np.zeros((len(weights), len(losers) + 1))
    np.cumsum(weights[:, losers], axis=1, out=outscored[:, 1:])
    wins = np.einsum(
        "bp,bp->b", weights[:, winners], outscored[:, lower] + outscored[:, not_higher]
    )
    return _ratio(wins, 2.0 * weights[:, winners].sum(axis=1) * outscored[:, -1])


def confidence_bins(predictions: predictions_module.Predictions) -> np.ndarray:
    """Returns the bin, 0 to ECE_BINS - 1, of each largest probability; int64 (n,)."""
    confidence = predictions.probabilities.max(axis=1)
    return np.clip((confidence * ECE_BINS).astype(np.int64), 0, ECE_BINS - 1)


def _confusion(
    predictions: predictions_module.Predictions, num_classes: int, weights: np.ndarray
) -> np.ndarray:
    cells = predictions.labels * num_classes + predictions.predicted
    counts = weights @ np.eye(num_classes**2)[cells]
    return counts.reshape(-1, num_classes, num_classes)


def _per_class(
    task: labels.Task, confusion: np.ndarray, areas: list[np.ndarray]
) -> dict[str, dict[str, np.ndarray]]:
    figures = {}
    for k, name in enumerate(task.classes):
        hits = confusion[:, k, k]
        support = confusion[:, k, :].sum(axis=1)
        predicted = confusion[:, :, k].sum(axis=1)
        f1 = _ratio(2.0 * hits, support + predicted)
        figures[name] = {
            "recall": _ratio(hits, support),
            "precision": _ratio(hits, predicted),
            "f1": np.where(support > 0.0, f1, np.nan),
            "auc": areas[k],
        }
    return figures


def _quadratic_kappa(confusion: np.ndarray, task: labels.Task) -> np.ndarray:
    grades = np.arange(len(task.classes), dtype=np.float64)
    distance = (grades[:, None] - grades[None, :]) ** 2
    truth, predicted = confusion.sum(axis=2), confusion.sum(axis=1)
    observed = np.einsum("bij,ij->b", confusion, distance)
    expected = np.einsum("bi,bj,ij->b", truth, predicted, distance)
    return 1.0 - _ratio(observed * confusion.sum(axis=(1, 2)), expected)


def _calibration_error(
    predictions: predictions_module.Predictions, is_right: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    excess = predictions.probabilities.max(axis=1) - is_right
    in_bin = np.eye(ECE_BINS)[confidence_bins(predictions)]
    return _ratio(np.abs(weights @ (in_bin * excess[:, None])).sum(axis=1), weights.sum(axis=1))


def _example_briers(predictions: predictions_module.Predictions) -> np.ndarray:
    truth = np.eye(predictions.num_classes)[predictions.labels]
    squared = ((predictions.probabilities - truth) ** 2).sum(axis=1)
    return squared / 2.0 if predictions.num_classes == 2 else squared


def _mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return _ratio(weights @ values, weights.sum(axis=1))


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    is_defined = denominator > 0.0
    return np.where(is_defined, numerator / np.where(is_defined, denominator, 1.0), np.nan)
