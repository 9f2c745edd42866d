"""The examples of a run: labelled with the classes of its task, cured, and where they are held."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from spine_tf.configuration import config
from spine_tf.crops import record
from spine_tf.training import fold_roles, mild_split, reviewed_labels
from tfrecords import feed, memory_feed, records, stream_feed


def open_training(
    run_config: config.Config, source: records.Records, splits: Sequence[str]
) -> tuple[feed.Feed, np.ndarray]:
    """Returns the feed of the training splits, and how many of its examples are of each class.

    Returns:
        The feed, cured as `data.label_review` says, and int64 (classes,).

    Raises:
        ValueError: a class has none, a flip would change a side, or what is configured needs the
            crops in memory and they are streamed.
    """
    _require_flip_keeps_the_side(run_config, source)
    counts = require_every_class(run_config, source, splits)
    if not run_config.data.label_review.path:
        return open_feed(run_config, source, splits), counts
    place = where(run_config, source, splits)
    examples = load_examples(run_config, source, splits)
    cured = reviewed_labels.cure(run_config, examples, splits)
    kept = np.bincount(cured.examples.labels, minlength=len(counts))
    _require_every_class(run_config, source, splits, kept)
    return _in_memory(run_config, cured.examples, place, cured.extra), kept


def require_every_class(
    run_config: config.Config, source: records.Records, splits: Sequence[str]
) -> np.ndarray:
    """Returns the examples of each class of the task in the splits, int64 (classes,).

    Raises:
        ValueError: a class has none.
    """
    counts = count_classes(run_config, source, splits)
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


def open_feed(
    run_config: config.Config, source: records.Records, splits: Sequence[str]
) -> feed.Feed:
    """Returns a feed of the splits with the labels that were given."""
    place = where(run_config, source, splits)
    if place != "stream":
        examples = load_examples(run_config, source, splits)
        return _in_memory(run_config, examples, place)
    return stream_feed.StreamFeed(
        source=source,
        splits=tuple(splits),
        label_values=run_config.task_spec.severities,
        fields=("image", "window", "label", *_told(run_config)),
    )


def _told(run_config: config.Config) -> tuple[str, ...]:
    """Fields of a record that the network is told."""
    return ("condition", "level") if run_config.model.is_told else ()


def _in_memory(
    run_config: config.Config,
    examples: records.Examples,
    place: str,
    extra: Mapping[str, np.ndarray] | None = None,
) -> feed.Feed:
    return memory_feed.make_feed(
        examples,
        on_device=place == "device",
        balanced=run_config.data.sampling == "balanced",
        extra={**{name: examples.columns[name] for name in _told(run_config)}, **(extra or {})},
    )


def where(run_config: config.Config, source: records.Records, splits: Sequence[str]) -> str:
    """Returns where examples of the splits are held: memory, device, or stream for nowhere.

    Raises:
        ValueError: what is configured needs them in memory, and they are streamed.
    """
    data = run_config.data
    # One budget for all that a run holds at a time: training, inner and held-out fold.
    held = dict.fromkeys([*fold_roles.fold_splits(source), *splits])
    needed_mb = source.decoded_mb([*held])
    place = data.feed
    if place == "auto":
        place = "memory" if needed_mb <= data.memory_budget_mb else "stream"
    reasons = {
        "data.sampling is balanced": data.sampling == "balanced",
        "data.label_review is set": bool(data.label_review.path),
        f"task {run_config.task} has halves": run_config.task_spec.has_halves,
    }
    for reason, needs_memory in reasons.items():
        if needs_memory and place == "stream":
            raise ValueError(
                f"{reason}, which needs the crops in memory, {needed_mb:.0f} MiB: set "
                "data.feed to memory, or leave it at auto and raise data.memory_budget_mb"
            )
    return place


def _require_flip_keeps_the_side(run_config: config.Config, source: records.Records) -> None:
    """Refuses to flip crops that the converter mirrored so that lateral lies to the right."""
    roi = record.require_conversion(source)
    conditions = source.manifest.config["conditions"]
    mirrored = [name for name in conditions if "subarticular" in name]
    if run_config.data.augmentation.flip and mirrored and roi.mirror_right:
        raise ValueError(
            f"data.augmentation.flip is {run_config.data.augmentation.flip}, but the crops of "
            f"{', '.join(mirrored)} are mirrored so that lateral lies to the right, which a flip "
            "would undo: set it to 0, or convert with --nomirror_right"
        )


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
        run_config: the run's settings.
        examples: labelled with the severities of its task.
        splits: the splits that they lie in.

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
    index = source.index(splits)
    takes_part = np.isin(index.columns["label"], task.severities)
    keys = [index.keys[row] for row in np.flatnonzero(takes_part)]
    classes = halves.classes(keys, index.columns["label"][takes_part], task, splits)
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
    return {
        name: {"sha256": reviewed_labels.sha256_of(path)} for name, path in paths.items() if path
    }


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
