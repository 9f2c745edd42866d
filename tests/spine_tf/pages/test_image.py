"""Crops and slices as pictures, and the addresses that carry them."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from spine_tf.pages import image


def _decoded(address):
    kind, _, data = address.partition(";base64,")
    return kind, Image.open(io.BytesIO(base64.b64decode(data)))


def test_crop_is_a_grey_picture_of_the_middle_slice():
    values = np.zeros((4, 6, 3))
    values[..., 0] = 1.0
    values[1, 2, 1] = 0.5

    kind, picture = _decoded(image.png_uri(image.crop(values)))
    pixels = np.asarray(picture)

    assert kind == "data:image/png"
    assert pixels.shape == (4, 6)
    assert pixels[1, 2] == 128
    assert pixels.sum() == 128


def test_large_crop_is_made_small():
    assert image.crop(np.full((800, 400, 1), 0.5)).size == (96, 192)
    assert image.crop(np.full((80, 40, 1), 0.5), side_px=40).size == (20, 40)


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        ((100.0, 300.0), [0, 0, 128, 255, 255]),
        ((200.0, 200.0), [0, 0, 0, 255, 255]),  # No window at all counts as 1 wide.
    ],
)
def test_window_is_black_to_white(window, expected):
    values = np.array([[0, 100, 200, 300, 60000]], np.uint16)
    assert np.asarray(image.grey(values, window)).tolist() == [expected]


def test_heat_is_clear_where_the_evidence_speaks_against():
    picture = image.heat(np.array([[2.0, -1.0], [1.0, 0.0]]))

    assert np.asarray(picture)[..., 3].tolist() == [[200, 0], [100, 0]]


def test_weak_evidence_is_drawn_faint():
    assert np.asarray(image.heat(np.array([[0.05, 0.0]])))[0, 0, 3] == 40


def test_cross_and_ring_leave_the_point_itself_visible():
    picture = Image.new("RGB", (60, 60), (7, 7, 7))
    image.draw_cross(picture, 30, 30)
    image.draw_ring(picture, 30, 30)

    pixels = np.asarray(picture)
    assert pixels[30, 30].tolist() == [7, 7, 7]
    changed = np.argwhere((pixels != 7).any(axis=2))
    assert (changed.min(axis=0) >= 10).all()
    assert (changed.max(axis=0) <= 50).all()
    assert len({tuple(colour) for colour in pixels.reshape(-1, 3)}) == 4


def test_jpeg_is_nearly_the_picture():
    values = np.linspace(0, 1, 64 * 64).reshape(64, 64, 1)
    kind, picture = _decoded(image.jpeg_uri(image.crop(values)))

    assert kind == "data:image/jpeg"
    assert np.abs(np.asarray(picture, float) - 255 * values[:, :, 0]).max() < 8
