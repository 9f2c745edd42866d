"""How many slices off a point is, in stacks with gaps and of slices that are not quite parallel."""

import math

import numpy as np
import pytest

from spine_tf import labels
from spine_tf.conversion import landmarks
from spine_tf.crops import imaged_study, known_points, projection
from spine_tf.dicom import header

_RECESS = labels.CONDITIONS[3]


def _slice(head, tilt=0.0):
    """An axial slice of 200 mm, tilted around its left-right axis, whose middle is on z = head."""
    down = (0.0, math.cos(tilt), -math.sin(tilt))
    return header.Header(
        rows=201,
        columns=201,
        bits_allocated=16,
        bits_stored=12,
        high_bit=11,
        is_signed=False,
        is_inverted=False,
        slope=1.0,
        intercept=0.0,
        spacing=(1.0, 1.0),
        position=(-100.0, -100.0 * down[1], head - 100.0 * down[2]),
        orientation=(1.0, 0.0, 0.0, *down),
    )


def _stack(*headers):
    (stack,) = imaged_study.split(1, 2, "Axial T2", dict(enumerate(headers, 1)))
    return stack


def _two_slabs(tilt=0.0):
    """Three slices at one disc, three at the next one 32 mm above, perhaps a little tilted."""
    return _stack(*map(_slice, (0, 4, 8)), *(_slice(head, tilt) for head in (40, 44, 48)))


def _point(stack, plane, point=(9.0, 0.0, 0.0)):
    return known_points.KnownPoint(
        condition=labels.CONDITIONS.index(_RECESS), level=3, stack=stack, plane=plane, point=point
    )


def test_slices_beyond_a_gap_are_as_far_as_they_lie():
    stack = _two_slabs()
    sight = known_points.sight(stack, [_point(stack, 2)], _RECESS, 3)
    assert [sight.slices_from(slot) for slot in stack.slots] == [2, 1, 0, 8, 9, 10]
    assert landmarks.around([sight], stack) == {1, 2}


@pytest.mark.parametrize(
    ("head", "slices", "shown"),
    [(9.0, 0.25, {1, 2}), (24.0, 4.0, set()), (41.0, 8.25, {3, 4}), (54.0, 9.5 + 2, set())],
)
def test_carried_point_is_shown_by_a_plane_near_it(head, slices, shown):
    stack, other = _two_slabs(), _stack(_slice(head))
    sight = known_points.sight(stack, [_point(other, 0, (9.0, 0.0, head))], _RECESS, 3)
    assert sight.slices_from(stack.slots[2]) == pytest.approx(slices)
    assert landmarks.around([sight], stack) == shown


def test_slices_count_along_the_nearest_ones_normal():
    """Two degrees are parallel enough for a stack; at the edge of a slice they are a slice."""
    stack, other = _two_slabs(tilt=math.radians(2.0)), _stack(_slice(44.0))
    sight = known_points.sight(stack, [_point(other, 0, (9.0, 0.0, 44.0))], _RECESS, 3)
    assert sight.slices_from(stack.slots[4]) == pytest.approx(0.0, abs=1e-6)


def test_no_plane_beyond_a_gap_is_looked_at():
    stack = _two_slabs()
    for head, planes in ((7.0, range(3)), (40.0, range(3, 6))):
        assert projection.nearest(np.array([0.0, 0.0, head]), stack).planes == planes
    (cover,) = projection.covers(np.zeros(3), [_stack(*map(_slice, range(0, 40, 4)))])
    assert cover.planes == range(3)
