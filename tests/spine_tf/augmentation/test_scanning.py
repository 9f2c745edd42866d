"""What scanners do to an image, each change alone: what it keeps, and that it does something."""

import numpy as np
import pytest
import tensorflow as tf

from spine_tf.augmentation import changes, field_of_view, scanning
from spine_tf.configuration import data_config

_SEED = tf.constant([3, 4])
_RAMP = np.tile(np.linspace(0, 1, 16, dtype=np.float32)[None, None, :, None], (4, 16, 1, 3))


def test_bent_grey_values_rise_and_keep_black_and_white() -> None:
    bent = scanning.bend(tf.constant(_RAMP), _SEED, 1.0).numpy()
    assert (np.diff(bent[:, 0, :, 0], axis=1) > 0).all()
    np.testing.assert_allclose(bent[:, 0, [0, -1], 0], [[0, 1]] * 4, atol=1e-6)
    assert np.abs(bent - _RAMP).max() > 0.1
    np.testing.assert_allclose(scanning.bend(tf.constant(_RAMP), _SEED, 0.0), _RAMP, atol=1e-6)


def test_shading_is_smooth_and_bounded() -> None:
    shaded = scanning.shade(tf.ones((4, 16, 16, 3)), _SEED, 0.5).numpy()
    assert np.exp(-0.5) <= shaded.min() < 0.9 < 1.1 < shaded.max() <= np.exp(0.5)
    assert np.abs(np.diff(shaded, axis=1)).max() < 0.25
    np.testing.assert_array_equal(shaded[..., 0], shaded[..., 2])


def test_a_ghost_is_a_weak_copy_elsewhere() -> None:
    image = np.zeros((4, 16, 16, 1), np.float32)
    image[:, 5, 6] = 1.0
    ghosts = scanning.add_ghost(tf.constant(image), _SEED, 0.5).numpy()
    np.testing.assert_allclose(ghosts.sum(axis=(1, 2, 3)), 1.0, rtol=1e-5)
    assert (ghosts[:, 5, 6, 0] > 0.6).all()
    assert (np.count_nonzero(ghosts, axis=(1, 2, 3)) == 2).all()


def test_a_cut_field_is_black_outside() -> None:
    field = scanning.draw_field(tf.constant(4), _SEED, 0.4)
    left = scanning.cut_field(tf.ones((4, 10, 10, 2)), field).numpy()[..., 0]
    for image, ((first_x, last_x), (first_y, last_y)) in zip(left, field.numpy(), strict=True):
        places = (np.arange(10) + 0.5) / 10
        inside_x = (places >= first_x) & (places <= last_x)
        inside_y = (places >= first_y) & (places <= last_y)
        np.testing.assert_array_equal(image, np.outer(inside_y, inside_x))
    assert (left == 0).any() and (left == 1).any()


@pytest.mark.parametrize(
    "name", ["curve", "bias", "ghost", "field_cut", "slice_reversal", "slice_repeat"]
)
def test_each_strength_changes_the_images_it_may(name: str) -> None:
    nothing = {field: 0.0 for field in ("rotation_degrees", "shift", "scale", "contrast")}
    images = tf.random.stateless_uniform((4, 16, 16, 3), [5, 6])
    view = field_of_view.whole(16)
    seeds = tf.tile(_SEED[tf.newaxis], (4, 1))
    for unchanged in (0.0, 1.0):
        settings = data_config.AugmentationConfig(
            **nothing, brightness=0.0, unchanged=unchanged, **{name: 0.45}
        )
        changed = changes.change(images, seeds, settings, view)
        is_equal = np.allclose(changed.images, images, atol=1e-6)
        assert is_equal == (unchanged == 1.0)
        is_whole = np.array_equal(changed.field, [[[0.0, 1.0]] * 2] * 4)
        assert is_whole == (unchanged == 1.0 or name != "field_cut")


def test_reversed_slices_keep_the_middle_one() -> None:
    settings = data_config.AugmentationConfig(
        slice_reversal=1.0,
        unchanged=0.0,
        rotation_degrees=0,
        shift=0,
        scale=0,
        contrast=0,
        brightness=0,
    )
    images = tf.constant(_RAMP * np.array([0.2, 0.5, 0.8], np.float32))
    seeds = tf.tile(_SEED[tf.newaxis], (4, 1))
    found = changes.augment(images, seeds, settings, field_of_view.whole(16))
    np.testing.assert_allclose(found, tf.reverse(images, [3]))
