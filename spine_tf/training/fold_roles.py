"""Which splits train, which one watches, and which one is held out."""

import dataclasses
import re
from collections.abc import Sequence

from spine_tf.configuration import data_config
from spine_tf.rsna import folds
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
    """Returns the folds that have examples in order; the test split is never among them."""
    names = [split for split in source.splits if re.fullmatch(r"fold_\d+", split)]
    return tuple(sorted(names, key=fold_index))


def fold_index(name: str) -> int:
    """Returns i of fold_i."""
    return int(name.removeprefix("fold_"))


def assign(source: records.Records, settings: data_config.DataConfig) -> Assignment:
    """Assigns the folds of a directory; fold i is the split fold_i, whichever others are empty.

    The inner fold is the next one that has examples.

    Raises:
        ValueError: the fold has no example, or there are too few folds.
    """
    names = fold_splits(source)
    _require_enough(source, names, settings.inner_fold)
    val_split = folds.fold_name(settings.val_fold)
    if val_split not in names:
        raise ValueError(
            f"val_fold is {settings.val_fold}, but {source.directory} has no example in "
            f"{val_split}; its folds are {', '.join(names)}"
        )
    monitor_split = None
    if settings.inner_fold == "next":
        monitor_split = names[(names.index(val_split) + 1) % len(names)]
    return Assignment(
        val_split=val_split,
        monitor_split=monitor_split,
        train_splits=tuple(fold for fold in names if fold not in (val_split, monitor_split)),
    )


def _require_enough(source: records.Records, names: Sequence[str], inner_fold: str) -> None:
    needed = 3 if inner_fold == "next" else 2
    if len(names) >= needed:
        return
    num_studies = len(set(source.index(names).columns["study_id"].tolist())) if names else 0
    ways = ["convert with a larger --num_folds"] if num_studies >= needed else []
    if len(names) >= 2:
        ways.append("set data.inner_fold=none")
    if num_studies < needed:
        ways.insert(0, f"convert {needed} studies or more")
    raise ValueError(
        f"{source.directory} has {len(names)} fold{'s' * (len(names) != 1)} with examples, of "
        f"{num_studies} stud{'y' if num_studies == 1 else 'ies'}, expected at least {needed}: "
        f"{' or '.join(ways)}"
    )
