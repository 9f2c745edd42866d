"""The points of a slice in the frame of the spine, and which of them a box may hold."""

import dataclasses

import numpy as np

from spine_tf.synthesis import structure

Region = tuple[slice, slice]

_STRIDE = 4


@dataclasses.dataclass(frozen=True, kw_only=True)
class Grid:
    """The frame's coordinates of all pixels, as arrays that broadcast to the slice's shape.

    Attributes:
        u: float32; (1, columns), increasing, of an axial slice, (rows, columns) of a sagittal one.
        v, s: float32; (rows, 1) of an axial slice, (rows, columns) of a sagittal one.
        ranges: smallest and largest u, v, s.
        regions: results of `region` for (v, s), shared by slices that differ in u alone.
    """

    u: np.ndarray
    v: np.ndarray
    s: np.ndarray
    ranges: tuple[tuple[float, float], ...]
    regions: dict[structure.Box, Region | None] = dataclasses.field(default_factory=dict)

    def with_u(self, u: np.ndarray) -> "Grid":
        """Returns the grid of a slice beside this one."""
        return Grid(
            u=u, v=self.v, s=self.s, ranges=(_range(u), *self.ranges[1:]), regions=self.regions
        )

    def region(self, box: structure.Box, margin: float) -> Region | None:
        """Returns the rows and columns that hold the box, or None where it is off the slice.

        Args:
            box: the ranges.
            margin: by which they are widened on each side; the same for all calls.
        """
        # Most structures are off an axial slice by s, off a sagittal one by u.
        (u_low, u_high), (v_low, v_high), (s_low, s_high) = self.ranges
        if box.s[0] - margin > s_high or box.s[1] + margin < s_low:
            return None
        if box.u[0] - margin > u_high or box.u[1] + margin < u_low:
            return None
        if box.v[0] - margin > v_high or box.v[1] + margin < v_low:
            return None
        if box not in self.regions:
            self.regions[box] = self._region_vs(box, margin)
        region = self.regions[box]
        if region is None or self.u.shape[0] > 1:
            return region
        first, last = np.searchsorted(self.u[0], (box.u[0] - margin, box.u[1] + margin))
        return (region[0], slice(int(first), int(last))) if first < last else None

    def _region_vs(self, box: structure.Box, margin: float) -> Region | None:
        stride = _STRIDE if self.v.shape[1] > 1 else 1
        v, s = self.v[::stride, ::stride], self.s[::stride, ::stride]
        margin = margin * (stride + 1)
        inside = (v > box.v[0] - margin) & (v < box.v[1] + margin)
        inside &= (s > box.s[0] - margin) & (s < box.s[1] + margin)
        rows = np.flatnonzero(inside.any(axis=1)) * stride
        if not rows.size:
            return None
        row_slice = slice(int(rows[0]), int(rows[-1]) + stride)
        if v.shape[1] == 1:
            return row_slice, slice(None)
        columns = np.flatnonzero(inside.any(axis=0)) * stride
        return row_slice, slice(int(columns[0]), int(columns[-1]) + stride)

    def at(self, region: Region) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns u, v and s of a region."""
        return tuple(_cut(values, region) for values in (self.u, self.v, self.s))  # type: ignore


def _cut(values: np.ndarray, region: Region) -> np.ndarray:
    rows = region[0] if values.shape[0] > 1 else slice(None)
    columns = region[1] if values.shape[1] > 1 else slice(None)
    return values[rows, columns]


def make_grid(u: np.ndarray, v: np.ndarray, s: np.ndarray) -> Grid:
    """Returns the grid of three arrays that broadcast against each other."""
    return Grid(u=u, v=v, s=s, ranges=(_range(u), _range(v), _range(s)))


def _range(values: np.ndarray) -> tuple[float, float]:
    return float(values.min()), float(values.max())
