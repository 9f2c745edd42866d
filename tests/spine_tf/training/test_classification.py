"""The classification task: its monitored figures, and what it asks of a batch."""

import pathlib

import numpy as np
import pytest
import tensorflow as tf

from spine_tf.configuration import config, overrides, training_config
from spine_tf.training import classification, tasks
from tfrecords import records


def _task(*settings: str, name: str = "binary") -> classification.ClassificationTask:
    made = config.default_config(name, "simple")
    return classification.ClassificationTask(config=overrides.apply(made, settings))


def test_a_configuration_names_its_task(records_dir: pathlib.Path) -> None:
    made = config.default_config("multiclass", "simple")
    found = tasks.make_task(made, records.open_records(records_dir))
    assert found == classification.ClassificationTask(config=made, record_mm=50.0)


def test_monitored_figures_are_those_that_a_configuration_may_name() -> None:
    answers = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]], np.float32)
    figures = _task().monitor_figures(answers, {"label": np.array([0, 1, 1])})
    assert set(figures) == set(training_config.MONITORS) == set(_task().monitors)
    assert figures["val_accuracy"] == pytest.approx(2 / 3)
    assert figures["val_log_loss"] == pytest.approx(-np.log([0.9, 0.8, 0.4]).mean(), rel=1e-6)


def test_answers_that_are_no_numbers_end_with_a_sentence() -> None:
    answers = np.array([[0.5, 0.5], [np.nan, np.nan]])
    with pytest.raises(ValueError, match=r"no longer finite numbers: lower training.learning_rate"):
        _task().monitor_figures(answers, {"label": np.array([0, 1])})


def test_features_are_mixed_without_cutting_boxes_from_them() -> None:
    task = _task("data.augmentation.cutmix=0.4", name="multiclass")
    features, targets = tf.random.uniform((8, 4)), {"classes": tf.eye(8, 3)}
    seeds = tf.zeros((8, 2), tf.int32)
    mixed, _ = task.mix(features, targets, seeds)
    np.testing.assert_array_equal(mixed, features)
    images = tf.reshape(tf.range(8.0), (8, 1, 1, 1)) * tf.ones((8, 16, 16, 1))
    cut, mixed_targets = task.mix(images, targets, seeds)
    assert not np.array_equal(cut, images)
    assert not np.array_equal(mixed_targets["classes"], targets["classes"])
