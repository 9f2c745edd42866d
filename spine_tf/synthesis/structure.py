"""Structures of the body: where one may be, its shape, its tissue, and how a slice is painted.

Lengths here are average adult millimetres: a patient's `scale` turns them into millimetres.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping

import numpy as np

Region = tuple[slice, slice]
Distance = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]

# Pixels of a sagittal slice that are looked at, one in so many each way, to find a box.
_STRIDE = 4


@dataclasses.dataclass(frozen=True, kw_only=True)
class Box:
    """Ranges (low, high) of u, v and s outside of which a structure has no part."""

    u: tuple[float, float]
    v: tuple[float, float]
    s: tuple[float, float]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Structure:
    """A shape filled with one tissue, or a mixture of two, perhaps under a rim of another.

    Attributes:
        tissue: a name of `sequence.TISSUES`.
        box: where the shape is; points outside are not looked at.
        distance: gives the distance of points (u, v, s) from the shape's surface, negative inside.
        other: the second tissue of a mixture.
        fraction: share of `other` in the mixture, 0 to 1.
        rim: thickness of the rim; 0 is none.
        rim_tissue: what the rim is made of.
    """

    tissue: str
    box: Box
    distance: Distance
    other: str | None = None
    fraction: float = 0.0
    rim: float = 0.0
    rim_tissue: str = "cortex"


def ellipse(
    x: np.ndarray, y: np.ndarray, a: np.ndarray | float, b: np.ndarray | float
) -> np.ndarray:
    """Returns about the distance from an ellipse with the half axes a and b."""
    x, y = x / a, y / b
    return (np.sqrt(x * x + y * y) - 1) * np.minimum(a, b)


def rounded(
    x: np.ndarray, y: np.ndarray, a: np.ndarray | float, b: np.ndarray | float
) -> np.ndarray:
    """Returns about the distance from a figure between an ellipse and its box."""
    x, y = x / a, y / b
    x, y = x * x, y * y
    return (0.5 * np.sqrt(x + y) + 0.5 * np.sqrt(np.sqrt(x * x + y * y)) - 1) * np.minimum(a, b)


def ellipsoid(
    x: np.ndarray, y: np.ndarray, z: np.ndarray, axes: tuple[float, float, float]
) -> np.ndarray:
    """Returns about the distance from an ellipsoid that is flattened along its last axis."""
    x, y, z = x / axes[0], y / axes[1], z / axes[2]
    z = z * z
    return (np.sqrt(x * x + y * y + z * z) - 1) * min(axes)


def segment(
    x: np.ndarray, y: np.ndarray, start: tuple[float, float], end: tuple[float, float]
) -> np.ndarray:
    """Returns the distance from a line segment in a plane."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    along = ((x - start[0]) * dx + (y - start[1]) * dy) / (dx * dx + dy * dy)
    along = np.clip(along, 0, 1)
    x, y = x - start[0] - along * dx, y - start[1] - along * dy
    return np.sqrt(x * x + y * y)


def sided(sign: int, low: float, high: float) -> tuple[float, float]:
    """Returns the range of u that lies `low` to `high` to the left (sign 1) or right (-1)."""
    return (low, high) if sign > 0 else (-high, -low)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Grid:
    """The frame's coordinates of a slice's pixels, as arrays that broadcast to its shape.

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
    regions: dict[Box, Region | None] = dataclasses.field(default_factory=dict)

    def with_u(self, u: np.ndarray) -> "Grid":
        """Returns the grid of a slice beside this one."""
        return Grid(
            u=u, v=self.v, s=self.s, ranges=(_range(u), *self.ranges[1:]), regions=self.regions
        )

    def region(self, box: Box, margin: float) -> Region | None:
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

    def _region_vs(self, box: Box, margin: float) -> Region | None:
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


def paint(
    image: np.ndarray,
    structures: Iterable[Structure],
    signals: Mapping[str, float],
    grid: Grid,
    edge: float,
) -> None:
    """Adds the structures to an image, in place, with borders as soft as a pixel is wide.

    Args:
        image: float32 of the grid's shape.
        structures: later ones cover earlier ones.
        signals: signal of each tissue, fluid or fat being about 1.
        grid: where the pixels lie.
        edge: width of a border, in the unit of the grid.
    """
    for item in structures:
        region = grid.region(item.box, edge)
        if region is None:
            continue
        distance = item.distance(*grid.at(region)) * np.float32(-1 / edge)
        part = image[region]
        if item.rim:
            _blend(part, distance + np.float32(0.5), signals[item.rim_tissue])
            distance = distance - np.float32(item.rim / edge)
        _blend(part, distance + np.float32(0.5), _signal(item, signals))


def _signal(item: Structure, signals: Mapping[str, float]) -> float:
    if item.other is None:
        return signals[item.tissue]
    return (1 - item.fraction) * signals[item.tissue] + item.fraction * signals[item.other]


def _blend(part: np.ndarray, mask: np.ndarray, signal: float) -> None:
    mask.clip(0, 1, out=mask)
    part += mask * (np.float32(signal) - part)
