"""A finished records directory, read once: what it holds without pixels, and its images.

What the records of a split hold beside their images is read once for as long as a directory is
open, and every byte of it is checked then, as `verify` does. Its images are decoded once too, in
the same reading, into one array that all examples share, if the directory is opened with a budget
of memory that they fit. If not, they stay on disk, and those that are asked for are read.
"""

import dataclasses
import functools
import math
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tfrecords import (
    integrity,
    manifest as manifest_module,
    schema as schema_module,
    shard,
    stored_images,
    tfds_files,
)

_IMAGE = integrity.IMAGE


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
            Where they don't fit in memory, they stay on disk and are indexed by rows alone.
        rows: int64 (n,), the row of each example's image in `pixels`.
        windows: float32 (n, 2), the stored values that become 0 and 1.
        labels: int64 (n,), the class: a position in the label values that were asked for.
        keys: n unique strings.
        splits: the split of each.
        columns: every other int64 and float32 field of the schema by name, (n, *shape).
    """

    pixels: np.ndarray | stored_images.StoredImages
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

    @property
    def windowed(self) -> stored_images.Windowed:
        """The windowed images, made when they are asked for."""
        return stored_images.Windowed(
            pixels=self.pixels, rows=self.rows, windows=self.windows, columns=self.columns
        )

    def normalized(self) -> np.ndarray:
        """Returns the windowed images, float32 (n, height, width, slices) in [0, 1]."""
        return self.windowed[:]

    def decoded(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns images in memory, uint16 (m, ...), and the row of each example's among them."""
        if isinstance(self.pixels, np.ndarray):
            return self.pixels, self.rows
        return self.images, np.arange(len(self))

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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Records:
    """A directory that a converter has finished.

    Attributes:
        directory: where the shards lie.
        manifest: what the converter says of them.
        schema: the fields of a record.
        keep_mb: MiB of decoded images that may stay in memory for as long as the directory is
            open. If all of its images fit, each is decoded once; if not, whenever it is needed.
        verifies: compares each shard's sha256 with the manifest's when it is first read.
    """

    directory: pathlib.Path
    manifest: manifest_module.Manifest
    schema: schema_module.Schema
    keep_mb: float = 0.0
    verifies: bool = True

    def keeping(self, keep_mb: float) -> "Records":
        """Returns the directory as opened with at least this `keep_mb`: itself if it is so."""
        return self if keep_mb <= self.keep_mb else dataclasses.replace(self, keep_mb=keep_mb)

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that have examples, in the manifest's order."""
        return self.manifest.splits

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Height, width and slices of an image; before them its views, where it has several."""
        return self.schema[_IMAGE].shape

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
            ValueError: `iterate` would raise it.
        """
        self.shards_of(splits)
        return _join(self.schema, [self._index_of(split) for split in splits])

    def images(
        self, splits: Sequence[str], is_chosen: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns decoded images, among them those of the splits.

        Args:
            splits: names of the splits whose records are read.
            is_chosen: bool (n,), records of the index of the splits; None chooses all.

        Returns:
            uint16 (m, height, width, slices), to be left as it is, since where images are kept all
            share it; and int64 (k,), the row in it of each chosen record.

        Raises:
            ValueError: `iterate` would raise it.
        """
        found, rows = self.find_images(splits, is_chosen)
        if isinstance(found, np.ndarray):
            return found, rows
        return found[rows], np.arange(len(rows))

    def find_images(
        self, splits: Sequence[str], is_chosen: np.ndarray | None = None
    ) -> tuple[np.ndarray | stored_images.StoredImages, np.ndarray]:
        """Returns what `images` does; where they are not kept, they stay on disk.

        Raises:
            ValueError: `iterate` would raise it.
        """
        self.index(splits)
        if is_chosen is None:
            is_chosen = np.ones(sum(map(self.num_examples, splits)), bool)
        if self._kept is None:
            return _find_images(self, splits), np.flatnonzero(is_chosen)
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
    def seen(self) -> integrity.Seen:
        """Keys and studies of the splits that have been read."""
        return integrity.Seen(self.directory)

    @functools.cached_property
    def _offsets(self) -> dict[str, np.ndarray]:
        """Where each record of a shard begins, by file, of shards whose images were asked for."""
        return {}

    def offsets_of(self, part: manifest_module.Shard) -> np.ndarray:
        """Returns where each record of a shard begins, int64 (n,)."""
        if part.file not in self._offsets:
            found = shard.read_offsets(self.directory / part.file)
            self._offsets[part.file] = np.array(found, np.int64)
        return self._offsets[part.file]

    @functools.cached_property
    def _kept(self) -> np.ndarray | None:
        """All images of the directory; those of a split are filled in along with its index."""
        if self.decoded_mb(self.splits) > self.keep_mb:
            return None
        return stored_images.empty(sum(map(self.num_examples, self.splits)), self.image_shape)

    def _kept_rows(self, split: str) -> slice:
        before = self.splits[: self.splits.index(split)]
        start = sum(map(self.num_examples, before))
        return slice(start, start + self.num_examples(split))


def open_records(
    directory: pathlib.Path | str, *, keep_mb: float = 0.0, verifies: bool = True
) -> Records:
    """Opens a finished directory.

    Args:
        directory: a directory that a converter wrote.
        keep_mb: MiB of decoded images that are kept for the next load, as `Records` has it.
        verifies: compares the shards' bytes with the manifest's sha256, as `Records` has it.

    Raises:
        ValueError: it is missing, not finished, of another format version, or what its small files
            say and the sizes of its shards don't agree.
    """
    directory = pathlib.Path(directory)
    if not directory.is_dir():
        raise ValueError(f"{directory} is not a directory; expected one written by the converter")
    records = Records(
        directory=directory,
        manifest=manifest_module.read_manifest(directory),
        schema=tfds_files.read_schema(directory),
        keep_mb=keep_mb,
        verifies=verifies,
    )
    integrity.check_directory(directory, records.manifest, records.schema)
    return records


def iterate(
    records: Records, splits: Sequence[str], *, skipped: Sequence[str] = ()
) -> Iterator[dict[str, Any]]:
    """Yields every record of the splits, in file order, as parsed values by feature name.

    Args:
        records: an open directory.
        splits: split names.
        skipped: fields that are not decoded.

    Raises:
        ValueError: a split without examples, a damaged shard, one whose number of records or
            sha256 is not the manifest's, or a record that holds what can't be; names file and
            record.
    """
    for part in records.shards_of(splits):
        yield from integrity.read_shard(
            records.directory, part, records.schema, skipped=skipped, hashes=records.verifies
        )


def load_examples(records: Records, splits: Sequence[str], label_values: Sequence[int]) -> Examples:
    """Returns the examples of the splits whose label is one of the values.

    Args:
        records: an open directory.
        splits: split names; an empty sequence gives no examples.
        label_values: the labels that take part; the position of one is its class.

    Raises:
        ValueError: `iterate` would raise it, or the records have no classes.
    """
    integrity.require_classes(records.directory / tfds_files.FEATURES_FILE, records.schema)
    index = records.index(splits)
    stored = index.columns["label"]
    is_class = stored[:, np.newaxis] == np.array(label_values, np.int64)
    takes_part = is_class.any(axis=1)
    positions = np.flatnonzero(takes_part)
    pixels, rows = records.find_images(splits, takes_part)
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
    """Reads and checks a split once; its images are decoded only if there is an array for them."""
    count = records.num_examples(split)
    columns = {
        field.name: np.empty((count, *field.shape), field.dtype)
        for field in _columns(records.schema)
    }
    keys: list[str] = []
    for values in _distinct(records, split, skipped=(_IMAGE,) if images is None else ()):
        row = len(keys)
        keys.append(values["key"].decode())
        for name, column in columns.items():
            column[row] = values[name]
        if images is not None:
            images[row] = values[_IMAGE]
    if records.manifest.class_counts:
        integrity.check_counts(
            *(records.directory, records.manifest, records.schema, split, columns["label"])
        )
    return Index(keys=tuple(keys), splits=(split,) * count, columns=columns)


def _distinct(records: Records, split: str, skipped: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yields the records of a split, none of which has been there."""
    for part in records.shards_of([split]):
        read = integrity.read_shard(
            records.directory, part, records.schema, skipped=skipped, hashes=records.verifies
        )
        for number, values in enumerate(read):
            records.seen.add(part, number, values)
            yield values


def _find_images(records: Records, splits: Sequence[str]) -> stored_images.StoredImages:
    parts = records.shards_of(splits)
    offsets = [records.offsets_of(part) for part in parts]
    counts = [len(found) for found in offsets]
    return stored_images.StoredImages(
        paths=tuple(records.directory / part.file for part in parts),
        files=np.repeat(np.arange(len(parts)), counts),
        offsets=np.concatenate([np.empty(0, np.int64), *offsets]),
        feature=records.schema[_IMAGE],
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
