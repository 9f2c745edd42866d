"""The report's charts, drawn from its analysis."""

from collections.abc import Mapping, Sequence

import numpy as np

from spine_tf import labels
from spine_tf.evaluation import analysis as analysis_module
from spine_tf.pages import charts, picture
from spine_tf.scoring import figure as figure_module, operating, summary as summary_module

History = Sequence[Mapping[str, float]]

# What a reader sees of the baselines, in this order.
BASELINES: Mapping[str, str] = {
    "labels": "labels only",
    "majority": "majority",
    "report": "the report",
}

# Of the axis of differences, to each side; smaller ones would look large.
_LEAST_REACH = 0.05


def draw(
    analysis: analysis_module.Analysis,
    evaluated: analysis_module.Evaluated,
    histories: Mapping[str, History],
) -> dict[str, picture.Picture]:
    """Returns the charts by name."""
    summary = analysis.summary
    pictures = {
        "accuracy": _accuracy(summary),
        "confusion_matrix": charts.matrix(
            summary.confusion_matrix, summary.classes, title="Confusion matrix"
        ),
        "per_class": _per_class(summary),
        "roc": _roc(summary, evaluated),
        "reliability": _reliability(analysis.reliability),
        "abstention": _abstention(analysis.abstention),
    }
    for name, groups in analysis.groups.items():
        pictures[f"by_{name}"] = _groups(name, groups, summary.metrics["accuracy"])
    if histories:
        pictures["curves_log_loss"] = _curves(histories, "val_log_loss", "log loss, inner fold")
        pictures["curves_accuracy"] = _curves(histories, "val_accuracy", "accuracy, inner fold")
    return pictures


def _accuracy(summary: summary_module.Summary) -> picture.Picture:
    rows = [
        row("this run", summary.metrics["accuracy"]),
        *(
            row(written, summary.baselines[name].metrics["accuracy"], series=3)
            for name, written in BASELINES.items()
            if name in summary.baselines
        ),
    ]
    return charts.dot_and_whisker(
        rows,
        title="Accuracy, against what",
        label="accuracy, 95 % interval",
        guide=summary.baselines["majority"].metrics["accuracy"].value,
    )


def _per_class(summary: summary_module.Summary) -> picture.Picture:
    rows = [
        row(f"{class_name}: {written}", figures[name], series=k)
        for k, (class_name, figures) in enumerate(summary.per_class.items())
        for name, written in (("recall", "recall"), ("precision", "precision"), ("f1", "F1"))
    ]
    return charts.dot_and_whisker(rows, title="Per class", label="95 % interval")


def _roc(summary: summary_module.Summary, evaluated: analysis_module.Evaluated) -> picture.Picture:
    series = []
    for k, class_name in enumerate(summary.classes):
        is_positive = evaluated.predictions.labels == k
        figure = summary.per_class[class_name]["auc"]
        if figure.value is None:
            continue
        points = operating.roc_points(evaluated.predictions.probabilities[:, k], is_positive)
        name = f"{class_name}, AUC {figure.alone.in_words()}"
        series.append(charts.Curve(name=name, points=points, series=k))
    return charts.curves(
        series,
        title="ROC, one against rest",
        x_label="false positive rate",
        y_label="true positive rate",
        has_diagonal=True,
        legend_at="below",
    )


def _reliability(found: analysis_module.Reliability) -> picture.Picture:
    series = []
    if found.uncalibrated is not None:
        series.append(_reliability_curve("before", found.uncalibrated, 1))
    series.append(_reliability_curve("calibrated", found.calibrated, 0))
    return charts.curves(
        series,
        title="Reliability",
        x_label="confidence",
        y_label="share that is right",
        has_diagonal=True,
        legend_at="below",
    )


def _reliability_curve(name: str, bins: Sequence[operating.Bin], series: int) -> charts.Curve:
    accuracies = [(one.confidence, one.accuracy) for one in bins]
    return charts.Curve(
        name=name,
        points=_points(accuracies),
        band=_band(accuracies) if series == 0 else (),
        series=series,
        has_marks=True,
        tooltips=[
            f"{name}: confidence {one.confidence:.2f}, right {one.accuracy.alone.in_words(2)}, "
            f"{one.num_examples} examples"
            for one in bins
        ],
    )


def _points(figures: Sequence[tuple[float, figure_module.Figure]]) -> list[tuple[float, float]]:
    return [(x, figure.value) for x, figure in figures if figure.value is not None]


def _band(
    figures: Sequence[tuple[float, figure_module.Figure]],
) -> list[tuple[float, float, float]]:
    return [
        (x, figure.low, figure.high)
        for x, figure in figures
        if figure.low is not None and figure.high is not None
    ]


def _abstention(found: Sequence[operating.Abstention]) -> picture.Picture:
    accuracies = [(one.coverage, one.accuracy) for one in found]
    curve = charts.Curve(
        name="",
        points=_points(accuracies),
        band=_band(accuracies),
        has_marks=True,
        tooltips=[
            f"the most confident {one.coverage:.0%}: {one.accuracy.alone.in_percent()} right"
            for one in found
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


def _groups(
    name: str, found: Mapping[str, summary_module.Group], of_all: figure_module.Figure
) -> picture.Picture:
    order = [*labels.CONDITIONS, *labels.LEVELS]
    groups = sorted(found, key=lambda group: (order.index(group) if group in order else 99, group))
    rows = [
        row(
            f"{labels.in_words(group)} ({found[group].num_examples})",
            found[group].metrics["accuracy"],
        )
        for group in groups
    ]
    return charts.dot_and_whisker(
        rows,
        title=f"Accuracy by {name}",
        label="accuracy, 95 % interval",
        guide=of_all.value,
    )


def _curves(histories: Mapping[str, History], column: str, label: str) -> picture.Picture:
    series = [
        charts.Curve(
            name=name.replace("_", " "),
            points=[(index + 1.0, row[column]) for index, row in enumerate(rows)],
            series=number,
            has_marks=len(rows) <= charts.MOST_MARKS,
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


def differences(
    rows: Sequence[charts.Row], *, words: str, against: str, is_percent: bool = False
) -> picture.Picture:
    """Draws differences around 0, each with its paired interval.

    Args:
        rows: from top to bottom.
        words: name of the figure.
        against: whose figure was taken off.
        is_percent: numbers are written as percent.
    """
    ends = [abs(x) for one in rows for x in (one.value, one.low, one.high) if x is not None]
    reach = float(np.ceil(max([_LEAST_REACH, *ends]) * 20) / 20)
    return charts.dot_and_whisker(
        rows,
        title=f"Difference of {words}",
        label=f"{words} minus {against}, paired 95 % interval",
        x_range=(-reach, reach),
        guide=0.0,
        is_percent=is_percent,
    )


def row(name: str, figure: figure_module.Figure, series: int = 0, note: str = "") -> charts.Row:
    """Returns the line of a figure in a dot-and-whisker chart.

    Args:
        name: at its left.
        figure: that is drawn.
        series: colour and mark.
        note: text at its right; empty writes the value, or that there is none.
    """
    return charts.Row(
        name=name,
        value=figure.value,
        low=figure.low,
        high=figure.high,
        series=series,
        note=note or (figure_module.UNDEFINED if figure.value is None else ""),
    )
