"""What in a crop speaks for an answer: hide a part, and see how far the answer falls.

An intervention on the served model's input, so it holds for every family, an ensemble and
calibrated probabilities alike, where gradients of one inner layer (Grad-CAM) explain that layer.
Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014; a part is
hidden by blurring with a soft edge, as in Fong and Vedaldi, "Interpretable Explanations of Black
Boxes by Meaningful Perturbation", ICCV 2017: a grey square would be a new edge to look at.
"""

from collections.abc import Callable

import numpy as np
from scipy import ndimage

GRID = 9

_Predict = Callable[[np.ndarray], np.ndarray]


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
    for index, (image, chosen) in enumerate(zip(images, classes, strict=True)):
        blurred = _blur(image)
        hidden = image + masks[..., None] * (blurred - image)
        odds = _log_odds(predict(np.concatenate([image[None], hidden]).astype(np.float32)), chosen)
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


def _blur(image: np.ndarray) -> np.ndarray:
    sigma = image.shape[0] / GRID
    return ndimage.gaussian_filter(image, (sigma, sigma, 0.0), mode="nearest")


def _log_odds(probabilities: np.ndarray, chosen: int) -> np.ndarray:
    p = np.clip(probabilities[:, chosen], 1e-9, 1.0 - 1e-9)
    return np.log(p) - np.log1p(-p)
