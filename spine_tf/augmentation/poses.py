"""Poses: how an image lies when a network looks at it; drawn at random, and as matrices.

What moves the pixels of a record moves its points: both follow from the same matrices.
"""

import dataclasses
import math

import tensorflow as tf

from spine_tf.augmentation import field_of_view
from spine_tf.configuration import data_config

# Independent of each other's strength: a change that is off moves no other's draws.
_MOVE, _FLIP, _JITTER, _STRETCH = 1, 10, 14, 22


@dataclasses.dataclass(frozen=True, kw_only=True)
class Poses:
    """One pose an image.

    Attributes:
        angle: float32 (n,), of the rotation, in radians.
        zoom: float32 (n,), how much larger things look.
        stretch: float32 (n,), how much taller beside that.
        shear: float32 (n,), along the rows, as a fraction of the height.
        shift_xy: float32 (n, 2), how far things move, in fractions of the input's side.
        jitter_xy_mm: float32 (n, 2), how far from the record's middle the network looks.
        is_flipped: bool (n,), left is right.
    """

    angle: tf.Tensor
    zoom: tf.Tensor
    stretch: tf.Tensor
    shear: tf.Tensor
    shift_xy: tf.Tensor
    jitter_xy_mm: tf.Tensor
    is_flipped: tf.Tensor


def are_drawn(settings: data_config.AugmentationConfig) -> bool:
    """Says whether any pose but the one at rest can come of the settings."""
    return bool(
        settings.rotation_degrees
        or settings.shift
        or settings.scale
        or settings.stretch
        or settings.shear
        or settings.jitter_mm
        or settings.flip
    )


def draw(count: tf.Tensor, seed: tf.Tensor, settings: data_config.AugmentationConfig) -> Poses:
    """Draws poses; equal seeds give equal ones.

    Args:
        count: how many.
        seed: int32 (2,).
        settings: the strengths.
    """
    drawn = _uniform(count, 5, seed, _MOVE)
    flips = (_uniform(count, 1, seed, _FLIP)[:, 0] + 1.0) / 2.0
    return Poses(
        angle=drawn[:, 0] * math.radians(settings.rotation_degrees),
        zoom=1.0 + drawn[:, 1] * settings.scale,
        stretch=(1.0 + settings.stretch) ** _uniform(count, 1, seed, _STRETCH)[:, 0],
        shear=drawn[:, 4] * settings.shear,
        shift_xy=drawn[:, 2:4] * settings.shift,
        jitter_xy_mm=_uniform(count, 2, seed, _JITTER) * settings.jitter_mm,
        is_flipped=flips < settings.flip,
    )


def _uniform(count: tf.Tensor, width: int, seed: tf.Tensor, index: int) -> tf.Tensor:
    """Numbers in [-1, 1), float32 (count, width), independent of those of another index."""
    own = tf.random.experimental.stateless_fold_in(seed, index)
    return tf.random.stateless_uniform((count, width), own, -1.0, 1.0)


def at_rest(count: tf.Tensor) -> Poses:
    """Returns poses that change nothing."""
    zeros = tf.zeros((count,))
    pairs = tf.zeros((count, 2))
    return Poses(
        angle=zeros,
        zoom=zeros + 1.0,
        stretch=zeros + 1.0,
        shear=zeros,
        shift_xy=pairs,
        jitter_xy_mm=pairs,
        is_flipped=tf.zeros((count,), tf.bool),
    )


def matrices(poses: Poses, view: field_of_view.FieldOfView) -> tf.Tensor:
    """Returns what maps the pixels of an input to places in its record.

    Things are stretched, sheared, turned, enlarged and flipped about the middle, then shifted.

    Returns:
        float32 (n, 2, 3): times (column, row, 1) of an input pixel it is the column and row in the
        record; integers are pixel centres.
    """
    cosine, sine = tf.cos(poses.angle) / poses.zoom, tf.sin(poses.angle) / poses.zoom
    side = tf.where(poses.is_flipped, -view.pitch, view.pitch)
    along_x = tf.stack([cosine * side, (cosine * poses.shear - sine) * side], axis=1)
    along_y = tf.stack([sine, sine * poses.shear + cosine], axis=1) * view.pitch
    along_y /= poses.stretch[:, tf.newaxis]
    linear = tf.stack([along_x, along_y], axis=1)
    middle = (view.input_px - 1) / 2.0 + poses.shift_xy * view.input_px
    moved = tf.linalg.matvec(linear, middle)
    return tf.concat([linear, (_looked_at(poses, view) - moved)[:, :, tf.newaxis]], axis=2)


def _looked_at(poses: Poses, view: field_of_view.FieldOfView) -> tf.Tensor:
    """The place in the record that comes to the input's middle, float32 (n, 2)."""
    middle = (view.record_px - 1) / 2.0
    if view.record_mm is None:
        return middle + 0.0 * poses.jitter_xy_mm
    return middle + poses.jitter_xy_mm * view.in_pixels(1.0)


def move_points(points_xy: tf.Tensor, of_poses: tf.Tensor) -> tf.Tensor:
    """Returns where places in records come to lie in the inputs.

    Args:
        points_xy: float32 (n, k, 2), column and row in the record.
        of_poses: float32 (n, 2, 3), from `matrices`.

    Returns:
        float32 (n, k, 2), column and row in the input, which may be outside of it.
    """
    offsets = points_xy - of_poses[:, tf.newaxis, :, 2]
    # By Cramer's rule: a solver of matrices is no function of a GPU's deterministic ones.
    (a, b), (c, d) = (tf.unstack(row, axis=1) for row in tf.unstack(of_poses[:, :, :2], axis=1))
    inverse = tf.stack([tf.stack([d, -b], axis=1), tf.stack([-c, a], axis=1)], axis=1)
    inverse /= (a * d - b * c)[:, tf.newaxis, tf.newaxis]
    return tf.einsum("nij,nkj->nki", inverse, offsets)
