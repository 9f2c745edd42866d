import dataclasses
import pathlib

import numpy as np
import pytest

from spine_tf.configuration import data_config
from spine_tf.training import fold_roles
from tfrecords import records


@pytest.fixture
def source(records_dir: pathlib.Path) -> records.Records:
    return records.open_records(records_dir)


@pytest.mark.parametrize(
    ("val_fold", "monitor", "train"),
    [(0, "fold_1", ("fold_2",)), (1, "fold_2", ("fold_0",)), (2, "fold_0", ("fold_1",))],
)
def test_inner_fold_is_the_next_one_round(
    source: records.Records, val_fold: int, monitor: str, train: tuple[str, ...]
) -> None:
    assignment = fold_roles.assign(source, data_config.DataConfig(val_fold=val_fold))
    assert assignment == fold_roles.Assignment(
        val_split=f"fold_{val_fold}", monitor_split=monitor, train_splits=train
    )


def test_without_an_inner_fold_all_others_train(source: records.Records) -> None:
    assignment = fold_roles.assign(source, data_config.DataConfig(val_fold=1, inner_fold="none"))
    assert assignment.monitor_split is None
    assert assignment.train_splits == ("fold_0", "fold_2")


def test_test_split_is_in_no_part(source: records.Records) -> None:
    assert "test" in source.splits
    assert fold_roles.fold_splits(source) == ("fold_0", "fold_1", "fold_2")


def test_fold_that_is_not_there_is_refused(source: records.Records) -> None:
    with pytest.raises(ValueError, match=r"val_fold is 3, but .* has no example in fold_3; its"):
        fold_roles.assign(source, data_config.DataConfig(val_fold=3))


def _without(source: records.Records, *splits: str) -> records.Records:
    parts = tuple(part for part in source.manifest.shards if part.split not in splits)
    return dataclasses.replace(source, manifest=dataclasses.replace(source.manifest, shards=parts))


@pytest.mark.parametrize("val_fold", [0, 2])
def test_number_of_a_fold_is_its_name_where_another_is_empty(
    source: records.Records, val_fold: int
) -> None:
    settings = data_config.DataConfig(val_fold=val_fold, inner_fold="none")
    assignment = fold_roles.assign(_without(source, "fold_1"), settings)
    assert assignment.val_split == f"fold_{val_fold}"
    assert assignment.train_splits == (f"fold_{2 - val_fold}",)


def test_empty_fold_is_refused_by_its_name(source: records.Records) -> None:
    settings = data_config.DataConfig(val_fold=1, inner_fold="none")
    with pytest.raises(ValueError, match=r"no example in fold_1; its folds are fold_0, fold_2"):
        fold_roles.assign(_without(source, "fold_1"), settings)


@pytest.mark.parametrize(
    ("num_folds", "num_studies", "inner_fold", "advice"),
    [
        (1, 1, "none", "expected at least 2: convert 2 studies or more"),
        (1, 1, "next", "expected at least 3: convert 3 studies or more"),
        (1, 2, "next", "expected at least 3: convert 3 studies or more"),
        (2, 2, "next", "at least 3: convert 3 studies or more or set data.inner_fold=none"),
        (1, 5, "none", "expected at least 2: convert with a larger --num_folds"),
        (1, 5, "next", "expected at least 3: convert with a larger --num_folds"),
    ],
)
def test_too_few_studies_or_folds_are_told_what_helps(
    source: records.Records,
    monkeypatch: pytest.MonkeyPatch,
    num_folds: int,
    num_studies: int,
    inner_fold: str,
    advice: str,
) -> None:
    few = _without(source, *("fold_1", "fold_2")[num_folds - 1 :], "test")
    index = source.index(["fold_0"])
    columns = {**index.columns, "study_id": np.arange(len(index)) % num_studies}
    monkeypatch.setattr(
        records.Records, "index", lambda *_: dataclasses.replace(index, columns=columns)
    )
    with pytest.raises(ValueError, match="with examples, of") as caught:
        fold_roles.assign(few, data_config.DataConfig(inner_fold=inner_fold))
    assert str(caught.value).endswith(advice)


def test_too_few_folds_are_refused(source: records.Records) -> None:
    fewer = _without(source, "fold_2", "test")
    message = "has 2 folds with examples, of 48 studies, expected at least 3: convert with a larger"
    with pytest.raises(ValueError, match=message):
        fold_roles.assign(fewer, data_config.DataConfig())
    assert fold_roles.assign(fewer, data_config.DataConfig(inner_fold="none")).train_splits == (
        "fold_1",
    )
