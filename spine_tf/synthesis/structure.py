"""A structure of the body: where it may be, its shape, and the tissue it is made of.

Lengths here are average adult millimetres: a patient's `scale` turns them into millimetres.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

Distance = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


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
        distance: of points (u, v, s) from the shape's surface, negative inside.
        other: the second tissue of a mixture.
        fraction: of `other` in the mixture.
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
