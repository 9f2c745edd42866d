"""Which side a slice shows where, at any tilt; one place of the patient on two slices."""

import dataclasses
import io

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from spine_tf import labels
from spine_tf.dicom import elements, geometry, header, reasons

_USUAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
_TO_THE_RIGHT = (-1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
_OBLIQUE = (0.98, 0.05, -0.19, 0.0, 0.966, 0.259)
_SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
_CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
_TURNED = (0.0, 1.0, 0.0, -1.0, 0.0, 0.0)
_LEFT = labels.CONDITIONS.index("left_subarticular_stenosis")
_RIGHT = labels.CONDITIONS.index("right_subarticular_stenosis")
_CANAL = labels.CONDITIONS.index("spinal_canal_stenosis")


def _header(**changes):
    usual = header.Header(
        rows=64,
        columns=72,
        bits_allocated=16,
        bits_stored=12,
        high_bit=11,
        is_signed=False,
        is_inverted=False,
        slope=1.0,
        intercept=0.0,
        spacing=(0.5, 0.5),
        position=(0.0, 0.0, 0.0),
        orientation=_USUAL,
    )
    return dataclasses.replace(usual, **changes)


def _turned(orientation, axis, degrees):
    """A row and a column direction after a rotation about an axis of the patient."""
    angle = np.radians(degrees)
    first, second = (other for other in range(3) if other != axis)
    matrix = np.eye(3)
    matrix[first, first] = matrix[second, second] = np.cos(angle)
    matrix[first, second], matrix[second, first] = -np.sin(angle), np.sin(angle)
    return tuple(np.concatenate([matrix @ orientation[:3], matrix @ orientation[3:]]).tolist())


@pytest.mark.parametrize(
    ("orientation", "condition", "expected"),
    [
        (_USUAL, _RIGHT, True),
        (_USUAL, _LEFT, False),
        (_USUAL, _CANAL, False),
        (_TO_THE_RIGHT, _LEFT, True),
        (_TO_THE_RIGHT, _RIGHT, False),
        (_OBLIQUE, _RIGHT, True),
        (_SAGITTAL, _RIGHT, False),
        (_SAGITTAL, _LEFT, False),
        pytest.param(_CORONAL, _RIGHT, True, id="a tilt of 90 degrees"),
        pytest.param((1, 0, 0, 0, 0, 1), _RIGHT, True, id="coronal, feet up"),
        pytest.param((1, 0, 0, 0, -1, 0), _RIGHT, True, id="column flipped"),
        pytest.param((-1, 0, 0, 0, -1, 0), _LEFT, True, id="prone, the image turned by 180"),
        pytest.param((0.95, 0, 0, 0, 0.95, 0), _RIGHT, True, id="no unit vectors"),
        (None, _CANAL, False),
        (_TURNED, _CANAL, False),
    ],
)
def test_side_is_told_by_orientation(orientation, condition, expected):
    assert geometry.is_mirrored(condition, _header(orientation=orientation)) is expected


@pytest.mark.parametrize("tilt", [-89, -71, -46, -44, 18, 44, 46, 60, 71, 89])
@pytest.mark.parametrize(("start", "mirrored"), [(_USUAL, _RIGHT), (_TO_THE_RIGHT, _LEFT)])
def test_tilt_of_an_axial_slice_changes_no_side(tilt, start, mirrored):
    tilted = _header(orientation=_turned(start, 0, tilt))
    assert geometry.is_mirrored(mirrored, tilted)
    assert not geometry.is_mirrored(_LEFT + _RIGHT - mirrored, tilted)


@pytest.mark.parametrize(
    ("orientation", "expected"),
    [
        pytest.param(_turned(_USUAL, 2, 40), True, id="turned in its plane by 40"),
        pytest.param(_turned(_USUAL, 2, 140), False, id="turned in its plane by 140"),
        pytest.param(_turned(_USUAL, 1, 40), True, id="tilted sideways by 40"),
        pytest.param(_turned(_turned(_USUAL, 0, 50), 1, 30), True, id="doubly oblique"),
        pytest.param(_turned(_SAGITTAL, 2, 40), False, id="sagittal, turned by 40"),
        pytest.param(_turned(_SAGITTAL, 1, -40), False, id="sagittal, tilted by 40"),
    ],
)
def test_direction_next_to_the_left_right_axis_decides(orientation, expected):
    assert geometry.is_mirrored(_RIGHT, _header(orientation=orientation)) is expected


@pytest.mark.parametrize(
    "orientation",
    [
        pytest.param(_TURNED, id="axial, turned by 90"),
        pytest.param(_turned(_USUAL, 2, 50), id="axial, turned by 50"),
        pytest.param(_turned(_CORONAL, 1, 90), id="coronal, turned by 90"),
        pytest.param(_turned(_turned(_USUAL, 1, 45), 2, 45), id="none is near"),
    ],
)
@pytest.mark.parametrize("condition", [_LEFT, _RIGHT])
def test_side_that_the_row_does_not_say_is_rejected(orientation, condition):
    with pytest.raises(reasons.Rejected, match=r"side_unknown: the row direction lies \d+ degrees"):
        geometry.is_mirrored(condition, _header(orientation=orientation))


@pytest.mark.parametrize(
    "orientation",
    [
        [1, 0, 0, 0.15, 0.98, 0],  # not at right angles
        [0, 0, 0, 0, 0, 0],
        [1, 0, 0, 0, 0.5, 0],  # not of unit length
        [1, 0, 0, 1, 0, 0],  # twice the same
        [1, 0, 0],
    ],
)
def test_orientation_that_is_none_is_not_said_to_be_missing(make_slice, orientation):
    dataset = make_slice(np.zeros((8, 8), np.uint16), orientation=None)
    dataset.ImageOrientationPatient = orientation
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    found = header.parse_header(elements.read_elements(buffer.getvalue()))
    with pytest.raises(reasons.Rejected, match="is missing or no pair of unit vectors at right"):
        geometry.is_mirrored(_LEFT, found)


def test_side_of_a_slice_without_orientation_is_rejected():
    with pytest.raises(
        reasons.Rejected, match="no_orientation: ImageOrientationPatient is missing"
    ):
        geometry.is_mirrored(_LEFT, _header(orientation=None))


def test_slice_that_is_not_of_unit_vectors_is_parallel_to_itself():
    short = _header(orientation=(0.93, 0.0, 0.0, 0.0, 0.93, 0.0))
    assert geometry.has_same_orientation(short, dataclasses.replace(short, position=(0, 0, 4)))
    assert geometry.has_same_orientation(short, _header())
    assert not geometry.has_same_orientation(short, _header(orientation=_OBLIQUE))
    assert not geometry.has_same_orientation(short, _header(orientation=None))


_PLACES = st.tuples(st.floats(-100, 100), st.floats(-100, 100))


@settings(deadline=None)
@given(st.floats(-80, 80), _PLACES, st.floats(1, 20), st.floats(-60, 60), st.floats(-60, 60))
def test_place_is_projected_along_the_normal(tilt, place, distance, right, down):
    orientation = _turned(_turned(_USUAL, 0, tilt), 1, 10)
    row, column = np.array(orientation[:3]), np.array(orientation[3:])
    step = distance * np.cross(row, column) + right * row + down * column
    one = _header(orientation=orientation, spacing=(0.4, 0.8), position=(5.0, -7.0, 9.0))
    other = dataclasses.replace(one, position=tuple((np.array(one.position) + step).tolist()))
    x, y = geometry.project(place, one, other)
    if max(abs(right), abs(down)) > 0.021:
        assert (x, y) == pytest.approx((place[0] - right / 0.8, place[1] - down / 0.4), abs=1e-6)
    found, start = (np.array(geometry.to_patient(h, p)) for h, p in ((other, (x, y)), (one, place)))
    assert np.abs(found - start - distance * np.cross(row, column)).max() < 0.03


def test_place_on_a_slice_that_is_tilted_a_little_lies_on_its_plane():
    one = _header()
    other = _header(orientation=_turned(_USUAL, 0, 2.0), position=(3.0, 0.0, 5.0))
    place = geometry.project((40.0, 30.0), one, other)
    assert geometry.to_patient(other, place)[:2] == pytest.approx(
        geometry.to_patient(one, (40, 30))[:2]
    )


def test_rounding_of_positions_is_no_shift():
    other = _header(position=(0.013, -0.019, 4.0))
    assert geometry.project((20.25, 31.5), _header(), other) == (20.25, 31.5)
    assert geometry.project((20.25, 31.5), _header(), _header(position=(0.03, 0.0, 4.0))) != (
        20.25,
        31.5,
    )


@pytest.mark.parametrize("changes", [{"position": None}, {"orientation": None}])
def test_place_on_a_slice_that_lies_nowhere_is_refused(changes):
    assert geometry.to_patient(_header(**changes), (1.0, 2.0)) is None
    for pair in ((_header(), _header(**changes)), (_header(**changes), _header())):
        with pytest.raises(ValueError, match="without a position or an orientation"):
            geometry.project((1.0, 2.0), *pair)
