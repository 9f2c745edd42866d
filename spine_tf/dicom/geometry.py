"""Where a slice lies in the patient: its directions, its places, and which side is where."""

import math
from collections.abc import Sequence

from spine_tf import labels
from spine_tf.dicom import header, reasons

# Cosine of 2.5 degrees: planned stacks of one series differ by more, rounding by less.
_SAME_DIRECTION = 0.999

# Positions are written as decimals: what they lie off a straight line by is no shift of a slice.
_ROUNDING_MM = 0.02

# Squared cosine of 45 degrees. Of row, column and normal at most one is nearer to the patient's
# left-right axis than that: what is left and right on the image is what the nearest one says.
_NEAR = 0.5


def is_mirrored(condition: int, slice_header: header.Header) -> bool:
    """Returns whether a crop has to be flipped so that lateral lies to the image's right.

    Only slices of a sided condition are, at any tilt: the right side where the row direction runs
    to the patient's left, as usual, and the left side where it runs to the patient's right.
    Sagittal slices, whose normal runs from side to side, never are.

    Args:
        condition: index into CONDITIONS.
        slice_header: header of the annotated slice.

    Raises:
        reasons.Rejected: neither the row direction nor the normal lies within 45 degrees of the
            patient's left-right axis, or the slice has no orientation: the side can't be told.
    """
    side = labels.side_of(labels.CONDITIONS[condition])
    if side is None:
        return False
    if slice_header.orientation is None:
        raise reasons.Rejected(
            reasons.Reason.NO_ORIENTATION,
            "ImageOrientationPatient is missing or no pair of unit vectors at right angles, so the "
            "side is unknown; --nomirror_right does without",
        )
    row = slice_header.orientation[:3]
    if _share(row) > _NEAR:
        return side == ("right" if row[0] > 0 else "left")
    if _share(normal(slice_header.orientation)) > _NEAR:
        return False
    raise reasons.Rejected(
        reasons.Reason.SIDE_UNKNOWN,
        f"the row direction lies {_degrees(row):.0f} degrees off the patient's left-right axis, "
        "expected at most 45; --nomirror_right does without",
    )


def _share(direction: Sequence[float]) -> float:
    """The squared cosine of the angle to the patient's left-right axis."""
    return direction[0] ** 2 / math.fsum(part**2 for part in direction)


def _degrees(direction: Sequence[float]) -> float:
    return math.degrees(math.acos(math.sqrt(_share(direction))))


def normal(orientation: Sequence[float]) -> tuple[float, float, float]:
    """Returns the unit vector along the cross product of the row and the column direction."""
    (a, b, c), (d, e, f) = orientation[:3], orientation[3:]
    left, back, head = b * f - c * e, c * d - a * f, a * e - b * d
    length = math.hypot(left, back, head)
    return left / length, back / length, head / length


def position_along(direction: Sequence[float], position: Sequence[float]) -> float:
    """Returns the coordinate of a point along a direction, in mm."""
    return direction[0] * position[0] + direction[1] * position[1] + direction[2] * position[2]


def has_same_orientation(a: header.Header, b: header.Header) -> bool:
    """Returns whether two slices are parallel and not turned against each other."""
    if a.orientation is None or b.orientation is None:
        return False
    if a.orientation == b.orientation:
        return True
    return all(
        _cosine(a.orientation[i : i + 3], b.orientation[i : i + 3]) > _SAME_DIRECTION
        for i in (0, 3)
    )


def _cosine(a: Sequence[float], b: Sequence[float]) -> float:
    return position_along(a, b) / (math.hypot(*a) * math.hypot(*b))


def to_patient(
    slice_header: header.Header, place_xy: tuple[float, float]
) -> tuple[float, float, float] | None:
    """Returns where a place on a slice is in the patient (PS3.3, C.7.6.2.1.1).

    Args:
        slice_header: the slice's header.
        place_xy: column and row in pixels; integers are pixel centres.

    Returns:
        mm to the left, to the back and to the head; None where the slice doesn't say where it is.
    """
    position, orientation = slice_header.position, slice_header.orientation
    if position is None or orientation is None:
        return None
    right = place_xy[0] * slice_header.spacing[1]
    down = place_xy[1] * slice_header.spacing[0]
    left, back, head = (
        position[axis] + right * orientation[axis] + down * orientation[axis + 3]
        for axis in range(3)
    )
    return left, back, head


def locate(
    point: Sequence[float], slice_header: header.Header
) -> tuple[tuple[float, float], float]:
    """Returns where a point of the patient lies on a slice, and how far from it.

    Args:
        point: mm to the left, to the back and to the head.
        slice_header: the slice's header, which says where it is.

    Returns:
        Column and row in pixels, perhaps off the image; and mm along the slice's normal.
    """
    position, orientation = slice_header.position, slice_header.orientation
    if position is None or orientation is None:
        raise ValueError("a slice without a position or an orientation, expected both")
    offset = [a - b for a, b in zip(point, position, strict=True)]
    along = normal(orientation)
    distance = position_along(along, offset)
    right, down = _in_plane(
        [a - distance * b for a, b in zip(offset, along, strict=True)], orientation
    )
    place_xy = right / slice_header.spacing[1], down / slice_header.spacing[0]
    return place_xy, distance


def project(
    place_xy: tuple[float, float], slice_header: header.Header, other: header.Header
) -> tuple[float, float]:
    """Returns where a place on a slice lies on a parallel one, along the first one's normal.

    Slices of a stack may be shifted in their own plane, or be tilted a little against each other.

    Args:
        place_xy: column and row in pixels; integers are pixel centres.
        slice_header: the header where the place is given; it says where its slice is, as the other
            does.
        other: header of the parallel slice.

    Returns:
        Column and row in the other slice's pixels, perhaps off it; exactly the place itself where
        the slices are shifted by no more than positions are rounded.
    """
    start, position, orientation = (
        to_patient(slice_header, place_xy),
        other.position,
        other.orientation,
    )
    if start is None or position is None or orientation is None or slice_header.orientation is None:
        raise ValueError("a slice without a position or an orientation, expected both")
    along, across = normal(slice_header.orientation), normal(orientation)
    from_start = [b - a for a, b in zip(start, position, strict=True)]
    distance = position_along(from_start, across) / position_along(along, across)
    on_plane = [distance * a - b for a, b in zip(along, from_start, strict=True)]
    right, down = _in_plane(on_plane, orientation)
    shift = (
        right - place_xy[0] * slice_header.spacing[1],
        down - place_xy[1] * slice_header.spacing[0],
    )
    if max(map(abs, shift)) <= _ROUNDING_MM:
        return place_xy
    return right / other.spacing[1], down / other.spacing[0]


def _in_plane(vector: Sequence[float], orientation: Sequence[float]) -> tuple[float, float]:
    """How far a vector in a slice's plane goes along its rows and columns, which may be skew."""
    row, column = orientation[:3], orientation[3:]
    rows, columns = position_along(row, row), position_along(column, column)
    skew = position_along(row, column)
    by_row, by_column = position_along(vector, row), position_along(vector, column)
    scale = rows * columns - skew * skew
    return (by_row * columns - by_column * skew) / scale, (by_column * rows - by_row * skew) / scale
