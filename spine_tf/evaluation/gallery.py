"""Which crops to look at, and what in a crop speaks for an answer.

Evidence is what an answer loses if a part of the crop is hidden: an intervention on the served
model's input, so it holds for every family, an ensemble and calibrated probabilities alike, where
gradients of one inner layer (Grad-CAM) explain that layer. Zeiler and Fergus, "Visualizing and
Understanding Convolutional Networks", ECCV 2014; a part is hidden by blurring with a soft edge, as
in Fong and Vedaldi, "Interpretable Explanations of Black Boxes by Meaningful Perturbation", ICCV
2017: a grey square would be a new edge to look at.
"""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from scipy import ndimage

from spine_tf import labels
from spine_tf.pages import image
from spine_tf.scoring import predictions as predictions_module
from tfrecords import stored_images

KINDS = ("right", "wrong", "uncertain")

# Places a side of the evidence map.
GRID = 9

_Predict = Callable[[np.ndarray], np.ndarray]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Card:
    """One crop in a gallery.

    Attributes:
        key: the example's key.
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


def make_cards(
    predictions: predictions_module.Predictions,
    task: labels.Task,
    images: stored_images.Images,
    predict: Callable[[int], _Predict] | None,
    count: int,
) -> dict[str, list[Card]]:
    """Returns the cards of each of KINDS, at most `count`.

    Args:
        predictions: n of them.
        task: whose classes they are.
        images: float32 (n, height, width, slices), in [0, 1].
        predict: row -> the call that gives such images' probabilities; None leaves the evidence
            maps out.
        count: cards of each kind.
    """
    chosen = choose(predictions, count)
    return {
        kind: [_make_card(predictions, task, images, predict, row) for row in rows]
        for kind, rows in chosen.items()
    }


def _make_card(
    predictions: predictions_module.Predictions,
    task: labels.Task,
    images: stored_images.Images,
    predict: Callable[[int], _Predict] | None,
    row: int,
) -> Card:
    evidence = ""
    if predict is not None:
        answer = predictions.predicted[row : row + 1]
        maps = evidence_maps(predict(row), images[row : row + 1], answer)
        evidence = image.png_uri(image.heat(maps[0]))
    values = predictions.probabilities[row].tolist()
    return Card(
        key=predictions.keys[row],
        truth=task.classes[predictions.labels[row]],
        answer=task.classes[predictions.predicted[row]],
        probabilities=list(zip(task.classes, values, strict=True)),
        crop=image.png_uri(image.crop(images[row])),
        evidence=evidence,
    )


def choose(predictions: predictions_module.Predictions, count: int) -> dict[str, list[int]]:
    """Returns the examples to show of each of KINDS, at most `count`, the clearest first.

    - right: the most confident right answers, the true classes in turn;
    - wrong: the most confident wrong answers;
    - uncertain: the smallest lead of the most probable class over the next.
    """
    ordered = np.sort(predictions.probabilities, axis=1)
    truth = predictions.probabilities[np.arange(len(predictions)), predictions.labels]
    is_right = predictions.predicted == predictions.labels
    right = np.flatnonzero(is_right)[np.argsort(-truth[is_right], kind="stable")]
    wrong = np.flatnonzero(~is_right)[np.argsort(-ordered[~is_right, -1], kind="stable")]
    uncertain = np.argsort(ordered[:, -1] - ordered[:, -2], kind="stable")
    return {
        "right": _in_turn(right, predictions.labels)[:count],
        "wrong": wrong[:count].tolist(),
        "uncertain": uncertain[:count].tolist(),
    }


def _in_turn(examples: np.ndarray, classes: np.ndarray) -> list[int]:
    """Deals the classes out in turn, each in its own order."""
    rank = np.zeros(len(examples), np.int64)
    for k in np.unique(classes[examples]):
        inside = classes[examples] == k
        rank[inside] = np.arange(inside.sum())
    return examples[np.lexsort((classes[examples], rank))].tolist()


def evidence_maps(predict: _Predict, images: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Returns how far hiding each place lowers the log odds of a class.

    Args:
        predict: float32 (n, height, width, slices) -> probabilities (n, classes).
        images: float32 (n, height, width, slices), in [0, 1].
        classes: int (n,), the class that each map speaks of.

    Returns:
        float64 (n, GRID, GRID); above 0 the place speaks for the class, below 0 against it.
    """
    masks = _masks(images.shape[1], images.shape[2])
    maps = np.empty((len(images), GRID, GRID))
    for index, (crop, chosen) in enumerate(zip(images, classes, strict=True)):
        hidden = crop + masks[..., None] * (_blur(crop) - crop)
        odds = _log_odds(predict(np.concatenate([crop[None], hidden]).astype(np.float32)), chosen)
        maps[index] = (odds[0] - odds[1:]).reshape(GRID, GRID)
    return maps


def _masks(height: int, width: int) -> np.ndarray:
    """One soft disc a grid place, float32 (GRID * GRID, height, width), in [0, 1]."""
    rows = (np.arange(height) + 0.5) / height
    columns = (np.arange(width) + 0.5) / width
    centers = (np.arange(GRID) + 0.5) / GRID
    across = _bump(columns[None, :] - centers[:, None])
    down = _bump(rows[None, :] - centers[:, None])
    masks = down[:, None, :, None] * across[None, :, None, :]
    return masks.reshape(GRID * GRID, height, width).astype(np.float32)


def _bump(distance: np.ndarray) -> np.ndarray:
    """Flat over the grid place, gone one and a half places away."""
    return np.clip(1.5 - GRID * np.abs(distance), 0.0, 1.0)


def _blur(crop: np.ndarray) -> np.ndarray:
    sigma = crop.shape[0] / GRID
    return ndimage.gaussian_filter(crop, (sigma, sigma, 0.0), mode="nearest")


def _log_odds(probabilities: np.ndarray, chosen: int) -> np.ndarray:
    p = np.clip(probabilities[:, chosen], 1e-9, 1.0 - 1e-9)
    return np.log(p) - np.log1p(-p)
