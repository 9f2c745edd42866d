"""Levels from axial slices alone: where recesses are seen, numbered from the lowest."""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from spine_tf.crops import imaged_study, projection, windows
from spine_tf.localization import heatmaps, recesses, spots

# Discs lie farther apart; pairs of recesses at one disc nearer.
_SAME_DISC_MM = 16.0
_SURE = 0.4


def find(
    stacks: Sequence[imaged_study.SliceStack], source: heatmaps.Source
) -> list[recesses.Recesses | None]:
    """Returns the recesses of each level: the lowest disc that is seen counts as L5/S1.

    Args:
        stacks: axial ones, of one frame of reference.
        source: draws the heatmaps.
    """
    seen = itertools.chain.from_iterable(_scan(stack, source) for stack in stacks)
    kept: list[recesses.Recesses] = []
    for one in sorted(seen, key=lambda one: -one.worth):
        if all(abs(_height(one) - _height(other)) > _SAME_DISC_MM for other in kept):
            kept.append(one)
    from_below = sorted(kept, key=_height)[: heatmaps.NUM_LEVELS]
    return [None] * (heatmaps.NUM_LEVELS - len(from_below)) + from_below[::-1]


def _scan(stack: imaged_study.SliceStack, source: heatmaps.Source) -> Iterator[recesses.Recesses]:
    """What is seen around the middle of each plane, left and right together."""
    all_windows = windows.around_middles(stack, windows.AXIAL_MM)
    maps = (source.axial([window])[0] for window in all_windows)
    (found,) = spots.collect(all_windows, maps, recesses.ONE_GROUP)
    for left, right in recesses.pairs([spot for spot in found if spot.amplitude >= _SURE]):
        middle: np.ndarray = (left.point + right.point) / 2
        cover = projection.Cover(stack=stack, point=middle, nearest=left.plane, distance_mm=0.0)
        yield recesses.Recesses(cover=cover, left=left, right=right)


def _height(one: recesses.Recesses) -> float:
    return float(one.cover.point[2])
