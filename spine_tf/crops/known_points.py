"""Annotated points in the patient, and where they lie on other stacks of the study."""

import dataclasses
from collections.abc import Iterable, Sequence

from spine_tf import labels
from spine_tf.crops import cutting, imaged_study
from spine_tf.dicom import geometry, reasons
from spine_tf.rsna import annotations, layout, sources


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class KnownPoint:
    """An annotated point.

    Attributes:
        condition, level: indices into `spine_tf.labels`.
        stack: that it is annotated on.
        plane: index of its slice there.
        point: mm in the patient.
    """

    condition: int
    level: int
    stack: imaged_study.SliceStack
    plane: int
    point: tuple[float, float, float]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sight:
    """A point as one stack shows it.

    Attributes:
        point: mm in the patient.
        at: its place among the stack's slots: one of them where it is annotated on that stack,
            else a number between them, or beyond the ends.
    """

    point: tuple[float, float, float]
    at: float

    def slices_from(self, slot: int) -> float:
        """Returns how many slices a slot is off the point's own."""
        return abs(self.at - slot)


def place(
    source: sources.Source,
    study: imaged_study.ImagedStudy,
    rows: Iterable[annotations.Annotation],
) -> tuple[list[KnownPoint], list[reasons.Reject]]:
    """Returns the points that the study's images place in the patient, and the others."""
    planes = {
        (stack.series_id, number): (stack, plane)
        for stack in study.stacks
        for plane, number in enumerate(stack.numbers)
    }
    placed, rejects = [], []
    for row in rows:
        try:
            placed.append(_place(source, row, planes.get((row.series_id, row.instance_number))))
        except reasons.Rejected as rejected:
            rejects.append(cutting.reject(source, row, rejected))
    return placed, rejects


def _place(
    source: sources.Source,
    row: annotations.Annotation,
    found: tuple[imaged_study.SliceStack, int] | None,
) -> KnownPoint:
    if found is None:
        # No stack has it: the file can't be read, or doesn't say where it is.
        sources.read_header(source, layout.image_name(source.side, *row.image))
        raise reasons.Rejected(
            reasons.Reason.NO_ORIENTATION,
            "ImagePositionPatient or ImageOrientationPatient is missing or makes no sense, so the "
            "point is nowhere in the patient",
        )
    stack, plane = found
    header = stack.headers[plane]
    point = geometry.to_patient(header, cutting.place_on(header, row))
    if point is None:
        raise ValueError("a stack with a slice that doesn't say where it is, expected none")
    return KnownPoint(
        condition=row.condition, level=row.level, stack=stack, plane=plane, point=point
    )


def sight(
    stack: imaged_study.SliceStack, known: Sequence[KnownPoint], condition: str, level: int
) -> Sight | None:
    """Returns where a stack shows a point of a condition and level.

    A point that is annotated on the stack itself stands before those that are carried over from
    other stacks of the same frame of reference; of equals the first.

    Args:
        stack: of the study.
        known: points of the study.
        condition: as named in CONDITIONS.
        level: index into LEVELS.
    """
    wanted = labels.CONDITIONS.index(condition), level
    of_target = [one for one in known if (one.condition, one.level) == wanted]
    for one in of_target:
        if one.stack is stack:
            return Sight(point=one.point, at=float(stack.slots[one.plane]))
    for one in of_target:
        if one.stack.frame == stack.frame:
            return Sight(point=one.point, at=_among_slots(stack, one.point))
    return None


def _among_slots(stack: imaged_study.SliceStack, point: Sequence[float]) -> float:
    """Where a point lies among the slots: 1.5 is the middle between the slots 1 and 2.

    Slices of a stack may be tilted a little against each other: what counts is the nearest one.
    """
    distances = [geometry.locate(point, one)[1] for one in stack.headers]
    nearest = min(range(len(distances)), key=lambda plane: abs(distances[plane]))
    return stack.slots[nearest] + distances[nearest] / stack.step_mm
