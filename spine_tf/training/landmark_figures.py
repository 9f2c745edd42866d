"""How well heatmaps mark points: millimetres, levels and slices, window by window.

A level is right where the point's own channel stands highest among those of its group at the
point's place. Millimetres are of points at the right level on their own slice.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from spine_tf.crops import landmark_kinds
from spine_tf.scoring import bootstrap, figure
from spine_tf.training import heatmap_targets

NAMES = ("median_mm", "p95_mm", "level_right", "slice_error")
_OWN_SLICE = 0.5
_NUM_RESAMPLES = 500
_SEED = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Marks:
    """Known points on windows that show their place, one a row.

    Attributes:
        keys: of the windows, which begin with the study.
        channels: int64 (n,), of the points.
        slices: float64 (n,), distance to the point's own slice.
        heights: float64 (n,), of the own channel at the point's place.
        errors_mm: float64 (n,), from the point to the highest place of its channel.
        best: int64 (n,), the channel that stands highest at the point's place.
    """

    keys: tuple[str, ...]
    channels: np.ndarray
    slices: np.ndarray
    heights: np.ndarray
    errors_mm: np.ndarray
    best: np.ndarray

    @property
    def studies(self) -> np.ndarray:
        """Of the points, int64 (n,)."""
        return np.array([int(key.partition("/")[0]) for key in self.keys], np.int64)


def read_marks(
    outputs: np.ndarray,
    truth: Mapping[str, np.ndarray],
    kind: landmark_kinds.Kind,
    grid: heatmap_targets.Grid,
    keys: Sequence[str] | None = None,
) -> Marks:
    """Compares heatmaps with the points of their records.

    Args:
        outputs: float32 (n, side, side, channels).
        truth: point_xy, point_slices, point_known of the records.
        kind: of the windows.
        grid: of the heatmaps.
        keys: of the records; without them their numbers.
    """
    num_channels = len(kind.channels)
    points = (truth["point_xy"].reshape(-1, num_channels, 2) - grid.first) / grid.pitch
    nearest = np.rint(points).astype(np.int64)
    is_inside = ((nearest >= 0) & (nearest < grid.side_px)).all(axis=2)
    rows, channels = np.nonzero((truth["point_known"] > 0) & is_inside)
    column, row = nearest[rows, channels].T
    there = outputs[rows, row, column]
    errors = np.hypot(*(highest(outputs) - points).transpose(2, 0, 1))
    return Marks(
        keys=tuple(str(index) if keys is None else keys[index] for index in rows.tolist()),
        channels=channels,
        slices=truth["point_slices"][rows, channels].astype(np.float64),
        heights=there[np.arange(len(rows)), channels].astype(np.float64),
        errors_mm=errors[rows, channels] * grid.pixel_mm,
        best=_best(there, channels, kind),
    )


def _best(there: np.ndarray, channels: np.ndarray, kind: landmark_kinds.Kind) -> np.ndarray:
    best = np.zeros(len(channels), np.int64)
    for group in kind.groups:
        is_own = (channels >= group.start) & (channels < group.stop)
        best[is_own] = group.start + there[is_own, group].argmax(axis=1)
    return best


def highest(outputs: np.ndarray) -> np.ndarray:
    """Returns where each channel is highest, float64 (n, channels, 2), x and y of the heatmap.

    The logarithm of a Gaussian is a parabola, in each direction, through three pixels.
    """
    count, side, _, num_channels = outputs.shape
    flat = outputs.reshape(count, side * side, num_channels).argmax(axis=1)
    row, column = np.divmod(flat, side)
    first, channel = np.ogrid[:count, :num_channels]

    def at(shift_x: int, shift_y: int) -> np.ndarray:
        rows, columns = (
            np.clip(p + s, 0, side - 1) for p, s in ((row, shift_y), (column, shift_x))
        )
        return np.log(np.maximum(outputs[first, rows, columns, channel].astype(np.float64), 1e-6))

    middle = at(0, 0)
    x = column + _vertex(at(-1, 0), middle, at(1, 0))
    y = row + _vertex(at(0, -1), middle, at(0, 1))
    return np.stack([x, y], axis=2)


def _vertex(before: np.ndarray, middle: np.ndarray, after: np.ndarray) -> np.ndarray:
    bend = before - 2 * middle + after
    shift = np.divide(before - after, 2 * bend, out=np.zeros_like(bend), where=bend < -1e-9)
    return np.clip(shift, -0.5, 0.5)


def join(parts: Sequence[Marks]) -> Marks:
    """Returns the points of all parts."""
    arrays = {
        field.name: np.concatenate([getattr(part, field.name) for part in parts])
        for field in dataclasses.fields(Marks)
        if field.name != "keys"
    }
    return Marks(keys=tuple(key for part in parts for key in part.keys), **arrays)


def plain(marks: Marks) -> dict[str, float]:
    """Returns the figures by name, NaN where nothing is known of one."""
    values = _values(marks, np.ones((1, len(marks.keys))))
    return {name: float(found[0]) for name, found in values.items()}


def with_intervals(marks: Marks) -> dict[str, figure.Figure]:
    """Returns the figures by name, with intervals over studies."""
    weights = bootstrap.resample_weights(marks.studies, seed=_SEED, num_resamples=_NUM_RESAMPLES)
    values = _values(marks, np.vstack([np.ones(len(marks.keys)), weights]))
    num_studies = len(np.unique(marks.studies))
    return {
        name: bootstrap.figure(found, num_studies, is_share=name == "level_right")
        for name, found in values.items()
    }


def _values(marks: Marks, weights: np.ndarray) -> dict[str, np.ndarray]:
    is_own = marks.slices < _OWN_SLICE
    is_right = marks.best == marks.channels
    errors = np.where(is_own & is_right, marks.errors_mm, np.nan)
    return {
        "median_mm": bootstrap.quantile(errors, weights, 0.5),
        "p95_mm": bootstrap.quantile(errors, weights, 0.95),
        "level_right": bootstrap.mean(np.where(is_own, is_right, np.nan), weights),
        "slice_error": bootstrap.mean(_slice_errors(marks), weights),
    }


def _slice_errors(marks: Marks) -> np.ndarray:
    """By how many slices the height at a point's place says its own slice wrong."""
    most = len(landmark_kinds.AMPLITUDES)
    heights = [0.0, *landmark_kinds.AMPLITUDES[::-1]]
    said = np.interp(marks.heights, heights, np.arange(most, -1, -1))
    return np.abs(said - np.minimum(marks.slices, most))
