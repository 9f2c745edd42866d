"""Where slices lie in the patient: sides, stacks and neighbours."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

from spine_tf import labels
from spine_tf.dicom import header, reasons

# Cosine of 2.5 degrees: planned stacks of one series differ by more, rounding by less.
_SAME_DIRECTION = 0.999
_SAME_SPACING = 1e-4
_SAME_POSITION_MM = 0.01


def is_mirrored(condition: int, slice_header: header.Header) -> bool:
    """Returns whether a crop has to be flipped so that lateral lies to the image's right.

    Only axial slices of a sided condition are: the right one in the usual orientation, the left
    one where the row direction runs to the patient's right.

    Args:
        condition: index into CONDITIONS.
        slice_header: of the annotated slice.

    Raises:
        reasons.Rejected: the slice has no orientation, and the side can't be told.
    """
    side = labels.side_of(labels.CONDITIONS[condition])
    if side is None:
        return False
    orientation = slice_header.orientation
    if orientation is None:
        raise reasons.Rejected(
            reasons.Reason.NO_ORIENTATION,
            "no ImageOrientationPatient, so the side is unknown; --nomirror_right does without",
        )
    row = orientation[:3]
    is_axial = _main_axis(normal(orientation)) == 2
    if not is_axial or _main_axis(row) != 0:
        return False
    return side == ("right" if row[0] > 0 else "left")


def neighbours(
    instance_number: int, headers: Mapping[int, header.Header], num_slices: int
) -> list[int]:
    """Returns the instance numbers of a slice and its neighbours, ascending along the normal.

    The stack is what has the slice's orientation. Its order is the position along the normal
    (row x column), never the instance number. A neighbour of another shape or spacing is the
    stack's end; beyond the end the last slice repeats.

    Args:
        instance_number: of the annotated slice, in the middle of the result.
        headers: instance number -> header, of the whole series.
        num_slices: odd.

    Raises:
        reasons.Rejected: the slice has no position or orientation.
    """
    below, above = _walks(instance_number, headers, num_slices // 2)
    return [*reversed(below.padded()), instance_number, *above.padded()]


def decisive(
    instance_number: int, headers: Mapping[int, header.Header], num_slices: int
) -> set[int]:
    """Returns the slices that `neighbours` depends on: without any other it returns the same.

    These are the neighbours, and where a stack ends before its last slice, the one that ends it.
    """
    result = {instance_number}
    for walk in _walks(instance_number, headers, num_slices // 2):
        result.update(walk.found)
        if walk.end is not None:
            result.add(walk.end)
    return result


def normal(orientation: Sequence[float]) -> tuple[float, float, float]:
    """Returns the cross product of the row and the column direction."""
    (a, b, c), (d, e, f) = orientation[:3], orientation[3:]
    return b * f - c * e, c * d - a * f, a * e - b * d


def position_along(direction: Sequence[float], position: Sequence[float]) -> float:
    """Returns the coordinate of a point along a direction, in mm."""
    return math.fsum(a * b for a, b in zip(direction, position, strict=True))


def has_same_orientation(a: header.Header, b: header.Header) -> bool:
    """Returns whether two slices are parallel and not turned against each other."""
    if a.orientation is None or b.orientation is None:
        return False
    return all(
        position_along(a.orientation[i : i + 3], b.orientation[i : i + 3]) > _SAME_DIRECTION
        for i in (0, 3)
    )


def _main_axis(direction: Sequence[float]) -> int:
    return max(range(3), key=lambda axis: abs(direction[axis]))


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Walk:
    """The way from a slice along one direction.

    Attributes:
        found: the slice and its neighbours, from the nearest.
        end: the slice that ends the stack before its last one, if any.
        count: neighbours that were wanted.
    """

    found: list[int]
    end: int | None
    count: int

    def padded(self) -> list[int]:
        """The neighbours; beyond the end the last one repeats."""
        missing = self.count + 1 - len(self.found)
        return [*self.found[1:], *[self.found[-1]] * missing]


def _walks(
    instance_number: int, headers: Mapping[int, header.Header], count: int
) -> tuple[_Walk, _Walk]:
    """The ways against and along the normal."""
    if not count:
        nowhere = _Walk(found=[instance_number], end=None, count=0)
        return nowhere, nowhere
    center = headers[instance_number]
    if center.orientation is None or center.position is None:
        raise reasons.Rejected(
            reasons.Reason.NO_ORIENTATION,
            "no ImageOrientationPatient or ImagePositionPatient, so neighbours are unknown",
        )
    direction = normal(center.orientation)
    origin = position_along(direction, center.position)
    offsets = {
        number: position_along(direction, other.position) - origin
        for number, other in headers.items()
        if other.position is not None and has_same_orientation(center, other)
    }
    backwards = {number: -offset for number, offset in offsets.items()}
    return (
        _walk(instance_number, headers, backwards, count),
        _walk(instance_number, headers, offsets, count),
    )


def _walk(
    instance_number: int,
    headers: Mapping[int, header.Header],
    offsets: Mapping[int, float],
    count: int,
) -> _Walk:
    """The next `count` slices in the direction of growing offsets, one a position."""
    found, reached = [instance_number], 0.0
    ahead = [number for number, offset in offsets.items() if offset > _SAME_POSITION_MM]
    for number in sorted(ahead, key=lambda n: (offsets[n], abs(n - instance_number), n)):
        if len(found) > count:
            break
        if offsets[number] - reached <= _SAME_POSITION_MM:
            continue
        if not _fits(headers[instance_number], headers[number]):
            return _Walk(found=found, end=number, count=count)
        found.append(number)
        reached = offsets[number]
    return _Walk(found=found, end=None, count=count)


def _fits(center: header.Header, other: header.Header) -> bool:
    is_same_spacing = all(
        math.isclose(a, b, rel_tol=_SAME_SPACING)
        for a, b in zip(center.spacing, other.spacing, strict=True)
    )
    return center.shape == other.shape and is_same_spacing
