"""Fits a model to some splits of a records directory, watched on another."""

import contextlib
import dataclasses
import pathlib
import time
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf

from spine_tf.configuration import config, model_configs
from spine_tf.models import families, pretrained
from spine_tf.training import (
    device,
    feeds,
    loop as loop_module,
    phases,
    progress as progress_module,
)
from tfrecords import records


class StopTraining(Exception):
    """Raised by a callback to end training after the present epoch; the best one so far counts."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fitted:
    """A trained model and how it came to be.

    Attributes:
        model: with the weights of the best epoch, in float32.
        history: one dict of figures an epoch: phase, loss, accuracy (both on augmented batches),
            val_* (of the monitored split), learning_rate, data_wait (share of the time in which
            the step waited for data), seconds.
        best_epoch: index into the history.
        seconds: of the fit.
        class_counts: training examples of each class.
    """

    model: keras.Model
    history: list[dict[str, Any]]
    best_epoch: int
    seconds: float
    class_counts: tuple[int, ...]


def fit(
    run_config: config.Config,
    source: records.Records,
    *,
    train_splits: Sequence[str],
    monitor_split: str | None,
    work_dir: pathlib.Path | None = None,
    on_epoch_end: loop_module.EpochCallback | None = None,
) -> Fitted:
    """Trains a model.

    Args:
        run_config: what to train and how.
        source: where the examples are.
        train_splits: whose examples the weights see.
        monitor_split: says which epoch is best and when to stop; None: the last epoch counts.
        work_dir: where the state is kept after every epoch; a fit that finds one there goes on
            from it. None keeps none.
        on_epoch_end: called with the epoch's index and its figures; may raise StopTraining.

    Raises:
        ValueError: a class without training examples, a flip that would change a side, a loss that
            is no longer finite, too little memory, weights that can't be read.
    """
    started = time.monotonic()
    device.prepare(run_config.training, run_config.seed)
    progress = progress_module.Progress(
        monitor=run_config.training.monitor if monitor_split else None,
        patience=run_config.training.patience,
    )
    with device.make_strategy(run_config.data).scope(), _short_of_memory(run_config, progress):
        train_feed, counts = feeds.make_train_feed(run_config, source, train_splits)
        monitor_feed = None
        if monitor_split is not None:
            monitor_feed = feeds.make_feed(run_config, source, [monitor_split])
            if not monitor_feed.num_examples:
                raise ValueError(f"{source.directory}: {monitor_split} has no example of the task")
        model = _make_model(run_config, source)
        loop = loop_module.Loop(run_config, model, progress, counts, work_dir, on_epoch_end)
        with contextlib.suppress(StopTraining):
            loop.run(phases.make_phases(run_config, model, train_feed, monitor_feed))
    model.set_weights(progress.best_weights)
    return Fitted(
        model=_in_float32(run_config, source, model),
        history=progress.history,
        best_epoch=progress.best_epoch,
        seconds=time.monotonic() - started,
        class_counts=tuple(int(count) for count in counts),
    )


@contextlib.contextmanager
def _short_of_memory(
    run_config: config.Config, progress: progress_module.Progress
) -> Iterator[None]:
    """Says in one sentence that memory is short, be it for the crops, the model or a step."""
    try:
        yield
    except (tf.errors.ResourceExhaustedError, MemoryError) as err:
        raise ValueError(
            f"out of memory after epoch {progress.epoch}: "
            f"lower training.batch_size ({run_config.training.batch_size}) or the model's width"
        ) from err


def _make_model(run_config: config.Config, source: records.Records) -> keras.Model:
    model = families.build_model(
        run_config.model, source.image_shape, len(run_config.task_spec.classes)
    )
    model_config = run_config.model
    if isinstance(model_config, model_configs.PretrainedConfig) and model_config.is_pretrained:
        pretrained.load_weights(model, model_config)
    return model


def _in_float32(
    run_config: config.Config, source: records.Records, model: keras.Model
) -> keras.Model:
    """The same model outside mixed precision and any strategy: what is saved and exported."""
    if keras.mixed_precision.global_policy().name == "float32":
        return model
    keras.mixed_precision.set_global_policy("float32")
    plain = families.build_model(
        run_config.model, source.image_shape, len(run_config.task_spec.classes)
    )
    plain.set_weights(model.get_weights())
    return plain
