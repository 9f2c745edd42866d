"""Folds that share one network end as if each had been built and compiled by itself."""

import pathlib
from typing import Any

import keras
import numpy as np
import pytest

from spine_tf.configuration import config, overrides
from spine_tf.training import classification, fit, shared_network, train_step
from tfrecords import records

_SETTINGS = (
    "training.epochs=2",
    "training.learning_rate=0.01",
    "training.class_weights=balanced",
    "data.augmentation.mixup=0.3",
)
# What makes each family small. Of every family two folds of the phantom were compared so, once.
_FAMILIES = {
    "simple": ["model.filters=[4, 8]", "training.ema_decay=0.5", "training.batch_size=10"],
    "residual": ["model.filters=[4, 8]", "data.feed=device", "training.optimizer=sgd"],
}


@pytest.fixture(scope="module")
def source(records_dir: pathlib.Path) -> records.Records:
    return records.open_records(records_dir)


def _config(family: str, *changes: str) -> config.Config:
    made = config.default_config("multiclass", family)
    return overrides.apply(made, [*_SETTINGS, *_FAMILIES[family], *changes])


def _fit(
    made: config.Config, source: records.Records, *train_splits: str, **options: Any
) -> fit.Fitted:
    splits = train_splits or ("fold_1",)
    return fit.fit(made, source, train_splits=splits, monitor_split="fold_0", **options)


def _require_same(one: fit.Fitted, weights: list[np.ndarray], history: list[Any]) -> None:
    for found, expected in zip(one.model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(found, expected)
    for name in ("loss", "learning_rate", "val_log_loss"):
        assert [row[name] for row in one.history] == [row[name] for row in history]


@pytest.mark.slow
@pytest.mark.parametrize("family", ["simple", pytest.param("residual", marks=pytest.mark.slow)])
def test_folds_together_are_the_folds_alone_bit_by_bit(
    family: str, source: records.Records
) -> None:
    made = _config(family)
    task = classification.ClassificationTask(config=made)
    network = shared_network.SharedNetwork()
    _fit(made, source, "fold_1", task=task, network=network)
    # More examples: other class weights, and more steps in the schedule.
    together = _fit(made, source, "fold_1", "fold_2", task=task, network=network)
    alone = _fit(made, source, "fold_1", "fold_2")
    _require_same(together, alone.model.get_weights(), alone.history)


@pytest.mark.slow
def test_second_fit_compiles_nothing(
    source: records.Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, steps = _config("simple"), list[None]()
    task = classification.ClassificationTask(config=made)
    update = train_step.TrainStep._update
    monkeypatch.setattr(train_step.TrainStep, "_update", _counted(update, steps))
    network = shared_network.SharedNetwork()
    first = _fit(made, source, task=task, network=network)
    traced = len(steps)
    again = _fit(made, source, task=task, network=network)
    assert len(steps) == traced > 0
    assert again.model is first.model
    assert [row["loss"] for row in again.history] == [row["loss"] for row in first.history]


def _counted(method: Any, calls: list[None]) -> Any:
    def counting(*arguments: Any) -> Any:
        calls.append(None)
        return method(*arguments)

    return counting


@pytest.mark.slow
def test_another_configuration_is_another_network(source: records.Records) -> None:
    network, made = shared_network.SharedNetwork(), _config("simple")
    first = _fit(made, source, network=network)
    wider = overrides.apply(made, ["model.width=2"])
    other = _fit(wider, source, network=network)
    assert other.model.count_params() > first.model.count_params()


class _Freeze(keras.callbacks.Callback):
    """Stops the first layer with weights from training, as a callback of a user's own may."""

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        del logs
        next(layer for layer in self.model.layers if layer.weights).trainable = False


@pytest.mark.slow
def test_what_a_callback_froze_trains_again_in_the_next_fit(source: records.Records) -> None:
    made, network = _config("simple"), shared_network.SharedNetwork()
    task = classification.ClassificationTask(config=made)
    _fit(made, source, task=task, network=network, callbacks=[_Freeze()])
    after = _fit(made, source, task=task, network=network)
    alone = _fit(made, source)
    _require_same(after, alone.model.get_weights(), alone.history)
