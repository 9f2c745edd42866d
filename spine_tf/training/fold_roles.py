"""Which splits train, which one watches, and which one is held out."""

import dataclasses
import re

from spine_tf.configuration import data_config
from tfrecords import records


@dataclasses.dataclass(frozen=True, kw_only=True)
class Assignment:
    """The part of each fold in a run.

    Attributes:
        val_split: held out; nothing of the training sees it.
        monitor_split: says which epoch is best and fits the temperature; None if all others train.
        train_splits: whose examples the weights see.
    """

    val_split: str
    monitor_split: str | None
    train_splits: tuple[str, ...]


def fold_splits(source: records.Records) -> tuple[str, ...]:
    """Returns fold_0, fold_1, ... in order; the test split is never among them."""
    names = [split for split in source.splits if re.fullmatch(r"fold_\d+", split)]
    return tuple(sorted(names, key=lambda name: int(name.removeprefix("fold_"))))


def assign(source: records.Records, settings: data_config.DataConfig) -> Assignment:
    """Assigns the folds of a directory.

    Raises:
        ValueError: there is no such fold, or too few.
    """
    folds = fold_splits(source)
    needed = 3 if settings.inner_fold == "next" else 2
    if len(folds) < needed:
        raise ValueError(
            f"{source.directory} has {len(folds)} folds with examples, expected at least {needed}: "
            "convert with a larger --num_folds or set data.inner_fold=none"
        )
    if settings.val_fold >= len(folds):
        raise ValueError(
            f"val_fold is {settings.val_fold}, {source.directory} has folds 0 to {len(folds) - 1}"
        )
    val_split = folds[settings.val_fold]
    monitor_split = None
    if settings.inner_fold == "next":
        monitor_split = folds[(settings.val_fold + 1) % len(folds)]
    return Assignment(
        val_split=val_split,
        monitor_split=monitor_split,
        train_splits=tuple(fold for fold in folds if fold not in (val_split, monitor_split)),
    )
