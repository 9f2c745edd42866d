"""Fits a model to some splits of a records directory, watched on another."""

import contextlib
import dataclasses
import math
import pathlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from spine_tf import config, model_configs
from spine_tf.label_review import cure, task_examples
from spine_tf.models import families, pretrained
from spine_tf.training import device, phases
from spine_tf.training import loop as loop_lib
from spine_tf.training import progress as progress_lib
from tfrecords import feed, records


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
    on_epoch_end: loop_lib.EpochCallback | None = None,
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
        ValueError: a class without training examples, a loss that is no longer finite, too little
            memory, weights that can't be read.
    """
    started = time.monotonic()
    device.prepare(run_config.training, run_config.seed)
    train_feed, counts = _make_train_feed(run_config, source, train_splits)
    monitor_feed = None
    if monitor_split is not None:
        monitor_feed = _make_feed(run_config, source, [monitor_split])
        if not monitor_feed.num_examples:
            raise ValueError(f"{source.directory}: {monitor_split} has no example of the task")
    with device.make_strategy().scope():
        model = _make_model(run_config, source)
        progress = progress_lib.Progress(
            monitor=run_config.training.monitor if monitor_feed else None,
            patience=run_config.training.patience,
        )
        loop = loop_lib.Loop(run_config, model, progress, counts, work_dir, on_epoch_end)
        try:
            with contextlib.suppress(StopTraining):
                loop.run(phases.make_phases(run_config, model, train_feed, monitor_feed))
        except tf.errors.ResourceExhaustedError as err:
            raise ValueError(
                f"out of memory after epoch {progress.epoch}: "
                f"lower training.batch_size ({run_config.training.batch_size}) or the model's width"
            ) from err
    model.set_weights(progress.best_weights)
    return Fitted(
        model=_in_float32(run_config, source, model),
        history=progress.history,
        best_epoch=progress.best_epoch,
        seconds=time.monotonic() - started,
        class_counts=tuple(int(count) for count in counts),
    )


def count_classes(
    run_config: config.Config, source: records.Records, splits: Sequence[str]
) -> np.ndarray:
    """Returns the examples of each class of the task in the splits, int64 (classes,).

    Raises:
        ValueError: a class has none.
    """
    counts = task_examples.count_classes(run_config, source, splits)
    _require_every_class(run_config, source, splits, counts)
    return counts


def _require_every_class(
    run_config: config.Config, source: records.Records, splits: Sequence[str], counts: np.ndarray
) -> None:
    task = run_config.task_spec
    for name, count in zip(task.classes, counts, strict=True):
        if not count:
            raise ValueError(
                f"{source.directory}: no training example of class {name!r} in "
                f"{', '.join(splits)}, task {task.name} needs one of each of "
                f"{', '.join(task.classes)}: convert more studies or conditions"
            )


def _make_train_feed(
    run_config: config.Config, source: records.Records, splits: Sequence[str]
) -> tuple[feed.Feed, np.ndarray]:
    """Returns the feed of the training splits, and how many of its examples are of each class."""
    counts = count_classes(run_config, source, splits)
    if not run_config.data.label_review.path:
        return _make_feed(run_config, source, splits), counts
    where = _where(run_config, source, splits)
    examples = task_examples.load_examples(run_config, source, splits)
    cured = cure.cure(run_config, examples, splits)
    kept = np.bincount(cured.examples.labels, minlength=len(counts))
    _require_every_class(run_config, source, splits, kept)
    return _in_memory(run_config, cured.examples, where, cured.extra), kept


def _make_feed(
    run_config: config.Config, source: records.Records, splits: Sequence[str]
) -> feed.Feed:
    where = _where(run_config, source, splits)
    if where != "stream":
        examples = task_examples.load_examples(run_config, source, splits)
        return _in_memory(run_config, examples, where)
    return feed.StreamFeed(
        source=source, splits=tuple(splits), label_values=run_config.task_spec.severities
    )


def _in_memory(
    run_config: config.Config,
    examples: records.Examples,
    where: str,
    extra: Mapping[str, np.ndarray] | None = None,
) -> feed.Feed:
    return feed.memory_feed(
        examples,
        on_device=where == "device",
        balanced=run_config.data.sampling == "balanced",
        extra=extra,
    )


def _where(run_config: config.Config, source: records.Records, splits: Sequence[str]) -> str:
    """Where the examples of the splits are held: memory, device, or stream for nowhere."""
    data = run_config.data
    num_records = sum(source.num_examples(split) for split in splits)
    needed_mb = num_records * math.prod(source.image_shape) * 2 / 2**20
    where = data.feed
    if where == "auto":
        where = "memory" if needed_mb <= data.memory_budget_mb else "stream"
    reasons = {
        "data.sampling is balanced": data.sampling == "balanced",
        "data.label_review is set": bool(data.label_review.path),
        f"task {run_config.task} has halves": run_config.task_spec.has_halves,
    }
    for reason, needs_memory in reasons.items():
        if needs_memory and where == "stream":
            raise ValueError(
                f"{reason}, which needs the crops in memory, {needed_mb:.0f} MiB: set "
                "data.feed to memory, or leave it at auto and raise data.memory_budget_mb"
            )
    return where


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
