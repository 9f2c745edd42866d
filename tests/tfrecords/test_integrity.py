"""What is wrong with a directory is found by verify and by whoever reads it, in the same words."""

import contextlib
import dataclasses
import json
import math
import pathlib
import shutil
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from tfrecords import example, manifest, records, schema, shard, stream_feed, tfds_files, verify

_SHARD = "lumbar_spine-fold_0.tfrecord-00000-of-00001"


@pytest.fixture(scope="module")
def small_dir(
    make_records: Callable[..., pathlib.Path], tmp_path_factory: pytest.TempPathFactory
) -> pathlib.Path:
    """Three records a split, 8 px."""
    return make_records(tmp_path_factory.mktemp("small") / "r", per_class=1, roi_px=8)


@pytest.fixture
def directory(small_dir: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    return shutil.copytree(small_dir, tmp_path / "r")


def _change_record(directory: pathlib.Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Changes the second record of fold_0, and everything that is said of its shard."""
    path = directory / _SHARD
    record_schema = tfds_files.read_schema(directory)
    values = [example.parse(record_schema, data) for data in shard.read_records(path)]
    change(values[1])
    with shard.Writer(path, "fold_0") as writer:
        for each in values:
            writer.write(example.serialize(record_schema, each))
    dataset = manifest.read_manifest(directory)
    shards = tuple(writer.shard if part.file == _SHARD else part for part in dataset.shards)
    manifest.write_manifest(directory, dataclasses.replace(dataset, shards=shards))


def _change_json(
    directory: pathlib.Path, name: str, change: Callable[[dict[str, Any]], Any]
) -> None:
    values = json.loads((directory / name).read_text())
    change(values)
    (directory / name).write_text(json.dumps(values))


def _read(directory: pathlib.Path) -> None:
    opened = records.open_records(directory)
    records.load_examples(opened, opened.splits, (0, 1, 2))


def _stream(directory: pathlib.Path) -> None:
    opened = records.open_records(directory)
    made = stream_feed.StreamFeed(source=opened, splits=opened.splits, label_values=(0, 1, 2))
    assert [*made.ordered(batch_size=5)]


_READERS = (verify.verify, _read, _stream)


@pytest.mark.parametrize("read", _READERS)
@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"label": 3}, "label is 3, expected 0 to 2"),
        ({"label": -1}, "label is -1, expected 0 to 2"),
        ({"level": 9}, "level is 9, expected 0 to 4"),
        ({"window": [math.nan, 9.0]}, r"window is \[nan, 9.0\], expected finite numbers"),
        ({"window": [-math.inf, 9.0]}, r"window is \[-inf, 9.0\], expected finite numbers"),
        ({"window": [9.0, 1.0]}, r"window is \[9.0, 1.0\], expected a low end and a high end"),
        ({"center_xy": [1.0, math.inf]}, r"center_xy is \[1.0, inf\], expected finite numbers"),
        ({"key": b"\xff\xfe"}, r"key is b'\\xff\\xfe', expected UTF-8"),
        ({"key": b""}, "key is empty"),
    ],
)
def test_record_that_can_not_be_is_found(
    directory: pathlib.Path, changed: dict[str, Any], said: str, read: Callable
) -> None:
    as_arrays = {
        name: np.array(value, np.float32) if isinstance(value, list) else value
        for name, value in changed.items()
    }
    _change_record(directory, lambda values: values.update(as_arrays))
    with pytest.raises(ValueError, match=rf"{_SHARD}: record 1: {said}"):
        read(directory)


@pytest.mark.parametrize("read", _READERS)
def test_key_that_comes_twice_is_found(directory: pathlib.Path, read: Callable) -> None:
    key = next(
        example.parse(tfds_files.read_schema(directory), data)["key"]
        for data in shard.read_records(directory / _SHARD)
    )
    _change_record(directory, lambda values: values.update(key=key))
    with pytest.raises(ValueError, match=rf"{_SHARD}: record 1 has the key '1000/.*record 0"):
        read(directory)


@pytest.mark.parametrize("read", _READERS)
def test_study_in_two_splits_is_found(directory: pathlib.Path, read: Callable) -> None:
    _change_record(directory, lambda values: values.update(study_id=1003))
    said = r"fold_1\.\S+: record 0 is of study 1003 in fold_1, which has \S*fold_0\S+: record 1 in"
    with pytest.raises(ValueError, match=said):
        read(directory)


@pytest.mark.parametrize("read", _READERS)
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda v: v["shards"].append(v["shards"][0]), rf"shard {_SHARD} is named twice"),
        (lambda v: v["shards"][0].update(num_examples=-3), r"num_examples is -3, expected a count"),
        (lambda v: v["shards"][0].update(num_bytes=-3), r"num_bytes is -3, expected a count"),
        (lambda v: v["shards"][0].update(num_examples=2), r"dataset_info.json has shards of"),
        (lambda v: v["shards"][0].update(num_examples=10**12), r"too few for the 10{12} records"),
        (lambda v: v["shards"][0].update(file="../x"), r"expected a name inside the directory"),
        (lambda v: v["shards"][0].update(sha256="0"), rf"{_SHARD} has another sha256 than"),
        (lambda v: v["class_counts"]["test"].update(Severe=-1), r"Severe in test is -1, expected"),
        (lambda v: v["class_counts"]["test"].update(Severe=2), r"test has the classes"),
        (lambda v: v["class_counts"]["test"].update(Awful=1), r"counts 'Awful' in test"),
        (lambda v: v["class_counts"].pop("test"), r"has no class_counts of test"),
        (lambda v: v["rejects"].update(x="many"), r"rejects.x is 'many', expected an integer"),
    ],
)
def test_manifest_that_says_otherwise_is_found(
    directory: pathlib.Path, change: Callable, said: str, read: Callable
) -> None:
    _change_json(directory, "manifest.json", change)
    with pytest.raises(ValueError, match=said):
        read(directory)


@pytest.mark.parametrize("read", _READERS)
@pytest.mark.parametrize("name", ["image", "label", "key"])
def test_schema_without_what_is_needed_is_found(
    directory: pathlib.Path, name: str, read: Callable
) -> None:
    _change_json(directory, "features.json", lambda v: v["featuresDict"]["features"].pop(name))
    with pytest.raises(ValueError, match=rf"features.json has no feature '{name}'"):
        read(directory)


def test_feature_of_another_kind_is_found(directory: pathlib.Path) -> None:
    def change(values: dict[str, Any]) -> None:
        features = values["featuresDict"]["features"]
        features["label"] = features["study_id"]

    _change_json(directory, "features.json", change)
    with pytest.raises(ValueError, match=r"features.json: label has no class names"):
        records.open_records(directory)


@pytest.mark.parametrize("name", ["../../x", "A", ""])
def test_feature_with_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is no name, expected a-z, 0-9 and _"):
        schema.Feature(name=name, dtype="int64")


def test_other_bytes_pass_where_they_are_not_compared(directory: pathlib.Path) -> None:
    _change_json(directory, "manifest.json", lambda v: v["shards"][0].update(sha256="0"))
    opened = records.open_records(directory, verifies=False)
    assert len(opened.index(opened.splits)) == 12
    damaged = bytearray((directory / _SHARD).read_bytes())
    damaged[200] ^= 1
    (directory / _SHARD).write_bytes(damaged)
    with pytest.raises(ValueError, match=rf"{_SHARD}: record 0 has a wrong checksum"):
        records.open_records(directory, verifies=False).index(["fold_0"])


def test_only_what_is_read_is_checked(directory: pathlib.Path) -> None:
    _change_record(directory, lambda values: values.update(label=3))
    opened = records.open_records(directory)
    assert len(opened.index(["fold_1", "test"])) == 6
    with pytest.raises(ValueError, match="label is 3"):
        opened.index(["fold_0"])


_ODD = st.sampled_from(
    [None, True, -1, 0, 3, 10**30, 1e308, math.inf, math.nan, "", "x", "../x", "1e5", [], {}, [[]]]
)
_FILES = ["manifest.json", "features.json", "dataset_info.json", "label.labels.txt", _SHARD]


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) of a JSON value."""
    found = []
    keys = (
        value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    )
    for key in keys:
        found += [(value, key), *_places(value[key])]
    return found


def _spoil_json(data: st.DataObject, path: pathlib.Path) -> None:
    values = json.loads(path.read_text())
    container, key = data.draw(st.sampled_from(_places(values)))
    if data.draw(st.booleans()):
        container[key] = data.draw(_ODD)
    else:
        del container[key]
    path.write_text(json.dumps(values))


def _spoil_bytes(data: st.DataObject, path: pathlib.Path) -> None:
    content = path.read_bytes()
    start = data.draw(st.integers(0, len(content)))
    count = data.draw(st.sampled_from([0, 1, 4, 1000]))
    path.write_bytes(content[:start] + data.draw(st.binary(max_size=8)) + content[start + count :])


@settings(deadline=5000, max_examples=150)
@given(st.data())
def test_spoilt_directory_is_refused_or_read_right(
    small_dir: pathlib.Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    directory = shutil.copytree(small_dir, tmp_path_factory.mktemp("spoilt") / "r")
    path = directory / data.draw(st.sampled_from(_FILES))
    if path.suffix == ".json" and data.draw(st.booleans()):
        _spoil_json(data, path)
    else:
        _spoil_bytes(data, path)
    with contextlib.suppress(ValueError, OSError):
        opened = records.open_records(directory)
        found = records.load_examples(opened, ("fold_0", "test"), (0, 1, 2))
        sound = records.load_examples(
            records.open_records(small_dir), ("fold_0", "test"), (0, 1, 2)
        )
        np.testing.assert_array_equal(found.images, sound.images)
        np.testing.assert_array_equal(found.labels, sound.labels)
        np.testing.assert_array_equal(found.windows, sound.windows)
        assert found.keys == sound.keys
