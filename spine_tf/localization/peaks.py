"""Peaks of one heatmap, to a fraction of a pixel."""

from typing import NamedTuple

import numpy as np

FLOOR = 0.08
"""What is lower is no peak."""

_MOST = 12
_PATCH = 3
_MAX_SHIFT_PX = 1.5


class Peak(NamedTuple):
    """A peak; x and y are grid positions."""

    x: float
    y: float
    height: float


def find(heatmap: np.ndarray, radius_px: float, most: int = _MOST) -> list[Peak]:
    """Returns the peaks of a heatmap, the highest first.

    Args:
        heatmap: float (rows, columns).
        radius_px: around a peak there is no other.
        most: so many at most.
    """
    left = np.array(heatmap, np.float32)
    reach = int(radius_px)
    offsets = np.arange(-reach, reach + 1)
    is_near = np.hypot(offsets[:, None], offsets) <= radius_px
    found: list[Peak] = []
    while len(found) < most:
        row, column = divmod(int(left.argmax()), left.shape[1])
        if left[row, column] < FLOOR:
            break
        # What is higher beside it was taken as another peak: this is that one's slope.
        if heatmap[row, column] >= _around(heatmap, row, column, 1).max():
            x, y = _refine(heatmap, row, column)
            found.append(Peak(x, y, float(heatmap[row, column])))
        _around(left, row, column, reach)[_inside(is_near, row, column, left.shape)] = 0
    return found


def _around(values: np.ndarray, row: int, column: int, reach: int) -> np.ndarray:
    """The pixels around one, fewer at an edge; a view."""
    top, first = max(row - reach, 0), max(column - reach, 0)
    return values[top : row + reach + 1, first : column + reach + 1]


def _inside(is_near: np.ndarray, row: int, column: int, shape: tuple[int, ...]) -> np.ndarray:
    """The part of a square around a pixel that lies on the heatmap."""
    reach = len(is_near) // 2
    top, first = max(reach - row, 0), max(reach - column, 0)
    return is_near[top : reach + shape[0] - row, first : reach + shape[1] - column]


def _refine(heatmap: np.ndarray, row: int, column: int) -> tuple[float, float]:
    """The middle of a Gaussian through the pixels around a peak.

    Its logarithm is a parabola in each direction: weighted least squares (Guo, "A simple algorithm
    for fitting a Gaussian function", IEEE Signal Processing Magazine 28, 2011).
    """
    values = _around(heatmap, row, column, _PATCH).astype(np.float64)
    rows = np.arange(values.shape[0]) + max(row - _PATCH, 0) - row
    columns = np.arange(values.shape[1]) + max(column - _PATCH, 0) - column
    y, x = (grid.ravel().astype(np.float64) for grid in np.meshgrid(rows, columns, indexing="ij"))
    weights = np.maximum(values.ravel(), 1e-6)
    terms = np.stack([np.ones_like(x), x, y, x * x, y * y], axis=1) * weights[:, None]
    (_, *slopes), *_ = np.linalg.lstsq(terms, weights * np.log(weights), rcond=None)
    shifts = []
    for slope, bend in zip(slopes[:2], slopes[2:], strict=True):
        shift = -slope / (2 * bend) if bend < 0 else 0.0
        shifts.append(float(np.clip(shift, -_MAX_SHIFT_PX, _MAX_SHIFT_PX)))
    return column + shifts[0], row + shifts[1]
