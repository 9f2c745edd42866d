"""What happens at a chosen operating point: thresholds for Severe, abstention, ROC points."""

import dataclasses

import numpy as np
from sklearn import metrics as sklearn_metrics

from spine_tf import labels
from spine_tf.scoring import bootstrap, figure, metrics, predictions as predictions_module

THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(1, 20))
MAX_ROC_POINTS = 400
COVERAGES = tuple(round(0.05 * step, 2) for step in range(2, 21))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Threshold:
    """What calling an example Severe from a score on finds and misses.

    Attributes:
        threshold: the least score that is called Severe.
        sensitivity, specificity: shares of Severe and of Normal/Mild that are called so.
        positive_predictive_value, negative_predictive_value: shares of the calls that are right, at
            the share of Severe in these data.
    """

    threshold: float
    sensitivity: figure.Figure
    specificity: figure.Figure
    positive_predictive_value: figure.Figure
    negative_predictive_value: figure.Figure


@dataclasses.dataclass(frozen=True, kw_only=True)
class Abstention:
    """What is gained if the least certain answers are left to a reader.

    Attributes:
        coverage: share of the examples that is answered.
        accuracy: on that share.
    """

    coverage: float
    accuracy: figure.Figure


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bin:
    """Answers of about the same confidence.

    Attributes:
        low, high: ends of the bin.
        num_examples: in it, at least one.
        confidence: their mean.
        accuracy: the share that is right.
    """

    low: float
    high: float
    num_examples: int
    confidence: float
    accuracy: figure.Figure


def severe_scores(
    predictions: predictions_module.Predictions, task: labels.Task
) -> tuple[np.ndarray, np.ndarray]:
    """Returns Severe against Normal/Mild: the score of each example, and which examples count.

    The score is p(Severe) / (p(Severe) + p(Normal/Mild)); Moderate examples do not count.

    Returns:
        float64 (n,) and bool (n,).
    """
    normal, severe = task.class_severities.index(0), task.class_severities.index(2)
    pair = predictions.probabilities[:, [normal, severe]]
    total = pair.sum(axis=1)
    scores = np.where(total > 0.0, pair[:, 1] / np.where(total > 0.0, total, 1.0), 0.5)
    return scores, np.isin(predictions.labels, (normal, severe))


def threshold_table(
    predictions: predictions_module.Predictions, task: labels.Task, weights: np.ndarray
) -> list[Threshold]:
    """Returns sensitivity and specificity for Severe at each threshold of its score.

    Args:
        predictions: n of them.
        task: whose classes they are.
        weights: how often each resample holds each example, float64 (num_resamples, n).
    """
    scores, is_counted = severe_scores(predictions, task)
    is_severe = predictions.labels == task.class_severities.index(2)
    every = np.vstack([np.ones((1, len(predictions))), weights])
    table = []
    for threshold in THRESHOLDS:
        is_called = scores >= threshold
        counts = {
            (called, severe): every
            @ (is_counted & (is_called == called) & (is_severe == severe)).astype(np.float64)
            for called in (True, False)
            for severe in (True, False)
        }
        rates = {
            "sensitivity": _share(counts[True, True], counts[False, True]),
            "specificity": _share(counts[False, False], counts[True, False]),
            "positive_predictive_value": _share(counts[True, True], counts[True, False]),
            "negative_predictive_value": _share(counts[False, False], counts[False, True]),
        }
        rests_on = {
            "sensitivity": is_severe,
            "specificity": ~is_severe,
            "positive_predictive_value": is_called,
            "negative_predictive_value": ~is_called,
        }
        figures = {
            name: bootstrap.figure(
                rate, _num_studies(predictions, is_counted & rests_on[name]), is_share=True
            )
            for name, rate in rates.items()
        }
        table.append(Threshold(threshold=threshold, **figures))
    return table


def abstention_curve(
    predictions: predictions_module.Predictions, weights: np.ndarray
) -> list[Abstention]:
    """Returns the accuracy of the most confident share of the examples, for each share.

    Args:
        predictions: n of them.
        weights: how often each resample holds each example, float64 (num_resamples, n).
    """
    order = np.argsort(-predictions.probabilities.max(axis=1), kind="stable")
    is_right = (predictions.predicted == predictions.labels)[order]
    every = np.vstack([np.ones((1, len(predictions))), weights])[:, order]
    accuracy = np.stack([_accuracy_at(row, is_right) for row in every])
    num_studies = len(np.unique(predictions.study_ids))
    return [
        Abstention(
            coverage=coverage,
            accuracy=bootstrap.figure(accuracy[:, index], num_studies, is_share=True),
        )
        for index, coverage in enumerate(COVERAGES)
    ]


def roc_points(scores: np.ndarray, is_positive: np.ndarray) -> list[tuple[float, float]]:
    """Returns (false positive rate, true positive rate) from (0, 0) to (1, 1).

    At most MAX_ROC_POINTS of them: more can't be seen and would fill the page.
    """
    false_rate, true_rate, _ = sklearn_metrics.roc_curve(is_positive, scores)
    if len(false_rate) > MAX_ROC_POINTS:
        kept = np.linspace(0, len(false_rate) - 1, MAX_ROC_POINTS).round().astype(int)
        false_rate, true_rate = false_rate[kept], true_rate[kept]
    return list(zip(false_rate.tolist(), true_rate.tolist(), strict=True))


def reliability(predictions: predictions_module.Predictions, weights: np.ndarray) -> list[Bin]:
    """Returns, for each bin of confidence that has examples, how often they are right.

    Args:
        predictions: n of them.
        weights: how often each resample holds each example, float64 (num_resamples, n).
    """
    confidence = predictions.probabilities.max(axis=1)
    is_right = (predictions.predicted == predictions.labels).astype(np.float64)
    bins = metrics.confidence_bins(predictions)
    every = np.vstack([np.ones((1, len(predictions))), weights])
    result = []
    for index in np.unique(bins).tolist():
        inside = every[:, bins == index]
        right = inside @ is_right[bins == index]
        num_studies = _num_studies(predictions, bins == index)
        accuracy = _share(right, inside.sum(axis=1) - right)
        result.append(
            Bin(
                low=index / metrics.ECE_BINS,
                high=(index + 1) / metrics.ECE_BINS,
                num_examples=int((bins == index).sum()),
                confidence=float(confidence[bins == index].mean()),
                accuracy=bootstrap.figure(accuracy, num_studies, is_share=True),
            )
        )
    return result


def _accuracy_at(weights: np.ndarray, is_right: np.ndarray) -> np.ndarray:
    """Accuracy at each of COVERAGES of examples in order of confidence; a part counts in part."""
    covered = np.concatenate([[0.0], np.cumsum(weights)])
    right = np.concatenate([[0.0], np.cumsum(weights * is_right)])
    wanted = np.asarray(COVERAGES) * covered[-1]
    return np.interp(wanted, covered, right) / wanted


def _num_studies(predictions: predictions_module.Predictions, is_counted: np.ndarray) -> int:
    return len(np.unique(predictions.study_ids[is_counted]))


def _share(part: np.ndarray, rest: np.ndarray) -> np.ndarray:
    total = part + rest
    return np.where(total > 0.0, part / np.where(total > 0.0, total, 1.0), np.nan)
