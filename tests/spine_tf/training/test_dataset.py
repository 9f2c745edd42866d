import pathlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from spine_tf.training import dataset
from tfrecords import records

_FOLDS = ("fold_0", "fold_1")


def _model() -> keras.Model:
    """What a user who knows only Keras would write."""
    model = keras.Sequential(
        [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3, activation="softmax")]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


@pytest.mark.slow
@pytest.mark.parametrize("memory_budget_mb", [4096, 0])
def test_keras_fits_on_it_as_it_is(records_dir: pathlib.Path, memory_budget_mb: float) -> None:
    def opened(*splits: str, **options: Any) -> tf.data.Dataset:
        settings = {"task": "multiclass", "memory_budget_mb": memory_budget_mb, "batch_size": 10}
        return dataset.open_dataset(records_dir, splits=splits, **{**settings, **options})

    training = opened(*_FOLDS, shuffle_seed=1, class_weights="competition")
    validation = opened("test")
    assert (int(training.cardinality()), int(validation.cardinality())) == (4, 3)
    history = _model().fit(training, validation_data=validation, epochs=3, verbose=0).history
    assert {name: len(values) for name, values in history.items()} == dict.fromkeys(
        ("loss", "accuracy", "val_loss", "val_accuracy"), 3
    )
    assert _model().predict(validation, verbose=0).shape == (24, 3)


@pytest.mark.parametrize("memory_budget_mb", [4096, 0])
def test_elements_are_as_documented(records_dir: pathlib.Path, memory_budget_mb: float) -> None:
    batches = dataset.open_dataset(
        records_dir,
        task="binary",
        splits=["fold_0"],
        batch_size=6,
        class_weights=(1.0, 4.0),
        memory_budget_mb=memory_budget_mb,
    )
    image, label, weight = batches.element_spec
    assert image.shape.as_list()[1:] == [32, 32, 1]
    assert [each.dtype for each in (image, label, weight)] == [tf.float32, tf.int64, tf.float32]
    elements = [[part.numpy() for part in element] for element in batches]
    assert [len(element[0]) for element in elements] == [6, 6, 4], "nothing is dropped"
    images, classes, weights = (np.concatenate(parts) for parts in zip(*elements, strict=True))
    examples = records.load_examples(records.open_records(records_dir), ["fold_0"], (0, 2))
    np.testing.assert_allclose(images, examples.normalized(), atol=1e-6)
    np.testing.assert_array_equal(classes, examples.labels)
    np.testing.assert_array_equal(weights, np.where(classes == 1, 4.0, 1.0))


def test_beyond_the_budget_the_same_elements_are_read_from_the_shards(
    records_dir: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Two folds of 24 crops of 32 x 32 px, 2 bytes each.
    needed_mb = 48 * 32 * 32 * 2 / 2**20

    def images(budget_mb: float) -> list[bytes]:
        batches = dataset.open_dataset(
            records_dir, task="multiclass", splits=_FOLDS, memory_budget_mb=budget_mb
        )
        return [image.numpy().tobytes() for image, _ in batches]

    held = images(needed_mb)
    with monkeypatch.context() as patch:
        patch.setattr(records, "load_examples", None)
        assert images(0.99 * needed_mb) == held
        with pytest.raises(TypeError, match="not callable"):
            images(needed_mb)


@pytest.mark.slow
@pytest.mark.parametrize("memory_budget_mb", [4096, 0])
def test_each_pass_is_the_next_epoch(records_dir: pathlib.Path, memory_budget_mb: float) -> None:
    def opened(epoch: int) -> tf.data.Dataset:
        return dataset.open_dataset(
            records_dir,
            task="multiclass",
            splits=_FOLDS,
            batch_size=10,
            shuffle_seed=3,
            epoch=epoch,
            memory_budget_mb=memory_budget_mb,
        )

    def images(batches: tf.data.Dataset) -> list[bytes]:
        return [each.tobytes() for image, _ in batches for each in image.numpy()]

    batches = opened(0)
    first, second = images(batches), images(batches)
    assert (len(first), len(set(first))) == (40, 40), "full batches without a repeat"
    assert first != second
    assert images(opened(1)) == second, "a training goes on with the epoch that it would have seen"
    assert images(opened(0)) == first


def test_named_weights_have_a_mean_of_one(
    make_records: Callable[..., pathlib.Path], records_dir: pathlib.Path
) -> None:
    for name, ratio in (("balanced", 1.0), ("competition", 4.0)):
        batches = dataset.open_dataset(
            records_dir, task="binary", splits=_FOLDS, class_weights=name, batch_size=32
        )
        ((_, label, weight),) = batches
        assert float(tf.reduce_mean(weight)) == pytest.approx(1.0)
        heavy, light = (float(weight[label == each][0]) for each in (1, 0))
        assert heavy / light == pytest.approx(ratio)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": "binry"}, "task is 'binry', expected one of binary, multiclass"),
        ({"task": "multiclass_split"}, r"has halves, which the records don't know: choose one of"),
        ({"splits": "fold_0"}, r"splits is 'fold_0', expected a list of names, such as \['fold_0"),
        ({"splits": ["fold_9"]}, r"no examples in split 'fold_9'; it has fold_0, fold_1"),
        ({"class_weights": "none"}, "class_weights is 'none', expected balanced, competition"),
        ({"class_weights": [1.0]}, r"has 1 values, task binary has the classes Normal/Mild, Sev"),
    ],
)
def test_what_can_not_be_opened_is_named(
    records_dir: pathlib.Path, options: dict[str, object], message: str
) -> None:
    arguments: dict[str, Any] = {"task": "binary", "splits": ["fold_0"], **options}
    with pytest.raises(ValueError, match=message):
        dataset.open_dataset(records_dir, **arguments)


def test_class_that_is_missing_can_not_be_weighed(
    make_records: Callable[..., pathlib.Path], tmp_path: pathlib.Path
) -> None:
    source = make_records(tmp_path / "r", per_class=1, severities=(0, 1))
    options: dict[str, Any] = {"task": "binary", "splits": ["fold_0"]}
    with pytest.raises(ValueError, match="no example of class 'Severe', so it can't be weighed"):
        dataset.open_dataset(source, class_weights="balanced", **options)
    assert len([*dataset.open_dataset(source, **options)]) == 1


def test_split_without_an_example_of_the_task_is_named(
    make_records: Callable[..., pathlib.Path], tmp_path: pathlib.Path
) -> None:
    source = make_records(tmp_path / "r", per_class=1, severities=(1,))
    with pytest.raises(ValueError, match="fold_0 has no example of the labels 0, 2"):
        dataset.open_dataset(source, task="binary", splits=["fold_0"])
