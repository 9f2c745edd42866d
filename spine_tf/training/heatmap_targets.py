"""What a network of heatmaps should answer: Gaussians at the points, drawn in the graph."""

import dataclasses
import math

import tensorflow as tf

from spine_tf.augmentation import field_of_view
from spine_tf.crops import landmark_kinds


@dataclasses.dataclass(frozen=True, kw_only=True)
class Grid:
    """The pixels of heatmaps over what a network sees.

    Attributes:
        view: what the network sees of a record.
        stride: pixels of the network's input from one pixel of the heatmaps to the next.
    """

    view: field_of_view.FieldOfView
    stride: int

    @property
    def side_px(self) -> int:
        """Of a heatmap."""
        return self.view.input_px // self.stride

    @property
    def pixel_mm(self) -> float:
        """Side of a heatmap's pixel."""
        return self.view.pitch * self.stride / self.view.in_pixels(1.0)

    @property
    def sigma_px(self) -> float:
        """Of a Gaussian."""
        return landmark_kinds.SIGMA_MM / self.pixel_mm

    @property
    def mass(self) -> float:
        """Of a whole Gaussian: the sum of its pixels."""
        return 2.0 * math.pi * self.sigma_px**2

    @property
    def pitch(self) -> float:
        """Pixels of the record from one pixel of the heatmaps to the next."""
        return self.view.pitch * self.stride

    @property
    def first(self) -> float:
        """Where in the record, column or row, the first pixel of an unmoved heatmap is."""
        return (self.view.record_px - 1) / 2.0 - self.pitch * (self.side_px - 1) / 2.0


def heights(slices: tf.Tensor) -> tf.Tensor:
    """Returns how high a Gaussian stands, by the distance in slices to the point's own.

    Between whole numbers of slices it is interpolated.
    """
    most = len(landmark_kinds.AMPLITUDES)
    table = tf.constant([*landmark_kinds.AMPLITUDES, 0.0, 0.0])
    clipped = tf.clip_by_value(slices, 0.0, float(most))
    lower = tf.floor(clipped)
    part, index = clipped - lower, tf.cast(lower, tf.int32)
    return (1.0 - part) * tf.gather(table, index) + part * tf.gather(table, index + 1)


def draw(points_xy: tf.Tensor, of_heights: tf.Tensor, grid: Grid) -> tf.Tensor:
    """Draws one Gaussian a channel.

    Args:
        points_xy: float32 (n, channels, 2), column and row in pixels of the network's input.
        of_heights: float32 (n, channels).
        grid: of the heatmaps.

    Returns:
        float32 (n, side_px, side_px, channels).
    """
    places = (points_xy + 0.5) / grid.stride - 0.5
    pixel = tf.range(grid.side_px, dtype=tf.float32)
    offsets = (pixel - places[..., tf.newaxis]) / grid.sigma_px
    across, down = tf.unstack(tf.exp(-0.5 * tf.square(offsets)), axis=2)
    return tf.einsum("nch,ncw->nhwc", down * of_heights[..., tf.newaxis], across)
