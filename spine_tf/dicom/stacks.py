"""Which slices belong together: acquisitions, stacks of parallel planes, neighbours in them.

A folder of slices may hold two echoes, magnitude and phase, several time points, slabs at several
discs. A stack is what one acquisition shows on parallel planes of one shape and spacing; a slice's
neighbours are the next planes of its stack, by their place in the patient. Whoever asks which
slices belong together, to cut crops, to audit or to find series in a pile of files, asks here.
"""

import bisect
import dataclasses
import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence

from spine_tf.dicom import geometry, header, reasons

Headers = Mapping[int, header.Header]
"""Headers of a folder's slices, by instance number."""

_SAME_SPACING = 1e-4
_SAME_PLANE_MM = 0.01

# Between one step and the two that a missing slice leaves.
_MAX_STEP = 1.5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Neighbours:
    """A slice among its neighbours.

    Attributes:
        numbers: instance numbers, ascending along the normal (row x column), never by instance
            number; the slice is in the middle, and beyond an end the last slice repeats.
        is_cut_short: slices repeat although the acquisition goes on there: behind a gap, or with
            slices of another shape or spacing.
    """

    numbers: tuple[int, ...]
    is_cut_short: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stack:
    """Parallel slices of one acquisition, shape and spacing, one a plane.

    Attributes:
        numbers: instance numbers, ascending along the normal (row x column).
        offsets: mm of each slice's plane along that normal, from the patient's origin.
    """

    numbers: tuple[int, ...]
    offsets: tuple[float, ...]


def is_same_acquisition(a: header.Header, b: header.Header) -> bool:
    """Returns whether two slices are of one series, echo, image type, time and b-value.

    Where neither file says, they are: RSNA's own files have none of these attributes.
    """
    return a.acquisition == b.acquisition


def neighbours(instance_number: int, headers: Headers, num_slices: int) -> Neighbours:
    """Finds the next planes of a slice's stack.

    A plane farther away than 1.5 times the stack's spacing, the median of its own gaps, is no
    neighbour: a slice is missing there, or the next slab begins. Of several files on one plane that
    one is taken which says most as the slice does (sign, scale, acquisition number, trigger time,
    ...); of equals the one that is as many-th by instance number as the slice is on its own plane,
    or, where there are not as many, the nearest by instance number.

    Args:
        instance_number: the slice's number.
        headers: headers of all slices of its folder, itself among them.
        num_slices: odd.

    Raises:
        reasons.Rejected: the slice has no position or orientation.
    """
    if num_slices == 1:
        return Neighbours(numbers=(instance_number,), is_cut_short=False)
    stack = _stack_of(instance_number, headers)
    below, above = (stack.walk(step, num_slices // 2) for step in (-1, 1))
    return Neighbours(
        numbers=(*reversed(below.padded()), instance_number, *above.padded()),
        is_cut_short=below.is_cut_short or above.is_cut_short,
    )


def decisive(instance_numbers: Iterable[int], headers: Headers, num_slices: int) -> set[int]:
    """Returns slices of a folder that are enough: with no others, all neighbours are the same.

    These are the neighbours and the planes beside them; where a stack's spacing would change
    without the rest of it, the whole stack.

    Args:
        instance_numbers: those of slices whose neighbours count; one without a place has none.
        headers: headers of all slices of their folder.
        num_slices: odd; the neighbours of fewer are the same too.
    """
    enough = set(instance_numbers)
    placed = [number for number in sorted(enough) if _try(number, headers, num_slices) is not None]
    if num_slices == 1 or not placed:
        return enough
    for number in placed:
        enough |= _stack_of(number, headers).around(num_slices // 2)
    fewer = {number: headers[number] for number in sorted(enough)}
    # Where fewer neighbours are cut short, more of them need not be.
    if all(
        neighbours(number, fewer, count) == neighbours(number, headers, count)
        for number in placed
        for count in range(3, num_slices + 1, 2)
    ):
        return enough
    return enough.union(*(_parallel_to(number, headers) for number in placed))


def _try(instance_number: int, headers: Headers, num_slices: int) -> Neighbours | None:
    try:
        return neighbours(instance_number, headers, num_slices)
    except reasons.Rejected:
        return None


def split(headers: Headers) -> list[Stack]:
    """Divides slices into stacks, in the order of their least instance numbers.

    Of several files on one plane each belongs to a stack of its own, made of those that go with it
    as `neighbours` has it. Slices that don't say where they lie are in no stack.

    Args:
        headers: headers of a folder's slices, or of any others with numbers of their own.
    """
    left = {n: h for n, h in sorted(headers.items()) if h.position is not None and h.orientation}
    found = []
    while left:
        for anchor in max(_stack_of(next(iter(left)), left).planes, key=len):
            stack = _stack_of(anchor, left).thinned()
            found.append(stack)
            for number in stack.numbers:
                del left[number]
    return found


def count_kinds(headers: Iterable[header.Header]) -> dict[str, int]:
    """Returns how many acquisitions, shapes, spacings and orientations there are among slices.

    Slices without an orientation are of none.
    """
    listed = list(headers)
    oriented = [item for item in listed if item.orientation is not None]
    return {
        "acquisitions": _count(listed, is_same_acquisition),
        "shapes": _count(listed, lambda a, b: a.shape == b.shape),
        "spacings": _count(listed, _has_same_spacing),
        "orientations": _count(oriented, geometry.has_same_orientation),
    }


def _count(
    headers: Sequence[header.Header], is_same: Callable[[header.Header, header.Header], bool]
) -> int:
    found: list[header.Header] = []
    for item in headers:
        if not any(is_same(item, other) for other in found):
            found.append(item)
    return len(found)


def _has_same_spacing(a: header.Header, b: header.Header) -> bool:
    return all(
        math.isclose(one, other, rel_tol=_SAME_SPACING)
        for one, other in zip(a.spacing, b.spacing, strict=True)
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Walk:
    """The way from a slice along one direction.

    Attributes:
        numbers: the slice and its neighbours, from the nearest.
        count: neighbours that were wanted.
        is_cut_short: there are fewer, although the acquisition goes on.
    """

    numbers: list[int]
    count: int
    is_cut_short: bool

    def padded(self) -> list[int]:
        """The neighbours; beyond the end the last one repeats."""
        missing = self.count + 1 - len(self.numbers)
        return [*self.numbers[1:], *[self.numbers[-1]] * missing]


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Stack:
    """The planes of a slice's stack.

    Attributes:
        headers: headers of all slices of the folder.
        instance_number: the slice's number.
        origin: mm of the slice's plane along the normal, from the patient's origin.
        planes: instance numbers on each plane, ascending along the normal.
        offsets: mm of each plane along the normal, from the slice's own.
        own: index of the slice's own plane.
        strangers: mm of slices that are parallel, but of another shape or spacing.
    """

    headers: Headers
    instance_number: int
    origin: float
    planes: list[list[int]]
    offsets: list[float]
    own: int
    strangers: list[float]

    def _max_step_mm(self) -> float:
        gaps = sorted(b - a for a, b in itertools.pairwise(self.offsets))
        return _MAX_STEP * gaps[(len(gaps) - 1) // 2] if gaps else 0.0

    def walk(self, step: int, count: int) -> _Walk:
        """Goes from plane to plane, against the normal (-1) or along it (1)."""
        numbers, at, max_step_mm = [self.instance_number], self.own, self._max_step_mm()
        while len(numbers) <= count:
            if not 0 <= at + step < len(self.planes):
                has_more = any(step * (o - self.offsets[at]) > 0 for o in self.strangers)
                return _Walk(numbers=numbers, count=count, is_cut_short=has_more)
            if abs(self.offsets[at + step] - self.offsets[at]) > max_step_mm:
                return _Walk(numbers=numbers, count=count, is_cut_short=True)
            at += step
            numbers.append(self._choose(self.planes[at]))
        return _Walk(numbers=numbers, count=count, is_cut_short=False)

    def around(self, count: int) -> set[int]:
        """The slices on the nearest planes, one more than the neighbours that are wanted."""
        near = self.planes[max(0, self.own - count - 1) : self.own + count + 2]
        return {number for plane in near for number in plane}

    def thinned(self) -> Stack:
        """The stack with one file a plane, those that go with the slice."""
        return Stack(
            numbers=tuple(map(self._choose, self.planes)),
            offsets=tuple(self.origin + offset for offset in self.offsets),
        )

    def _choose(self, plane: Sequence[int]) -> int:
        """Returns the file of a plane that goes with the slice."""
        if len(plane) == 1:
            return plane[0]
        own, alike = self._most_alike(self.planes[self.own]), self._most_alike(plane)
        if len(alike) == len(own):
            return alike[own.index(self.instance_number)]
        return min(alike, key=lambda number: (abs(number - self.instance_number), number))

    def _most_alike(self, plane: Sequence[int]) -> list[int]:
        hints = self.headers[self.instance_number].hints
        likeness = {
            number: sum(a == b for a, b in zip(hints, self.headers[number].hints, strict=True))
            for number in plane
        }
        return [number for number in plane if likeness[number] == max(likeness.values())]


def _stack_of(instance_number: int, headers: Headers) -> _Stack:
    center = headers[instance_number]
    if center.orientation is None or center.position is None:
        raise reasons.Rejected(
            reasons.Reason.NO_ORIENTATION,
            "ImagePositionPatient or ImageOrientationPatient is missing or makes no sense, so "
            "neighbours are unknown; --num_slices 1 does without",
        )
    direction = geometry.normal(center.orientation)
    origin = geometry.position_along(direction, center.position)
    members, strangers = [], []
    for number in _parallel_to(instance_number, headers):
        other = headers[number]
        offset = geometry.position_along(direction, other.position or ()) - origin
        if other.shape == center.shape and _has_same_spacing(center, other):
            members.append((offset, number))
        else:
            strangers.append(offset)
    offsets, planes = _planes(members)
    return _Stack(
        headers=headers,
        instance_number=instance_number,
        origin=origin,
        planes=planes,
        offsets=offsets,
        own=next(index for index, plane in enumerate(planes) if instance_number in plane),
        strangers=strangers,
    )


def _parallel_to(instance_number: int, headers: Headers) -> list[int]:
    """The slices of the same acquisition that are parallel and say where they are."""
    center = headers[instance_number]
    return [
        number
        for number, other in headers.items()
        if is_same_acquisition(center, other)
        and other.position is not None
        and geometry.has_same_orientation(center, other)
    ]


def _planes(members: Iterable[tuple[float, int]]) -> tuple[list[float], list[list[int]]]:
    """The distinct offsets of slices, ascending, and the instance numbers at each, ascending."""
    offsets: list[float] = []
    planes: list[list[int]] = []
    for offset, number in sorted(members):
        if offsets and offset - offsets[-1] <= _SAME_PLANE_MM:
            bisect.insort(planes[-1], number)
        else:
            offsets.append(offset)
            planes.append([number])
    return offsets, planes
