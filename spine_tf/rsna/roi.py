"""The region of interest: which pixels a crop is made of, and the window of a slice.

`spine_tf.serving.crop` repeats these formulas in TensorFlow; the crops are equal integers.
"""

import math
from collections.abc import Sequence

import numpy as np

# Weights lie on a grid: a weighted sum of 16-bit pixels is then exact in float64 in any order, so
# that no BLAS, thread count or engine changes a crop.
_GRID = 2.0**14
_TIE = 2.0**-20  # keeps ties of the grid from depending on the order of a sum


def crop_stack(
    slices: Sequence[np.ndarray],
    *,
    center_xy: tuple[float, float],
    spacing: tuple[float, float],
    roi_mm: float,
    roi_px: int,
) -> np.ndarray:
    """Resamples a square of `roi_mm` millimetres around a coordinate; zero outside the image.

    Args:
        slices: uint16 (rows, columns) each, of one shape.
        center_xy: column and row in pixels, float32 values; integers are pixel centres.
        spacing: mm between rows and between columns, float32 values.
        roi_mm: side of the square in millimetres.
        roi_px: side of the square in output pixels.

    Returns:
        uint16 (roi_px, roi_px, slices).
    """
    rows, columns = slices[0].shape
    top, by_row = band_weights(center_xy[1], spacing[0], rows, roi_mm, roi_px)
    left, by_column = band_weights(center_xy[0], spacing[1], columns, roi_mm, roi_px)
    bottom, right = top + by_row.shape[1], left + by_column.shape[1]
    result = np.empty((roi_px, roi_px, len(slices)), np.uint16)
    for index, image in enumerate(slices):
        touched = image[top:bottom, left:right].astype(np.float64)
        resampled = by_row @ touched @ by_column.T
        result[:, :, index] = np.clip(np.rint(resampled), 0, 65535)
    return result


def band_weights(
    center: float, spacing: float, size: int, roi_mm: float, roi_px: int
) -> tuple[int, np.ndarray]:
    """Returns the weights of input pixels in output pixels, along one axis.

    Output pixel i sits at `center + ((i + 0.5) / roi_px - 0.5) * roi_mm / spacing`. Its weights
    are a triangle of half-width `max(1, roi_mm / roi_px / spacing)`: linear interpolation where
    the crop is finer than the image, anti-aliasing where it is coarser. They are divided by the
    sum of the triangle over all integers, on the image or not.

    Args:
        center: of the square, in input pixels.
        spacing: mm an input pixel.
        size: input pixels of the axis.
        roi_mm, roi_px: side of the square.

    Returns:
        The first touched input pixel, and float64 (roi_px, touched).
    """
    reach = max(1.0, roi_mm / roi_px / spacing)
    offsets = (np.arange(roi_px) + 0.5) / roi_px - 0.5
    positions = (center + offsets * roi_mm / spacing)[:, None]
    taps = np.ceil(positions - reach) + np.arange(math.floor(2 * reach) + 1)
    shares = np.maximum(0.0, 1.0 - np.abs(taps - positions) / reach)
    shares /= shares.sum(axis=1, keepdims=True)
    gridded = np.floor(shares * _GRID + 0.5 + _TIE) / _GRID
    first = min(max(int(taps[0, 0]), 0), size)
    end = min(max(int(taps[-1, -1]) + 1, first), size)
    return first, _dense(taps.astype(np.int64) - first, gridded, end - first)


def window(image: np.ndarray) -> tuple[float, float]:
    """Returns the 0.5 and 99.5 percentile of a slice (`method="inverted_cdf"`).

    By histogram, which takes 0.2 ms where `np.percentile` takes 1.5.

    Args:
        image: uint16 (rows, columns).
    """
    cumulative = np.cumsum(np.bincount(image.ravel()))
    ranks = [-(-image.size * permille // 1000) for permille in (5, 995)]
    low, high = np.searchsorted(cumulative, ranks)
    return float(low), float(high)


def _dense(taps: np.ndarray, weights: np.ndarray, width: int) -> np.ndarray:
    """Spreads (outputs, taps) weights over (outputs, width); taps outside are dropped."""
    num_outputs, num_taps = weights.shape
    is_inside = (taps >= 0) & (taps < width)
    result = np.zeros((num_outputs, width))
    rows = np.broadcast_to(np.arange(num_outputs)[:, None], (num_outputs, num_taps))
    result[rows[is_inside], taps[is_inside]] = weights[is_inside]
    return result
