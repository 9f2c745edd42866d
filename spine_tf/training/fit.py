"""Fits a model to some splits of a records directory, watched on another."""

import contextlib
import dataclasses
import pathlib
import time
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf

from spine_tf.configuration import config, training_config
from spine_tf.training import (
    checkpoint,
    device,
    keras_callbacks,
    loop,
    phases,
    shared_network,
    tasks,
    warm_start,
)
from tfrecords import feed, records


class StopTraining(Exception):
    """Raised by a callback to end training after the present epoch; the best one so far counts."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fitted:
    """A trained model and how it came to be.

    Attributes:
        model: with the weights of the best epoch, in float32.
        history: one dict of figures an epoch: phase, loss and the task's running figures (both on
            augmented batches), learning_rate, data_wait (share of the time in which the step waited
            for data), seconds, val_* (of the monitored split).
        best_epoch: index into the history.
        seconds: how long the fit took.
        num_examples: how many examples an epoch trains on.
        score: the task's figures of `score_split`, by these weights; empty without one.
    """

    model: keras.Model
    history: list[dict[str, Any]]
    best_epoch: int
    seconds: float
    num_examples: int
    score: dict[str, float]


def fit(
    run_config: config.Config,
    source: records.Records,
    *,
    train_splits: Sequence[str],
    monitor_split: str | None,
    score_split: str | None = None,
    work_dir: pathlib.Path | None = None,
    on_epoch_end: loop.EpochCallback | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    task: tasks.Task | None = None,
    network: shared_network.SharedNetwork | None = None,
) -> Fitted:
    """Trains a model.

    Args:
        run_config: what to train and how.
        source: where the examples are.
        train_splits: whose examples the weights see.
        monitor_split: says which epoch is best and when to stop; None: the last epoch counts.
        score_split: held out, and scored with the weights that come out. Where no monitor_split is
            given its figures stand in the history, and decide nothing.
        work_dir: where the state is kept after every epoch; a fit that finds one there goes on
            from it. None keeps none.
        on_epoch_end: called with the epoch's index and its figures; may raise StopTraining.
        callbacks: called as `keras.Model.fit` calls them, see `keras_callbacks.Caller`. Weights
            that one sets at the end are not kept: those of the best epoch count.
        task: what is learned; None: what the configuration names.
        network: what fits of the same task share that differ in their data; the next one changes
            what this one has given. None: a network of its own.

    Raises:
        ValueError: a class without training examples, a flip that would change a side, a loss that
            is no longer finite, too little memory, weights that can't be read, a figure to monitor
            that the task does not have.
    """
    started = time.monotonic()
    task = task or tasks.make_task(run_config, source)
    network = network or shared_network.SharedNetwork()
    device.prepare(run_config.training, run_config.seed)
    progress = _begin_progress(task, run_config.training, monitor_split)
    with network.scope(run_config), _short_of_memory(run_config, progress):
        train_feed, loss = task.open_training(source, train_splits)
        watched_split = monitor_split or score_split
        monitor_feed = task.open_feed(source, [watched_split]) if watched_split else None
        model, planned = network.begin(task, run_config, source)
        start_dir = warm_start.find(run_config, source, [*train_splits, monitor_split or ""])
        if start_dir is not None:
            warm_start.put(model, start_dir)
        caller = _make_caller(callbacks, model, run_config.training, train_feed)
        with caller.training(), contextlib.suppress(StopTraining):
            loop.Loop(
                task=task,
                config=run_config,
                model=model,
                network=network,
                loss=loss,
                progress=progress,
                work_dir=work_dir,
                on_epoch_end=on_epoch_end,
                caller=caller,
            ).run(planned, phases.Feeds(train=train_feed, monitor=monitor_feed))
        model.set_weights(progress.best_weights)
        score = network.figures(task, source, score_split) if score_split else {}
    return Fitted(
        model=_in_float32(task, source, model),
        history=progress.history,
        best_epoch=progress.best_epoch,
        seconds=time.monotonic() - started,
        num_examples=train_feed.num_examples,
        score=score,
    )


def _begin_progress(
    task: tasks.Task, settings: training_config.TrainingConfig, monitor_split: str | None
) -> checkpoint.Progress:
    if settings.monitor not in task.monitors:
        raise ValueError(
            f"training.monitor is {settings.monitor!r}, the task's figures are "
            f"{', '.join(task.monitors)}: set one of them"
        )
    return checkpoint.Progress(
        monitor=settings.monitor if monitor_split else None,
        more_is_better=task.monitors[settings.monitor],
        patience=settings.patience,
    )


@contextlib.contextmanager
def _short_of_memory(run_config: config.Config, progress: checkpoint.Progress) -> Iterator[None]:
    """Says in one sentence that memory is short, be it for the crops, the model or a step."""
    try:
        yield
    except (tf.errors.ResourceExhaustedError, MemoryError) as err:
        raise ValueError(
            f"out of memory after epoch {progress.epoch}: "
            f"lower training.batch_size ({run_config.training.batch_size}) or the model's width"
        ) from err


def _make_caller(
    callbacks: Sequence[keras.callbacks.Callback],
    model: keras.Model,
    settings: training_config.TrainingConfig,
    train_feed: feed.Feed,
) -> keras_callbacks.Caller:
    batch_size = min(settings.batch_size, train_feed.num_examples)
    steps = feed.steps_per_epoch(train_feed.num_examples, batch_size)
    return keras_callbacks.Caller(callbacks, model, epochs=settings.epochs, steps=steps)


def _in_float32(task: tasks.Task, source: records.Records, model: keras.Model) -> keras.Model:
    """The same model outside mixed precision and any strategy: what is saved and exported."""
    if keras.mixed_precision.global_policy().name == "float32":
        return model
    keras.mixed_precision.set_global_policy("float32")
    plain = task.build_network(source)
    plain.set_weights(model.get_weights())
    return plain
