"""Images as they are stored: decoded in memory, or read by row from their shards; and windowed."""

import dataclasses
import math
import pathlib
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np

from tfrecords import example, integrity, schema as schema_module, shard

# TensorFlow takes images that begin on such a boundary as a tensor without copying them.
ALIGNMENT = 64

_CHUNK = 256


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class StoredImages:
    """Images that stay in their shards; indexed by rows like the array of all of them.

    Attributes:
        paths: the shards' paths.
        files: int64 (n,), the position in `paths` of each image.
        offsets: int64 (n,), where its record begins.
        feature: the schema's feature that the images are.
    """

    paths: tuple[pathlib.Path, ...]
    files: np.ndarray
    offsets: np.ndarray
    feature: schema_module.Feature

    def __len__(self) -> int:
        return len(self.files)

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape: n, height, width, slices."""
        return (len(self), *self.feature.shape)

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """Reads images.

        Args:
            rows: int64 (k,).

        Returns:
            uint16 (k, height, width, slices).

        Raises:
            ValueError: a shard is damaged, or is another one since it was opened.
        """
        schema = schema_module.Schema(features=(self.feature,))
        images = empty(len(rows), self.feature.shape)
        for number in np.unique(self.files[rows]).tolist():
            path = self.paths[number]
            with path.open("rb") as file:
                for place in np.flatnonzero(self.files[rows] == number).tolist():
                    serialized = shard.read_record_at(file, int(self.offsets[rows[place]]))
                    try:
                        images[place] = example.parse(schema, serialized)[integrity.IMAGE]
                    except ValueError as err:
                        raise ValueError(f"{path}: {err}") from err
        return images


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Windowed:
    """Windowed images, made when they are asked for; indexed like the array of all of them.

    The array is float32 (n, height, width, slices) in [0, 1].

    Attributes:
        pixels, rows, windows: as `Examples` has them.
        columns: what else is known of each, (n, ...) by name.
    """

    pixels: "np.ndarray | StoredImages | Any"
    rows: np.ndarray
    windows: np.ndarray
    columns: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape: n, height, width, slices."""
        return (len(self), *self.pixels.shape[1:])

    def take(self, chosen: np.ndarray) -> "Windowed":
        """Returns the chosen images, not made yet: bool (n,), or their positions, int64 (k,)."""
        positions = np.arange(len(self))[chosen]
        return Windowed(
            pixels=self.pixels,
            rows=self.rows[positions],
            windows=self.windows[positions],
            columns={name: values[positions] for name, values in self.columns.items()},
        )

    def __getitem__(self, chosen: int | slice | np.ndarray) -> np.ndarray:
        """Makes the chosen images: one (height, width, slices), or float32 (k, ...) of several."""
        positions = np.arange(len(self))[chosen]
        if not np.ndim(positions):
            return self[np.array([positions])][0]
        result = np.empty((len(positions), *self.shape[1:]), np.float32)
        # In parts, since the steps in between would take several times the memory of the result.
        for start in range(0, len(positions), _CHUNK):
            part = positions[start : start + _CHUNK]
            made = normalize(self.pixels[self.rows[part]], self.windows[part])
            result[start : start + _CHUNK] = made
        return result

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """All of them, for numpy."""
        del copy
        return self[:].astype(dtype or np.float32, copy=False)


def as_windowed(images: np.ndarray, columns: Mapping[str, np.ndarray]) -> Windowed:
    """Returns images that are windowed already, with what else is known of each.

    Args:
        images: float32 (n, height, width, slices) in [0, 1].
        columns: (n, ...) by name.
    """
    return Windowed(
        pixels=images,
        rows=np.arange(len(images)),
        windows=np.tile(np.array([0.0, 1.0], np.float32), (len(images), 1)),
        columns=columns,
    )


Images: TypeAlias = np.ndarray | Windowed
"""Images that a model looks at: float32 (n, height, width, slices) in [0, 1], or like it."""


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


def empty(count: int, shape: tuple[int, ...]) -> np.ndarray:
    """Returns room for images, uint16 (count, *shape); takes no memory before it is filled."""
    num_bytes = 2 * count * math.prod(shape)
    room = np.empty(num_bytes + ALIGNMENT, np.uint8)
    start = -room.ctypes.data % ALIGNMENT
    return room[start : start + num_bytes].view(np.uint16).reshape(count, *shape)
