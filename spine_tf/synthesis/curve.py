"""The curve of a spine, the frame that follows it, and quantities that change along it.

Every structure is described in the frame (u, v, s): u millimetres to the patient's left, v
millimetres behind the posterior wall of the vertebral bodies, s millimetres along that wall, from
the disc L1/L2 towards the feet. In the patient's coordinates (DICOM: x left, y back, z head) the
wall is a smooth curve in the sagittal plane, with the lumbar lordosis.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

_STEP_MM = 0.5
_PROFILE_STEP = 0.25


@dataclasses.dataclass(frozen=True, kw_only=True)
class Curve:
    """A plane curve, tabulated every half millimetre of its length.

    Attributes:
        s: float64 (n,), arc length, increasing.
        y, z: float64 (n,), position in the patient.
        angle: float64 (n,), of the tangent against straight down, radians; positive runs forward.
    """

    s: np.ndarray
    y: np.ndarray
    z: np.ndarray
    angle: np.ndarray

    def point(self, v: float, s: float) -> tuple[float, float]:
        """Returns the patient's (y, z) of a point of the frame."""
        angle = np.interp(s, self.s, self.angle)
        y = np.interp(s, self.s, self.y) + v * np.cos(angle)
        z = np.interp(s, self.s, self.z) - v * np.sin(angle)
        return float(y), float(z)

    def tangent(self, s: float) -> tuple[float, float]:
        """Returns the direction (y, z) in which s grows."""
        angle = np.interp(s, self.s, self.angle)
        return float(-np.sin(angle)), float(-np.cos(angle))

    def locate(self, y: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns (v, s) of points of the patient: their nearest points of the curve.

        Newton's method; off the curve, a step along it is longer or shorter by its curvature.
        """
        curvature = np.gradient(self.angle, self.s)
        order = np.argsort(self.z)
        s = np.interp(z, self.z[order], self.s[order])
        for _ in range(4):
            along, across = self._offsets(y, z, s)
            stretch = 1 + np.interp(s, self.s, curvature) * across
            s = s + along / np.maximum(stretch, 0.4)
        return self._offsets(y, z, s)[1], s

    def _offsets(
        self, y: np.ndarray, z: np.ndarray, s: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns how far points lie along the tangent and along the normal at s."""
        angle = np.interp(s, self.s, self.angle)
        sine, cosine = np.sin(angle), np.cos(angle)
        dy = y - np.interp(s, self.s, self.y)
        dz = z - np.interp(s, self.s, self.z)
        return -sine * dy - cosine * dz, cosine * dy - sine * dz


def make_curve(knots_s: np.ndarray, knots_angle: np.ndarray) -> Curve:
    """Returns the curve whose tangent turns smoothly through the given angles; y = z = 0 at s = 0.

    Args:
        knots_s: increasing arc lengths.
        knots_angle: radians at the knots.
    """
    s = np.arange(knots_s[0], knots_s[-1] + _STEP_MM, _STEP_MM)
    angle = _smooth(np.interp(s, knots_s, knots_angle), round(12 / _STEP_MM))
    y = np.concatenate([[0.0], np.cumsum(-np.sin(angle[:-1]) * _STEP_MM)])
    z = np.concatenate([[0.0], np.cumsum(-np.cos(angle[:-1]) * _STEP_MM)])
    return Curve(s=s, y=y - np.interp(0, s, y), z=z - np.interp(0, s, z), angle=angle)


def _smooth(values: np.ndarray, radius: int) -> np.ndarray:
    window = np.hanning(2 * radius + 1)
    padded = np.pad(values, radius, mode="edge")
    return np.convolve(padded, window / window.sum(), mode="valid")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Profile:
    """Values at equal steps of s, quick to look up; beyond the ends the last value holds.

    Attributes:
        start: s of the first value.
        values: float32 (n,).
    """

    start: float
    values: np.ndarray

    def __call__(self, s: np.ndarray) -> np.ndarray:
        """Returns the nearest values, of the shape of `s`."""
        index = np.rint((s - self.start) * np.float32(1 / _PROFILE_STEP)).astype(np.int32)
        return self.values.take(index, mode="clip")


def make_profile(
    start: float, stop: float, function: Callable[[np.ndarray], np.ndarray]
) -> Profile:
    """Returns the table of a function of s from `start` to `stop`."""
    s = np.arange(start, stop + _PROFILE_STEP, _PROFILE_STEP)
    return Profile(start=start, values=np.asarray(function(s), np.float32))
