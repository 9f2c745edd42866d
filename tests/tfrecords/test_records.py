import json
import pathlib
import shutil

import numpy as np
import pytest

from tfrecords import records


def test_examples_have_the_class_of_their_label(records_dir: pathlib.Path) -> None:
    examples = records.load_examples(records.open_records(records_dir), ["fold_0"], (0, 2))
    assert examples.images.shape == (16, 32, 32, 1)
    assert examples.images.dtype == np.uint16
    assert np.bincount(examples.labels).tolist() == [8, 8]
    bright, dark = (examples.images[examples.labels == label].mean() for label in (0, 1))
    assert bright > dark
    assert examples.keys[0].startswith(f"{examples.columns['study_id'][0]}/")


def test_normalized_follows_the_window(records_dir: pathlib.Path) -> None:
    examples = records.load_examples(records.open_records(records_dir), ["test"], (0, 1, 2))
    expected = np.clip((examples.images.astype(np.float64) - 50) / 1050, 0, 1)
    np.testing.assert_allclose(examples.normalized(), expected, atol=1e-6)


def test_splits_are_those_with_examples(records_dir: pathlib.Path) -> None:
    opened = records.open_records(records_dir)
    assert opened.splits == ("fold_0", "fold_1", "fold_2", "test")
    assert opened.num_examples("test") == 24
    with pytest.raises(ValueError, match="no examples in split 'fold_9'; it has fold_0"):
        opened.num_examples("fold_9")


def test_directory_without_manifest_is_not_finished(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ValueError, match=r"no manifest.json, so it is no finished conversion"):
        records.open_records(tmp_path)


def test_missing_directory_is_named(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ValueError, match="nowhere is not a directory"):
        records.open_records(tmp_path / "nowhere")


@pytest.fixture
def copied(records_dir: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    return shutil.copytree(records_dir, tmp_path / "copied")


def test_truncated_shard_is_found_on_opening(copied: pathlib.Path) -> None:
    path = next(copied.glob("*fold_1*"))
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(ValueError, match=r"fold_1.*bytes, manifest.json says"):
        records.open_records(copied)


def test_missing_shard_is_found_on_opening(copied: pathlib.Path) -> None:
    next(copied.glob("*test*")).unlink()
    with pytest.raises(ValueError, match=r"test.*is missing"):
        records.open_records(copied)


def test_other_count_than_the_manifest_says_is_found(copied: pathlib.Path) -> None:
    path = copied / "manifest.json"
    values = json.loads(path.read_text())
    values["shards"][0]["num_examples"] += 1
    path.write_text(json.dumps(values))
    with pytest.raises(ValueError, match=r"has 24 records, manifest.json says 25"):
        records.load_examples(records.open_records(copied), ["fold_0"], (0, 1, 2))
