"""A point of the patient in stacks of another orientation: which planes show it, if any do."""

import dataclasses
from collections.abc import Iterable

import numpy as np

from spine_tf.crops import anatomy, imaged_study
from spine_tf.dicom import geometry

_HALF_WIDTH = 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cover:
    """A stack that shows a point.

    Attributes:
        stack: the stack.
        point: mm in the patient, float64 (3,).
        nearest: index of the plane that is nearest to the point.
        distance_mm: how far away that plane is, mm.
        planes: indices of that plane and two on either side, where the stack has them
            and no gap lies between.
    """

    stack: imaged_study.SliceStack
    point: np.ndarray
    nearest: int
    distance_mm: float

    @property
    def planes(self) -> range:
        """The planes among which a network chooses."""
        slots = self.stack.slots
        near = [
            plane
            for plane, slot in enumerate(slots)
            if abs(slot - slots[self.nearest]) <= _HALF_WIDTH
        ]
        return range(near[0], near[-1] + 1)


def recess_point(canal_point: np.ndarray, level: int) -> np.ndarray:
    """Returns where the slice for a level's recesses is looked for, given its canal point."""
    return canal_point - np.array([0.0, 0.0, anatomy.RECESS_BELOW_MM[level]])


def covers(point: np.ndarray, stacks: Iterable[imaged_study.SliceStack]) -> list[Cover]:
    """Returns the stacks that show a point: a plane within 3 mm, on its image; nearest first."""
    found = [cover for stack in stacks if (cover := nearest(point, stack)) is not None]
    near = [cover for cover in found if cover.distance_mm <= anatomy.COVERAGE_MM]
    return sorted(near, key=lambda cover: cover.distance_mm)


def nearest(point: np.ndarray, stack: imaged_study.SliceStack) -> Cover | None:
    """Returns the plane of a stack that is nearest to a point, None where that is off its image."""
    located = [geometry.locate(point.tolist(), header) for header in stack.headers]
    distances = [abs(distance) for _, distance in located]
    index = distances.index(min(distances))
    (x, y), header = located[index][0], stack.headers[index]
    if not (-0.5 <= x < header.columns - 0.5 and -0.5 <= y < header.rows - 0.5):
        return None
    return Cover(stack=stack, point=point, nearest=index, distance_mm=distances[index])
