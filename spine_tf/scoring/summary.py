"""metrics.json: every figure with its interval, beside baselines.

    {
      "task": "multiclass", "split": "fold_0", "classes": ["Normal/Mild", "Moderate", "Severe"],
      "num_examples": 160, "num_studies": 32, "class_counts": {class: examples},
      "confidence": 0.95, "num_resamples": 1000, "seed": 0,
      "metrics": {name: {"value": 0.71, "low": 0.62, "high": 0.79}},
      "per_class": {class: {name: {"value", "low", "high"}}},
      "confusion_matrix": [[truth 0 predicted 0, truth 0 predicted 1, ...], ...],
      "baselines": {"majority": {name: {"value", "low", "high"}}, "prior": ..., "report": ...}
    }

The names and meanings of the figures are in `metrics.compute`; `low` and `high` are the ends of the
95 % interval of a bootstrap over studies. What is undefined is null, and a "reason" says why. A
baseline may carry a "note". The majority class and the class prior are those of the training data
("class_prior_from": "training"), or, where they are not given, those of the split itself ("split"),
which favours the baseline. `report` stands where all examples are L4/L5 subarticular stenosis. A
task that tells halves of a severity apart has "collapsed" besides: the same keys for the same
predictions read as whole severities.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from spine_tf import labels
from spine_tf.scoring import baselines, bootstrap, metrics, predictions as predictions_module

_BASELINE_FIGURES = {
    "majority": ("accuracy", "balanced_accuracy"),
    "prior": ("accuracy", "log_loss", "weighted_log_loss", "balanced_accuracy", "brier"),
}

# Figures that are shares of examples.
_SHARES = ("accuracy", "recall", "precision")


def summarize(
    predictions: predictions_module.Predictions,
    task: labels.Task,
    split: str,
    *,
    class_prior: Sequence[float] | None = None,
    seed: int = 0,
    num_resamples: int = 1000,
) -> dict[str, Any]:
    """Returns what metrics.json holds, as JSON types; see the module's docstring.

    Args:
        predictions: of one split.
        task: whose classes they are.
        split: the split's name, such as "fold_0", "oof" or "test".
        class_prior: class frequencies of the training data; None takes those of the split.
        seed: of the bootstrap.
        num_resamples: of the bootstrap.
    """
    if predictions.num_classes != len(task.classes):
        raise ValueError(
            f"predictions have {predictions.num_classes} classes, "
            f"task {task.name} has {len(task.classes)}"
        )
    num_studies = len(np.unique(predictions.study_ids))
    weights = bootstrap.resample_weights(
        predictions.study_ids, seed=seed, num_resamples=num_resamples
    )
    counts = np.bincount(predictions.labels, minlength=len(task.classes))
    figures = {
        "task": task.name,
        "split": split,
        "classes": list(task.classes),
        "num_examples": len(predictions),
        "num_studies": num_studies,
        "class_counts": dict(zip(task.classes, counts.tolist(), strict=True)),
        "confidence": bootstrap.CONFIDENCE,
        "num_resamples": num_resamples,
        "seed": seed,
        **with_intervals(predictions, task, weights),
        "class_prior_from": "split" if class_prior is None else "training",
        "baselines": _baselines(predictions, task, weights, class_prior),
    }
    if task.has_halves:
        figures["collapsed"] = summarize(
            predictions_module.collapse(predictions, task),
            task.collapsed,
            split,
            class_prior=_collapsed_prior(class_prior, task),
            seed=seed,
            num_resamples=num_resamples,
        )
    return figures


def _collapsed_prior(
    class_prior: Sequence[float] | None, task: labels.Task
) -> Sequence[float] | None:
    if class_prior is None:
        return None
    return predictions_module.collapse_probabilities(np.asarray(class_prior), task).tolist()


def with_intervals(
    predictions: predictions_module.Predictions, task: labels.Task, weights: np.ndarray
) -> dict[str, Any]:
    """Returns `metrics`, `per_class` and `confusion_matrix` as in metrics.json.

    Args:
        predictions: n of them.
        task: whose classes they are.
        weights: of the resamples, float64 (num_resamples, n).
    """
    studies = predictions.study_ids
    num_studies = len(np.unique(studies))
    point = metrics.compute(predictions, task)
    resampled = metrics.compute(predictions, task, weights)
    missing = _missing_classes(predictions, task)
    return {
        "metrics": {
            name: _figure(name, value, resampled.overall[name], num_studies, _reason(missing))
            for name, value in point.overall.items()
        },
        "per_class": {
            class_name: {
                name: _figure(
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
        "confusion_matrix": point.confusion[0].astype(int).tolist(),
    }


def _counted(predictions: predictions_module.Predictions, k: int, figure: str) -> np.ndarray:
    """The examples that a class's figure rests on, bool (n,)."""
    if figure == "recall":
        return predictions.labels == k
    if figure == "precision":
        return predictions.predicted == k
    return np.ones(len(predictions), bool)


def _figure(
    name: str, point: np.ndarray, resampled: np.ndarray, num_studies: int, reason: str
) -> dict[str, Any]:
    if not np.isfinite(point[0]):
        return {"value": None, "low": None, "high": None, "reason": reason}
    value = float(point[0])
    ends = bootstrap.interval(resampled, num_studies, is_share=name in _SHARES)
    if ends is None:
        reason = "an interval needs at least two studies"
        return {"value": value, "low": None, "high": None, "reason": reason}
    return {"value": value, "low": ends[0], "high": ends[1]}


def _missing_classes(predictions: predictions_module.Predictions, task: labels.Task) -> list[str]:
    return [name for k, name in enumerate(task.classes) if not (predictions.labels == k).any()]


def _reason(missing: list[str]) -> str:
    if missing:
        return f"no example is {' or '.join(missing)}"
    return "all examples have one class, and all predictions are that class"


def _class_reason(class_name: str, figure: str, missing: list[str]) -> str:
    if figure == "precision":
        return f"no example is predicted {class_name}"
    if class_name in missing:
        return f"no example is {class_name}"
    return f"every example is {class_name}"


def _baselines(
    predictions: predictions_module.Predictions,
    task: labels.Task,
    weights: np.ndarray,
    class_prior: Sequence[float] | None,
) -> dict[str, Any]:
    if class_prior is None:
        class_prior = baselines.frequencies(predictions)
    answers = {
        "majority": baselines.majority(predictions, class_prior),
        "prior": baselines.prior(predictions, class_prior),
    }
    result: dict[str, Any] = {}
    for name, answer in answers.items():
        figures = with_intervals(answer, task, weights)["metrics"]
        result[name] = {figure: figures[figure] for figure in _BASELINE_FIGURES[name]}
    report = baselines.report(predictions, task)
    if report is not None:
        result["report"] = report
    return result
