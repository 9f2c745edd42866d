"""A finished records directory: what it holds, and its examples as numpy arrays."""

import dataclasses
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tfrecords import (
    example,
    features_json,
    manifest as manifest_module,
    schema as schema_module,
    shard,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Examples:
    """Decoded examples of one or more splits, in file order.

    Attributes:
        images: uint16 (n, height, width, slices), stored values.
        windows: float32 (n, 2), the stored values that become 0 and 1.
        labels: int64 (n,), the class: a position in the label values that were asked for.
        keys: n unique strings.
        columns: every other int64 scalar of the schema by name, int64 (n,).
    """

    images: np.ndarray
    windows: np.ndarray
    labels: np.ndarray
    keys: list[str]
    columns: Mapping[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.keys)

    def normalized(self) -> np.ndarray:
        """Returns the windowed images, float32 (n, height, width, slices) in [0, 1]."""
        low = self.windows[:, 0].reshape(-1, 1, 1, 1)
        high = self.windows[:, 1].reshape(-1, 1, 1, 1)
        scale = 1.0 / np.maximum(high - low, 1.0)
        return np.clip((self.images.astype(np.float32) - low) * scale, 0.0, 1.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Records:
    """A directory that a converter has finished.

    Attributes:
        directory: where the shards lie.
        manifest: what the converter says of them.
        schema: the fields of a record.
    """

    directory: pathlib.Path
    manifest: manifest_module.Manifest
    schema: schema_module.Schema

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that have examples, in the manifest's order."""
        return tuple(dict.fromkeys(part.split for part in self.manifest.shards))

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and slices of an image."""
        height, width, slices = self.schema["image"].shape
        return height, width, slices

    def shards_of(self, splits: Sequence[str]) -> list[manifest_module.Shard]:
        """Returns the shards of the splits, in order; ValueError for a split without examples."""
        for split in splits:
            if split not in self.splits:
                raise ValueError(
                    f"{self.directory} has no examples in split {split!r}; "
                    f"it has {', '.join(self.splits)}"
                )
        return [part for split in splits for part in self.manifest.shards if part.split == split]

    def num_examples(self, split: str) -> int:
        """Returns the number of examples in a split."""
        return sum(part.num_examples for part in self.shards_of([split]))


def open_records(directory: pathlib.Path | str) -> Records:
    """Opens a finished directory.

    Raises:
        ValueError: it is missing, not finished, of another format version, or a shard is missing
            or has another size than the manifest says.
    """
    directory = pathlib.Path(directory)
    if not directory.is_dir():
        raise ValueError(f"{directory} is not a directory; expected one written by the converter")
    records = Records(
        directory=directory,
        manifest=manifest_module.read_manifest(directory),
        schema=features_json.read(directory),
    )
    for part in records.manifest.shards:
        path = directory / part.file
        size = path.stat().st_size if path.is_file() else None
        if size != part.num_bytes:
            raise ValueError(
                f"{path} {'is missing' if size is None else f'has {size} bytes'}, manifest.json "
                f"says {part.num_bytes} bytes: convert again with --overwrite"
            )
    return records


def iterate(records: Records, splits: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yields every record of the splits, in file order, as parsed values by feature name.

    Raises:
        ValueError: a split without examples, a damaged shard, or one whose number of records is
            not the manifest's.
    """
    for part in records.shards_of(splits):
        count = 0
        for serialized in shard.read_records(records.directory / part.file):
            count += 1
            yield example.parse(records.schema, serialized)
        if count != part.num_examples:
            raise ValueError(
                f"{part.file} has {count} records, manifest.json says {part.num_examples}: "
                "convert again with --overwrite"
            )


def load_examples(records: Records, splits: Sequence[str], label_values: Sequence[int]) -> Examples:
    """Decodes the examples of the splits whose label is one of the values.

    Args:
        records: an open directory.
        splits: split names; an empty sequence gives no examples.
        label_values: the labels that take part; the position of one is its class.
    """
    capacity = sum(part.num_examples for part in records.shards_of(splits))
    class_of = {value: index for index, value in enumerate(label_values)}
    scalars = [
        feature.name
        for feature in records.schema.features
        if feature.dtype == "int64" and not feature.shape and feature.name != "label"
    ]
    images = np.empty((capacity, *records.image_shape), np.uint16)
    windows = np.empty((capacity, 2), np.float32)
    labels: list[int] = []
    keys: list[str] = []
    columns: dict[str, list[int]] = {name: [] for name in scalars}
    for values in iterate(records, splits):
        if values["label"] not in class_of:
            continue
        images[len(keys)] = values["image"]
        windows[len(keys)] = values["window"]
        labels.append(class_of[values["label"]])
        keys.append(values["key"].decode())
        for name in scalars:
            columns[name].append(values[name])
    return Examples(
        images=images[: len(keys)],
        windows=windows[: len(keys)],
        labels=np.array(labels, np.int64),
        keys=keys,
        columns={name: np.array(column, np.int64) for name, column in columns.items()},
    )
