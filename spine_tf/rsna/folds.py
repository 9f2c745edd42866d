"""Which split a study belongs to: decided by a hash, whatever rows are converted."""

import hashlib
from collections.abc import Mapping

from spine_tf.rsna import tables

TEST = "test"


def fold_name(index: int) -> str:
    """Returns the split that holds fold `index`."""
    return f"fold_{index}"


def assign_folds(
    groups: Mapping[int, str], *, num_folds: int, test_fraction: float, seed: int
) -> dict[int, str]:
    """Gives every study a split, so that a group is whole in one of them.

    Groups are ranked by a hash of (seed, group): the first are the test split, the rest are dealt
    in turn to the folds.

    Args:
        groups: study -> group (the study itself, or its patient).
        num_folds: number of folds.
        test_fraction: part of the groups that is `test`.
        seed: another one gives other folds.
    """
    names = sorted(set(groups.values()), key=lambda group: _hash(f"{seed}/{group}"))
    num_test = round(len(names) * test_fraction)
    splits = {name: TEST for name in names[:num_test]}
    for rank, name in enumerate(names[num_test:]):
        splits[name] = fold_name(rank % num_folds)
    return {study: splits[group] for study, group in groups.items()}


def parse_folds(table: tables.Table, groups: Mapping[int, str], num_folds: int) -> dict[int, str]:
    """Reads every study's split from a table with the columns study_id and fold.

    A fold is 0 to num_folds - 1, fold_0 and so on, or test. Studies that have no row in `groups`
    are left aside.

    Raises:
        ValueError: a study has no fold or two, a group is torn apart, or a fold does not exist.
    """
    known = {fold_name(index): fold_name(index) for index in range(num_folds)}
    known |= {str(index): fold_name(index) for index in range(num_folds)} | {TEST: TEST}
    study_column, fold_column = table.index("study_id"), table.index("fold")
    splits: dict[int, str] = {}
    for line, row in zip(table.lines, table.rows, strict=True):
        text, fold = (row[study_column], row[fold_column]) if table.is_whole(row) else ("", "")
        study = tables.parse_id(text)
        if study is None or fold not in known:
            raise ValueError(
                f"{table.place(line)}: study_id {text!r} with fold {fold!r}, expected an integer "
                f"without leading zeros and one of 0 to {num_folds - 1} or test"
            )
        if splits.setdefault(study, known[fold]) != known[fold]:
            raise ValueError(f"{table.place(line)}: gives study {study} two folds, expected one")
    _check_folds(table.name, groups, splits)
    return {study: splits[study] for study in groups}


def _check_folds(name: str, groups: Mapping[int, str], splits: Mapping[int, str]) -> None:
    of_group: dict[str, str] = {}
    for study, group in groups.items():
        if study not in splits:
            raise ValueError(f"{name} has no fold for study {study} of train.csv: add a row")
        if of_group.setdefault(group, splits[study]) != splits[study]:
            raise ValueError(
                f"{name} puts studies of patient {group!r} into {of_group[group]} and "
                f"{splits[study]}; expected one split a patient"
            )


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
