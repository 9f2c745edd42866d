"""Grid, slice and patient: one map, and the crops lie where it says."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from spine_tf.crops import imaged_study, slice_reader, windows
from spine_tf.dicom import header
from spine_tf.rsna import sources

_SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)


def _stack(spacing=(0.6, 0.7), shape=(320, 300), orientation=_SAGITTAL, shift=(0.0, 0.0, 0.0)):
    one = header.Header(
        rows=shape[0],
        columns=shape[1],
        bits_allocated=16,
        bits_stored=12,
        high_bit=11,
        is_signed=False,
        is_inverted=False,
        slope=1.0,
        intercept=0.0,
        spacing=spacing,
        position=shift,
        orientation=orientation,
    )
    return imaged_study.SliceStack(
        study_id=1, series_id=2, description="Sagittal T2/STIR", numbers=(5,), headers=(one,)
    )


@settings(max_examples=30)
@given(
    place=st.tuples(st.floats(-20, 275), st.floats(-20, 275)),
    spacing=st.tuples(st.floats(0.2, 2.0), st.floats(0.2, 2.0)),
    tilt=st.floats(-0.7, 0.7),
)
def test_grid_slice_and_patient_are_one_map(place, spacing, tilt):
    orientation = (1.0, 0.0, 0.0, 0.0, np.cos(tilt), np.sin(tilt))
    stack = _stack(spacing=spacing, orientation=orientation, shift=(-80.0, 12.0, 400.0))
    (window,) = windows.around_middles(stack, windows.AXIAL_MM)
    np.testing.assert_allclose(window.on_grid(window.on_slice(place)), place, atol=1e-9)
    point = window.in_patient(place)
    back, distance = window.locate(point.tolist())
    np.testing.assert_allclose(back, place, atol=1e-6)
    assert abs(distance) < 1e-9
    off = point + 3.0 * np.array(stack.normal)
    back, distance = window.locate(off.tolist())
    np.testing.assert_allclose([*back, distance], [*place, 3.0], atol=1e-6)


def test_pixels_of_the_grid_are_a_millimetre_or_half_of_one():
    assert windows.SAGITTAL_MM / windows.SIDE_PX == 1.0
    (window,) = windows.around_middles(_stack(), windows.AXIAL_MM)
    assert window.pixel_mm == 0.5
    apart = window.in_patient((101.0, 50.0)) - window.in_patient((100.0, 50.0))
    assert np.linalg.norm(apart) == pytest.approx(0.5)


def test_window_around_a_point_off_the_image_lies_on_the_image():
    (window,) = windows.around_point(_stack(), [0], np.array([0.0, 900.0, -900.0]), 128.0)
    assert window.center_xy == (299.0, 319.0)


def test_bright_pixel_is_where_the_map_says(data_set):
    pixels = np.full((200, 240), 100, np.uint16)
    pixels[60, 150] = 1500
    orientation = _SAGITTAL
    for instance in (1, 2, 3):
        data_set.add_image(
            1,
            2,
            instance,
            pixels,
            spacing=(1.0, 1.0),
            position=(4.0 * instance, 0.0, 0.0),
            orientation=orientation,
        )
    source = sources.open_source(data_set.write())
    study = imaged_study.read(source, 1, {2: "Sagittal T1"})
    (stack,) = study.sagittal
    window = windows.around_middles(stack, windows.SAGITTAL_MM)[1]
    crop = windows.cut(window, slice_reader.SliceReader(source, windows.NUM_SLICES))
    assert crop.image.shape == (256, 256, 3)
    x, y = window.on_grid((150.0, 60.0))
    row, column = np.unravel_index(crop.image[:, :, 1].argmax(), (256, 256))
    assert abs(row - y) <= 0.5 and abs(column - x) <= 0.5
    np.testing.assert_allclose(window.in_patient((x, y)), (8.0, 150.0, -60.0), atol=1e-6)
