"""Mottle of tissues: random fields that a study draws once and its slices cut at random."""

import dataclasses

import numpy as np
from scipy import ndimage

_SIZE = 512


@dataclasses.dataclass(frozen=True, kw_only=True)
class Textures:
    """Periodic random fields of mean 0 and standard deviation 1, float32 (512, 512).

    Attributes:
        fine: speckle of marrow and muscle.
        coarse: patches of the size of bowel loops.
    """

    fine: np.ndarray
    coarse: np.ndarray

    def cut(
        self, shape: tuple[int, int], rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns the same random window of both fields, of the given shape."""
        rows = (np.arange(shape[0]) + rng.integers(_SIZE)) % _SIZE
        columns = (np.arange(shape[1]) + rng.integers(_SIZE)) % _SIZE
        return (
            self.fine.take(rows, axis=0).take(columns, axis=1),
            self.coarse.take(rows, axis=0).take(columns, axis=1),
        )


def draw_textures(rng: np.random.Generator) -> Textures:
    """Draws the fields of one study."""
    noise = rng.standard_normal((_SIZE, _SIZE), dtype=np.float32)
    fine = ndimage.gaussian_filter(noise, 1.2, mode="wrap", truncate=2.5)
    patches = rng.standard_normal((_SIZE // 8, _SIZE // 8), dtype=np.float32)
    patches = ndimage.gaussian_filter(patches, 1.4, mode="wrap")
    coarse = ndimage.zoom(patches, 8, order=1, mode="grid-wrap", grid_mode=True)
    return Textures(fine=_standardized(fine), coarse=_standardized(coarse))


def _standardized(field: np.ndarray) -> np.ndarray:
    return ((field - field.mean()) / field.std()).astype(np.float32)
