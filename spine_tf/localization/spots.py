"""From the peaks of a stack's heatmaps to places in the patient: one spot a structure.

A structure has a peak on a few slices; how high they are says on which slice it is.
"""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from spine_tf.crops import landmark_kinds, windows as windows_module
from spine_tf.dicom import geometry
from spine_tf.localization import peaks

# Structures of one kind on a slice are farther apart: levels, and the recesses of a level.
_RADIUS_MM = 7.0
# A structure's peaks on the slices beside it lie so near.
_DRIFT_MM = 8.0
_REACH_PLANES = len(landmark_kinds.AMPLITUDES) - 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spot:
    """A structure on the slice that it is on.

    Attributes:
        window: the window around that slice.
        plane: index of the slice among the windows.
        grid_xy: where on the window.
        scores: height of each channel there: what the structure may be.
        point: mm in the patient, float64 (3,).
    """

    window: windows_module.Window
    plane: int
    grid_xy: tuple[float, float]
    scores: tuple[float, ...]
    point: np.ndarray

    @property
    def amplitude(self) -> float:
        """Height of the highest channel."""
        return max(self.scores)

    @property
    def place_xy(self) -> tuple[float, float]:
        """Column and row in the slice's pixels."""
        return self.window.on_slice(self.grid_xy)


class _Found(NamedTuple):
    """A peak on a plane."""

    plane: int
    point: np.ndarray
    peak: peaks.Peak
    scores: tuple[float, ...]


class Collector:
    """Takes the heatmaps of a stack, plane by plane, and keeps the peaks of some channels."""

    def __init__(self, channels: slice) -> None:
        """Args: channels are those of one kind of structure, such as a canal's five levels."""
        self._channels = channels
        self._windows: list[windows_module.Window] = []
        self._found: list[_Found] = []

    def add(self, window: windows_module.Window, heatmap: np.ndarray) -> None:
        """Takes the next plane's heatmap, float32 (256, 256, channels)."""
        plane = len(self._windows)
        self._windows.append(window)
        own = heatmap[:, :, self._channels]
        radius_px = _RADIUS_MM / window.pixel_mm
        for peak in peaks.find(own.max(axis=2), radius_px):
            # A peak at the edge may have its middle beyond it.
            row, column = (min(max(round(at), 0), len(own) - 1) for at in (peak.y, peak.x))
            around = own[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
            scores = tuple(float(score) for score in around.max(axis=(0, 1)))
            point = window.in_patient((peak.x, peak.y))
            self._found.append(_Found(plane, point, peak, scores))

    def spots(self) -> list[Spot]:
        """Returns the structures, the highest first; each peak belongs to one of them."""
        left = sorted(self._found, key=lambda found: -found.peak.height)
        result = []
        while left:
            normal = np.array(geometry.normal(self._windows[0].header.orientation or ()))
            own = [found for found in left if _is_of(found, left[0], normal)]
            taken = {id(found) for found in own}
            left = [found for found in left if id(found) not in taken]
            result.append(self._spot(_best(own)))
        return sorted(result, key=lambda spot: -spot.amplitude)

    def _spot(self, found: _Found) -> Spot:
        return Spot(
            window=self._windows[found.plane],
            plane=found.plane,
            grid_xy=(found.peak.x, found.peak.y),
            scores=found.scores,
            point=found.point,
        )


def collect(
    windows: Sequence[windows_module.Window],
    maps: Iterable[np.ndarray],
    groups: Sequence[slice],
) -> list[list[Spot]]:
    """Returns the spots of each group of channels, of the windows of one stack in order."""
    collectors = [Collector(channels) for channels in groups]
    for window, heatmap in zip(windows, maps, strict=True):
        for collector in collectors:
            collector.add(window, heatmap)
    return [collector.spots() for collector in collectors]


def _is_of(found: _Found, first: _Found, normal: np.ndarray) -> bool:
    """Whether a peak is of the structure whose highest peak is given."""
    if found.plane == first.plane:
        return found is first
    if abs(found.plane - first.plane) > _REACH_PLANES:
        return False
    # Along the normal slices may lie far apart: what counts is the way in the plane.
    apart = found.point - first.point
    return bool(np.linalg.norm(apart - (apart @ normal) * normal) <= _DRIFT_MM)


def _best(own: Sequence[_Found]) -> _Found:
    """The peak on the slice whose neighbours fall off as those of a point's own slice do."""
    heights = {found.plane: found.peak.height for found in own}

    def likeness(found: _Found) -> tuple[float, float]:
        total = sum(
            heights.get(found.plane + step, 0.0) * landmark_kinds.AMPLITUDES[abs(step)]
            for step in range(-_REACH_PLANES, _REACH_PLANES + 1)
        )
        return total, found.peak.height

    return max(own, key=likeness)
