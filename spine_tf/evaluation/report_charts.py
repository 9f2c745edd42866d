"""The report's charts, drawn from its analysis."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from spine_tf import labels
from spine_tf.evaluation import analysis as analysis_module
from spine_tf.pages import charts, picture
from spine_tf.scoring import operating

History = Sequence[Mapping[str, float]]


def draw(
    analysis: Mapping[str, Any],
    evaluated: analysis_module.Evaluated,
    histories: Mapping[str, History],
) -> dict[str, picture.Picture]:
    """Returns the charts by name."""
    pictures = {
        "accuracy": _accuracy(analysis),
        "confusion_matrix": charts.matrix(
            analysis["confusion_matrix"], analysis["classes"], title="Confusion matrix"
        ),
        "per_class": _per_class(analysis),
        "roc": _roc(analysis, evaluated),
        "reliability": _reliability(analysis),
        "abstention": _abstention(analysis),
    }
    for name, found in analysis["groups"].items():
        pictures[f"by_{name}"] = _group(name, found, analysis)
    if histories:
        pictures["curves_log_loss"] = _curves(histories, "val_log_loss", "log loss, inner fold")
        pictures["curves_accuracy"] = _curves(histories, "val_accuracy", "accuracy, inner fold")
    return pictures


def _accuracy(analysis: Mapping[str, Any]) -> picture.Picture:
    named = {"this run": analysis["metrics"]["accuracy"]}
    baselines = analysis["baselines"]
    if "labels" in baselines:
        named["labels only"] = baselines["labels"]["accuracy"]
    named["majority"] = baselines["majority"]["accuracy"]
    if "report" in baselines:
        named["the report"] = baselines["report"]["accuracy"]
    rows = [
        _row(name, figure, series=0 if index == 0 else 3)
        for index, (name, figure) in enumerate(named.items())
    ]
    return charts.dot_and_whisker(
        rows,
        title="Accuracy, against what",
        label="accuracy, 95 % interval",
        guide=baselines["majority"]["accuracy"]["value"],
    )


def _per_class(analysis: Mapping[str, Any]) -> picture.Picture:
    rows = [
        _row(f"{class_name}: {written}", figures[name], series=k)
        for k, (class_name, figures) in enumerate(analysis["per_class"].items())
        for name, written in (("recall", "recall"), ("precision", "precision"), ("f1", "F1"))
    ]
    return charts.dot_and_whisker(rows, title="Per class", label="95 % interval")


def _roc(analysis: Mapping[str, Any], evaluated: analysis_module.Evaluated) -> picture.Picture:
    series = []
    for k, class_name in enumerate(analysis["classes"]):
        is_positive = evaluated.predictions.labels == k
        figure = analysis["per_class"][class_name]["auc"]
        if figure["value"] is None:
            continue
        points = operating.roc_points(evaluated.predictions.probabilities[:, k], is_positive)
        name = f"{class_name}, AUC {figure['value']:.3f}"
        series.append(charts.Curve(name=name, points=points, series=k))
    return charts.curves(
        series,
        title="ROC, one against rest",
        x_label="false positive rate",
        y_label="true positive rate",
        has_diagonal=True,
    )


def _reliability(analysis: Mapping[str, Any]) -> picture.Picture:
    found = analysis["reliability"]
    series = []
    if "uncalibrated" in found:
        series.append(_reliability_curve("before", found["uncalibrated"], 1))
    series.append(_reliability_curve("calibrated", found["calibrated"], 0))
    return charts.curves(
        series,
        title="Reliability",
        x_label="confidence",
        y_label="share that is right",
        has_diagonal=True,
        legend_at="top left",
    )


def _reliability_curve(name: str, bins: Sequence[Mapping[str, Any]], series: int) -> charts.Curve:
    return charts.Curve(
        name=name,
        points=[(item["confidence"], item["accuracy"]["value"]) for item in bins],
        band=[
            (item["confidence"], item["accuracy"]["low"], item["accuracy"]["high"])
            for item in bins
            if item["accuracy"]["low"] is not None and series == 0
        ],
        series=series,
        has_marks=True,
        tooltips=[
            f"{name}: confidence {item['confidence']:.2f}, right {item['accuracy']['value']:.2f}, "
            f"{item['num_examples']} examples"
            for item in bins
        ],
    )


def _abstention(analysis: Mapping[str, Any]) -> picture.Picture:
    found = analysis["abstention"]
    curve = charts.Curve(
        name="",
        points=[(item["coverage"], item["accuracy"]["value"]) for item in found],
        band=[
            (item["coverage"], item["accuracy"]["low"], item["accuracy"]["high"])
            for item in found
            if item["accuracy"]["low"] is not None
        ],
        has_marks=True,
        tooltips=[
            f"the most confident {item['coverage']:.0%}: {item['accuracy']['value']:.1%} right"
            for item in found
        ],
    )
    lowest = min(low for _, low, _ in curve.band) if curve.band else min(y for _, y in curve.points)
    return charts.curves(
        [curve],
        title="Accuracy if the least certain are left to a reader",
        x_label="share that the model answers",
        y_label="accuracy on that share",
        y_range=(max(0.0, np.floor(lowest * 10) / 10), 1.0),
        x_is_percent=True,
        y_is_percent=True,
    )


def _group(name: str, found: Mapping[str, Any], analysis: Mapping[str, Any]) -> picture.Picture:
    order = [*labels.CONDITIONS, *labels.LEVELS]
    groups = sorted(found, key=lambda group: (order.index(group) if group in order else 99, group))
    rows = [
        _row(f"{group_in_words(group)} ({found[group]['num_examples']})", found[group]["accuracy"])
        for group in groups
    ]
    return charts.dot_and_whisker(
        rows,
        title=f"Accuracy by {name}",
        label="accuracy, 95 % interval (crops)",
        guide=analysis["metrics"]["accuracy"]["value"],
    )


def group_in_words(group: str) -> str:
    """Returns left_subarticular_stenosis as left subarticular, l4_l5 as L4/L5."""
    if group in labels.LEVELS:
        return group.upper().replace("_", "/")
    for ending in ("_stenosis", "_narrowing"):
        group = group.removesuffix(ending)
    return group.replace("_", " ")


def _curves(histories: Mapping[str, History], column: str, label: str) -> picture.Picture:
    series = [
        charts.Curve(
            name=name,
            points=[(index + 1.0, row[column]) for index, row in enumerate(rows)],
            series=number,
            has_marks=len(rows) == 1,
        )
        for number, (name, rows) in enumerate(histories.items())
    ]
    values = [y for curve in series for _, y in curve.points]
    is_share = column != "val_log_loss"
    longest = max(len(curve.points) for curve in series)
    top = 1.0 if is_share else min(max(values), 4.0 * float(np.median(values))) * 1.05
    return charts.curves(
        series,
        title=f"Training: {label}",
        x_label="epoch",
        y_label=label,
        x_range=(1.0, max(2.0, float(longest))),
        x_scale="whole",
        y_range=(0.0, top),
        y_is_percent=is_share,
        legend_at="below",
    )


def _row(name: str, figure: Mapping[str, Any], series: int = 0) -> charts.Row:
    note = "none" if figure["value"] is None else ""
    return charts.Row(
        name=name,
        value=figure["value"],
        low=figure["low"],
        high=figure["high"],
        series=series,
        note=note,
    )
