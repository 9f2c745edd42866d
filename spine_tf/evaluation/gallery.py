"""Which crops to look at, and crops as pictures."""

import base64
import io

import numpy as np
from PIL import Image

from spine_tf.scoring import predictions as predictions_module

# Two dozen crops have to fit a page of 5 MB.
MAX_SIDE_PX = 192

KINDS = ("right", "wrong", "uncertain")

# Log odds below which the strongest evidence is drawn faint, or noise would look like a finding.
_FAINT = 0.25


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


def crop_png(image: np.ndarray, side_px: int = MAX_SIDE_PX) -> bytes:
    """Returns the middle slice as a grey PNG.

    Args:
        image: float (height, width, slices), in [0, 1].
        side_px: the picture's largest side; a smaller crop stays as it is.
    """
    middle = image[:, :, image.shape[2] // 2]
    picture = Image.fromarray(np.rint(middle * 255.0).astype(np.uint8))
    picture.thumbnail((side_px, side_px))
    return _png(picture)


def heat_png(evidence: np.ndarray) -> bytes:
    """Returns a map as a PNG that is clear where there is no evidence and orange where it is most.

    Args:
        evidence: float (height, width); values below 0 count as 0.
    """
    strength = np.maximum(evidence, 0.0) / max(float(evidence.max()), _FAINT)
    pixels = np.zeros((*evidence.shape, 4), np.uint8)
    pixels[..., :3] = (255, 122, 24)
    pixels[..., 3] = np.rint(200.0 * strength)
    return _png(Image.fromarray(pixels))


def data_uri(png: bytes) -> str:
    """Returns a PNG as an address that carries the picture itself."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def _png(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, format="PNG", optimize=True)
    return file.getvalue()
