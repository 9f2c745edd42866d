"""The slice on which a reader marks a point: the one that fits best, or one that was turned to."""

import dataclasses
from collections.abc import Iterator

from spine_tf.auditing import point_checks
from spine_tf.crops import imaged_study
from spine_tf.dicom import geometry
from spine_tf.localization import localization, point_figures
from spine_tf.rsna import annotations

Row = tuple[int, int]
"""Condition and level, as indices into `spine_tf.labels`."""
Image = tuple[int, int]
"""Series and instance number."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Proposal:
    """A point that is not marked yet.

    Attributes:
        row: the point, on its slice.
        before, after: the slices beside it, through all series of its plane; None at the ends.
    """

    row: annotations.Annotation
    before: Image | None
    after: Image | None


def propose(result: localization.StudyResult, row: Row, at: Image | None = None) -> Proposal | None:
    """Returns a point to begin with; None where the study has no slice of the row's plane.

    It is the one that the row has, or where points of the same level, or of the same structure
    nearest to it, lie on the slice that is nearest to them; else the middle.

    Args:
        result: what is known of the study.
        row: that is to be marked.
        at: the slice; None for the one that fits best.
    """
    planes = list(_planes(result.study, row[0]))
    images = [(stack.series_id, stack.numbers[plane]) for stack, plane in planes]
    if not images or (at is not None and at not in images):
        return None
    place = _reference(result, row)
    index = images.index(at) if at is not None else _nearest(planes, place, row[0])
    stack, plane = planes[index]
    x, y = _on_slice(stack, plane, place)
    return Proposal(
        row=annotations.Annotation(
            study_id=result.study.study_id,
            series_id=images[index][0],
            instance_number=images[index][1],
            condition=row[0],
            level=row[1],
            x=x,
            y=y,
            label=None,
        ),
        before=images[index - 1] if index else None,
        after=images[index + 1] if index + 1 < len(images) else None,
    )


def _planes(
    study: imaged_study.ImagedStudy, condition: int
) -> Iterator[tuple[imaged_study.SliceStack, int]]:
    """The slices that a condition may be marked on, those of its own kind of series first."""
    wanted = point_checks.expected_description(condition)
    is_axial = condition in point_figures.GROUPS["recess"]
    stacks = study.axial if is_axial else study.sagittal
    for stack in sorted(stacks, key=lambda stack: stack.description != wanted):
        yield from ((stack, plane) for plane in range(len(stack.numbers)))


def _reference(result: localization.StudyResult, row: Row) -> list[float] | None:
    """Where in the patient to look: mm to the left, to the back and to the head."""
    condition, level = row

    def distance(other: annotations.Annotation) -> tuple[bool, int, int]:
        is_own = other.condition == condition
        # A canal point says the height of a recess; of a foramen it lies on another slice.
        is_recess = condition in point_figures.GROUPS["recess"]
        levels = abs(other.level - level)
        return (levels > 0 if is_recess else not is_own, levels, not is_own)

    places = point_figures.Places(result.study)
    for other in sorted(result.points, key=distance):
        point = places.point(other)
        if point is not None:
            return [float(part) for part in point]
    return None


def _nearest(
    planes: list[tuple[imaged_study.SliceStack, int]], place: list[float] | None, condition: int
) -> int:
    """Among those of the condition's own kind of series, where there are any."""
    wanted = planes[0][0].description
    own = [index for index, (stack, _) in enumerate(planes) if stack.description == wanted]
    if place is None:
        return own[len(own) // 2]

    def distance(index: int) -> float:
        stack, plane = planes[index]
        return abs(geometry.locate(place, stack.headers[plane])[1])

    return min(own, key=distance)


def _on_slice(
    stack: imaged_study.SliceStack, plane: int, place: list[float] | None
) -> tuple[float, float]:
    """Column and row in pixels, on the slice."""
    header = stack.headers[plane]
    rows, columns = header.shape
    middle = ((columns - 1) / 2, (rows - 1) / 2)
    if place is None:
        return middle
    x, y = geometry.locate(place, header)[0]
    is_inside = 0 <= x <= columns - 1 and 0 <= y <= rows - 1
    return (x, y) if is_inside else middle
