"""The report: one HTML file that needs nothing else, and the same figures as files beside it."""

import dataclasses
import json
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jinja2
import numpy as np

from spine_tf import labels
from spine_tf.evaluation import analysis as analysis_module, controls, gallery, report_charts
from spine_tf.pages import picture, template
from spine_tf.scoring import competition, operating, predictions, summary as summary_module
from tfrecords import atomic, stored_images, words

GALLERY_SIZE = 8

FILES = "report.html", "metrics.json", "predictions.csv", "predictions_competition.csv"
"""What a report directory holds beside figures/."""

_GALLERY_TITLES = {
    "right": "Most confident and right",
    "wrong": "Most confident and wrong",
    "uncertain": "Most uncertain",
}


# Half the width of a 95 % interval above which a report says that it has too few studies.
_WIDE = 0.05


@dataclasses.dataclass(frozen=True, kw_only=True)
class PicturedPair:
    """Two crops of different splits that look alike.

    Attributes:
        pair: which they are.
        first_crop, second_crop: addresses of their pictures.
    """

    pair: controls.Pair
    first_crop: str
    second_crop: str


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Content:
    """What a report is made from.

    Attributes:
        name: the run's name, for the heading.
        evaluated: its predictions.
        analysis: what `analysis.analyse` gave, and more by the caller's wish.
        images: float32 (n, height, width, slices), in [0, 1], in the predictions' order.
        predict: row -> the call that gives such images' probabilities (out of fold, each row has
            its own model); None leaves the evidence maps out.
        histories: training histories by fold.
        details: section -> name -> value, for the last part of the page.
        control_pairs: the pairs of crops to show beside the controls.
        origin: what `page_origin` says of the page's making; "" leaves it out.
        graded: what was graded where, in words.
    """

    name: str
    evaluated: analysis_module.Evaluated
    analysis: analysis_module.Analysis
    images: stored_images.Images
    predict: Callable[[int], Callable[[np.ndarray], np.ndarray]] | None
    histories: Mapping[str, report_charts.History]
    details: Mapping[str, Mapping[str, Any]]
    control_pairs: Sequence[PicturedPair] = ()
    origin: str = ""
    graded: str = ""


def write(report_dir: pathlib.Path, content: Content) -> pathlib.Path:
    """Writes report.html, metrics.json, predictions.csv and figures/, each file by rename.

    For three severities also predictions_competition.csv, reweighted to the competition's metric.

    Returns:
        The path of report.html, which is written last.
    """
    evaluated = content.evaluated
    pictures = report_charts.draw(content.analysis, evaluated, content.histories)
    picture.write(report_dir / "figures", pictures)
    predictions.write_csv(report_dir / "predictions.csv", evaluated.predictions, evaluated.task)
    whole = evaluated.task.collapsed
    if whole.name == "multiclass":
        collapsed = predictions.collapse(evaluated.predictions, evaluated.task)
        predictions.write_csv(
            report_dir / "predictions_competition.csv",
            competition.reweight(collapsed, whole),
            whole,
        )
    atomic.write_json(report_dir / "metrics.json", content.analysis.to_json())
    page = report_dir / "report.html"
    atomic.write_text(page, render(content, pictures))
    return page


def render(content: Content, pictures: Mapping[str, picture.Picture]) -> str:
    """Returns the page.

    Args:
        content: what it is made from.
        pictures: the charts by name.
    """
    analysis, evaluated = content.analysis, content.evaluated
    return load_template("report.html.jinja").render(
        name=content.name,
        origin=content.origin,
        graded=content.graded,
        analysis=analysis,
        summary=analysis.summary,
        split_in_words=split_in_words(analysis.summary.split),
        split_in_title=split_in_title(analysis.summary.split),
        baseline_names=report_charts.BASELINES,
        sentences=sentences(analysis),
        pictures=pictures,
        galleries=gallery.make_cards(
            evaluated.predictions, evaluated.task, content.images, content.predict, GALLERY_SIZE
        ),
        gallery_titles=_GALLERY_TITLES,
        details=content.details,
        control_pairs=content.control_pairs,
        thresholds_json=json.dumps([_threshold_in_words(one) for one in analysis.thresholds]),
    )


def load_template(name: str) -> jinja2.Template:
    """Returns a template of this room, with a filter for groups."""
    return template.load("spine_tf.evaluation", name, group=labels.in_words)


def _threshold_in_words(found: operating.Threshold) -> dict[str, str]:
    return {
        "threshold": f"{found.threshold:.2f}",
        "sensitivity": found.sensitivity.in_percent(),
        "specificity": found.specificity.in_percent(),
    }


def split_in_words(split: str) -> str:
    """Says what a split is and what has seen it."""
    if split == "test":
        return "the test split, which training, search and calibration never read"
    if split == "oof":
        return "all folds, each predicted by the model that did not train on it (out of fold)"
    if split == "external":
        return "another records directory than the one trained on (external validation)"
    return f"{split.replace('_', ' ')}, which training, early stopping and calibration never read"


def split_in_title(split: str) -> str:
    """Returns what follows a title: of which split."""
    return {
        "test": "on the test split",
        "oof": "out of fold",
        "external": "on other records",
    }.get(split, f"on {split.replace('_', ' ')}")


def sentences(analysis: analysis_module.Analysis) -> list[str]:
    """Returns what the figures say, most important first: how good, against what, what doubt."""
    summary = analysis.summary
    found = [_accuracy(summary), _against_majority(analysis), _against_labels(analysis)]
    found.append(_width(summary))
    found += [_worst_class(summary), _calibration(summary), _report(summary)]
    return [sentence for sentence in found if sentence]


def _accuracy(summary: summary_module.Summary) -> str:
    accuracy = summary.metrics["accuracy"]
    said = (
        f"{accuracy.in_percent()} of {words.counted(summary.num_examples, 'crop')} from "
        f"{words.counted(summary.num_studies, 'study')} get the grade that the readers gave"
    )
    return f"{said}; 95 % intervals stand in parentheses." if accuracy.has_interval else f"{said}."


def _against_majority(analysis: analysis_module.Analysis) -> str:
    lead = analysis.lead_over_majority["accuracy"]
    majority = analysis.summary.baselines["majority"].metrics["accuracy"].alone
    always = f"Always giving the most frequent training grade is right in {majority.in_percent()}"
    if not lead.has_interval:
        return f"{always}; with one study nothing can be said about the difference."
    said = f"{always}; the model's difference to that is {lead.change_in_points()}"
    if lead.is_above(0.0):
        return f"{said}: it is better."
    if lead.is_below(0.0):
        return f"{said}: it is worse."
    return f"{said}: these data do not show that it is better."


def _against_labels(analysis: analysis_module.Analysis) -> str:
    lead = (analysis.lead_over_labels or {}).get("accuracy")
    if lead is None:
        return ""
    accuracy = analysis.summary.baselines["labels"].metrics["accuracy"].alone
    said = f"The study's other grades alone, without a pixel, are right in {accuracy.in_percent()}"
    if not lead.has_interval:
        return f"{said}."
    said = f"{said}; the model's difference to that is {lead.change_in_points()}"
    if lead.is_above(0.0):
        return f"{said}: it sees more than that."
    return f"{said}: these data do not show that it sees more than that."


def _width(summary: summary_module.Summary) -> str:
    accuracy = summary.metrics["accuracy"]
    if accuracy.low is None or accuracy.high is None:
        return "One study gives no interval: read every figure as an anecdote."
    half = (accuracy.high - accuracy.low) / 2
    if half <= _WIDE:
        return ""
    return (
        f"The interval is wide, about \u00b1{100 * half:.0f} points, because "
        f"{summary.num_studies} studies are few; smaller differences between models are noise."
    )


def _worst_class(summary: summary_module.Summary) -> str:
    recalls = [
        (figures["recall"].value, name)
        for name, figures in summary.per_class.items()
        if figures["recall"].value is not None
    ]
    _, worst = min(recalls, key=lambda recall: recall[0])
    recall = summary.per_class[worst]["recall"]
    count = summary.class_counts[worst]
    return f"It is weakest on {worst}: {recall.in_percent()} of {count} are found."


def _calibration(summary: summary_module.Summary) -> str:
    error = summary.metrics["expected_calibration_error"].alone
    return f"Its confidence is off by {error.in_points()} on average (expected calibration error)."


def _report(summary: summary_module.Summary) -> str:
    if "report" not in summary.baselines:
        return ""
    accuracy = summary.baselines["report"].metrics["accuracy"]
    return (
        f"The reference experiment's report gives {accuracy.in_percent(2)} for this task, on its "
        "own split and its own number of examples: a landmark only."
    )
