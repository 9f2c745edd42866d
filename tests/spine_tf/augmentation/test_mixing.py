import numpy as np
import tensorflow as tf

from spine_tf.augmentation import mixing

_COUNT = 64


def _images() -> tf.Tensor:
    """Each image is of one value, its place in the batch."""
    return tf.reshape(tf.range(float(_COUNT)), (_COUNT, 1, 1, 1)) * tf.ones((_COUNT, 16, 16, 2))


def _seeds(first: int) -> tf.Tensor:
    return tf.stack([tf.fill([_COUNT], first), tf.range(_COUNT)], axis=1)


def _mix(first: int = 0, **alphas: float) -> tuple[np.ndarray, np.ndarray]:
    targets = tf.one_hot(range(_COUNT), _COUNT)
    settings = {"mixup": 0.0, "cutmix": 0.0, **alphas}
    mixed, mixed_targets = mixing.mix(_images(), targets, _seeds(first), **settings)
    np.testing.assert_allclose(mixed_targets.numpy().sum(axis=1), 1.0, atol=1e-6)
    return mixed.numpy(), mixed_targets.numpy()


def test_both_off_changes_nothing() -> None:
    mixed, targets = _mix()
    np.testing.assert_array_equal(mixed, _images())
    np.testing.assert_array_equal(targets, np.eye(_COUNT))


def test_mixup_averages_images_and_targets_alike() -> None:
    mixed, targets = _mix(mixup=0.5)
    np.testing.assert_allclose(mixed[:, 0, 0, 0], targets @ np.arange(_COUNT), rtol=1e-4, atol=1e-4)
    assert (np.diag(targets) >= 0.5).all(), "an example stays nearest to itself"
    assert mixed.std(axis=(1, 2, 3)).max() < 1e-4, "one share for the whole image"


def test_cutmix_gives_each_image_its_share_of_the_area() -> None:
    mixed, targets = _mix(cutmix=1.0)
    own = (mixed == _images().numpy()).mean(axis=(1, 2, 3))
    is_blended = np.diag(targets) < 1.0
    assert is_blended.sum() > _COUNT / 2
    np.testing.assert_allclose(own, np.diag(targets), atol=1e-6)
    assert all(len(np.unique(image)) <= 2 for image in mixed), (
        "pixels are of one image or the other"
    )
    assert len(np.unique(own)) > 10, "boxes of many sizes"


def test_where_both_are_on_a_batch_takes_either() -> None:
    is_cut = [
        np.isin(_mix(first, mixup=0.5, cutmix=1.0)[0], np.arange(_COUNT)).all()
        for first in range(12)
    ]
    assert any(is_cut)
    assert not all(is_cut)


def test_mixup_works_on_features() -> None:
    features, targets = tf.eye(8), tf.eye(8)
    mixed, mixed_targets = mixing.mix(features, targets, _seeds(3)[:8], mixup=0.5, cutmix=0.0)
    np.testing.assert_allclose(mixed, mixed_targets, atol=1e-6)
