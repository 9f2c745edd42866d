"""Everything that is computed about a run's predictions: the contents of a report's metrics.json.

The keys of `summary`, and besides, under the names of `Analysis`:

- `lead_over_majority`: name -> {value, low, high}, paired differences to the majority baseline;
- `groups`: grouping -> group -> figures (`summary.summarize_groups`);
- `reliability`: `{"calibrated": [...], "uncalibrated": [...]}` (`operating.reliability`), with
  `uncalibrated_metrics`, the log loss and calibration error before temperature scaling;
- `thresholds` (`operating.threshold_table`) and `abstention` (`operating.abstention_curve`);
- `competition`: the four terms and their mean (`competition.score`), for the probabilities as they
  are and for those reweighted to the metric (`reweighted`); null without the three severities;
- `test_time_copies`: of each image whose answers were averaged;
- `lead_over_labels`: the same differences to the label-only baseline, which then also stands in
  `baselines` as `labels`; `controls`: both where they were asked for;
- `ensemble`: what its runs gain by answering together.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from spine_tf import labels
from spine_tf.evaluation import controls as controls_module
from spine_tf.scoring import (
    bootstrap,
    comparison,
    competition as competition_module,
    figure,
    operating,
    predictions as predictions_module,
    summary as summary_module,
)

Figures = Mapping[str, figure.Figure]


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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reliability:
    """How far confidence means what it says, after and before temperature scaling.

    Attributes:
        calibrated: by bin of confidence.
        uncalibrated: the same before; None where nobody knows.
        uncalibrated_metrics: log loss, calibration error and Brier score before.
    """

    calibrated: Sequence[operating.Bin]
    uncalibrated: Sequence[operating.Bin] | None = None
    uncalibrated_metrics: Figures | None = None

    def to_json(self) -> dict[str, Any]:
        """Returns what is known."""
        return _known(self)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Competition:
    """The competition's metric of the probabilities as they are, and reweighted to it."""

    as_is: competition_module.Score
    reweighted: competition_module.Score


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ensemble:
    """What runs gain by answering together.

    Attributes:
        runs: their names.
        models_per_example: the least and the most that answer.
        lead_over_runs: name -> paired differences to that run alone, if it answers every example.
    """

    runs: Sequence[str]
    models_per_example: tuple[int, int]
    lead_over_runs: Mapping[str, Figures]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Analysis:
    """The contents of a report's metrics.json; the module's docstring says what they are."""

    summary: summary_module.Summary
    lead_over_majority: Figures
    groups: Mapping[str, Mapping[str, summary_module.Group]]
    reliability: Reliability
    thresholds: Sequence[operating.Threshold]
    abstention: Sequence[operating.Abstention]
    competition: Competition | None
    test_time_copies: int | None = None
    lead_over_labels: Figures | None = None
    controls: controls_module.Controls | None = None
    ensemble: Ensemble | None = None

    def to_json(self) -> dict[str, Any]:
        """Returns the keys of the summary and the others side by side."""
        found = _known(self)
        return {"competition": None, **found.pop("summary"), **found}


def _known(found: Any) -> dict[str, Any]:
    """The fields of a dataclass that are not None."""
    values = {field.name: getattr(found, field.name) for field in dataclasses.fields(found)}
    return {name: figure.as_json(v) for name, v in values.items() if v is not None}


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


def analyse(evaluated: Evaluated, *, seed: int = 0, num_resamples: int = 1000) -> Analysis:
    """Returns what a report shows of predictions.

    Args:
        evaluated: the predictions.
        seed: seed of the bootstrap's draws.
        num_resamples: how often the bootstrap draws, at least 1.
    """
    task, predictions = evaluated.task, evaluated.predictions
    weights = bootstrap.resample_weights(
        predictions.study_ids, seed=seed, num_resamples=num_resamples
    )
    majority = summary_module.majority(predictions, evaluated.class_prior)
    groupings = summary_module.group_names(predictions, evaluated.splits)
    return Analysis(
        summary=summary_module.summarize(
            predictions,
            task,
            evaluated.split,
            class_prior=evaluated.class_prior,
            seed=seed,
            num_resamples=num_resamples,
        ),
        lead_over_majority=_lead(predictions, majority, task, weights),
        groups=summary_module.summarize_groups(
            predictions, task, groupings, seed=seed, num_resamples=num_resamples
        ),
        reliability=_reliability(evaluated, weights),
        thresholds=operating.threshold_table(predictions, task, weights),
        abstention=operating.abstention_curve(predictions, weights),
        competition=_competition(predictions, task, weights),
    )


def _lead(
    predictions: predictions_module.Predictions,
    baseline: predictions_module.Predictions,
    task: labels.Task,
    weights: np.ndarray,
) -> Figures:
    found = comparison.differences(predictions, baseline, task, weights)
    return {name: found[name] for name in ("accuracy", "balanced_accuracy")}


def _reliability(evaluated: Evaluated, weights: np.ndarray) -> Reliability:
    calibrated = operating.reliability(evaluated.predictions, weights)
    if evaluated.uncalibrated is None:
        return Reliability(calibrated=calibrated)
    before = bootstrap.with_intervals(evaluated.uncalibrated, evaluated.task, weights).metrics
    return Reliability(
        calibrated=calibrated,
        uncalibrated=operating.reliability(evaluated.uncalibrated, weights),
        uncalibrated_metrics={
            name: before[name] for name in ("log_loss", "expected_calibration_error", "brier")
        },
    )


def _competition(
    predictions: predictions_module.Predictions, task: labels.Task, weights: np.ndarray
) -> Competition | None:
    predictions, task = predictions_module.collapse(predictions, task), task.collapsed
    if task.name != "multiclass":
        return None
    reweighted = competition_module.reweight(predictions, task)
    return Competition(
        as_is=competition_module.score(predictions, task, weights),
        reweighted=competition_module.score(reweighted, task, weights),
    )


def add_label_baseline(
    analysed: Analysis,
    evaluated: Evaluated,
    answers: predictions_module.Predictions,
    note: str,
) -> Analysis:
    """Returns an analysis with a baseline that answers from other labels.

    Args:
        analysed: what `analyse` gave.
        evaluated: what it was given.
        answers: the baseline's, of the same examples in the same order.
        note: what the baseline is.
    """
    weights = _weights(analysed, evaluated)
    metrics = bootstrap.with_intervals(answers, evaluated.task, weights).metrics
    labels_only = summary_module.Baseline(metrics=metrics, note=note)
    summary = analysed.summary
    return dataclasses.replace(
        analysed,
        summary=dataclasses.replace(
            summary, baselines={**summary.baselines, "labels": labels_only}
        ),
        lead_over_labels=_lead(evaluated.predictions, answers, evaluated.task, weights),
    )


def add_ensemble(
    analysed: Analysis,
    evaluated: Evaluated,
    names: Sequence[str],
    of_runs: Sequence[np.ndarray],
    num_models: np.ndarray,
) -> Analysis:
    """Returns an analysis of an ensemble with what its runs gain by answering together.

    Args:
        analysed: what `analyse` gave.
        evaluated: what it was given.
        names: the runs' names.
        of_runs: what each says alone, float64 (n, classes), NaN where it may not answer.
        num_models: that answer each example, int64 (n,).
    """
    together, weights = evaluated.predictions, _weights(analysed, evaluated)
    leads = {}
    for name, probabilities in zip(names, of_runs, strict=True):
        if np.isfinite(probabilities).all():
            alone = predictions_module.Predictions(
                keys=together.keys, labels=together.labels, probabilities=probabilities
            )
            leads[name] = comparison.differences(together, alone, evaluated.task, weights)
    ensemble = Ensemble(
        runs=tuple(names),
        models_per_example=(int(num_models.min()), int(num_models.max())),
        lead_over_runs=leads,
    )
    return dataclasses.replace(analysed, ensemble=ensemble)


def _weights(analysed: Analysis, evaluated: Evaluated) -> np.ndarray:
    """The same resamples that the analysis has its intervals of."""
    return bootstrap.resample_weights(
        evaluated.predictions.study_ids,
        seed=analysed.summary.seed,
        num_resamples=analysed.summary.num_resamples,
    )
