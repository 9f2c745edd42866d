"""Everything that is computed about a run's predictions, as one JSON object.

metrics.json of a report: the keys of `summary`, and besides

- `lead_over_majority`: name -> {value, low, high}, paired differences to the majority baseline;
- `groups`: grouping -> group -> figures (`groups.summarize_groups`);
- `reliability`: `{"calibrated": [...], "uncalibrated": [...]}` (`operating.reliability`), with
  `uncalibrated_metrics`, the log loss and calibration error before temperature scaling;
- `thresholds` (`operating.threshold_table`) and `abstention` (`operating.abstention_curve`);
- `competition`: the four terms and their mean (`competition.score`), for the probabilities as they
  are and for those reweighted to the metric (`reweighted`);
- `lead_over_labels`: the same differences to the label-only baseline, which then also stands in
  `baselines` as `labels`; `controls`: both where they were asked for.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from spine_tf import labels
from spine_tf.scoring import (
    baselines,
    bootstrap,
    comparison,
    competition,
    groups,
    operating,
    predictions as predictions_module,
    summary,
)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Evaluated:
    """A run's predictions of one split, with what is known about them.

    Attributes:
        task: whose classes they are.
        split: "test", "oof" or the fold's name.
        predictions: calibrated.
        uncalibrated: the same before temperature scaling, or None.
        splits: the split of the records that each example lies in.
        class_prior: class frequencies of the training data.
    """

    task: labels.Task
    split: str
    predictions: predictions_module.Predictions
    uncalibrated: predictions_module.Predictions | None
    splits: Sequence[str]
    class_prior: Sequence[float]


def collapse(evaluated: Evaluated) -> Evaluated:
    """Returns the predictions as those of whole severities; see `predictions.collapse`."""
    task, before = evaluated.task, evaluated.uncalibrated
    prior = predictions_module.collapse_probabilities(np.asarray(evaluated.class_prior), task)
    return dataclasses.replace(
        evaluated,
        task=task.collapsed,
        predictions=predictions_module.collapse(evaluated.predictions, task),
        uncalibrated=None if before is None else predictions_module.collapse(before, task),
        class_prior=tuple(prior.tolist()),
    )


def analyse(evaluated: Evaluated, *, seed: int = 0, num_resamples: int = 1000) -> dict[str, Any]:
    """Returns metrics.json of a report, as JSON types; see the module's docstring."""
    task, predictions = evaluated.task, evaluated.predictions
    weights = bootstrap.resample_weights(
        predictions.study_ids, seed=seed, num_resamples=num_resamples
    )
    majority = baselines.majority(predictions, evaluated.class_prior)
    groupings = groups.group_names(predictions, evaluated.splits)
    return {
        **summary.summarize(
            predictions,
            task,
            evaluated.split,
            class_prior=evaluated.class_prior,
            seed=seed,
            num_resamples=num_resamples,
        ),
        "lead_over_majority": _lead(predictions, majority, task, weights),
        "groups": groups.summarize_groups(
            predictions, task, groupings, seed=seed, num_resamples=num_resamples
        ),
        "reliability": _reliability(evaluated, weights),
        "thresholds": operating.threshold_table(predictions, task, weights),
        "abstention": operating.abstention_curve(predictions, weights),
        "competition": _competition(predictions, task, weights),
    }


def add_label_baseline(
    analysed: Mapping[str, Any],
    evaluated: Evaluated,
    answers: predictions_module.Predictions,
    note: str,
) -> dict[str, Any]:
    """Returns an analysis with a baseline that answers from other labels.

    Args:
        analysed: what `analyse` gave.
        evaluated: what it was given.
        answers: the baseline's, of the same examples in the same order.
        note: what the baseline is.
    """
    weights = bootstrap.resample_weights(
        evaluated.predictions.study_ids,
        seed=analysed["seed"],
        num_resamples=analysed["num_resamples"],
    )
    found = summary.with_intervals(answers, evaluated.task, weights)["metrics"]
    return {
        **analysed,
        "baselines": {**analysed["baselines"], "labels": {**found, "note": note}},
        "lead_over_labels": _lead(evaluated.predictions, answers, evaluated.task, weights),
    }


def _lead(
    predictions: predictions_module.Predictions,
    baseline: predictions_module.Predictions,
    task: labels.Task,
    weights: np.ndarray,
) -> dict[str, Any]:
    found = comparison.differences(predictions, baseline, task, weights)
    return {name: found[name] for name in ("accuracy", "balanced_accuracy")}


def _reliability(evaluated: Evaluated, weights: np.ndarray) -> dict[str, Any]:
    result: dict[str, Any] = {"calibrated": operating.reliability(evaluated.predictions, weights)}
    if evaluated.uncalibrated is not None:
        before = summary.with_intervals(evaluated.uncalibrated, evaluated.task, weights)["metrics"]
        result["uncalibrated"] = operating.reliability(evaluated.uncalibrated, weights)
        result["uncalibrated_metrics"] = {
            name: before[name] for name in ("log_loss", "expected_calibration_error", "brier")
        }
    return result


def _competition(
    predictions: predictions_module.Predictions, task: labels.Task, weights: np.ndarray
) -> dict[str, Any] | None:
    predictions, task = predictions_module.collapse(predictions, task), task.collapsed
    if task.name != "multiclass":
        return None
    reweighted = competition.reweight(predictions, task)
    return {
        "as_is": competition.score(predictions, task, weights),
        "reweighted": competition.score(reweighted, task, weights),
    }
