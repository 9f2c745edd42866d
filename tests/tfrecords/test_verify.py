"""verify finds what is wrong, and says where; inspect shows what there is."""

import dataclasses
import io
import json
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tfrecords import (
    contact_sheet,
    example,
    features_json,
    info,
    inspection,
    manifest,
    shard,
    verify,
)


@pytest.fixture
def directory(records_dir, tmp_path):
    """A copy of the synthetic records, with the files that TFDS wants."""
    copy = shutil.copytree(records_dir, tmp_path / "r")
    info.write(copy, manifest.read_manifest(copy), "x")
    return copy


def _rewrite(directory: pathlib.Path, **changes) -> None:
    dataset = dataclasses.replace(manifest.read_manifest(directory), **changes)
    manifest.write_manifest(directory, dataset)
    info.write(directory, dataset, "x")


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
    schema = features_json.read(directory)
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
        (None, "is missing"),
        ("{}", "can't be read"),
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


def test_contact_sheet_shows_windowed_crops(directory):
    dataset, schema = manifest.read_manifest(directory), features_json.read(directory)
    sheet = Image.open(io.BytesIO(contact_sheet.render(directory, dataset, schema)))
    pixels = np.asarray(sheet)
    # A row is a heading of 26 px and tiles of 96; the first tile begins at 88, 26.
    tile = pixels[26:122, 88:184, 0].astype(float)
    assert tile[40:56, 40:56].mean() > tile[:8, :8].mean() + 50
    assert sheet.height == 4 * 122 + 4


def test_description_holds_counts_and_fields(directory):
    text = inspection.describe(manifest.read_manifest(directory), features_json.read(directory))
    assert "roi_px: 32" in text
    assert "image             uint16   32 x 32 x 1" in text
    assert "fold_0             1       24" in text


def _run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "tfrecords", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_program_verifies_and_inspects(directory, tmp_path):
    verified = _run("verify", directory)
    assert verified.returncode == 0
    assert "96 records in 4 shards" in verified.stdout
    inspected = _run("inspect", directory, "--png", tmp_path / "x.png")
    assert inspected.returncode == 0
    assert Image.open(tmp_path / "x.png").size[1] == 492


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ([], "expected verify or inspect"),
        (["verify"], "expected verify or inspect"),
        (["check", "r"], "expected verify or inspect"),
        (["verify", "/no/such"], "/no/such is not a directory"),
        (["verify", "/tmp", "--png=x.png"], "--png has no effect beside verify"),
        (["verify", "a", "b"], "'b' is not a flag"),
    ],
)
def test_program_refuses_in_one_sentence(arguments, match):
    finished = _run(*arguments)
    assert finished.returncode == 1
    assert match in finished.stderr
    assert "Traceback" not in finished.stderr
