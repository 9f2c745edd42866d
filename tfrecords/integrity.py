"""What makes a records directory sound: whoever reads it and `verify` ask the same of it.

The directory is asked when it is opened, a record when it is read, and what holds between records
when their split has been read. Every error names the file, and the record by its number from 0.
"""

import collections
import hashlib
import math
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tfrecords import example, manifest, schema, shard, tfds_files

KEY = "key"
IMAGE = "image"
LABEL = "label"
WINDOW = "window"
STUDY = "study_id"

# Height, width and slices; before them views, where a record has several.
_IMAGE_DIMENSIONS = (3, 4)

_MEND = "copy the directory again or convert again with --overwrite"
# A record's framing and at least as much for its key.
_LEAST_RECORD_BYTES = 17


def check_directory(
    directory: pathlib.Path,
    dataset: manifest.Manifest,
    record_schema: schema.Schema,
) -> None:
    """Compares what the small files of a directory say, with each other and with its shards' sizes.

    Raises:
        ValueError: the schema has no image or key, counts don't add up, a shard is missing or has
            another size.
    """
    path = directory / tfds_files.FEATURES_FILE
    _require_feature(path, record_schema, IMAGE, "uint16", dimensions=_IMAGE_DIMENSIONS)
    _require_feature(path, record_schema, KEY, "bytes", dimensions=(0,))
    if dataset.class_counts:
        require_classes(path, record_schema)
        _check_class_counts(directory, dataset, record_schema)
    for part in dataset.shards:
        _check_size(directory / part.file, part, record_schema)
    _check_info(directory, dataset)


def require_classes(path: pathlib.Path, record_schema: schema.Schema) -> None:
    """Raises ValueError where records have no label with class names."""
    feature = _require_feature(path, record_schema, LABEL, "int64", dimensions=(0,))
    if feature.class_names is None:
        raise ValueError(f"{path}: {LABEL} has no class names: {_MEND}")


def read_shard(
    directory: pathlib.Path,
    part: manifest.Shard,
    record_schema: schema.Schema,
    *,
    skipped: Sequence[str] = (),
    hashes: bool,
) -> Iterator[dict[str, Any]]:
    """Yields the records of a shard by feature name, each checked; at the end the whole shard is.

    Args:
        directory: where it lies.
        part: what the manifest says of it.
        record_schema: the fields.
        skipped: fields whose size is checked and that are not decoded.
        hashes: compares the shard's sha256 too, in the same reading.

    Raises:
        ValueError: a record is damaged or holds what can't be; the shard has another number of
            records or another sha256.
    """
    path = directory / part.file
    digest = hashlib.sha256() if hashes else None
    count = 0
    for number, data in enumerate(shard.read_records(path, digest)):
        count += 1
        if count > part.num_examples:
            continue
        try:
            values = example.parse(record_schema, data, skipped=skipped)
            _check_record(record_schema, values)
        except ValueError as err:
            raise ValueError(f"{path}: record {number}: {err}: {_MEND}") from err
        yield values
    if count != part.num_examples:
        raise ValueError(
            f"{path} has {count} records, manifest.json says {part.num_examples}: {_MEND}"
        )
    if digest is not None and digest.hexdigest() != part.sha256:
        raise ValueError(f"{path} has another sha256 than manifest.json says: {_MEND}")


class Seen:
    """What has been read of a directory, so that no key comes twice and no study in two splits."""

    def __init__(self, directory: pathlib.Path) -> None:
        self._directory = directory
        self._keys: dict[bytes, tuple[str, int]] = {}
        self._studies: dict[int, tuple[str, str, int]] = {}

    def add(self, part: manifest.Shard, number: int, values: dict[str, Any]) -> None:
        """Takes in a record of a shard.

        Raises:
            ValueError: its key, or its study in another split, was there before.
        """
        name = f"{self._directory / part.file}: record {number}"
        file, other = self._keys.setdefault(values[KEY], (part.file, number))
        if (file, other) != (part.file, number):
            raise ValueError(
                f"{name} has the key {values[KEY].decode(errors='replace')!r} of "
                f"{file}: record {other}: {_MEND}"
            )
        if not isinstance(values.get(STUDY), int):
            return
        split, file, other = self._studies.setdefault(
            values[STUDY], (part.split, part.file, number)
        )
        if split != part.split:
            raise ValueError(
                f"{name} is of study {values[STUDY]} in {part.split}, which has {file}: record "
                f"{other} in {split}: a study lies in one split, or figures are too good: convert "
                "again with --overwrite"
            )


def check_counts(
    directory: pathlib.Path,
    dataset: manifest.Manifest,
    record_schema: schema.Schema,
    split: str,
    labels: np.ndarray,
) -> None:
    """Raises ValueError where a split's labels are not counted so in the manifest.

    Args:
        directory: where it lies.
        dataset: what the manifest says.
        record_schema: has the class names.
        split: that has been read.
        labels: int64 (n,), of its records.
    """
    names = record_schema[LABEL].class_names or ()
    found = dict(collections.Counter(names[label] for label in labels.tolist()))
    said = {name: count for name, count in dataset.class_counts[split].items() if count}
    if found != said:
        raise ValueError(
            f"{directory}: {split} has the classes {found}, manifest.json says {said}: {_MEND}"
        )


def _require_feature(
    path: pathlib.Path,
    record_schema: schema.Schema,
    name: str,
    dtype: str,
    *,
    dimensions: Sequence[int],
) -> schema.Feature:
    if name not in record_schema:
        raise ValueError(f"{path} has no feature {name!r}, which every record needs: {_MEND}")
    feature = record_schema[name]
    if feature.dtype != dtype or len(feature.shape) not in dimensions:
        raise ValueError(
            f"{path}: {name} is {feature.dtype} of shape {feature.shape}, expected {dtype} with "
            f"{' or '.join(map(str, dimensions))} dimensions: {_MEND}"
        )
    return feature


def _check_class_counts(
    directory: pathlib.Path,
    dataset: manifest.Manifest,
    record_schema: schema.Schema,
) -> None:
    path = directory / manifest.FILE_NAME
    names = set(record_schema[LABEL].class_names or ())
    for split in dataset.splits:
        if split not in dataset.class_counts:
            raise ValueError(f"{path} has no class_counts of {split}: {_MEND}")
        if unknown := sorted(set(dataset.class_counts[split]) - names):
            raise ValueError(
                f"{path} counts {unknown[0]!r} in {split}, which is no class of "
                f"{', '.join(sorted(names))}: {_MEND}"
            )


def _check_size(path: pathlib.Path, part: manifest.Shard, record_schema: schema.Schema) -> None:
    size = path.stat().st_size if path.is_file() else None
    if size is None:
        raise ValueError(f"{path} is missing or no regular file: {_MEND}")
    if size != part.num_bytes:
        raise ValueError(f"{path} has {size} bytes, manifest.json says {part.num_bytes}: {_MEND}")
    # Room is made for so many records before the first is read.
    least = _LEAST_RECORD_BYTES + 2 * record_schema[IMAGE].size
    if part.num_examples * least > size:
        raise ValueError(
            f"{path} has {size} bytes, too few for the {part.num_examples} records of at least "
            f"{least} bytes that manifest.json says: {_MEND}"
        )


def _check_info(directory: pathlib.Path, dataset: manifest.Manifest) -> None:
    said = tfds_files.read_shard_lengths(directory)
    expected = {
        split: [part.num_examples for part in dataset.shards_of(split)] for split in dataset.splits
    }
    if said != expected:
        path = directory / tfds_files.INFO_FILE
        raise ValueError(f"{path} has shards of {said}, manifest.json of {expected}: {_MEND}")


def _check_record(record_schema: schema.Schema, values: dict[str, Any]) -> None:
    for feature in record_schema.features:
        value = values.get(feature.name)
        if feature.class_names is not None:
            _check_class(feature, value)
        elif feature.dtype == "float32":
            _check_numbers(feature, value)
    _check_key(values[KEY])


def _check_class(feature: schema.Feature, value: Any) -> None:
    count = len(feature.class_names or ())
    if not 0 <= value < count:
        raise ValueError(f"{feature.name} is {value}, expected 0 to {count - 1}")


def _check_numbers(feature: schema.Feature, value: Any) -> None:
    # Python's own arithmetic: of a few numbers it is done before numpy has begun.
    numbers = np.ravel(value).tolist()
    if not all(map(math.isfinite, numbers)):
        raise ValueError(f"{feature.name} is {numbers}, expected finite numbers")
    if feature.name == WINDOW:
        for low, high in zip(numbers[::2], numbers[1::2], strict=False):
            if high < low:
                raise ValueError(f"window is {numbers}, expected a low end and a high end")


def _check_key(key: bytes) -> None:
    try:
        text = key.decode("utf-8")
    except UnicodeDecodeError as err:
        raise ValueError(f"key is {key!r}, expected UTF-8") from err
    if not text:
        raise ValueError("key is empty, expected one of its own")
