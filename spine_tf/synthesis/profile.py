"""A quantity that changes along the spine, tabulated so that images look it up quickly."""

import dataclasses
from collections.abc import Callable

import numpy as np

_STEP = 0.25


@dataclasses.dataclass(frozen=True, kw_only=True)
class Profile:
    """Values at equal steps of s; beyond the ends the last value holds.

    Attributes:
        start: s of the first value.
        values: float32 (n,).
    """

    start: float
    values: np.ndarray

    def __call__(self, s: np.ndarray) -> np.ndarray:
        """Returns the nearest values, of the shape of `s`."""
        index = np.rint((s - self.start) * np.float32(1 / _STEP)).astype(np.int32)
        return self.values.take(index, mode="clip")


def make_profile(
    start: float, stop: float, function: Callable[[np.ndarray], np.ndarray]
) -> Profile:
    """Returns the table of a function of s from `start` to `stop`."""
    s = np.arange(start, stop + _STEP, _STEP)
    return Profile(start=start, values=np.asarray(function(s), np.float32))


def bump(s: np.ndarray, center: float, width: float) -> np.ndarray:
    """Returns exp(-((s - center) / width)^2): 1 at the centre, fading on both sides."""
    return np.exp(-(((s - center) / width) ** 2))
