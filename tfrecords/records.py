"""A finished records directory, read once: what it holds without pixels, and its images.

What the records of a split hold beside their images is read once for as long as a directory is
open. Its images are decoded once too, in the same reading, into one array that all examples share,
if the directory is opened with a budget of memory that they fit.
"""

import dataclasses
import functools
import math
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tfrecords import (
    example,
    manifest as manifest_module,
    schema as schema_module,
    shard,
    tfds_files,
)

# TensorFlow takes images that begin on such a boundary as a tensor without copying them.
ALIGNMENT = 64

_IMAGE = "image"
_CHUNK = 256


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Index:
    """What the records of one or more splits hold beside their images, in file order.

    Attributes:
        keys: n unique strings.
        splits: the split of each.
        columns: every int64 and float32 field of the schema by name, as stored, (n, *shape).
    """

    keys: tuple[str, ...]
    splits: tuple[str, ...]
    columns: Mapping[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.keys)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Examples:
    """Examples of one or more splits, in file order.

    Attributes:
        pixels: uint16 (m, height, width, slices), stored values; shared, not to be written into.
        rows: int64 (n,), the row of each example's image in `pixels`.
        windows: float32 (n, 2), the stored values that become 0 and 1.
        labels: int64 (n,), the class: a position in the label values that were asked for.
        keys: n unique strings.
        splits: the split of each.
        columns: every other int64 and float32 field of the schema by name, (n, *shape).
    """

    pixels: np.ndarray
    rows: np.ndarray
    windows: np.ndarray
    labels: np.ndarray
    keys: list[str]
    splits: list[str]
    columns: Mapping[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def images(self) -> np.ndarray:
        """A copy of the images, uint16 (n, height, width, slices)."""
        return self.pixels[self.rows]

    def normalized(self) -> np.ndarray:
        """Returns the windowed images, float32 (n, height, width, slices) in [0, 1]."""
        result = np.empty((len(self), *self.pixels.shape[1:]), np.float32)
        # In parts, since the steps in between would take several times the memory of the result.
        for start in range(0, len(self), _CHUNK):
            part = slice(start, start + _CHUNK)
            result[part] = normalize(self.pixels[self.rows[part]], self.windows[part])
        return result

    def take(self, chosen: np.ndarray) -> "Examples":
        """Returns the chosen examples: bool (n,), or their positions, int64 (k,)."""
        positions = np.arange(len(self))[chosen]
        return Examples(
            pixels=self.pixels,
            rows=self.rows[positions],
            windows=self.windows[positions],
            labels=self.labels[positions],
            keys=[self.keys[position] for position in positions],
            splits=[self.splits[position] for position in positions],
            columns={name: values[positions] for name, values in self.columns.items()},
        )


def normalize(images: np.ndarray, windows: np.ndarray) -> np.ndarray:
    """Maps stored values to the window: `clip((x - lo) / max(hi - lo, 1), 0, 1)`.

    Args:
        images: uint16 (n, height, width, slices).
        windows: float32 (n, 2).

    Returns:
        float32 (n, height, width, slices) in [0, 1].
    """
    low = windows[:, 0].reshape(-1, 1, 1, 1)
    high = windows[:, 1].reshape(-1, 1, 1, 1)
    scale = 1.0 / np.maximum(high - low, 1.0)
    return np.clip((images.astype(np.float32) - low) * scale, 0.0, 1.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Records:
    """A directory that a converter has finished.

    Attributes:
        directory: where the shards lie.
        manifest: what the converter says of them.
        schema: the fields of a record.
        keep_mb: MiB of decoded images that may stay in memory for as long as the directory is
            open. If all of its images fit, each is decoded once; if not, whenever it is needed.
    """

    directory: pathlib.Path
    manifest: manifest_module.Manifest
    schema: schema_module.Schema
    keep_mb: float = 0.0

    def keeping(self, keep_mb: float) -> "Records":
        """Returns the directory as opened with at least this `keep_mb`: itself if it is so."""
        return self if keep_mb <= self.keep_mb else dataclasses.replace(self, keep_mb=keep_mb)

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that have examples, in the manifest's order."""
        return self.manifest.splits

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and slices of an image."""
        height, width, slices = self.schema[_IMAGE].shape
        return height, width, slices

    def shards_of(self, splits: Sequence[str]) -> list[manifest_module.Shard]:
        """Returns the shards of the splits, in order; ValueError for a split without examples."""
        for split in splits:
            if split not in self.splits:
                raise ValueError(
                    f"{self.directory} has no examples in split {split!r}; "
                    f"it has {', '.join(self.splits)}"
                )
        return [part for split in splits for part in self.manifest.shards_of(split)]

    def num_examples(self, split: str) -> int:
        """Returns the number of examples in a split."""
        return sum(part.num_examples for part in self.shards_of([split]))

    def decoded_mb(self, splits: Sequence[str]) -> float:
        """Returns the MiB that the decoded images of the splits take."""
        num_images = sum(self.num_examples(split) for split in splits)
        return num_images * math.prod(self.image_shape) * 2 / 2**20

    def index(self, splits: Sequence[str]) -> Index:
        """Returns what the splits hold beside images, reading each of them once.

        Raises:
            ValueError: as `iterate`.
        """
        self.shards_of(splits)
        return _join(self.schema, [self._index_of(split) for split in splits])

    def images(
        self, splits: Sequence[str], is_chosen: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns decoded images, among them those of the splits.

        Args:
            splits: whose records.
            is_chosen: bool (n,), records of the index of the splits; None chooses all.

        Returns:
            uint16 (m, height, width, slices), to be left as it is, since where images are kept all
            share it; and int64 (k,), the row in it of each chosen record.

        Raises:
            ValueError: as `iterate`.
        """
        if is_chosen is None:
            is_chosen = np.ones(sum(map(self.num_examples, splits)), bool)
        if self._kept is None:
            images = _decode(self, splits, is_chosen)
            return images, np.arange(len(images))
        self.index(splits)
        every = np.arange(len(self._kept))
        rows = [every[self._kept_rows(split)] for split in splits]
        return self._kept, np.concatenate([every[:0], *rows])[is_chosen]

    def _index_of(self, split: str) -> Index:
        if split not in self._indices:
            images = None if self._kept is None else self._kept[self._kept_rows(split)]
            self._indices[split] = _read_split(self, split, images)
        return self._indices[split]

    @functools.cached_property
    def _indices(self) -> dict[str, Index]:
        """What has been read, by split."""
        return {}

    @functools.cached_property
    def _kept(self) -> np.ndarray | None:
        """All images of the directory; those of a split are filled in along with its index."""
        if self.decoded_mb(self.splits) > self.keep_mb:
            return None
        return _empty_images(sum(map(self.num_examples, self.splits)), self.image_shape)

    def _kept_rows(self, split: str) -> slice:
        before = self.splits[: self.splits.index(split)]
        start = sum(map(self.num_examples, before))
        return slice(start, start + self.num_examples(split))


def open_records(directory: pathlib.Path | str, *, keep_mb: float = 0.0) -> Records:
    """Opens a finished directory.

    Args:
        directory: that a converter wrote.
        keep_mb: as in `Records`.

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
        schema=tfds_files.read_schema(directory),
        keep_mb=keep_mb,
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
    for serialized in _serialized(records, splits):
        yield example.parse(records.schema, serialized)


def load_examples(records: Records, splits: Sequence[str], label_values: Sequence[int]) -> Examples:
    """Returns the examples of the splits whose label is one of the values.

    Args:
        records: an open directory.
        splits: split names; an empty sequence gives no examples.
        label_values: the labels that take part; the position of one is its class.

    Raises:
        ValueError: as `iterate`.
    """
    index = records.index(splits)
    stored = index.columns["label"]
    is_class = stored[:, np.newaxis] == np.array(label_values, np.int64)
    takes_part = is_class.any(axis=1)
    positions = np.flatnonzero(takes_part)
    pixels, rows = records.images(splits, takes_part)
    return Examples(
        pixels=pixels,
        rows=rows,
        windows=index.columns["window"][positions],
        labels=is_class[positions].argmax(axis=1),
        keys=[index.keys[position] for position in positions],
        splits=[index.splits[position] for position in positions],
        columns={
            name: values[positions]
            for name, values in index.columns.items()
            if name not in ("label", "window")
        },
    )


def _read_split(records: Records, split: str, images: np.ndarray | None) -> Index:
    """Reads a split once; its images are decoded only if there is an array for them."""
    schema = records.schema if images is not None else records.schema.without(_IMAGE)
    found = []
    for row, serialized in enumerate(_serialized(records, [split])):
        values = example.parse(schema, serialized)
        if images is not None:
            images[row] = values.pop(_IMAGE)
        found.append(values)
    return Index(
        keys=tuple(values["key"].decode() for values in found),
        splits=(split,) * len(found),
        columns={
            field.name: np.array([values[field.name] for values in found], field.dtype)
            for field in _columns(schema)
        },
    )


def _decode(records: Records, splits: Sequence[str], is_chosen: np.ndarray) -> np.ndarray:
    schema = schema_module.Schema(features=(records.schema[_IMAGE],))
    images = _empty_images(int(is_chosen.sum()), records.image_shape)
    row = 0
    for serialized, chosen in zip(_serialized(records, splits), is_chosen, strict=True):
        if chosen:
            images[row] = example.parse(schema, serialized)[_IMAGE]
            row += 1
    return images


def _serialized(records: Records, splits: Sequence[str]) -> Iterator[bytes]:
    for part in records.shards_of(splits):
        count = 0
        for serialized in shard.read_records(records.directory / part.file):
            count += 1
            if count <= part.num_examples:
                yield serialized
        if count != part.num_examples:
            raise ValueError(
                f"{part.file} has {count} records, manifest.json says {part.num_examples}: "
                "convert again with --overwrite"
            )


def _join(schema: schema_module.Schema, parts: Sequence[Index]) -> Index:
    return Index(
        keys=tuple(key for part in parts for key in part.keys),
        splits=tuple(split for part in parts for split in part.splits),
        columns={
            field.name: np.concatenate(
                [np.empty((0, *field.shape), field.dtype), *(p.columns[field.name] for p in parts)]
            )
            for field in _columns(schema)
        },
    )


def _columns(schema: schema_module.Schema) -> list[schema_module.Feature]:
    return [feature for feature in schema.features if feature.dtype in ("int64", "float32")]


def _empty_images(count: int, shape: tuple[int, int, int]) -> np.ndarray:
    """Room for images, uint16 (count, *shape); takes no memory before it is filled."""
    num_bytes = 2 * count * math.prod(shape)
    room = np.empty(num_bytes + ALIGNMENT, np.uint8)
    start = -room.ctypes.data % ALIGNMENT
    return room[start : start + num_bytes].view(np.uint16).reshape(count, *shape)
