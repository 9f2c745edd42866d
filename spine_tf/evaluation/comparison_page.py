"""The page that sets several runs side by side."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from spine_tf.evaluation import analysis as analysis_module, report, report_charts
from spine_tf.pages import charts, picture
from spine_tf.scoring import comparison as comparison_module, figure as figure_module, summary
from tfrecords import atomic

_FIGURES = (
    "accuracy",
    "balanced_accuracy",
    "log_loss",
    "weighted_log_loss",
    "auc",
    "quadratic_kappa",
    "expected_calibration_error",
    "brier",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Analysis:
    """The contents of metrics.json of a comparison.

    Attributes:
        task, split: the task and the split that all runs have in common.
        runs: name -> its figures; the first is what the others are compared with.
        comparisons: how each later run differs from the first.
        test_time_copies: copies of each image whose answers were averaged; None where nobody says.
    """

    task: str
    split: str
    runs: Mapping[str, summary.Summary]
    comparisons: Sequence[comparison_module.Comparison]
    test_time_copies: int | None = None

    @property
    def first(self) -> summary.Summary:
        """What the others are compared with."""
        return next(iter(self.runs.values()))

    def to_json(self) -> dict[str, Any]:
        """Returns what metrics.json holds."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        if self.test_time_copies is None:
            del values["test_time_copies"]
        return figure_module.as_json(values)


def analyse(
    runs: Sequence[tuple[str, analysis_module.Evaluated]],
    *,
    seed: int = 0,
    num_resamples: int = 1000,
) -> Analysis:
    """Returns what a comparison shows.

    Args:
        runs: name and predictions; the first is what the others are compared with. Where only
            some tell halves apart, all are compared on the whole severities.
        seed: seed of the bootstrap's draws.
        num_resamples: how often the bootstrap draws, at least 1.

    Raises:
        ValueError: the runs have other tasks or other examples.
    """
    if len({evaluated.task.name for _, evaluated in runs}) > 1:
        runs = [(name, analysis_module.collapse(evaluated)) for name, evaluated in runs]
    (base_name, base), *_ = runs
    for name, evaluated in runs:
        if evaluated.task != base.task:
            raise ValueError(
                f"{base_name} is of task {base.task.name}, {name} of {evaluated.task.name}: "
                "compare runs of one task"
            )
    return Analysis(
        task=base.task.name,
        split=base.split,
        runs={
            name: summary.summarize(
                evaluated.predictions,
                evaluated.task,
                evaluated.split,
                class_prior=evaluated.class_prior,
                seed=seed,
                num_resamples=num_resamples,
            )
            for name, evaluated in runs
        },
        comparisons=comparison_module.compare(
            [(name, evaluated.predictions) for name, evaluated in runs],
            base.task,
            seed=seed,
            num_resamples=num_resamples,
        ),
    )


def write(
    report_dir: pathlib.Path, analysis: Analysis, origin: str = "", graded: str = ""
) -> pathlib.Path:
    """Writes report.html, metrics.json, figures/*.svg and *.png; returns the page's path.

    Args:
        report_dir: where.
        analysis: what it is made from.
        origin: what `page_origin` says of the page's making; "" leaves it out.
        graded: what was graded where, in words; likewise.
    """
    pictures = draw(analysis)
    picture.write(report_dir / "figures", pictures)
    atomic.write_json(report_dir / "metrics.json", analysis.to_json())
    page = report_dir / "report.html"
    atomic.write_text(page, render(analysis, pictures, origin, graded))
    return page


def render(
    analysis: Analysis, pictures: Mapping[str, picture.Picture], origin: str = "", graded: str = ""
) -> str:
    """Returns the page."""
    return report.load_template("comparison.html.jinja").render(
        origin=origin,
        graded=graded,
        analysis=analysis,
        figure_names=_FIGURES,
        split_in_words=report.split_in_words(analysis.split),
        split_in_title=report.split_in_title(analysis.split),
        sentences=[_sentence(comparison) for comparison in analysis.comparisons],
        pictures=pictures,
    )


def draw(analysis: Analysis) -> dict[str, picture.Picture]:
    """Returns the charts by name."""
    baselines = {
        name: baseline.metrics["accuracy"]
        for name, baseline in analysis.first.baselines.items()
        if name in ("majority", "report")
    }
    named = {name: found.metrics["accuracy"] for name, found in analysis.runs.items()}
    rows = [
        report_charts.row(name, figure, series)
        for series, group in ((0, named), (3, baselines))
        for name, figure in group.items()
    ]
    pictures = {
        "accuracy": charts.dot_and_whisker(
            rows, title="Accuracy of the runs", label="accuracy, 95 % interval"
        )
    }
    for name in ("accuracy", "log_loss"):
        pictures[f"difference_{name}"] = _differences(analysis.comparisons, name)
    return pictures


def _differences(comparisons: Sequence[comparison_module.Comparison], name: str) -> picture.Picture:
    is_share = name == "accuracy"
    rows = []
    for one in comparisons:
        found = one.differences[name]
        alone = found.alone.change_in_points() if is_share else found.alone.change_in_words()
        rows.append(report_charts.row(one.run, found, note=alone))
    return report_charts.differences(
        rows,
        words=name.replace("_", " "),
        against=f"that of {comparisons[0].against}",
        is_percent=is_share,
    )


def _sentence(comparison: comparison_module.Comparison) -> str:
    difference = comparison.differences["accuracy"]
    names = f"{comparison.run} against {comparison.against}"
    if not difference.has_interval:
        return f"{names}: one study gives no interval."
    said = f"{names}: accuracy {difference.change_in_points()}"
    if difference.is_above(0.0):
        return f"{said}; it is better on these studies' kind."
    if difference.is_below(0.0):
        return f"{said}; it is worse on these studies' kind."
    return f"{said}; these data do not tell them apart."
