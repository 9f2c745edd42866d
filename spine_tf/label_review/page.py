"""label_review.html: the most suspicious crops beside what they could be confused with."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from spine_tf import labels
from spine_tf.evaluation import gallery
from spine_tf.label_review import neighbours as neighbours_module
from spine_tf.pages import template
from spine_tf.training import reviewed_labels

FILE_NAME = "label_review.html"

# 60 cards of one crop and four small ones stay below 5 MB even if every crop is noise.
MAX_CARDS = 60
NEIGHBOURS = 2
MAX_STUDIES = 20
_CROP_PX, _NEIGHBOUR_PX = 144, 90


@dataclasses.dataclass(frozen=True, kw_only=True)
class Neighbour:
    """A row that looks alike.

    Attributes:
        key: of the row.
        crop: the picture's address.
    """

    key: str
    crop: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Card:
    """One suspicious row.

    Attributes:
        rank: 1 is the most suspicious.
        key: of the row.
        label: its given class.
        rival: the most probable other class.
        quality: 0 to 1.
        is_flagged: taken for wrong by confident learning.
        probabilities: (class, probability) in the task's order.
        crop: the picture's address.
        neighbours: of the given class and of the rival.
    """

    rank: int
    key: str
    label: str
    rival: str
    quality: float
    is_flagged: bool
    probabilities: Sequence[tuple[str, float]]
    crop: str
    neighbours: Mapping[str, Sequence[Neighbour]]


def render(
    review: reviewed_labels.Review,
    summary: Mapping[str, Any],
    space: neighbours_module.Space,
    images: np.ndarray,
    task: labels.Task,
) -> str:
    """Returns the page, which needs nothing but itself.

    Args:
        review: the rows, the most suspicious first.
        summary: what `summary.summarize` says of them.
        space: the same rows in the same order.
        images: float32 (n, height, width, slices) in [0, 1], likewise.
        task: whose classes the labels are.
    """
    cards = [_card(review, row, space, images, task) for row in range(min(MAX_CARDS, len(review)))]
    return template.load("spine_tf.label_review", "review.html.jinja").render(
        summary=summary,
        classes=task.classes,
        cards=cards,
        max_studies=MAX_STUDIES,
    )


def _card(
    review: reviewed_labels.Review,
    row: int,
    space: neighbours_module.Space,
    images: np.ndarray,
    task: labels.Task,
) -> Card:
    found = review.predictions
    label, probabilities = int(found.labels[row]), found.probabilities[row]
    rival = int(np.argmax(np.where(np.arange(len(probabilities)) == label, -1.0, probabilities)))
    alike = {
        task.classes[k]: [
            Neighbour(key=found.keys[other], crop=_picture(images[other], _NEIGHBOUR_PX))
            for other in space.nearest(row, k, NEIGHBOURS)
        ]
        for k in (label, rival)
    }
    return Card(
        rank=row + 1,
        key=found.keys[row],
        label=task.classes[label],
        rival=task.classes[rival],
        quality=float(review.quality[row]),
        is_flagged=bool(review.is_flagged[row]),
        probabilities=list(zip(task.classes, probabilities.tolist(), strict=True)),
        crop=_picture(images[row], _CROP_PX),
        neighbours=alike,
    )


def _picture(image: np.ndarray, side_px: int) -> str:
    return gallery.data_uri(gallery.crop_png(image, side_px))
