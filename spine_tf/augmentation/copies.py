"""Images and small random changes of them, whose answers are averaged at test time."""

import dataclasses
from collections.abc import Iterator, Mapping

import numpy as np
import tensorflow as tf

from spine_tf.augmentation import changes, field_of_view
from spine_tf.configuration import data_config
from tfrecords import stored_images

_BATCH = 256


class Changed:
    """What a network sees of images with small random changes, made when they are asked for.

    Indexed like an array of them; each is resampled once, from the record.
    """

    def __init__(
        self,
        images: stored_images.Images,
        settings: data_config.AugmentationConfig,
        view: field_of_view.FieldOfView,
        first_seed: int,
    ) -> None:
        """Takes what is changed.

        Args:
            images: float32 (n, record_px, record_px, slices) in [0, 1].
            settings: how each of them is.
            view: what the network sees of a record.
            first_seed: first seed of the changes; the second is the place in file order.
        """
        self._images = images
        self._settings, self._view = settings, view
        self._first_seed = first_seed
        self._made = (-1, np.empty(0, np.float32))

    def __len__(self) -> int:
        return len(self._images)

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape: n, input_px, input_px, slices."""
        side = self._view.input_px
        return len(self), side, side, self._images.shape[3]

    @property
    def columns(self) -> Mapping[str, np.ndarray]:
        """What else is known of each image, where the images say it."""
        return getattr(self._images, "columns", {})

    def __getitem__(self, chosen: slice | np.ndarray) -> np.ndarray:
        """Makes the chosen images, float32 (k, input_px, input_px, slices)."""
        positions = np.arange(len(self))[chosen]
        result = np.empty((len(positions), *self.shape[1:]), np.float32)
        for number in np.unique(positions // _BATCH).tolist():
            inside = positions // _BATCH == number
            result[inside] = self._part(number)[positions[inside] % _BATCH]
        return result

    def __array__(self, dtype: object = None, copy: bool | None = None) -> np.ndarray:
        """All of them, for numpy."""
        del dtype, copy
        return self[:]

    def _part(self, number: int) -> np.ndarray:
        """A batch that is changed together; the last one is kept for whoever takes it in bits."""
        if self._made[0] != number:
            start = number * _BATCH
            part = self._images[start : start + _BATCH]
            seeds = tf.tile([[self._first_seed, start]], [len(part), 1])
            self._made = number, changes.augment(part, seeds, self._settings, self._view).numpy()
        return self._made[1]


def make_copies(
    images: stored_images.Images,
    settings: data_config.AugmentationConfig,
    view: field_of_view.FieldOfView,
    *,
    num: int,
    seed: int,
) -> Iterator[stored_images.Images | Changed]:
    """Yields the images as they are, then changed ones; the same seed gives the same.

    Args:
        images: float32 (n, side, side, slices) in [0, 1].
        settings: how a copy differs; each does, and what mixes two images takes no part.
        view: what the network sees of a record; copies are what it sees, the first is the record.
        num: number of copies in all, at least 1.
        seed: seed of the changes.

    Raises:
        ValueError: no copies, or several that would be alike.
    """
    if num < 1:
        raise ValueError(f"there are to be {num} copies of an image, expected at least 1")
    if num > 1 and not is_change(settings):
        raise ValueError(
            f"{num} copies of an image would be alike: the run was trained with every strength of "
            "data.augmentation at 0, so expected 1"
        )
    yield images
    settings = dataclasses.replace(settings, unchanged=0.0)
    for copy in range(1, num):
        first = int(np.random.default_rng([seed, copy]).integers(2**31))
        yield Changed(images, settings, view, first)


def is_change(settings: data_config.AugmentationConfig) -> bool:
    """Says whether the augmentation changes an image by itself."""
    if settings.unchanged == 1.0:
        return False
    alone = dataclasses.replace(settings, unchanged=0.0, mixup=0.0, cutmix=0.0)
    return any(dataclasses.asdict(alone).values())
