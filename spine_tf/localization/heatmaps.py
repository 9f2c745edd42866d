"""Heatmaps, the seam between networks and geometry: who draws them, and how they are drawn."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from spine_tf import labels
from spine_tf.configuration import record_kind
from spine_tf.crops import landmark_kinds, windows as windows_module

NUM_LEVELS = len(labels.LEVELS)
# Of a sagittal heatmap: five levels each.
_SAGITTAL = landmark_kinds.KINDS[record_kind.SAGITTAL]
CANAL, FORAMEN = _SAGITTAL.groups
SAGITTAL_CHANNELS = len(_SAGITTAL.channels)
# Of an axial heatmap: the patient's left and right recess.
AXIAL_CHANNELS = len(landmark_kinds.KINDS[record_kind.AXIAL].channels)

_REACH = 3.5  # in sigmas: the Gaussian is below .003 there


class Source(Protocol):
    """Draws heatmaps of windows: a pair of networks, or an oracle that knows the truth."""

    def sagittal(self, windows: Sequence[windows_module.Window]) -> np.ndarray:
        """Returns float32 (n, 256, 256, 10), in about [0, 1]: canal, then foramen, by level."""

    def axial(self, windows: Sequence[windows_module.Window]) -> np.ndarray:
        """Returns float32 (n, 256, 256, 2), in about [0, 1]: left and right recess."""


class Blob(NamedTuple):
    """A Gaussian on a channel of a heatmap; x and y are grid positions."""

    channel: int
    x: float
    y: float
    amplitude: float


def draw(blobs: Iterable[Blob], num_channels: int, sigma_px: float) -> np.ndarray:
    """Returns a heatmap, float32 (256, 256, channels): where blobs meet, the higher one stands."""
    size = windows_module.SIDE_PX
    result = np.zeros((size, size, num_channels), np.float32)
    reach = math.ceil(_REACH * sigma_px)
    for blob in blobs:
        column, row = round(blob.x), round(blob.y)
        columns = np.arange(max(column - reach, 0), min(column + reach + 1, size))
        rows = np.arange(max(row - reach, 0), min(row + reach + 1, size))
        if not columns.size or not rows.size:
            continue
        across = np.exp(-0.5 * ((columns - blob.x) / sigma_px) ** 2)
        down = np.exp(-0.5 * ((rows - blob.y) / sigma_px) ** 2)
        part = result[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1, blob.channel]
        np.maximum(part, blob.amplitude * down[:, None] * across, out=part)
    return result
