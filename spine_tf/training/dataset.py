"""A records directory as tf.data for a model of one's own: `open_dataset`."""

import pathlib
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from spine_tf import labels
from spine_tf.configuration import data_config, record_kind
from spine_tf.training import losses
from tfrecords import manifest, tf_dataset

_BUDGET_MB = data_config.DataConfig.memory_budget_mb


def open_dataset(
    records_dir: pathlib.Path | str,
    *,
    task: str,
    splits: Sequence[str],
    batch_size: int = 32,
    class_weights: str | Sequence[float] | None = None,
    shuffle_seed: int | None = None,
    epoch: int = 0,
    memory_budget_mb: float = _BUDGET_MB,
) -> tf.data.Dataset:
    """Opens splits of a records directory as batches that `keras.Model.fit` takes as they are.

    Without a seed the examples come in file order, each once, and the last batch may be smaller:
    for validation and prediction. With one they come in full batches; which examples are left over
    differs from epoch to epoch, and of fewer than a batch all are one batch. Each pass over the
    batches is the next epoch, a function of (shuffle_seed, epoch).

    Example:
        >>> import keras
        >>> from spine_tf.training import dataset
        >>> batches = dataset.open_dataset(
        ...     "records", task="multiclass", splits=["fold_1", "fold_2"], shuffle_seed=0
        ... )
        >>> [str(part.dtype) for part in batches.element_spec]
        ["<dtype: 'float32'>", "<dtype: 'int64'>"]
        >>> validation = dataset.open_dataset("records", task="multiclass", splits=["fold_0"])
        >>> model = keras.Sequential(
        ...     [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3, "softmax")]
        ... )
        >>> model.compile("adam", "sparse_categorical_crossentropy")
        >>> history = model.fit(batches, validation_data=validation, epochs=2, verbose=0)
        >>> list(history.history)
        ['loss', 'val_loss']

    Args:
        records_dir: a directory that spine_tf.convert wrote.
        task: binary or multiclass; decides which examples take part, and their classes.
        splits: such as ["fold_1", "fold_2"], or ["test"].
        batch_size: examples a batch.
        class_weights: for elements with weights: one weight a class, or "balanced" (inverse
            frequency) or "competition" (1, 2, 4), both scaled to a mean of 1 over the examples.
        shuffle_seed: None for file order.
        epoch: number of the first pass, from 0; who goes on with a training says how many it did.
        memory_budget_mb: MiB of decoded crops that may be held in memory. Where the splits need
            more they are read from the shards in each pass: the same elements, in a shuffle that
            is less perfect. 0 always reads them.

    Returns:
        Elements (image float32 (batch, px, px, slices) in [0, 1], label int64 (batch,)), and with
        class weights a third, float32 (batch,).

    Raises:
        ValueError: it is no finished directory; a task that needs more than the records; splits
            that aren't there or have no example of the task; weights that don't fit the task.
    """
    classes = _whole_task(task)
    if isinstance(splits, str):
        raise ValueError(f"splits is {splits!r}, expected a list of names, such as [{splits!r}]")
    held = manifest.read_manifest(pathlib.Path(records_dir)).config
    record_kind.require(held, record_kind.ROI, str(records_dir))
    return tf_dataset.open_dataset(
        records_dir,
        splits=splits,
        label_values=classes.severities,
        batch_size=batch_size,
        class_weights=_weights(class_weights, classes, pathlib.Path(records_dir), splits),
        shuffle_seed=shuffle_seed,
        epoch=epoch,
        memory_budget_mb=memory_budget_mb,
    )


def _whole_task(name: str) -> labels.Task:
    task = labels.get_task(name)
    if task.has_halves:
        raise ValueError(
            f"task {name} has halves, which the records don't know: choose one of "
            f"{', '.join(labels.WHOLE_TASKS)}, or train it by spine_tf.train"
        )
    return task


def _weights(
    asked: str | Sequence[float] | None,
    task: labels.Task,
    records_dir: pathlib.Path,
    splits: Sequence[str],
) -> Sequence[float] | None:
    """One weight a class; None where none are asked for."""
    if asked is None:
        return None
    if not isinstance(asked, str):
        if len(asked) != len(task.classes):
            raise ValueError(
                f"class_weights has {len(asked)} values, task {task.name} has the classes "
                f"{', '.join(task.classes)}"
            )
        return asked
    return _named_weights(asked, task, records_dir, splits)


def _named_weights(
    name: str, task: labels.Task, records_dir: pathlib.Path, splits: Sequence[str]
) -> Sequence[float]:
    if name not in ("balanced", "competition"):
        raise ValueError(
            f"class_weights is {name!r}, expected balanced, competition, or one number a class"
        )
    of_splits = manifest.read_manifest(records_dir).class_counts
    counts = np.array(
        [sum(of_splits.get(split, {}).get(each, 0) for split in splits) for each in task.classes]
    )
    if not counts.all():
        raise ValueError(
            f"{records_dir}: {', '.join(splits)} has no example of class "
            f"{task.classes[int(counts.argmin())]!r}, so it can't be weighed: give numbers"
        )
    return losses.class_weights(name, task, counts).tolist()
