import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from spine_tf import config
from spine_tf.training import augmentation

_OFF = config.AugmentationConfig(rotation_degrees=0, shift=0, scale=0, contrast=0, brightness=0)
_STRENGTHS = {
    "rotation_degrees": 20.0,
    "shift": 0.2,
    "scale": 0.3,
    "contrast": 0.5,
    "brightness": 0.3,
    "gamma": 0.5,
    "noise": 0.1,
    "cutout": 0.4,
}


def _images(count: int = 4) -> tf.Tensor:
    grid = np.linspace(0.1, 0.9, 32, dtype=np.float32)
    image = grid[:, np.newaxis] * grid[np.newaxis] + 0.1
    return tf.constant(np.tile(image[np.newaxis, :, :, np.newaxis], (count, 1, 1, 2)))


def _seeds(first: int = 0, count: int = 4) -> tf.Tensor:
    return tf.stack([tf.fill([count], first), tf.range(count)], axis=1)


def test_all_strengths_zero_change_nothing() -> None:
    np.testing.assert_array_equal(augmentation.augment(_images(), _seeds(), _OFF), _images())


@pytest.mark.parametrize("name", _STRENGTHS)
def test_strength_changes_images_within_the_range(name: str) -> None:
    settings = dataclasses.replace(_OFF, **{name: _STRENGTHS[name]})
    changed = augmentation.augment(_images(), _seeds(), settings).numpy()
    assert changed.shape == _images().shape
    assert 0.0 <= changed.min() <= changed.max() <= 1.0
    assert not np.allclose(changed, _images())
    assert not np.allclose(changed[0], changed[1]), "each image changes in its own way"


@pytest.mark.parametrize("name", _STRENGTHS)
def test_equal_seeds_give_equal_pixels_eagerly_and_in_a_map(name: str) -> None:
    settings = dataclasses.replace(_OFF, **{name: _STRENGTHS[name]})
    eager = augmentation.augment(_images(), _seeds(), settings)
    mapped = tf.data.Dataset.from_tensors((_images(), _seeds())).map(
        lambda images, seeds: augmentation.augment(images, seeds, settings)
    )
    np.testing.assert_allclose(next(iter(mapped)), eager, atol=1e-6)
    other = augmentation.augment(_images(), _seeds(first=9), settings)
    assert not np.allclose(other, eager)


def test_shift_moves_by_whole_fractions_of_the_side() -> None:
    image = np.zeros((1, 20, 20, 1), np.float32)
    image[0, 10, 10] = 1.0
    settings = dataclasses.replace(_OFF, shift=0.2)
    moved = [
        augmentation.augment(tf.constant(image), _seeds(first, 1), settings).numpy()[0, :, :, 0]
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
    turned = augmentation.augment(tf.constant(image), _seeds(3, 1), settings).numpy()
    assert np.unravel_index(turned.argmax(), turned.shape)[1:3] == (10, 10)


def test_cutout_leaves_the_rest_alone() -> None:
    settings = dataclasses.replace(_OFF, cutout=0.25)
    changed = augmentation.augment(_images(), _seeds(), settings).numpy()
    share = (changed != _images().numpy()).mean(axis=(1, 2, 3))
    assert (share > 0).all()
    assert (share <= 0.28**2).all()


def test_mixup_mixes_images_and_targets_alike() -> None:
    images = tf.reshape(tf.range(4.0), (4, 1, 1, 1)) * tf.ones((4, 8, 8, 1))
    targets = tf.one_hot([0, 1, 2, 3], 4)
    mixed, mixed_targets = augmentation.mix(images, targets, _seeds(), 0.5)
    np.testing.assert_allclose(tf.reduce_sum(mixed_targets, axis=1), 1.0, atol=1e-6)
    np.testing.assert_allclose(
        mixed[:, 0, 0, 0], tf.linalg.matvec(mixed_targets, tf.range(4.0)), atol=1e-5
    )
    assert (np.diag(mixed_targets) >= 0.5).all(), "an example stays nearest to itself"
