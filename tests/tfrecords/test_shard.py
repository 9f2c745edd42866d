"""Files of records: framing as TensorFlow's, damage found, no half-written names."""

import hashlib
import os

import pytest

from tfrecords import shard


def _write(path, records):
    with shard.Writer(path, "test") as writer:
        for record in records:
            writer.write(record)
    return writer.shard


def test_records_come_back_in_order(tmp_path):
    records = [b"", b"a", b"x" * 100_000]
    part = _write(tmp_path / "s", records)
    assert list(shard.read_records(tmp_path / "s")) == records
    data = (tmp_path / "s").read_bytes()
    assert (part.file, part.split, part.num_examples) == ("s", "test", 3)
    assert (part.num_bytes, part.sha256) == (len(data), hashlib.sha256(data).hexdigest())


def test_file_is_the_one_tensorflow_writes(tmp_path):
    tf = pytest.importorskip("tensorflow")
    records = [b"", b"a", b"x" * 1000]
    _write(tmp_path / "ours", records)
    with tf.io.TFRecordWriter(str(tmp_path / "theirs")) as writer:
        for record in records:
            writer.write(record)
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()


def test_file_name_is_what_tfds_looks_for():
    assert shard.file_name("spine", "fold_0", 2, 12) == "spine-fold_0.tfrecord-00002-of-00012"


def test_failed_writer_leaves_nothing(tmp_path):
    with pytest.raises(KeyError), shard.Writer(tmp_path / "s", "test") as writer:
        writer.write(b"a")
        raise KeyError("stop")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("position", "match"),
    [
        (0, "record 0 has a wrong checksum of its length"),
        (13, "record 0 has a wrong checksum"),
        (21 + 13, "record 1 has a wrong checksum"),
        (21 + 18, "record 1 has a wrong checksum"),
    ],
)
def test_flipped_bit_is_found(tmp_path, position, match):
    _write(tmp_path / "s", [b"hello", b"world"])
    data = bytearray((tmp_path / "s").read_bytes())
    data[position] ^= 1
    (tmp_path / "s").write_bytes(data)
    with pytest.raises(ValueError, match=match):
        list(shard.read_records(tmp_path / "s"))


@pytest.mark.parametrize("size", [5, 12, 15, 20, 21 + 3, 41])
def test_truncation_is_found(tmp_path, size):
    _write(tmp_path / "s", [b"hello", b"world"])
    os.truncate(tmp_path / "s", size)
    with pytest.raises(ValueError, match=f"record {size // 21} is cut off"):
        list(shard.read_records(tmp_path / "s"))
