"""What a fit is fed with: which examples, cured or as they are, and where they are held."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from spine_tf.configuration import config
from spine_tf.training import cure, task_examples
from tfrecords import feed, records


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


def make_train_feed(
    run_config: config.Config, source: records.Records, splits: Sequence[str]
) -> tuple[feed.Feed, np.ndarray]:
    """Returns the feed of the training splits, and how many of its examples are of each class.

    Raises:
        ValueError: a class has none, a flip would change a side, or what is configured needs the
            crops in memory and they are streamed.
    """
    _require_flip_keeps_the_side(run_config, source)
    counts = count_classes(run_config, source, splits)
    if not run_config.data.label_review.path:
        return make_feed(run_config, source, splits), counts
    where = _where(run_config, source, splits)
    examples = task_examples.load_examples(run_config, source, splits)
    cured = cure.cure(run_config, examples, splits)
    kept = np.bincount(cured.examples.labels, minlength=len(counts))
    _require_every_class(run_config, source, splits, kept)
    return _in_memory(run_config, cured.examples, where, cured.extra), kept


def make_feed(
    run_config: config.Config, source: records.Records, splits: Sequence[str]
) -> feed.Feed:
    """Returns a feed of the splits with the labels that were given."""
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


def _require_flip_keeps_the_side(run_config: config.Config, source: records.Records) -> None:
    """Refuses to flip crops that the converter mirrored so that lateral lies to the right."""
    conversion = source.manifest.config
    mirrored = [name for name in conversion["conditions"] if "subarticular" in name]
    if run_config.data.augmentation.flip and mirrored and conversion["mirror_right"]:
        raise ValueError(
            f"data.augmentation.flip is {run_config.data.augmentation.flip}, but the crops of "
            f"{', '.join(mirrored)} are mirrored so that lateral lies to the right, which a flip "
            "would undo: set it to 0, or convert with --nomirror_right"
        )
