"""Images and small random changes of them, whose answers are averaged at test time."""

import dataclasses
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from spine_tf.augmentation import changes
from spine_tf.configuration import data_config

_BATCH = 256


def make_copies(
    images: np.ndarray, settings: data_config.AugmentationConfig, *, num: int, seed: int
) -> Iterator[np.ndarray]:
    """Yields the images as they are, then changed ones; the same seed gives the same.

    Args:
        images: float32 (n, side, side, slices) in [0, 1].
        settings: how a copy differs; each does, and what mixes two images takes no part.
        num: of copies in all, at least 1.
        seed: of the changes.

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
        changed = [
            changes.augment(part, tf.tile([[first, start]], [len(part), 1]), settings).numpy()
            for start, part in _batches(images)
        ]
        yield np.concatenate(changed)


def is_change(settings: data_config.AugmentationConfig) -> bool:
    """Says whether the augmentation changes an image by itself."""
    if settings.unchanged == 1.0:
        return False
    alone = dataclasses.replace(settings, unchanged=0.0, mixup=0.0, cutmix=0.0)
    return any(dataclasses.asdict(alone).values())


def _batches(images: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    for start in range(0, len(images), _BATCH):
        yield start, images[start : start + _BATCH]
