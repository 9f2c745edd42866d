import json
import pathlib
import shutil

import numpy as np
import pytest

from tfrecords import example, manifest, records, tfds_files


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


def test_normalized_of_many_is_that_of_each(records_dir: pathlib.Path) -> None:
    one = records.load_examples(records.open_records(records_dir), ["test"], (0, 1, 2))
    many = one.take(np.resize(np.arange(len(one)), 600))
    assert many.normalized().tobytes() == np.resize(one.normalized(), (600, 32, 32, 1)).tobytes()


def test_examples_are_taken_by_position_or_by_choice(records_dir: pathlib.Path) -> None:
    examples = records.load_examples(records.open_records(records_dir), ["test"], (0, 2))
    is_dark = examples.labels == 1
    for taken in (examples.take(is_dark), examples.take(np.flatnonzero(is_dark))):
        assert taken.labels.tolist() == [1] * 8
        assert taken.splits == ["test"] * 8
        np.testing.assert_array_equal(taken.images, examples.images[is_dark])
        np.testing.assert_array_equal(taken.windows, examples.windows[is_dark])
        studies = [int(key.split("/")[0]) for key in taken.keys]
        assert taken.columns["study_id"].tolist() == studies


class _Counter:
    """Counts parsed records, and those among them whose image was decoded."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.records = self.images = 0
        self._parse = example.parse
        monkeypatch.setattr(example, "parse", self._count)

    def _count(self, record_schema, data, **options):
        values = self._parse(record_schema, data, **options)
        self.records += 1
        self.images += "image" in values
        return values


@pytest.fixture
def counter(monkeypatch: pytest.MonkeyPatch) -> _Counter:
    return _Counter(monkeypatch)


def test_index_says_what_there_is_without_an_image(
    records_dir: pathlib.Path, counter: _Counter
) -> None:
    index = records.open_records(records_dir).index(["test", "fold_0"])
    assert (counter.records, counter.images) == (48, 0)
    assert len(index) == len(set(index.keys)) == 48
    assert index.splits == ("test",) * 24 + ("fold_0",) * 24
    assert sorted(index.columns) == [
        *("center_xy", "condition", "instance_number", "label", "level", "mirrored"),
        *("pixel_spacing", "series_id", "study_id", "window"),
    ]
    assert index.columns["window"].tolist() == [[50, 1100]] * 48
    assert index.columns["window"].dtype == np.float32
    assert index.columns["label"].tolist() == [0, 1, 2] * 16
    assert index.columns["study_id"].tolist() == [int(key.split("/")[0]) for key in index.keys]


def test_index_of_no_split_is_empty(records_dir: pathlib.Path) -> None:
    index = records.open_records(records_dir).index([])
    assert len(index) == 0
    assert index.columns["window"].shape == (0, 2)
    assert index.columns["study_id"].tolist() == []


def test_index_of_a_split_is_read_once(records_dir: pathlib.Path, counter: _Counter) -> None:
    opened = records.open_records(records_dir)
    for splits in (["fold_0"], ["fold_1", "fold_0"], ["fold_0", "fold_1"]):
        opened.index(splits)
    assert counter.records == 48


def test_images_that_fit_are_decoded_once_and_shared(
    records_dir: pathlib.Path, counter: _Counter
) -> None:
    # 96 crops of 32 px are 0.1875 MiB.
    opened = records.open_records(records_dir, keep_mb=0.19)
    alone = records.load_examples(records.open_records(records_dir), ["fold_1", "test"], (2, 0))
    counter.records = counter.images = 0
    assert opened.index(["test"]).splits == ("test",) * 24
    found = records.load_examples(opened, ["fold_1", "test"], (2, 0))
    again = records.load_examples(opened, ["test"], (0, 1, 2))
    assert (counter.records, counter.images) == (48, 48)
    assert found.pixels is again.pixels
    for name in ("images", "windows", "labels", "keys", "splits"):
        np.testing.assert_array_equal(getattr(found, name), getattr(alone, name))
    stored = [values["image"].tobytes() for values in records.iterate(opened, ["test"])]
    assert again.images.tobytes() == b"".join(stored)


@pytest.mark.parametrize("keep_mb", [0.0, 1.0])
def test_images_are_those_of_the_index(records_dir: pathlib.Path, keep_mb: float) -> None:
    opened = records.open_records(records_dir, keep_mb=keep_mb)
    stored = [values["image"] for values in records.iterate(opened, ["fold_2", "fold_0"])]
    pixels, rows = opened.images(["fold_2", "fold_0"])
    np.testing.assert_array_equal(pixels[rows], stored)
    is_chosen = opened.index(["fold_2", "fold_0"]).columns["label"] == 2
    pixels, rows = opened.images(["fold_2", "fold_0"], is_chosen)
    np.testing.assert_array_equal(pixels[rows], np.array(stored)[is_chosen])


def test_directory_that_keeps_enough_stays_itself(records_dir: pathlib.Path) -> None:
    opened = records.open_records(records_dir, keep_mb=2.0)
    assert opened.keeping(1.0) is opened
    assert opened.keeping(3.0).keep_mb == 3.0


def test_images_beyond_the_budget_are_decoded_when_they_are_needed(
    records_dir: pathlib.Path, counter: _Counter
) -> None:
    opened = records.open_records(records_dir, keep_mb=0.18)
    for _ in range(2):
        found = records.load_examples(opened, ["fold_0"], (0, 2))
        assert found.pixels.shape == (24, 32, 32, 1)
        assert found.images.shape == found.decoded()[0].shape == (16, 32, 32, 1)
        counter.records -= 16  # decoded once more, to be held
        counter.images -= 16
    # 24 for the index, and each time the 16 that are of a class.
    assert (counter.records, counter.images) == (24 + 2 * 16, 2 * 16)


def test_splits_are_those_with_examples(records_dir: pathlib.Path) -> None:
    opened = records.open_records(records_dir)
    assert opened.splits == ("fold_0", "fold_1", "fold_2", "test")
    assert opened.num_examples("test") == 24
    with pytest.raises(ValueError, match="no examples in split 'fold_9'; it has fold_0"):
        opened.num_examples("fold_9")


def test_directory_without_manifest_is_not_finished(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ValueError, match="holds no records, expected a directory that a conv"):
        records.open_records(tmp_path)
    (tmp_path / "spine-fold_0.tfrecord-00000-of-00001").touch()
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


@pytest.mark.parametrize("keep_mb", [0.0, 1.0])
@pytest.mark.parametrize("said", [23, 25])
def test_other_count_than_the_manifest_says_is_found(
    copied: pathlib.Path, keep_mb: float, said: int
) -> None:
    path = copied / "manifest.json"
    values = json.loads(path.read_text())
    values["shards"][0]["num_examples"] = said
    path.write_text(json.dumps(values))
    tfds_files.write_info(copied, manifest.read_manifest(copied), "x")
    opened = records.open_records(copied, keep_mb=keep_mb)
    with pytest.raises(ValueError, match=rf"has 24 records, manifest.json says {said}"):
        records.load_examples(opened, ["fold_0"], (0, 1, 2))
