"""The bootstrap over studies: how far a figure would move with other studies of the same kind."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
from scipy import stats

from spine_tf import labels
from spine_tf.scoring import (
    figure as figure_module,
    metrics as metrics_module,
    predictions as predictions_module,
)

CONFIDENCE = 0.95

# Figures that are shares of examples.
_SHARES = ("accuracy", "recall", "precision")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scores:
    """All figures of some predictions.

    Attributes:
        metrics: by name; `metrics.compute` says what they are.
        per_class: by class, then by name.
        confusion_matrix: numbers of examples; rows are the truth, columns the prediction.
    """

    metrics: Mapping[str, figure_module.Figure]
    per_class: Mapping[str, Mapping[str, figure_module.Figure]]
    confusion_matrix: Sequence[Sequence[int]]


def resample_weights(study_ids: np.ndarray, *, seed: int, num_resamples: int) -> np.ndarray:
    """Draws studies with replacement and returns how often each example then counts.

    The examples of a study come and go together, because they are not independent. The same
    studies, seed and number of resamples give the same draws, which makes runs comparable in pairs.

    Args:
        study_ids: int64 (n,).
        seed: seed of the draws.
        num_resamples: at least 1.

    Returns:
        float64 (num_resamples, n), whole numbers.
    """
    if num_resamples < 1:
        raise ValueError(f"num_resamples is {num_resamples}, expected at least 1")
    studies, index = np.unique(study_ids, return_inverse=True)
    generator = np.random.default_rng(seed)
    share = np.full(len(studies), 1.0 / len(studies))
    counts = generator.multinomial(len(studies), share, size=num_resamples)
    return counts.astype(np.float64)[:, index]


def mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Returns weighted means of what is known, float64 (resamples,); NaN where nothing is."""
    is_known = ~np.isnan(values)
    total = weights[:, is_known].sum(axis=1)
    sums = weights[:, is_known] @ values[is_known]
    return np.divide(sums, total, out=np.full(len(weights), np.nan), where=total > 0)


def quantile(values: np.ndarray, weights: np.ndarray, share: float) -> np.ndarray:
    """Returns weighted quantiles of what is known: the first value with so much at or below."""
    order = np.argsort(values)[: int((~np.isnan(values)).sum())]
    if not order.size:
        return np.full(len(weights), np.nan)
    below = np.cumsum(weights[:, order], axis=1)
    total = below[:, -1:]
    index = (below >= share * total - 1e-9).argmax(axis=1)
    return np.where(total[:, 0] > 0, values[order][index], np.nan)


def with_intervals(
    predictions: predictions_module.Predictions, task: labels.Task, weights: np.ndarray
) -> Scores:
    """Returns all figures; those that are undefined or have no interval say why.

    Args:
        predictions: n of them.
        task: whose classes they are.
        weights: how often each resample holds each example, float64 (num_resamples, n).
    """
    studies = predictions.study_ids
    num_studies = len(np.unique(studies))
    point = metrics_module.compute(predictions, task)
    resampled = metrics_module.compute(predictions, task, weights)
    missing = [name for k, name in enumerate(task.classes) if not (predictions.labels == k).any()]
    return Scores(
        metrics={
            name: _with_reason(name, value, resampled.overall[name], num_studies, _reason(missing))
            for name, value in point.overall.items()
        },
        per_class={
            class_name: {
                name: _with_reason(
                    name,
                    value,
                    resampled.per_class[class_name][name],
                    len(np.unique(studies[_counted(predictions, k, name)])),
                    _class_reason(class_name, name, missing),
                )
                for name, value in values.items()
            }
            for k, (class_name, values) in enumerate(point.per_class.items())
        },
        confusion_matrix=point.confusion[0].astype(int).tolist(),
    )


def _counted(predictions: predictions_module.Predictions, k: int, name: str) -> np.ndarray:
    """The examples that a class's figure rests on, bool (n,)."""
    if name == "recall":
        return predictions.labels == k
    if name == "precision":
        return predictions.predicted == k
    return np.ones(len(predictions), bool)


def _with_reason(
    name: str, point: np.ndarray, resampled: np.ndarray, num_studies: int, reason: str
) -> figure_module.Figure:
    values = np.concatenate([point, resampled])
    found = figure(values, num_studies, is_share=name in _SHARES)
    if found.value is None:
        return dataclasses.replace(found, reason=reason)
    if not found.has_interval:
        return dataclasses.replace(found, reason="an interval needs at least two studies")
    return found


def _reason(missing: list[str]) -> str:
    if missing:
        return f"no example is {' or '.join(missing)}"
    return "all examples have one class, and all predictions are that class"


def _class_reason(class_name: str, name: str, missing: list[str]) -> str:
    if name == "precision":
        return f"no example is predicted {class_name}"
    if class_name in missing:
        return f"no example is {class_name}"
    return f"every example is {class_name}"


def figure(values: np.ndarray, num_studies: int, *, is_share: bool = False) -> figure_module.Figure:
    """Returns a value with its interval.

    Args:
        values: float64 (1 + num_resamples,); the first is that of the data themselves.
        num_studies: that the figure rests on.
        is_share: as in `interval`.
    """
    if not np.isfinite(values[0]):
        return figure_module.Figure()
    low, high = interval(values[1:], num_studies, is_share=is_share) or (None, None)
    return figure_module.Figure(value=float(values[0]), low=low, high=high)


def interval(
    values: np.ndarray, num_studies: int, *, is_share: bool = False
) -> tuple[float, float] | None:
    """Returns the 95 % interval of resampled figures, or None where there can be none.

    The percentile interval is too narrow for few studies; its tails are moved out to what Student's
    t would give (the expanded percentile interval of Hesterberg, "What Teachers Should Know About
    the Bootstrap", The American Statistician 69, 2015).

    Args:
        values: float64 (num_resamples,); NaN where the figure is undefined, which leaves it out.
        num_studies: that the figure rests on.
        is_share: the figure is a share of examples. Where it is 0 or 1 in every resample, the
            bootstrap knows no doubt; the exact bound for that many independent studies stands in.
    """
    defined = values[np.isfinite(values)]
    if num_studies < 2 or not defined.size:
        return None
    if is_share and defined.min() == defined.max() and defined[0] in (0.0, 1.0):
        reach = 1.0 - (0.5 - CONFIDENCE / 2) ** (1.0 / num_studies)
        return (0.0, reach) if defined[0] == 0.0 else (1.0 - reach, 1.0)
    quantile = stats.t.ppf(0.5 - CONFIDENCE / 2, num_studies - 1)
    tail = stats.norm.cdf(math.sqrt(num_studies / (num_studies - 1)) * quantile)
    low, high = np.quantile(defined, [tail, 1.0 - tail])
    return float(low), float(high)
