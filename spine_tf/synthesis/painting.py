"""Paints structures over a slice, one after the other, with borders as soft as a pixel is wide."""

from collections.abc import Iterable, Mapping

import numpy as np

from spine_tf.synthesis import grid as grid_module, structure


def paint(
    image: np.ndarray,
    structures: Iterable[structure.Structure],
    signals: Mapping[str, float],
    grid: grid_module.Grid,
    edge: float,
) -> None:
    """Adds the structures to an image, in place.

    Args:
        image: float32 of the grid's shape.
        structures: later ones cover earlier ones.
        signals: of each tissue.
        grid: where the pixels lie.
        edge: width of a border, in the unit of the grid.
    """
    for item in structures:
        region = grid.region(item.box, edge)
        if region is None:
            continue
        distance = item.distance(*grid.at(region)) * np.float32(-1 / edge)
        part = image[region]
        if item.rim:
            _blend(part, distance + np.float32(0.5), signals[item.rim_tissue])
            distance = distance - np.float32(item.rim / edge)
        _blend(part, distance + np.float32(0.5), _signal(item, signals))


def _signal(item: structure.Structure, signals: Mapping[str, float]) -> float:
    if item.other is None:
        return signals[item.tissue]
    return (1 - item.fraction) * signals[item.tissue] + item.fraction * signals[item.other]


def _blend(part: np.ndarray, mask: np.ndarray, signal: float) -> None:
    mask.clip(0, 1, out=mask)
    part += mask * (np.float32(signal) - part)
