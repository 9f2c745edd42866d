import dataclasses
import pathlib

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
    with pytest.raises(ValueError, match=r"val_fold is 3, .* has folds 0 to 2"):
        fold_roles.assign(source, data_config.DataConfig(val_fold=3))


def test_too_few_folds_are_refused(source: records.Records) -> None:
    parts = [part for part in source.manifest.shards if part.split in ("fold_0", "fold_1")]
    fewer = dataclasses.replace(
        source, manifest=dataclasses.replace(source.manifest, shards=tuple(parts))
    )
    with pytest.raises(ValueError, match="has 2 folds with examples, expected at least 3: convert"):
        fold_roles.assign(fewer, data_config.DataConfig())
    assert fold_roles.assign(fewer, data_config.DataConfig(inner_fold="none")).train_splits == (
        "fold_1",
    )
