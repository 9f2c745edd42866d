import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from spine_tf.augmentation import changes, field_of_view, sampler
from spine_tf.configuration import data_config

_OFF = data_config.AugmentationConfig(
    unchanged=0, rotation_degrees=0, shift=0, scale=0, contrast=0, brightness=0
)
_HALVED = field_of_view.FieldOfView(record_px=32, record_mm=None, input_px=16, pitch=2.0)
_STRENGTHS = {
    "rotation_degrees": 20.0,
    "shift": 0.2,
    "scale": 0.3,
    "stretch": 0.3,
    "jitter_mm": 10.0,
    "contrast": 0.5,
    "brightness": 0.3,
    "gamma": 0.5,
    "noise": 0.1,
    "blur": 2.0,
    "shear": 0.4,
    "cutout": 0.4,
    "flip": 0.5,
    "slice_shuffle": 0.5,
}


def _images(count: int = 4) -> tf.Tensor:
    grid = np.linspace(0.1, 0.9, 32, dtype=np.float32)
    image = grid[:, np.newaxis] * grid[np.newaxis] + 0.1
    slices = np.stack([image, 0.9 * image], axis=-1)
    return tf.constant(np.tile(slices[np.newaxis], (count, 1, 1, 1)))


def _augment(
    images: tf.Tensor, seeds: tf.Tensor, settings: data_config.AugmentationConfig
) -> tf.Tensor:
    view = field_of_view.whole(images.shape[1], side_mm=40.0)
    return changes.augment(images, seeds, settings, view)


def _seeds(first: int = 0, count: int = 4) -> tf.Tensor:
    return tf.stack([tf.fill([count], first), tf.range(count)], axis=1)


def test_all_strengths_zero_change_nothing() -> None:
    np.testing.assert_array_equal(_augment(_images(), _seeds(), _OFF), _images())


@pytest.mark.parametrize("name", _STRENGTHS)
def test_strength_changes_images_within_the_range(name: str) -> None:
    settings = dataclasses.replace(_OFF, **{name: _STRENGTHS[name]})
    changed = _augment(_images(), _seeds(), settings).numpy()
    assert changed.shape == _images().shape
    assert 0.0 <= changed.min() <= changed.max() <= 1.0
    assert not np.allclose(changed, _images())
    assert len({image.tobytes() for image in changed}) > 1, "each image changes in its own way"


def test_share_of_images_is_left_to_the_last_bit() -> None:
    settings = dataclasses.replace(_OFF, rotation_degrees=20.0, noise=0.05)
    images, seeds = _images(400), _seeds(count=400)
    shares = {}
    for unchanged in (0.0, 0.25, 1.0):
        found = _augment(images, seeds, dataclasses.replace(settings, unchanged=unchanged))
        shares[unchanged] = float(np.mean((found == images).numpy().all(axis=(1, 2, 3))))
    assert shares[0.0] == 0.0
    assert shares[0.25] == pytest.approx(0.25, abs=0.07)
    assert shares[1.0] == 1.0


@pytest.mark.slow
def test_half_is_left_by_default_where_moving_would_smooth() -> None:
    settings = dataclasses.replace(_OFF, rotation_degrees=20.0, unchanged=-1.0)
    images, seeds = _images(200), _seeds(count=200)
    for view, share in ((field_of_view.whole(32), 0.5), (_HALVED, 0.0)):
        found = changes.augment(images, seeds, settings, view)
        at_rest = sampler.at_rest(images, view)
        same = np.abs(found - at_rest).max(axis=(1, 2, 3)) < 1e-5
        assert same.mean() == pytest.approx(share, abs=0.1)


@pytest.mark.parametrize("name", _STRENGTHS)
def test_equal_seeds_give_equal_pixels_eagerly_and_in_a_map(name: str) -> None:
    settings = dataclasses.replace(_OFF, **{name: _STRENGTHS[name]})
    eager = _augment(_images(), _seeds(), settings)
    mapped = tf.data.Dataset.from_tensors((_images(), _seeds())).map(
        lambda images, seeds: _augment(images, seeds, settings)
    )
    np.testing.assert_allclose(next(iter(mapped)), eager, atol=1e-6)
    other = _augment(_images(), _seeds(first=9), settings)
    assert not np.allclose(other, eager)


@pytest.mark.slow
def test_shift_moves_by_whole_fractions_of_the_side() -> None:
    image = np.zeros((1, 20, 20, 1), np.float32)
    image[0, 10, 10] = 1.0
    settings = dataclasses.replace(_OFF, shift=0.2)
    moved = [
        _augment(tf.constant(image), _seeds(first, 1), settings).numpy()[0, :, :, 0]
        for first in range(40)
    ]
    rows, columns = np.array([np.unravel_index(m.argmax(), m.shape) for m in moved]).T
    assert abs(rows - 10).max() <= 4
    assert abs(columns - 10).max() <= 4
    assert len(set(rows)) > 3


def test_rotation_keeps_the_centre() -> None:
    image = np.zeros((1, 21, 21, 1), np.float32)
    image[0, 10, 10] = 1.0
    settings = dataclasses.replace(_OFF, rotation_degrees=90)
    turned = _augment(tf.constant(image), _seeds(3, 1), settings).numpy()
    assert np.unravel_index(turned.argmax(), turned.shape)[1:3] == (10, 10)


def test_cutout_leaves_the_rest_alone() -> None:
    settings = dataclasses.replace(_OFF, cutout=0.25)
    changed = _augment(_images(), _seeds(), settings).numpy()
    share = (changed != _images().numpy()).mean(axis=(1, 2, 3))
    assert (share > 0).all()
    assert (share <= 0.28**2).all()


def test_flip_is_left_to_right_as_often_as_it_says() -> None:
    images = _images(200)
    changed = _augment(images, _seeds(count=200), dataclasses.replace(_OFF, flip=0.3)).numpy()
    is_flipped = np.array([not np.array_equal(*pair) for pair in zip(changed, images, strict=True)])
    assert 0.2 < is_flipped.mean() < 0.4
    np.testing.assert_array_equal(changed[is_flipped][0], images.numpy()[0, :, ::-1])


def test_slice_shuffle_keeps_every_slice() -> None:
    changed = _augment(
        _images(50), _seeds(count=50), dataclasses.replace(_OFF, slice_shuffle=1.0)
    ).numpy()
    order = changed[:, 31, 31, 0] > changed[:, 31, 31, 1]
    assert 0.2 < order.mean() < 0.8
    np.testing.assert_array_equal(changed.max(axis=3), _images(50).numpy().max(axis=3))


def test_blur_is_scipys_gaussian_and_keeps_the_mean() -> None:
    image = np.zeros((1, 41, 41, 1), np.float32)
    image[0, 20, 20] = 1.0
    settings = dataclasses.replace(_OFF, blur=3.0)
    blurred = _augment(tf.constant(image), _seeds(1, 1), settings).numpy()[0, ..., 0]
    # Neighbours in the answer itself say which sigma was drawn.
    sigma = float(np.sqrt(-0.5 / np.log(blurred[20, 21] / blurred[20, 20])))
    assert 0.3 < sigma <= 3.0
    expected = ndimage.gaussian_filter(image[0, ..., 0], sigma, truncate=8)
    np.testing.assert_allclose(blurred, expected, atol=1e-4)
    assert blurred.sum() == pytest.approx(1.0, abs=1e-4)


def test_stretch_enlarges_heights_alone() -> None:
    image = np.zeros((40, 41, 41, 1), np.float32)
    image[:, 15:26, 15:26] = 1.0
    settings = dataclasses.replace(_OFF, stretch=0.5)
    found = _augment(tf.constant(image), _seeds(4, 40), settings).numpy()[..., 0]
    heights, widths = found.sum(axis=1)[:, 20] / 11, found.sum(axis=2)[:, 20] / 11
    np.testing.assert_allclose(widths, 1.0, atol=1e-4)
    assert 0.6 < heights.min() < 0.75 and 1.3 < heights.max() < 1.6


def test_shear_moves_rows_apart_and_leaves_the_middle() -> None:
    image = np.zeros((1, 41, 41, 1), np.float32)
    image[0, :, 20] = 1.0
    settings = dataclasses.replace(_OFF, shear=0.5)
    sheared = _augment(tf.constant(image), _seeds(4, 1), settings).numpy()[0, ..., 0]
    centers = (sheared * np.arange(41)).sum(axis=1) / sheared.sum(axis=1)
    assert centers[20] == pytest.approx(20, abs=0.01)
    steps = np.diff(centers)
    assert steps == pytest.approx(np.full(40, steps[0]), abs=1e-3)
    assert 0.01 < abs(steps[0]) <= 0.5
