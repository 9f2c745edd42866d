"""The report: one HTML file that needs nothing else, and the same figures as files beside it."""

import dataclasses
import json
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jinja2
import numpy as np

from spine_tf.evaluation import (
    analysis as analysis_module,
    gallery,
    occlusion,
    report_charts,
    verdict,
)
from spine_tf.pages import picture, template
from spine_tf.scoring import competition, predictions as predictions_module
from tfrecords import atomic

GALLERY_SIZE = 8

_GALLERY_TITLES = {
    "right": "Most confident and right",
    "wrong": "Most confident and wrong",
    "uncertain": "Most uncertain",
}


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Content:
    """What a report is made from.

    Attributes:
        name: of the run.
        evaluated: its predictions.
        analysis: what `analysis.analyse` gave, and more by the caller's wish.
        images: float32 (n, height, width, slices), in [0, 1], in the predictions' order.
        predict: row -> the call that gives such images' probabilities (out of fold, each row has
            its own model); None leaves the evidence maps out.
        histories: training histories by fold.
        details: section -> name -> value, for the last part of the page.
        control_pairs: the pairs of crops to show beside `controls`, with their pictures'
            addresses.
    """

    name: str
    evaluated: analysis_module.Evaluated
    analysis: Mapping[str, Any]
    images: np.ndarray
    predict: Callable[[int], Callable[[np.ndarray], np.ndarray]] | None
    histories: Mapping[str, report_charts.History]
    details: Mapping[str, Mapping[str, Any]]
    control_pairs: Sequence[Mapping[str, Any]] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Card:
    """One crop in a gallery.

    Attributes:
        key: of the example.
        truth: its class.
        answer: the most probable class.
        probabilities: (class, probability) in the task's order.
        crop: the picture's address.
        evidence: the evidence map's address, or empty.
    """

    key: str
    truth: str
    answer: str
    probabilities: Sequence[tuple[str, float]]
    crop: str
    evidence: str


def write(report_dir: pathlib.Path, content: Content) -> pathlib.Path:
    """Writes report.html, metrics.json, predictions.csv and figures/, each file by rename.

    For three severities also predictions_competition.csv, reweighted to the competition's metric.

    Returns:
        The path of report.html, which is written last.
    """
    evaluated = content.evaluated
    pictures = report_charts.draw(content.analysis, evaluated, content.histories)
    picture.write(report_dir / "figures", pictures)
    predictions_module.write_csv(
        report_dir / "predictions.csv", evaluated.predictions, evaluated.task
    )
    whole = evaluated.task.collapsed
    if whole.name == "multiclass":
        collapsed = predictions_module.collapse(evaluated.predictions, evaluated.task)
        predictions_module.write_csv(
            report_dir / "predictions_competition.csv",
            competition.reweight(collapsed, whole),
            whole,
        )
    atomic.write_json(report_dir / "metrics.json", dict(content.analysis))
    page = report_dir / "report.html"
    atomic.write_text(page, render(content, pictures))
    return page


def render(content: Content, pictures: Mapping[str, picture.Picture]) -> str:
    """Returns the page.

    Args:
        content: what it is made from.
        pictures: the charts by name.
    """
    analysis = content.analysis
    return load_template("report.html.jinja").render(
        name=content.name,
        analysis=analysis,
        split_in_words=verdict.split_in_words(analysis["split"]),
        sentences=verdict.sentences(analysis),
        pictures=pictures,
        galleries=make_galleries(content),
        gallery_titles=_GALLERY_TITLES,
        details=content.details,
        control_pairs=content.control_pairs,
        thresholds_json=json.dumps(analysis["thresholds"]),
    )


def load_template(name: str) -> jinja2.Template:
    """Returns a template of this room, with filters for figures and groups."""
    return template.load(
        "spine_tf.evaluation",
        name,
        figure=figure_in_words,
        group=report_charts.group_in_words,
    )


def figure_in_words(figure: Mapping[str, Any]) -> str:
    """Returns 0.706 [0.62, 0.79] of {value, low, high}, or a dash."""
    if figure["value"] is None:
        return "\u2013"
    if figure["low"] is None:
        return f"{figure['value']:.3f}"
    return f"{figure['value']:.3f} [{figure['low']:.3f}, {figure['high']:.3f}]"


def make_galleries(content: Content) -> dict[str, list[Card]]:
    """Returns the cards of each gallery."""
    chosen = gallery.choose(content.evaluated.predictions, GALLERY_SIZE)
    return {kind: [_card(content, row) for row in rows] for kind, rows in chosen.items()}


def _card(content: Content, row: int) -> Card:
    predictions, classes = content.evaluated.predictions, content.evaluated.task.classes
    image = content.images[row]
    evidence = ""
    if content.predict is not None:
        answer = predictions.predicted[row : row + 1]
        maps = occlusion.evidence_maps(content.predict(row), image[None], answer)
        evidence = gallery.data_uri(gallery.heat_png(maps[0]))
    values = predictions.probabilities[row].tolist()
    return Card(
        key=predictions.keys[row],
        truth=classes[predictions.labels[row]],
        answer=classes[predictions.predicted[row]],
        probabilities=list(zip(classes, values, strict=True)),
        crop=gallery.data_uri(gallery.crop_png(image)),
        evidence=evidence,
    )
