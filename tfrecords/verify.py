"""Checks every byte of a records directory against its manifest."""

import collections
import dataclasses
import hashlib
import pathlib

from tfrecords import example, manifest, schema, shard, tfds_files

_MEND = "copy the directory again or convert again with --overwrite"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verified:
    """What was found to be right.

    Attributes:
        num_shards, num_examples, num_bytes: of the whole directory.
    """

    num_shards: int
    num_examples: int
    num_bytes: int


def verify(directory: pathlib.Path) -> Verified:
    """Reads every record and compares everything that the directory says twice.

    Raises:
        ValueError: the first thing that is wrong; names file and record.
    """
    dataset = manifest.read_manifest(directory)
    record_schema = tfds_files.read_schema(directory)
    _check_info(directory, dataset)
    keys: dict[bytes, str] = {}
    for part in dataset.shards:
        _check_file(directory / part.file, part)
    for split in dataset.splits:
        counts: collections.Counter[str] = collections.Counter()
        for part in dataset.shards_of(split):
            counts.update(_check_records(directory / part.file, part, record_schema, keys))
        _check_counts(directory, split, dict(counts), dataset.class_counts.get(split, {}))
    return Verified(
        num_shards=len(dataset.shards),
        num_examples=sum(part.num_examples for part in dataset.shards),
        num_bytes=sum(part.num_bytes for part in dataset.shards),
    )


def _check_file(path: pathlib.Path, part: manifest.Shard) -> None:
    if not path.is_file():
        raise ValueError(f"{path} is missing: {_MEND}")
    size = path.stat().st_size
    if size != part.num_bytes:
        # The first record that can't be read says more than the size.
        collections.deque(shard.read_records(path), maxlen=0)
        raise ValueError(f"{path} has {size} bytes, manifest.json says {part.num_bytes}: {_MEND}")


def _check_records(
    path: pathlib.Path,
    part: manifest.Shard,
    record_schema: schema.Schema,
    keys: dict[bytes, str],
) -> collections.Counter[str]:
    """Returns the classes of a shard's records."""
    counts: collections.Counter[str] = collections.Counter()
    number = -1
    for number, data in enumerate(shard.read_records(path)):
        name = f"{path}: record {number}"
        try:
            values = example.parse(record_schema, data)
            counts[_class_name(record_schema, values["label"])] += 1
        except ValueError as err:
            raise ValueError(f"{name}: {err}: {_MEND}") from err
        if values["key"] in keys:
            raise ValueError(
                f"{name} has the key {values['key'].decode(errors='replace')!r} of "
                f"{keys[values['key']]}: {_MEND}"
            )
        keys[values["key"]] = name
    if number + 1 != part.num_examples:
        raise ValueError(
            f"{path} has {number + 1} records, manifest.json says {part.num_examples}: {_MEND}"
        )
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != part.sha256:
        raise ValueError(f"{path} has another sha256 than manifest.json says: {_MEND}")
    return counts


def _class_name(record_schema: schema.Schema, label: int) -> str:
    names = record_schema["label"].class_names or ()
    if not 0 <= label < len(names):
        raise ValueError(f"label is {label}, expected 0 to {len(names) - 1}")
    return names[label]


def _check_counts(
    directory: pathlib.Path, split: str, found: dict[str, int], said: dict[str, int]
) -> None:
    said = {name: count for name, count in said.items() if count}
    if found != said:
        raise ValueError(
            f"{directory}: {split} has the classes {found}, manifest.json says {said}: {_MEND}"
        )


def _check_info(directory: pathlib.Path, dataset: manifest.Manifest) -> None:
    said = tfds_files.read_shard_lengths(directory)
    expected = {
        split: [part.num_examples for part in dataset.shards_of(split)] for split in dataset.splits
    }
    if said != expected:
        path = directory / tfds_files.INFO_FILE
        raise ValueError(f"{path} has shards of {said}, manifest.json of {expected}: {_MEND}")
