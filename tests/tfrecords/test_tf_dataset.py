import pathlib

import numpy as np
import tensorflow as tf

from tfrecords import tf_dataset


def test_open_dataset_gives_images_labels_and_weights(records_dir: pathlib.Path) -> None:
    dataset = tf_dataset.open_dataset(
        str(records_dir),
        splits=["fold_0"],
        label_values=(0, 2),
        batch_size=6,
        class_weights=(1.0, 4.0),
    )
    image, label, weight = next(iter(dataset))
    assert image.shape == (6, 32, 32, 1)
    assert 0.0 <= float(tf.reduce_min(image)) <= float(tf.reduce_max(image)) <= 1.0
    np.testing.assert_array_equal(weight, np.where(label == 1, 4.0, 1.0))
    assert sum(int(label.shape[0]) for _, label, _ in dataset) == 16


def test_open_dataset_shuffles_by_seed(records_dir: pathlib.Path) -> None:
    def labels(seed: int | None) -> list[int]:
        dataset = tf_dataset.open_dataset(
            str(records_dir),
            splits=["fold_0"],
            label_values=(0, 1, 2),
            batch_size=24,
            shuffle_seed=seed,
        )
        return next(iter(dataset))[1].numpy().tolist()

    assert labels(None) == [0, 1, 2] * 8
    assert labels(1) == labels(1) != labels(2)
