"""The page that sets several runs side by side."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from spine_tf.evaluation import analysis as analysis_module, report, verdict
from spine_tf.pages import charts, picture
from spine_tf.scoring import comparison as comparison_module, summary
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


def analyse(
    runs: Sequence[tuple[str, analysis_module.Evaluated]],
    *,
    seed: int = 0,
    num_resamples: int = 1000,
) -> dict[str, Any]:
    """Returns metrics.json of a comparison: `task`, `split`, `runs`, `comparisons`.

    Args:
        runs: name and predictions; the first is what the others are compared with. Where only
            some tell halves apart, all are compared on the whole severities.
        seed: of the bootstrap.
        num_resamples: of the bootstrap.

    Returns:
        `runs`: name -> as in `summary`; `comparisons`: as `compare.compare`, the later runs against
        the first.

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
    return {
        "task": base.task.name,
        "split": base.split,
        "runs": {
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
        "comparisons": comparison_module.compare(
            [(name, evaluated.predictions) for name, evaluated in runs],
            base.task,
            seed=seed,
            num_resamples=num_resamples,
        ),
    }


def write(report_dir: pathlib.Path, analysis: Mapping[str, Any]) -> pathlib.Path:
    """Writes report.html, metrics.json, figures/*.svg and *.png; returns the page's path."""
    pictures = draw(analysis)
    picture.write(report_dir / "figures", pictures)
    atomic.write_json(report_dir / "metrics.json", dict(analysis))
    page = report_dir / "report.html"
    atomic.write_text(page, render(analysis, pictures))
    return page


def render(analysis: Mapping[str, Any], pictures: Mapping[str, picture.Picture]) -> str:
    """Returns the page."""
    return report.load_template("comparison.html.jinja").render(
        analysis=analysis,
        figure_names=_FIGURES,
        first=next(iter(analysis["runs"].values())),
        split_in_words=verdict.split_in_words(analysis["split"]),
        sentences=[_sentence(comparison) for comparison in analysis["comparisons"]],
        pictures=pictures,
    )


def draw(analysis: Mapping[str, Any]) -> dict[str, picture.Picture]:
    """Returns the charts by name."""
    first = next(iter(analysis["runs"].values()))
    baselines = {
        name: figures["accuracy"]
        for name, figures in first["baselines"].items()
        if name in ("majority", "report")
    }
    named = {name: found["metrics"]["accuracy"] for name, found in analysis["runs"].items()}
    rows = [
        charts.Row(name=name, series=series, **_ends(figure))
        for series, group in ((0, named), (3, baselines))
        for name, figure in group.items()
    ]
    pictures = {
        "accuracy": charts.dot_and_whisker(
            rows, title="Accuracy of the runs", label="accuracy, 95 % interval"
        )
    }
    for name in ("accuracy", "log_loss"):
        pictures[f"difference_{name}"] = _differences(analysis["comparisons"], name)
    return pictures


def _differences(comparisons: Sequence[Mapping[str, Any]], name: str) -> picture.Picture:
    figures = [comparison["differences"][name] for comparison in comparisons]
    ends = [abs(end) for figure in figures for end in figure.values() if end is not None]
    reach = float(np.ceil(max([0.05, *ends]) * 20) / 20)
    words = name.replace("_", " ")
    return charts.dot_and_whisker(
        [
            charts.Row(name=comparison["run"], **_ends(figure))
            for comparison, figure in zip(comparisons, figures, strict=True)
        ],
        title=f"Difference of {words}",
        label=f"{words} minus that of {comparisons[0]['against']}, paired 95 % interval",
        x_range=(-reach, reach),
        guide=0.0,
        is_percent=name == "accuracy",
    )


def _ends(figure: Mapping[str, Any]) -> dict[str, Any]:
    return {name: figure[name] for name in ("value", "low", "high")}


def _sentence(comparison: Mapping[str, Any]) -> str:
    figure = comparison["differences"]["accuracy"]
    names = f"{comparison['run']} against {comparison['against']}"
    if figure["low"] is None:
        return f"{names}: one study gives no interval."
    points = (
        f"{100 * figure['value']:+.1f} points of accuracy "
        f"({100 * figure['low']:+.1f} to {100 * figure['high']:+.1f})"
    )
    if figure["low"] > 0.0:
        return f"{names}: {points}; it is better on these studies' kind."
    if figure["high"] < 0.0:
        return f"{names}: {points}; it is worse on these studies' kind."
    return f"{names}: {points}; these data do not tell them apart."
