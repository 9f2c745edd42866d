"""Figures of parts of a split: by condition, level, side and fold."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from spine_tf import labels
from spine_tf.scoring import bootstrap, competition, predictions as predictions_module, summary


def group_names(
    predictions: predictions_module.Predictions, splits: Sequence[str] | None = None
) -> dict[str, np.ndarray]:
    """Returns the groupings that divide the predictions: name -> group of each example.

    Args:
        predictions: n of them.
        splits: the split that each example lies in; None leaves that grouping out.
    """
    sides = [labels.side_of(condition) or "none" for condition in predictions.conditions]
    groupings = {"condition": predictions.conditions, "level": predictions.levels}
    # With the conditions of one kind only, sides and conditions are the same groups.
    if len(np.unique(sides)) < len(np.unique(predictions.conditions)):
        groupings["side"] = np.array(sides)
    if splits is not None:
        groupings["fold"] = np.array(splits)
    return {name: groups for name, groups in groupings.items() if len(np.unique(groups)) > 1}


def summarize_groups(
    predictions: predictions_module.Predictions,
    task: labels.Task,
    groupings: Mapping[str, np.ndarray],
    *,
    seed: int = 0,
    num_resamples: int = 1000,
) -> dict[str, Any]:
    """Returns grouping -> group -> num_examples, num_studies and all figures with intervals.

    Studies are drawn anew in each group, so an interval speaks of the group alone. Beside the
    figures of the group stand `class_counts`, `per_class` (as in `summary`) and, where there are
    three severities, `competition` (as `competition.score`).
    """
    result: dict[str, Any] = {}
    for name, groups in groupings.items():
        result[name] = {}
        for group in np.unique(groups).tolist():
            part = predictions.select(groups == group)
            weights = bootstrap.resample_weights(
                part.study_ids, seed=seed, num_resamples=num_resamples
            )
            result[name][group] = _summarize(part, task, weights)
    return result


def _summarize(
    part: predictions_module.Predictions, task: labels.Task, weights: np.ndarray
) -> dict[str, Any]:
    found = summary.with_intervals(part, task, weights)
    counts = np.bincount(part.labels, minlength=len(task.classes))
    result = {
        "num_examples": len(part),
        "num_studies": len(np.unique(part.study_ids)),
        "class_counts": dict(zip(task.classes, counts.tolist(), strict=True)),
        "per_class": found["per_class"],
        **found["metrics"],
    }
    if task.collapsed.name == "multiclass":
        collapsed = predictions_module.collapse(part, task)
        result["competition"] = competition.score(collapsed, task.collapsed, weights)
    return result
