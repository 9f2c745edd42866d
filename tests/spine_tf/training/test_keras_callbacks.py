import csv
import pathlib
import subprocess
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest

from spine_tf.configuration import config, overrides
from spine_tf.runs import run_directory
from spine_tf.training import fit, keras_callbacks, trainer
from tfrecords import records

_FAST = ("model.filters=[4]", "training.batch_size=16", "training.learning_rate=0.01")
_HOOKS = (
    "on_train_begin",
    "on_train_end",
    "on_epoch_begin",
    "on_epoch_end",
    "on_train_batch_begin",
    "on_train_batch_end",
    "on_test_begin",
    "on_test_end",
)


@pytest.fixture(scope="module")
def source(records_dir: pathlib.Path) -> records.Records:
    return records.open_records(records_dir)


def _config(*settings: str) -> config.Config:
    base = config.default_config("multiclass", "simple")
    return overrides.apply(base, [*_FAST, "training.epochs=2", *settings])


def _fit(run_config: config.Config, source: records.Records, **options: Any) -> fit.Fitted:
    splits = {"train_splits": ["fold_1", "fold_2"], "monitor_split": "fold_0"}
    return fit.fit(run_config, source, **{**splits, **options})


class _Recorder(keras.callbacks.Callback):
    """Notes every call, and the names in its logs."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[str, int | None]] = []
        self.logs: dict[str, list[dict[str, float]]] = {hook: [] for hook in _HOOKS}
        self.optimizers: list[Any] = []

    def _note(self, hook: str, position: int | None, logs: dict[str, float] | None) -> None:
        self.calls.append((hook, position))
        self.logs[hook].append(dict(logs or {}))

    def set_params(self, params: dict[str, Any]) -> None:
        super().set_params(params)
        self.calls.append(("set_params", None))

    def set_model(self, model: keras.Model) -> None:
        super().set_model(model)
        self.calls.append(("set_model", None))

    def on_train_begin(self, logs: Any = None) -> None:
        self._note("on_train_begin", None, logs)

    def on_train_end(self, logs: Any = None) -> None:
        self._note("on_train_end", None, logs)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.optimizers.append(self.model.optimizer)
        self._note("on_epoch_begin", epoch, logs)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._note("on_epoch_end", epoch, logs)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self._note("on_train_batch_begin", batch, logs)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._note("on_train_batch_end", batch, logs)

    def on_test_begin(self, logs: Any = None) -> None:
        self._note("on_test_begin", None, logs)

    def on_test_end(self, logs: Any = None) -> None:
        self._note("on_test_end", None, logs)


class _Stop(keras.callbacks.Callback):
    """Asks for the end at a call of one hook."""

    def __init__(self, hook: str) -> None:
        super().__init__()
        setattr(self, hook, self._stop)

    def _stop(self, position: int, logs: Any = None) -> None:
        self.model.stop_training = True


def _keras_calls(*callbacks: keras.callbacks.Callback) -> None:
    """Trains a toy by Keras's own loop: three steps an epoch, two epochs, validation."""
    model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    values = np.zeros((3, 1), np.float32)
    data = {"x": values, "y": values, "validation_data": (values, values)}
    model.fit(**data, batch_size=1, epochs=2, verbose=0, callbacks=[*callbacks])


@pytest.mark.slow
@pytest.mark.parametrize("stop_at", [None, "on_train_batch_end", "on_epoch_end"])
def test_calls_come_as_from_keras_fit(source: records.Records, stop_at: str | None) -> None:
    theirs, ours = _Recorder(), _Recorder()
    _keras_calls(*([_Stop(stop_at)] if stop_at else []), theirs)
    _fit(_config(), source, callbacks=[*([_Stop(stop_at)] if stop_at else []), ours])
    assert ours.calls == theirs.calls
    assert set(ours.params) >= {"epochs", "steps", "verbose"}
    assert (ours.params["epochs"], ours.params["steps"]) == (2, 3)
    assert [sorted(logs) for logs in ours.logs["on_train_batch_end"]] == (
        [["accuracy", "loss"]] * len(ours.logs["on_train_batch_end"])
    )


@pytest.mark.slow
def test_logs_are_the_figures_of_the_history(source: records.Records) -> None:
    recorder = _Recorder()
    fitted = _fit(_config(), source, callbacks=[recorder])
    numbers = [
        {name: value for name, value in figures.items() if name != "phase"}
        for figures in fitted.history
    ]
    assert recorder.logs["on_epoch_end"] == numbers
    assert recorder.logs["on_train_end"] == [numbers[-1]]
    assert recorder.logs["on_test_end"][0]["log_loss"] == fitted.history[0]["val_log_loss"]


@pytest.mark.slow
def test_callbacks_change_nothing_of_what_is_trained(source: records.Records) -> None:
    run_config = _config("training.ema_decay=0.9")
    without = _fit(run_config, source)
    recorder = _Recorder()
    having = _fit(run_config, source, callbacks=[recorder])
    for ours, theirs in zip(having.model.get_weights(), without.model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert all(isinstance(each, keras.optimizers.Optimizer) for each in recorder.optimizers)
    assert getattr(having.model, "optimizer", None) is getattr(without.model, "optimizer", None)


@pytest.mark.slow
def test_saved_model_at_an_epochs_end_has_the_weights_of_its_figures(
    source: records.Records, tmp_path: pathlib.Path
) -> None:
    path = str(tmp_path / "best.keras")
    saver = keras.callbacks.ModelCheckpoint(
        path, monitor="val_log_loss", mode="min", save_best_only=True
    )
    fitted = _fit(_config("training.ema_decay=0.5"), source, callbacks=[saver])
    saved = keras.models.load_model(path, compile=False)
    for ours, theirs in zip(saved.get_weights(), fitted.model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.slow
def test_two_phases_are_one_training(source: records.Records, tmp_path: pathlib.Path) -> None:
    keras.utils.set_random_seed(3)
    path = tmp_path / "published.weights.h5"
    keras.applications.VGG16(include_top=False, weights=None).save_weights(path)
    run_config = overrides.apply(
        config.default_config("binary", "transfer"),
        [
            *("model.backbone=vgg16", f"model.weights={path}"),
            *("model.frozen_epochs=1", "model.trainable_blocks=1", "training.epochs=2"),
        ],
    )
    recorder = _Recorder()
    fitted = _fit(run_config, source, callbacks=[recorder])
    assert [figures["phase"] for figures in fitted.history] == ["frozen", "fine_tuned"]
    names = [hook for hook, _ in recorder.calls]
    assert (names.count("on_train_begin"), names.count("on_train_end")) == (1, 1)
    assert [epoch for hook, epoch in recorder.calls if hook == "on_epoch_begin"] == [0, 1]
    assert recorder.optimizers[0] is not recorder.optimizers[1]
    recorder = _Recorder()
    stopped = _fit(run_config, source, callbacks=[_Stop("on_epoch_end"), recorder])
    assert [figures["phase"] for figures in stopped.history] == ["frozen"]
    assert recorder.calls[-1] == ("on_train_end", None)


class _Interrupted(Exception):
    pass


@pytest.mark.slow
def test_resumed_training_counts_on(source: records.Records, tmp_path: pathlib.Path) -> None:
    def interrupt(epoch: int, logs: Any) -> None:
        raise _Interrupted

    first = _Recorder()
    with pytest.raises(_Interrupted):
        interrupting = keras.callbacks.LambdaCallback(on_epoch_end=interrupt)
        _fit(_config(), source, work_dir=tmp_path, callbacks=[first, interrupting])
    assert ("on_train_end", None) not in first.calls
    resumed = _Recorder()
    _fit(_config(), source, work_dir=tmp_path, callbacks=[resumed])
    assert [epoch for hook, epoch in resumed.calls if hook == "on_epoch_begin"] == [1]


@pytest.mark.slow
def test_each_fold_has_callbacks_of_its_own(
    source: records.Records, tmp_path: pathlib.Path
) -> None:
    made: list[tuple[int, _Recorder]] = []

    def make_callbacks(run_config: config.Config) -> list[keras.callbacks.Callback]:
        made.append((run_config.data.val_fold, _Recorder()))
        return [made[-1][1]]

    run_config = _config("training.epochs=1")
    for resume in (False, True):  # the second finds all of it finished and makes none
        trainer.train_all_folds(
            run_config, source, tmp_path / "w", resume=resume, callbacks=make_callbacks
        )
    assert [fold for fold, _ in made] == [0, 1, 2]
    for _, recorder in made:
        assert recorder.calls.count(("on_train_begin", None)) == 1


@pytest.mark.slow
def test_program_calls_the_callbacks_of_a_file(
    records_dir: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "my.py").write_text(
        "import keras\n\n\n"
        "def make_callbacks(config):\n"
        "    return [keras.callbacks.CSVLogger(f'log_{config.data.val_fold}.csv')]\n"
    )
    command = ["warm-python", "-m", "spine_tf.train", "--task=multiclass", "--model=simple"]
    command += [f"--records_dir={records_dir}", "--run_dir=w", "--val_fold=2", "--epochs=2"]
    command += ["--callbacks=my.py", *(f"--set={setting}" for setting in _FAST)]
    subprocess.run(command, check=True, cwd=tmp_path)
    logged = pd.read_csv(tmp_path / "log_2.csv")
    history = pd.read_csv(tmp_path / "w" / run_directory.HISTORY_FILE)
    assert logged["epoch"].tolist() == [0, 1]
    for name in ("loss", "accuracy", "learning_rate", "val_log_loss"):
        np.testing.assert_allclose(logged[name], history[name])
    with (tmp_path / "log_2.csv").open() as file:
        assert "phase" not in next(csv.reader(file))


_MAKE = "def make_callbacks(config):\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\n", r"my.py has no function make_callbacks\(config\): it returns a list"),
        ("x = 1\n1 / 0\n", r"my.py, line 2, can't be run: ZeroDivisionError: division by zero"),
        ("x = (\n", r"my.py, line 1, can't be run: SyntaxError: '\(' was never closed"),
        (_MAKE + "    return [config.wandb]\n", r"my.py, line 2, can't be run: AttributeError"),
        (_MAKE + "    return [1]\n", r"returned \[1\], expected a list of keras.callbacks"),
        (_MAKE + "    return None\n", r"returned None, expected a list of keras.callbacks"),
    ],
)
def test_file_that_fails_is_one_sentence_with_file_and_line(
    tmp_path: pathlib.Path, text: str, message: str
) -> None:
    path = tmp_path / "my.py"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        keras_callbacks.read_file(path)(_config())


def test_file_that_is_missing_is_named(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ValueError, match=r"--callbacks is .*none.py, which is no file"):
        keras_callbacks.read_file(tmp_path / "none.py")


def test_without_a_batch_hook_no_figure_of_a_batch_is_fetched(tmp_path: pathlib.Path) -> None:
    def fail() -> dict[str, float]:
        raise AssertionError

    model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1)])
    for callbacks in ([], [keras.callbacks.CSVLogger(tmp_path / "log.csv")]):
        caller = keras_callbacks.Caller(callbacks, model, epochs=1, steps=1)
        caller.begin_batch(0)
        caller.end_batch(0, fail)
    caller = keras_callbacks.Caller(
        [keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: None)],
        model,
        epochs=1,
        steps=1,
    )
    with pytest.raises(AssertionError):
        caller.end_batch(0, fail)
