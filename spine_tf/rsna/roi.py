"""The region of interest: which pixels a crop is made of, and the window of a slice.

`spine_tf.serving.crop` repeats these formulas in TensorFlow; the crops are equal integers.
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

# Weights lie on a grid: a weighted sum of 16-bit pixels is then exact in float64 in any order, so
# that no BLAS, thread count or engine changes a crop.
_GRID = 2.0**14
_TIE = 2.0**-20  # keeps ties of the grid from depending on the order of a sum
_FEW_TAPS = 8


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
    by_row = make_band(center_xy[1], spacing[0], rows, roi_mm, roi_px)
    by_column = make_band(center_xy[0], spacing[1], columns, roi_mm, roi_px)
    result = np.zeros((roi_px, roi_px, len(slices)), np.uint16)
    for index, image in enumerate(slices):
        touched = image[by_row.first : by_row.end, by_column.first : by_column.end]
        if touched.size:
            narrow = by_row.apply(touched.astype(np.float64))
            resampled = by_column.apply(np.ascontiguousarray(narrow.T)).T
            result[:, :, index] = np.clip(np.rint(resampled), 0, 65535)
    return result


@dataclasses.dataclass(frozen=True, kw_only=True)
class Band:
    """How the output pixels of one axis are weighted sums of input pixels.

    Attributes:
        first, end: the input pixels that are touched.
        taps: int (taps, roi_px), the input pixels of each output pixel, from `first`.
        weights: float64 (taps, roi_px), on the grid; 0 where a tap is off the image.
    """

    first: int
    end: int
    taps: np.ndarray
    weights: np.ndarray

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Returns the weighted sums along the first axis of float64 (end - first, n).

        With few taps, sums of gathered rows take a third of the time of a matrix product and
        start no threads; both are exact.
        """
        if len(self.taps) <= _FEW_TAPS:
            return np.einsum("ti,tij->ij", self.weights, values[self.taps])
        return self.matrix() @ values

    def matrix(self) -> np.ndarray:
        """Returns the weights as a matrix, float64 (roi_px, end - first)."""
        result = np.zeros((self.taps.shape[1], self.end - self.first))
        outputs = np.broadcast_to(np.arange(len(result)), self.taps.shape)
        is_used = self.weights > 0
        result[outputs[is_used], self.taps[is_used]] = self.weights[is_used]
        return result


def make_band(center: float, spacing: float, size: int, roi_mm: float, roi_px: int) -> Band:
    """Returns the weights along one axis.

    Output pixel i sits at `center + ((i + 0.5) / roi_px - 0.5) * roi_mm / spacing`. Its weights
    are a triangle of half-width `max(1, roi_mm / roi_px / spacing)`: linear interpolation where
    the crop is finer than the image, anti-aliasing where it is coarser. They are divided by the
    sum of the triangle over all integers, on the image or not.

    Args:
        center: of the square, in input pixels.
        spacing: mm an input pixel.
        size: input pixels of the axis.
        roi_mm, roi_px: side of the square.
    """
    reach = max(1.0, roi_mm / roi_px / spacing)
    offsets = (np.arange(roi_px) + 0.5) / roi_px - 0.5
    positions = center + offsets * roi_mm / spacing
    taps = np.ceil(positions - reach) + np.arange(math.floor(2 * reach) + 1)[:, None]
    shares = np.maximum(0.0, 1.0 - np.abs(taps - positions) / reach)
    shares /= shares.sum(axis=0)
    weights = np.floor(shares * _GRID + 0.5 + _TIE) / _GRID
    first = min(max(int(taps[0, 0]), 0), size)
    end = min(max(int(taps[-1, -1]) + 1, first), size)
    weights[(taps < first) | (taps >= end)] = 0.0
    inside = np.clip(taps, first, max(end - 1, first)).astype(np.intp) - first
    return Band(first=first, end=end, taps=inside, weights=weights)


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
