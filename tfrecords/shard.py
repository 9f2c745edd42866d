"""One file in TFRecord framing, written atomically and read with its checksums checked.

A record is its length (uint64), the masked CRC-32C of the length, the data, and the masked CRC-32C
of the data; all little-endian (tensorflow/core/lib/io/record_writer.h).
"""

import hashlib
import os
import pathlib
import struct
import types
from collections.abc import Iterator
from typing import IO, Protocol

import google_crc32c

from tfrecords import atomic, manifest

_HEADER = struct.Struct("<QI")
_FOOTER = struct.Struct("<I")
_MASK_DELTA = 0xA282EAD8
_MEND = "the file is damaged, copy it again or convert again with --overwrite"


class Digest(Protocol):
    """What hashlib makes: told bytes, part by part."""

    def update(self, data: bytes, /) -> None:
        """Takes in the next bytes."""


def file_name(dataset: str, split: str, index: int, num_shards: int) -> str:
    """Returns a shard's name, in the form that TFDS looks for."""
    return f"{dataset}-{split}.tfrecord-{index:05d}-of-{num_shards:05d}"


class Writer:
    """Writes records to a file that gets its name when the `with` block ends without an error."""

    def __init__(self, path: pathlib.Path, split: str) -> None:
        self._path = path
        self._split = split
        self._context = atomic.open_binary(path)
        self._hash = hashlib.sha256()
        self._num_examples = 0
        self._num_bytes = 0

    def __enter__(self) -> "Writer":
        self._file: IO[bytes] = self._context.__enter__()
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: types.TracebackType | None,
    ) -> None:
        self._context.__exit__(error_type, error, traceback)

    def write(self, record: bytes) -> None:
        """Adds one record."""
        for part in framed(record):
            self._file.write(part)
            self._hash.update(part)
            self._num_bytes += len(part)
        self._num_examples += 1

    @property
    def shard(self) -> manifest.Shard:
        """What has been written, for the manifest."""
        return manifest.Shard(
            file=self._path.name,
            split=self._split,
            num_examples=self._num_examples,
            num_bytes=self._num_bytes,
            sha256=self._hash.hexdigest(),
        )


def framed(record: bytes) -> tuple[bytes, bytes, bytes]:
    """Returns what a file has of a record: header, data, footer."""
    length = len(record).to_bytes(8, "little")
    return length + _FOOTER.pack(_masked_crc(length)), record, _FOOTER.pack(_masked_crc(record))


def read_records(path: pathlib.Path, digest: Digest | None = None) -> Iterator[bytes]:
    """Yields the records of a file.

    Args:
        path: the shard's file.
        digest: told every byte that is read.

    Raises:
        ValueError: a record is cut off or its checksum is wrong; names file and record, from 0.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        index = 0
        while header := file.read(_HEADER.size):
            yield _read_record(file, header, size, f"{path}: record {index}", digest)
            index += 1


def read_offsets(path: pathlib.Path) -> list[int]:
    """Returns where each record of a file begins, without reading what is in it.

    Raises:
        ValueError: a header is cut off or its checksum is wrong; names file and record, from 0.
    """
    size = path.stat().st_size
    offsets: list[int] = []
    with path.open("rb") as file:
        while header := file.read(_HEADER.size):
            length = _read_length(file, header, size, f"{path}: record {len(offsets)}")
            offsets.append(file.tell() - _HEADER.size)
            file.seek(length + _FOOTER.size, os.SEEK_CUR)
    return offsets


def read_record_at(file: IO[bytes], offset: int) -> bytes:
    """Returns one record of an open file.

    Args:
        file: a file of records, open for reading.
        offset: where the record begins.

    Raises:
        ValueError: no sound record begins there; names file and place.
    """
    file.seek(offset)
    header = file.read(_HEADER.size)
    size = os.fstat(file.fileno()).st_size
    return _read_record(file, header, size, f"{file.name}: the record at byte {offset}", None)


def _read_record(
    file: IO[bytes], header: bytes, size: int, name: str, digest: Digest | None
) -> bytes:
    length = _read_length(file, header, size, name)
    record = file.read(length)
    footer = file.read(_FOOTER.size)
    if len(footer) < _FOOTER.size:
        raise ValueError(f"{name} is cut off: {_MEND}")
    if _FOOTER.unpack(footer)[0] != _masked_crc(record):
        raise ValueError(f"{name} has a wrong checksum: {_MEND}")
    if digest is not None:
        for part in (header, record, footer):
            digest.update(part)
    return record


def _read_length(file: IO[bytes], header: bytes, size: int, name: str) -> int:
    if len(header) < _HEADER.size:
        raise ValueError(f"{name} is cut off in its header: {_MEND}")
    length, length_crc = _HEADER.unpack(header)
    if length_crc != _masked_crc(header[:8]):
        raise ValueError(f"{name} has a wrong checksum of its length: {_MEND}")
    # A length that fits no file would otherwise be an allocation of that size.
    if length + _FOOTER.size > size - file.tell():
        raise ValueError(f"{name} is cut off: {_MEND}")
    return length


def _masked_crc(data: bytes) -> int:
    crc = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF
