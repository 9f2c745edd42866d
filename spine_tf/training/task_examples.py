"""The examples of a run, labelled with the classes of its task."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from spine_tf.configuration import config
from spine_tf.training import mild_split, review
from tfrecords import records


def load_examples(
    run_config: config.Config, source: records.Records, splits: Sequence[str]
) -> records.Examples:
    """Returns the examples of the splits, with the classes of the run's task as labels.

    Raises:
        ValueError: as `read_halves`, or a row is not in the file.
    """
    examples = records.load_examples(source, splits, run_config.task_spec.severities)
    return relabel(run_config, examples, splits)


def relabel(
    run_config: config.Config, examples: records.Examples, splits: Sequence[str]
) -> records.Examples:
    """Returns examples with the classes of the run's task as labels.

    Args:
        run_config: of the run.
        examples: labelled with the severities of its task.
        splits: that they lie in.

    Raises:
        ValueError: as `load_examples`.
    """
    task, halves = run_config.task_spec, read_halves(run_config)
    if halves is None:
        return examples
    severities = np.array(task.severities)[examples.labels]
    classes = halves.classes(examples.keys, severities, task, splits)
    return dataclasses.replace(examples, labels=classes)


def count_classes(
    run_config: config.Config, source: records.Records, splits: Sequence[str]
) -> np.ndarray:
    """Returns the number of rows of each class of the run's task, int64 (classes,).

    Raises:
        ValueError: as `load_examples`.
    """
    task, halves = run_config.task_spec, read_halves(run_config)
    counts = source.manifest.class_counts
    source.shards_of(splits)
    if halves is None:
        return np.array(
            [sum(counts[split].get(name, 0) for split in splits) for name in task.classes]
        )
    rows = [
        (values["key"].decode(), values["label"])
        for values in records.iterate(source, splits)
        if values["label"] in task.severities
    ]
    severities = np.array([label for _, label in rows], np.int64)
    classes = halves.classes([key for key, _ in rows], severities, task, splits)
    return np.bincount(classes, minlength=len(task.classes))


def describe_files(run_config: config.Config) -> dict[str, Any]:
    """Returns the sha256 of each file beside the records that decides what is trained.

    Returns:
        `label_review` and `mild_split`, each where the run has one.

    Raises:
        ValueError: a file can't be read.
    """
    data = run_config.data
    paths = {"label_review": data.label_review.path, "mild_split": data.mild_split}
    return {name: {"sha256": review.sha256_of(path)} for name, path in paths.items() if path}


def read_halves(run_config: config.Config) -> mild_split.MildSplit | None:
    """Reads the file that a run's configuration names; None where its task needs none.

    Raises:
        ValueError: a task with halves names no file, another task names one, or it can't be read.
    """
    path, task = run_config.data.mild_split, run_config.task_spec
    if task.has_halves and not path:
        raise ValueError(
            f"task {task.name} needs the {mild_split.FILE_NAME} that spine_tf.clean wrote: "
            f"--set data.mild_split=DIR/{mild_split.FILE_NAME}"
        )
    if path and not task.has_halves:
        raise ValueError(
            f"data.mild_split is {path!r}, but task {task.name} has no halves: leave it out, or "
            "choose --task multiclass_split"
        )
    if not path:
        return None
    rows = {row.key: row for row in mild_split.read_csv(path)}
    return mild_split.MildSplit(path=path, rows=rows)
