"""Keras callbacks of a user's own, called while a run trains as `keras.Model.fit` calls them."""

import contextlib
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras

from spine_tf.configuration import config, own_code

MakeCallbacks = Callable[[config.Config], Sequence[keras.callbacks.Callback]]
"""Makes the callbacks of one training; of several folds or seeds each has callbacks of its own."""

_OF_BATCHES = ("on_train_batch_begin", "on_train_batch_end", "on_batch_begin", "on_batch_end")


def read_file(path: pathlib.Path) -> MakeCallbacks:
    """Reads a Python file that defines `make_callbacks(config)`, which returns a list of callbacks.

    Raises:
        ValueError: there is no such file, it fails, or it defines no such function. What is
            returned raises it where the function fails, or gives anything but callbacks.
    """
    make = own_code.read_function(
        path,
        "make_callbacks",
        flag="callbacks",
        purpose="make_callbacks(config): it returns a list of keras.callbacks.Callback, such as "
        "[keras.callbacks.CSVLogger('log.csv')]",
    )

    def make_callbacks(run_config: config.Config) -> Sequence[keras.callbacks.Callback]:
        try:
            made = make(run_config)
        except Exception as err:  # whatever somebody's own code may raise
            raise own_code.failure(path, err) from err
        if not isinstance(made, Sequence) or not all(
            isinstance(item, keras.callbacks.Callback) for item in made
        ):
            raise ValueError(
                f"{path}: make_callbacks returned {made!r}, expected a list of "
                "keras.callbacks.Callback"
            )
        return made

    return make_callbacks


class Caller:
    """Calls callbacks as `keras.Model.fit` does; `model.stop_training` of one ends the training.

    A training is one to them, whatever its phases. Their `logs` have every figure of an epoch as
    a float: loss, the task's running figures, learning_rate, data_wait, seconds and val_*.
    Of the monitored split they are told begin and end, not its batches. The model is not compiled,
    so a callback that monitors a figure has to be told its `mode`, "min" or "max"; the optimizer
    follows a schedule, which no callback can set.
    """

    def __init__(
        self,
        callbacks: Sequence[keras.callbacks.Callback],
        model: keras.Model,
        *,
        epochs: int,
        steps: int,
    ) -> None:
        """Takes whom to call.

        Args:
            callbacks: may be none; then nothing is done.
            model: what they are given, the one that comes out.
            epochs: the most there will be, over all phases.
            steps: how many steps an epoch has.
        """
        self._callbacks = tuple(callbacks)
        self._model = model
        self._logs: dict[str, float] = {}
        # Figures of a batch are fetched from the device, which waits for it, only if one asks.
        self._are_of_batches = any(map(_is_of_batches, self._callbacks))
        self._call("set_model", model)
        self._call("set_params", {"verbose": 0, "epochs": epochs, "steps": steps})

    @property
    def is_stopped(self) -> bool:
        """Whether a callback has asked for the end of the training."""
        return bool(self._callbacks) and self._model.stop_training

    @contextlib.contextmanager
    def training(self) -> Iterator[None]:
        """Stands around a training: its begin, and its end unless it fails."""
        self._model.stop_training = False
        self._call("on_train_begin", {})
        yield
        self._call("on_train_end", self._logs)

    @contextlib.contextmanager
    def phase(self, optimizer: keras.optimizers.Optimizer) -> Iterator[None]:
        """Shows callbacks the phase's optimizer at the model, which is not compiled."""
        if not self._callbacks:
            yield
            return
        self._model.optimizer = optimizer
        try:
            yield
        finally:
            # Else its state would be saved with the model.
            del self._model.optimizer

    def begin_epoch(self, epoch: int) -> None:
        """Takes an epoch, counted from 0 over all phases; a resumed run counts on."""
        self._call("on_epoch_begin", epoch, {})

    def end_epoch(self, epoch: int, figures: Mapping[str, Any]) -> None:
        """Takes an epoch and its figures."""
        self._logs = _numbers(figures)
        self._call("on_epoch_end", epoch, dict(self._logs))

    def begin_batch(self, step: int) -> None:
        """Takes a step of the epoch, counted from 0."""
        if self._are_of_batches:
            self._call("on_train_batch_begin", step, {})

    def end_batch(self, step: int, figures: Callable[[], Mapping[str, float]]) -> None:
        """Takes a step and what gives the means of the epoch so far."""
        if self._are_of_batches:
            self._call("on_train_batch_end", step, _numbers(figures()))

    @contextlib.contextmanager
    def monitoring(self) -> Iterator[dict[str, Any]]:
        """Stands around the answers to the monitored split; yields where their figures go."""
        figures: dict[str, Any] = {}
        self._call("on_test_begin", {})
        yield figures
        bare = {name.removeprefix("val_"): value for name, value in figures.items()}
        self._call("on_test_end", _numbers(bare))

    def _call(self, hook: str, *arguments: Any) -> None:
        for callback in self._callbacks:
            getattr(callback, hook)(*arguments)


def _is_of_batches(callback: keras.callbacks.Callback) -> bool:
    """Whether it does anything at a batch, by its class or, as LambdaCallback, by itself."""
    return any(
        getattr(type(callback), hook) is not getattr(keras.callbacks.Callback, hook)
        or hook in vars(callback)
        for hook in _OF_BATCHES
    )


def _numbers(figures: Mapping[str, Any]) -> dict[str, float]:
    """Those that are numbers: a phase's name is none, which TensorBoard's callback would refuse."""
    return {name: float(value) for name, value in figures.items() if not isinstance(value, str)}
