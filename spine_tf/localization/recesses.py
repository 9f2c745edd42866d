"""The recesses of a level: where its canal point leads on axial slices, and which side is which.

The axial network never decides the level; its two channels never decide the side, which is the
side in the patient.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from spine_tf.crops import anatomy, imaged_study, projection, windows
from spine_tf.localization import heatmaps, spots

# A farther plane has to be better by so much.
_COST_PER_MM = 0.03
# Left and right are marked on slices that lie so near: on one slice, or on neighbours, in 95 %.
_MAX_PLANES_APART = 2
ONE_GROUP = (slice(0, heatmaps.AXIAL_CHANNELS),)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recesses:
    """What one stack shows of a level.

    Attributes:
        cover: the stack, and where the canal point led.
        left, right: the recesses, None where there is none.
    """

    cover: projection.Cover
    left: spots.Spot | None
    right: spots.Spot | None

    @property
    def is_crossed(self) -> bool:
        """Whether the network's channels name a side otherwise than the patient's axes do."""
        return any(
            one is not None and one.scores[channel] < max(one.scores)
            for channel, one in enumerate(self._both)
        )

    @property
    def _both(self) -> tuple[spots.Spot | None, spots.Spot | None]:
        return self.left, self.right

    @property
    def found(self) -> list[spots.Spot]:
        """Those of the two that there are."""
        return [spot for spot in self._both if spot is not None]

    @property
    def worth(self) -> float:
        """How good the stack is: mean amplitude of both sides, less for a plane that is far."""
        heights = sum(spot.amplitude for spot in self.found)
        return heights / 2 - _COST_PER_MM * self.cover.distance_mm

    @property
    def middle(self) -> np.ndarray | None:
        """Between left and right, mm in the patient."""
        if self.left is None or self.right is None:
            return None
        return (self.left.point + self.right.point) / 2

    @property
    def apart_mm(self) -> float | None:
        """From left to right in the patient; the slices may lie apart."""
        if self.left is None or self.right is None:
            return None
        return float(self.left.point[0] - self.right.point[0])


def find(
    canal_point: np.ndarray,
    level: int,
    stacks: Sequence[imaged_study.SliceStack],
    source: heatmaps.Source,
) -> Recesses | None:
    """Returns the recesses of a level in the best of the stacks that show it, if one does.

    Args:
        canal_point: mm in the patient, float64 (3,).
        level: index into LEVELS.
        stacks: axial ones, in the frame of reference of the point.
        source: draws the heatmaps.
    """
    target = projection.recess_point(canal_point, level)
    seen = [look(cover, source) for cover in projection.covers(target, stacks)]
    return max(seen, key=lambda one: one.worth, default=None)


def look(cover: projection.Cover, source: heatmaps.Source) -> Recesses:
    """Finds left and right around a point on the planes of a stack that are near to it."""
    all_windows = windows.around_point(cover.stack, cover.planes, cover.point, windows.AXIAL_MM)
    (found,) = spots.collect(all_windows, source.axial(all_windows), ONE_GROUP)
    left, right = _sides(found, float(cover.point[0]))
    return Recesses(cover=cover, left=left, right=right)


def _sides(
    found: Sequence[spots.Spot], midline: float
) -> tuple[spots.Spot | None, spots.Spot | None]:
    """Left and right: the best pair that lies as far apart as recesses do, else one by one.

    The canal point is on the slice nearest to the midline, which may be half a recess off it: of a
    pair the sides are told by each other.
    """
    if both := pairs(found):
        return max(both, key=lambda pair: _pair_worth(pair, midline))
    left = [spot for spot in found if spot.point[0] > midline]
    right = [spot for spot in found if spot.point[0] <= midline]
    return next(iter(left), None), next(iter(right), None)


def pairs(found: Sequence[spots.Spot]) -> list[tuple[spots.Spot, spots.Spot]]:
    """Returns who may be left and right of one level, by how far apart they lie."""
    low, high = anatomy.RECESSES_APART_MM
    return [
        (left, right)
        for left in found
        for right in found
        if low <= left.point[0] - right.point[0] <= high
        and abs(left.plane - right.plane) <= _MAX_PLANES_APART
    ]


def _pair_worth(pair: tuple[spots.Spot, spots.Spot], midline: float) -> float:
    left, right = pair
    off = abs(float(left.point[0] + right.point[0]) / 2 - midline)
    return left.amplitude + right.amplitude - _COST_PER_MM * off
