"""Folds: a study is whole in one of them, whatever else is chosen."""

import collections

import pytest
from hypothesis import given, settings, strategies as st

from spine_tf.rsna import folds, tables

_GROUPS = st.dictionaries(st.integers(0, 2**63 - 1), st.text("abcdef", min_size=1), min_size=1)


@settings(deadline=None)
@given(_GROUPS, st.integers(2, 9), st.floats(0, 0.99), st.integers(0, 9))
def test_fold_keeps_a_group_whole(groups, num_folds, test_fraction, seed):
    splits = folds.assign_folds(groups, num_folds=num_folds, test_fraction=test_fraction, seed=seed)
    of_group = collections.defaultdict(set)
    for study, group in groups.items():
        of_group[group].add(splits[study])
    assert all(len(found) == 1 for found in of_group.values())
    num_groups = collections.Counter(found.pop() for found in of_group.values())
    assert num_groups[folds.TEST] == round(len(of_group) * test_fraction)
    sizes = [num_groups[folds.fold_name(index)] for index in range(num_folds)]
    assert max(sizes) - min(sizes) <= 1


def test_folds_are_the_golden_ones():
    groups = {study: str(study) for study in range(8)}
    splits = folds.assign_folds(groups, num_folds=3, test_fraction=0.25, seed=0)
    assert list(splits.values()) == [
        "test",
        "fold_0",
        "fold_2",
        "fold_2",
        "test",
        "fold_1",
        "fold_0",
        "fold_1",
    ]


def test_seed_changes_the_folds_and_order_does_not():
    groups = {study: str(study) for study in range(50)}
    backwards = dict(reversed(groups.items()))
    first, same, other = (
        folds.assign_folds(of, num_folds=5, test_fraction=0.2, seed=seed)
        for of, seed in ((groups, 0), (backwards, 0), (groups, 1))
    )
    assert first == same
    assert first != other


def _table(text):
    return tables.parse_table("folds.csv", text.encode())


def test_folds_csv_decides():
    table = _table("study_id,fold\n1,0\n2,fold_1\n3,test\n99,1\n")
    splits = folds.parse_folds(table, {1: "1", 2: "2", 3: "3"}, 2)
    assert splits == {1: "fold_0", 2: "fold_1", 3: "test"}


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("study_id,fold\n1,0\n", "no fold for study 2"),
        ("study_id,fold\n1,2\n", "line 2: .* fold '2', expected .* 0 to 1 or test"),
        ("study_id,fold\n1,0\n02,1\n", "folds.csv, line 3: study_id '02' .* without leading zeros"),
        ("study_id,fold\n1.5,0\n", "study_id '1.5'"),
        ("study_id,fold\n1,0,0\n", "study_id ''"),
        ("study_id,fold\n1,0\n1,1\n", "gives study 1 two folds"),
        ("study_id,fold\n1,0\n2,1\n", "puts studies of patient 'p' into fold_0 and fold_1"),
        ("study,fold\n1,0\n", "no column 'study_id'"),
    ],
)
def test_bad_folds_csv_is_refused(text, match):
    with pytest.raises(ValueError, match=match):
        folds.parse_folds(_table(text), {1: "p", 2: "p"}, 2)
