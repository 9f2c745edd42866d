"""metrics.json: every figure with its interval, beside baselines and in parts.

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

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from spine_tf import labels
from spine_tf.scoring import (
    bootstrap,
    competition as competition_module,
    figure,
    predictions as predictions_module,
)
from tfrecords import json_object

if TYPE_CHECKING:
    import pandas as pd

# Accuracy of the reference experiment's report, by task: L4/L5, subarticular stenosis.
REPORT_ACCURACY = {
    "binary": figure.Figure(value=0.917, reason="the report gives no interval"),
    "multiclass": figure.Figure(value=0.7324, reason="the report gives no interval"),
}
REPORT_NOTE = (
    "accuracy in the reference experiment's report; its split, not known to keep studies whole, "
    "and its number of examples differ, so it is a landmark, not a like-for-like comparison"
)

_BASELINE_METRICS = {
    "majority": ("accuracy", "balanced_accuracy"),
    "prior": ("accuracy", "log_loss", "weighted_log_loss", "balanced_accuracy", "brier"),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Baseline:
    """What a classifier has to beat: answers that look at no pixel, and the report's figures.

    Attributes:
        metrics: by name.
        note: what it is, where its name does not say it.
    """

    metrics: Mapping[str, figure.Figure]
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """Returns the figures by name, beside the note where there is one."""
        found = figure.as_json(self.metrics)
        return {**found, "note": self.note} if self.note else found

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Baseline":
        """Returns the baseline that `to_json` was called of."""
        found = {name: value for name, value in values.items() if name != "note"}
        return json_object.build(cls, {"metrics": found, "note": values.get("note", "")})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Summary:
    """The contents of metrics.json, under the same names; see the module's docstring.

    Attributes:
        collapsed: figures by whole severities; None where the task has no halves.
    """

    task: str
    split: str
    classes: tuple[str, ...]
    num_examples: int
    num_studies: int
    class_counts: Mapping[str, int]
    confidence: float
    num_resamples: int
    seed: int
    metrics: Mapping[str, figure.Figure]
    per_class: Mapping[str, Mapping[str, figure.Figure]]
    confusion_matrix: Sequence[Sequence[int]]
    class_prior_from: str
    baselines: Mapping[str, Baseline]
    collapsed: "Summary | None" = None

    def to_json(self) -> dict[str, Any]:
        """Returns what metrics.json holds."""
        found = {
            field.name: figure.as_json(getattr(self, field.name))
            for field in dataclasses.fields(self)
        }
        if self.collapsed is None:
            del found["collapsed"]
        return found

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Summary":
        """Returns the summary that `to_json` was called of; ValueError where there is none."""
        known = {field.name for field in dataclasses.fields(cls)}
        found = json_object.build(cls, {n: value for n, value in values.items() if n in known})
        # The order of the classes, which a file with sorted keys has not.
        return dataclasses.replace(
            found,
            class_counts={name: found.class_counts[name] for name in found.classes},
            per_class={name: found.per_class[name] for name in found.classes},
        )

    def to_frame(self) -> "pd.DataFrame":
        """Returns a row a metric, by name, and a row a metric of each class, as `name of class`.

        The columns are value, low and high, float64; NaN is what is undefined.
        """
        import pandas as pd

        found = dict(self.metrics)
        for class_name, figures in self.per_class.items():
            found |= {f"{name} of {class_name}": each for name, each in figures.items()}
        rows = {name: figure.columns(each) for name, each in found.items()}
        columns = ["value", "low", "high"]
        table = pd.DataFrame.from_dict(rows, "index", dtype=float, columns=columns)
        return table.rename_axis("metric")


def read(path: pathlib.Path) -> Summary:
    """Reads a metrics.json, of a run or of a report, whose further keys are passed over.

    Raises:
        ValueError: the file is missing or holds something else.
    """
    return json_object.read_as(
        Summary.from_json, path, expected="the figures of a run", mend="make it again"
    )


def summarize(
    predictions: predictions_module.Predictions,
    task: labels.Task,
    split: str,
    *,
    class_prior: Sequence[float] | None = None,
    seed: int = 0,
    num_resamples: int = 1000,
) -> Summary:
    """Returns what metrics.json says of predictions.

    Args:
        predictions: the predictions for one split.
        task: whose classes they are.
        split: the split's name, such as "fold_0", "oof" or "test".
        class_prior: class frequencies of the training data; None takes those of the split.
        seed: seed of the bootstrap's draws.
        num_resamples: how often the bootstrap draws, at least 1.
    """
    if predictions.num_classes != len(task.classes):
        raise ValueError(
            f"predictions have {predictions.num_classes} classes, "
            f"task {task.name} has {len(task.classes)}"
        )
    weights = bootstrap.resample_weights(
        predictions.study_ids, seed=seed, num_resamples=num_resamples
    )
    scores = bootstrap.with_intervals(predictions, task, weights)
    collapsed = None
    if task.has_halves:
        collapsed = summarize(
            predictions_module.collapse(predictions, task),
            task.collapsed,
            split,
            class_prior=_collapsed_prior(class_prior, task),
            seed=seed,
            num_resamples=num_resamples,
        )
    return Summary(
        task=task.name,
        split=split,
        classes=tuple(task.classes),
        num_examples=len(predictions),
        num_studies=len(np.unique(predictions.study_ids)),
        class_counts=_class_counts(predictions, task),
        confidence=bootstrap.CONFIDENCE,
        num_resamples=num_resamples,
        seed=seed,
        metrics=scores.metrics,
        per_class=scores.per_class,
        confusion_matrix=scores.confusion_matrix,
        class_prior_from="split" if class_prior is None else "training",
        baselines=_baselines(predictions, task, weights, class_prior),
        collapsed=collapsed,
    )


def _class_counts(predictions: predictions_module.Predictions, task: labels.Task) -> dict[str, int]:
    counts = np.bincount(predictions.labels, minlength=len(task.classes))
    return dict(zip(task.classes, counts.tolist(), strict=True))


def _collapsed_prior(
    class_prior: Sequence[float] | None, task: labels.Task
) -> Sequence[float] | None:
    if class_prior is None:
        return None
    return predictions_module.collapse_probabilities(np.asarray(class_prior), task).tolist()


def _baselines(
    predictions: predictions_module.Predictions,
    task: labels.Task,
    weights: np.ndarray,
    class_prior: Sequence[float] | None,
) -> dict[str, Baseline]:
    if class_prior is None:
        counts = np.bincount(predictions.labels, minlength=predictions.num_classes)
        class_prior = (counts / len(predictions)).tolist()
    answers = {
        "majority": majority(predictions, class_prior),
        "prior": _constant(predictions, np.asarray(class_prior, np.float64)),
    }
    found = {}
    for name, answer in answers.items():
        scores = bootstrap.with_intervals(answer, task, weights)
        chosen = {metric: scores.metrics[metric] for metric in _BASELINE_METRICS[name]}
        found[name] = Baseline(metrics=chosen)
    if _is_of_report(predictions, task):
        accuracy = REPORT_ACCURACY[task.name]
        found["report"] = Baseline(metrics={"accuracy": accuracy}, note=REPORT_NOTE)
    return found


def majority(
    predictions: predictions_module.Predictions, class_prior: Sequence[float]
) -> predictions_module.Predictions:
    """Returns the same examples, all answered with the most frequent class."""
    certain = np.eye(predictions.num_classes)[int(np.argmax(class_prior))]
    return _constant(predictions, certain)


def _constant(
    predictions: predictions_module.Predictions, answer: np.ndarray
) -> predictions_module.Predictions:
    return predictions_module.Predictions(
        keys=predictions.keys,
        labels=predictions.labels,
        probabilities=np.tile(answer, (len(predictions), 1)),
    )


def _is_of_report(predictions: predictions_module.Predictions, task: labels.Task) -> bool:
    """Whether the report looked at such examples."""
    is_subarticular = all("subarticular" in name for name in np.unique(predictions.conditions))
    is_at_its_level = set(predictions.levels) == {"l4_l5"}
    return is_subarticular and is_at_its_level and task.name in REPORT_ACCURACY


@dataclasses.dataclass(frozen=True, kw_only=True)
class Group:
    """The figures of a part of a split.

    Attributes:
        num_examples, num_studies, class_counts, metrics, per_class: as in `Summary`.
        competition: None where the task has not the three severities.
    """

    num_examples: int
    num_studies: int
    class_counts: Mapping[str, int]
    metrics: Mapping[str, figure.Figure]
    per_class: Mapping[str, Mapping[str, figure.Figure]]
    competition: competition_module.Score | None = None

    def to_json(self) -> dict[str, Any]:
        """Returns the figures by name, beside the rest."""
        found = {
            "num_examples": self.num_examples,
            "num_studies": self.num_studies,
            "class_counts": dict(self.class_counts),
            "per_class": figure.as_json(self.per_class),
            **figure.as_json(self.metrics),
        }
        if self.competition is not None:
            found["competition"] = self.competition.to_json()
        return found


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
) -> dict[str, dict[str, Group]]:
    """Returns grouping -> group -> its figures.

    Studies are drawn anew in each group, so an interval speaks of the group alone.
    """
    found: dict[str, dict[str, Group]] = {}
    for name, groups in groupings.items():
        found[name] = {}
        for group in np.unique(groups).tolist():
            part = predictions.select(groups == group)
            weights = bootstrap.resample_weights(
                part.study_ids, seed=seed, num_resamples=num_resamples
            )
            found[name][group] = _make_group(part, task, weights)
    return found


def _make_group(
    part: predictions_module.Predictions, task: labels.Task, weights: np.ndarray
) -> Group:
    scores = bootstrap.with_intervals(part, task, weights)
    competition = None
    if task.collapsed.name == "multiclass":
        collapsed = predictions_module.collapse(part, task)
        competition = competition_module.score(collapsed, task.collapsed, weights)
    return Group(
        num_examples=len(part),
        num_studies=len(np.unique(part.study_ids)),
        class_counts=_class_counts(part, task),
        metrics=scores.metrics,
        per_class=scores.per_class,
        competition=competition,
    )
