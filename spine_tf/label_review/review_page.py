"""What a cleaning says: label_review.json, in numbers, and label_review.html, in pictures.

    {
      "task": "multiclass", "run": "W", "manifest_sha256": "...",
      "num_rows": 160, "num_flagged": 12, "num_studies": 32,
      "classes": [{"name": "Moderate", "num_rows", "num_flagged", "agreement"}, ...],
      "true_given_label": [[share of labels 0 that are estimated to be 0, 1, ...], ...],
      "studies": [{"name": "1001", "num_rows", "num_flagged", "agreement"}, ...]
    }

The page shows the most suspicious crops beside what they could be confused with.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from spine_tf import labels
from spine_tf.label_review import quality as quality_module
from spine_tf.pages import image, template
from spine_tf.training import reviewed_labels
from tfrecords import stored_images

NUMBERS_FILE = "label_review.json"
PAGE_FILE = "label_review.html"

# 60 cards of one crop and four small ones stay below 5 MB even if every crop is noise.
MAX_CARDS = 60
NEIGHBOURS = 2
MAX_STUDIES = 20
_CROP_PX, _NEIGHBOUR_PX = 144, 90


@dataclasses.dataclass(frozen=True, kw_only=True)
class Part:
    """Rows of one class or one study.

    Attributes:
        name: the class's name or the study's id.
        num_rows: number of its rows.
        num_flagged: number of those that are flagged.
        agreement: share of the rows whose label is what the models answer.
    """

    name: str
    num_rows: int
    num_flagged: int
    agreement: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Numbers:
    """The contents of label_review.json.

    Attributes:
        task: name of the task.
        run: whose models judged.
        manifest_sha256: SHA-256 of the records' manifest, in hexadecimal digits.
        num_rows, num_flagged, num_studies: in all.
        classes: in the task's order.
        true_given_label: confident learning's estimate of how often a label is of another class;
            like every flag it takes the model for right where it is confident.
        studies: the lowest agreement first.
    """

    task: str
    run: str
    manifest_sha256: str
    num_rows: int
    num_flagged: int
    num_studies: int
    classes: Sequence[Part]
    true_given_label: Sequence[Sequence[float]]
    studies: Sequence[Part]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Neighbour:
    """A row that looks alike.

    Attributes:
        key: the row's key, study/series/instance/condition/level.
        crop: the picture's address.
    """

    key: str
    crop: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Card:
    """One suspicious row.

    Attributes:
        rank: 1 is the most suspicious.
        key: the row's key, study/series/instance/condition/level.
        label: its given class.
        rival: the most probable other class.
        quality: 0 to 1.
        is_flagged: taken for wrong by confident learning.
        probabilities: (class, probability) in the task's order.
        crop: the picture's address.
        neighbours: crops of the given class and of the rival that look most like it.
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


def count(
    review: reviewed_labels.Review, task: labels.Task, *, run: str, manifest_sha256: str
) -> Numbers:
    """Returns a review in numbers.

    Args:
        review: the review.
        task: whose classes the labels are.
        run: whose models judged.
        manifest_sha256: SHA-256 of the records' manifest, in hexadecimal digits.
    """
    found = review.predictions
    named = ((study, study) for study in np.unique(found.study_ids))
    studies = _parts(review, found.study_ids, named)
    return Numbers(
        task=task.name,
        run=run,
        manifest_sha256=manifest_sha256,
        num_rows=len(review),
        num_flagged=int(review.is_flagged.sum()),
        num_studies=len(studies),
        classes=_parts(review, found.labels, enumerate(task.classes)),
        true_given_label=quality_module.true_given_label(found).tolist(),
        studies=sorted(studies, key=lambda study: study.agreement),
    )


def _parts(
    review: reviewed_labels.Review, values: np.ndarray, named: Iterable[tuple[Any, Any]]
) -> list[Part]:
    agrees = review.predictions.predicted == review.predictions.labels
    return [
        Part(
            name=str(name),
            num_rows=int((values == value).sum()),
            num_flagged=int(review.is_flagged[values == value].sum()),
            agreement=float(agrees[values == value].mean()),
        )
        for value, name in named
    ]


def render(
    review: reviewed_labels.Review,
    numbers: Numbers,
    space: quality_module.Space,
    images: stored_images.Images,
    task: labels.Task,
    graded: str = "",
) -> str:
    """Returns the page, which needs nothing but itself.

    Args:
        review: the rows, the most suspicious first.
        numbers: what `count` says of them.
        space: the same rows in the same order.
        images: float32 (n, height, width, slices) in [0, 1], likewise.
        task: whose classes the labels are.
        graded: what was graded where, in words; "" leaves it out.
    """
    cards = [_card(review, row, space, images, task) for row in range(min(MAX_CARDS, len(review)))]
    return template.load("spine_tf.label_review", "review.html.jinja").render(
        numbers=numbers,
        graded=graded,
        classes=task.classes,
        cards=cards,
        max_studies=MAX_STUDIES,
    )


def _card(
    review: reviewed_labels.Review,
    row: int,
    space: quality_module.Space,
    images: stored_images.Images,
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


def _picture(values: np.ndarray, side_px: int) -> str:
    return image.png_uri(image.crop(values, side_px))
