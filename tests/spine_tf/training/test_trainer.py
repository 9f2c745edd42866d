"""A training begins when all that it needs is there."""

import pathlib
from collections.abc import Callable

import pytest

from spine_tf.configuration import config, overrides
from spine_tf.training import trainer
from tfrecords import records


@pytest.mark.parametrize("fold", [None, 1])
def test_a_damaged_record_is_found_before_the_first_epoch(
    make_records: Callable[..., pathlib.Path], tmp_path: pathlib.Path, fold: int | None
) -> None:
    """Also one of the fold held out, which is looked at when all epochs are over."""
    records_dir, run_dir = make_records(tmp_path / "r", per_class=2, roi_px=16), tmp_path / "w"
    path = next(records_dir.glob("*-fold_1.*"))
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)
    settings = overrides.apply(
        config.default_config("multiclass", "simple"),
        ["model.filters=[4]", f"data.val_fold={fold or 0}", "data.inner_fold=none"],
    )
    source = records.open_records(records_dir)
    train = trainer.train if fold else trainer.train_all_folds
    with pytest.raises(ValueError, match=path.name):
        train(settings, source, run_dir, resume=False)
    assert not run_dir.exists()
