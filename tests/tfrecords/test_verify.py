"""verify finds what is wrong, and says where."""

import dataclasses
import json
import pathlib
import shutil

import pytest

from tfrecords import example, manifest, shard, tfds_files, verify


@pytest.fixture
def directory(records_dir, tmp_path):
    """A copy of the synthetic records, with the files that TFDS wants."""
    copy = shutil.copytree(records_dir, tmp_path / "r")
    tfds_files.write_info(copy, manifest.read_manifest(copy), "x")
    return copy


def _rewrite(directory: pathlib.Path, **changes) -> None:
    dataset = dataclasses.replace(manifest.read_manifest(directory), **changes)
    manifest.write_manifest(directory, dataset)
    tfds_files.write_info(directory, dataset, "x")


def test_whole_directory_is_verified(directory):
    found = verify.verify(directory)
    assert (found.num_shards, found.num_examples) == (4, 96)
    assert found.num_bytes == sum(path.stat().st_size for path in directory.glob("*.tfrecord-*"))


@pytest.mark.parametrize("position", [3, 5000, 20_000])
def test_flipped_bit_is_found_with_its_record(directory, position):
    path = sorted(directory.glob("*.tfrecord-*"))[1]
    data = bytearray(path.read_bytes())
    data[position] ^= 4
    path.write_bytes(data)
    with pytest.raises(ValueError, match=rf"{path.name}: record \d+ has a wrong checksum"):
        verify.verify(directory)


def test_missing_shard_is_found(directory):
    next(directory.glob("*fold_0*")).unlink()
    with pytest.raises(ValueError, match=r"fold_0.* is missing"):
        verify.verify(directory)


def test_lost_last_record_is_found(directory):
    path = next(directory.glob("*fold_0.tfrecord*"))
    records = list(shard.read_records(path))
    with shard.Writer(path, "fold_0") as writer:
        for record in records[:-1]:
            writer.write(record)
    with pytest.raises(ValueError, match=r"has \d+ bytes, manifest.json says"):
        verify.verify(directory)


def _replace_shard(directory, records, **changes):
    path = next(directory.glob("*fold_0.tfrecord*"))
    with shard.Writer(path, "fold_0") as writer:
        for record in records:
            writer.write(record)
    part = dataclasses.replace(writer.shard, **changes)
    shards = manifest.read_manifest(directory).shards
    _rewrite(directory, shards=(part, *shards[1:]))


def test_repeated_key_is_found(directory):
    records = list(shard.read_records(next(directory.glob("*fold_0.tfrecord*"))))
    _replace_shard(directory, [*records, records[0]])
    with pytest.raises(ValueError, match=r"record 24 has the key .* of .*record 0"):
        verify.verify(directory)


def test_wrong_count_is_found(directory):
    records = list(shard.read_records(next(directory.glob("*fold_0.tfrecord*"))))
    _replace_shard(directory, records, num_examples=25)
    with pytest.raises(ValueError, match=r"24 records, manifest.json says 25"):
        verify.verify(directory)


def test_exchanged_record_is_found(directory):
    records = list(shard.read_records(next(directory.glob("*fold_0.tfrecord*"))))
    _replace_shard(directory, reversed(records), sha256="0" * 64)
    with pytest.raises(ValueError, match="another sha256"):
        verify.verify(directory)


def test_label_out_of_range_is_found(directory):
    path = next(directory.glob("*fold_0.tfrecord*"))
    schema = tfds_files.read_schema(directory)
    values = example.parse(schema, next(shard.read_records(path)))
    _replace_shard(directory, [example.serialize(schema, {**values, "label": 9})])
    with pytest.raises(ValueError, match="record 0: label is 9, expected 0 to 2"):
        verify.verify(directory)


def test_wrong_class_counts_are_found(directory):
    counts = manifest.read_manifest(directory).class_counts
    _rewrite(directory, class_counts={**counts, "test": {"Severe": 24}})
    with pytest.raises(ValueError, match="test has the classes"):
        verify.verify(directory)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (None, "does not exist"),
        ("{}", "has no 'splits'"),
        (json.dumps({"splits": []}), "has shards of {}"),
    ],
)
def test_wrong_dataset_info_is_found(directory, text, match):
    path = directory / "dataset_info.json"
    path.unlink()
    if text is not None:
        path.write_text(text)
    with pytest.raises(ValueError, match=match):
        verify.verify(directory)
