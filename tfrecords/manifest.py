"""The manifest: the file that is written last and says that a records directory is complete."""

import dataclasses
import hashlib
import pathlib
from typing import Any

from tfrecords import atomic, json_object

FILE_NAME = "manifest.json"
FORMAT_VERSION = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shard:
    """One file of records.

    Attributes:
        file: name inside the directory.
        split: the split it belongs to.
        num_examples: records in it.
        num_bytes: size of the file.
        sha256: the digest of the file's bytes, hexadecimal.
    """

    file: str
    split: str
    num_examples: int
    num_bytes: int
    sha256: str

    def __post_init__(self) -> None:
        if not self.file or pathlib.PurePath(self.file).name != self.file or "\0" in self.file:
            raise ValueError(f"file is {self.file!r}, expected a name inside the directory")
        for name in ("num_examples", "num_bytes"):
            _require_count(f"{self.file}: {name}", getattr(self, name))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a records directory holds and how it was made.

    Attributes:
        format_version: version of the directory's layout; a reader refuses another one.
        name: name of the data set; the first part of each shard's file name.
        config: what decided the records, as JSON types.
        shards: the files, in the order of reading.
        class_counts: split -> class name -> records.
        rejects: reason code -> rows that gave no record.
        details: whatever else the writer wants to say, as JSON types.
    """

    format_version: int = FORMAT_VERSION
    name: str
    config: dict[str, Any]
    shards: tuple[Shard, ...]
    class_counts: dict[str, dict[str, int]]
    rejects: dict[str, int] = dataclasses.field(default_factory=dict)
    details: dict[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        for split, counts in self.class_counts.items():
            for name, count in counts.items():
                _require_count(f"class_counts of {name} in {split}", count)
        for reason, count in self.rejects.items():
            _require_count(f"rejects of {reason}", count)
        files = [shard.file for shard in self.shards]
        if len(set(files)) != len(files):
            raise ValueError(f"shard {next(f for f in files if files.count(f) > 1)} is named twice")

    @property
    def splits(self) -> tuple[str, ...]:
        """The names of the splits, in the order of their shards."""
        return tuple(dict.fromkeys(shard.split for shard in self.shards))

    def shards_of(self, split: str) -> tuple[Shard, ...]:
        """The files of a split, in the order of reading."""
        return tuple(shard for shard in self.shards if shard.split == split)

    def num_examples(self, split: str) -> int:
        """Records of a split."""
        return sum(shard.num_examples for shard in self.shards_of(split))


def write_manifest(directory: pathlib.Path, manifest: Manifest) -> None:
    """Writes the manifest; to be called when everything else is in place."""
    atomic.write_json(directory / FILE_NAME, dataclasses.asdict(manifest))


def read_manifest(directory: pathlib.Path) -> Manifest:
    """Reads the manifest of a complete records directory.

    Raises:
        ValueError: no such directory, no manifest (an unfinished conversion), another format
            version, or a file that is not a manifest.
    """
    if not directory.is_dir():
        raise ValueError(f"{directory} is not a directory; expected the output of a conversion")
    path = directory / FILE_NAME
    if not path.exists():
        is_begun = any(directory.glob("*.tfrecord*-of-*"))
        raise ValueError(
            f"{directory} has no {FILE_NAME}, so it is no finished conversion: run the same "
            "conversion again to complete it"
            if is_begun
            else f"{directory} holds no records, expected a directory that a conversion wrote"
        )
    return json_object.read_as(
        _from_json, path, expected="a manifest of records", mend="convert again with --overwrite"
    )


def _from_json(values: dict[str, Any]) -> Manifest:
    version = values.get("format_version")
    if version != FORMAT_VERSION:
        raise ValueError(f"it has format version {version!r}, this program reads {FORMAT_VERSION}")
    return json_object.build(Manifest, values)


def sha256_of(directory: pathlib.Path) -> str:
    """Returns the sha256 of the manifest, which stands for all of the directory."""
    return hashlib.sha256((directory / FILE_NAME).read_bytes()).hexdigest()


def _require_count(name: str, value: int) -> None:
    if value < 0:
        raise ValueError(f"{name} is {value!r}, expected a count of at least 0")
