"""The one resampling between a record and a network, at rest or in any pose.

Each pixel of an input is a weighted sum of pixels of the record, `field_of_view.kernel` along its
rows and columns whatever the pose: a pixel is interpolated once after the record.
"""

import math
import sys

import numpy as np
import tensorflow as tf

from spine_tf.augmentation import field_of_view


def sample(images: tf.Tensor, of_poses: tf.Tensor, view: field_of_view.FieldOfView) -> tf.Tensor:
    """Returns what a network sees of images in their poses.

    Args:
        images: float32 (n, record_px, record_px, slices), windowed.
        of_poses: float32 (n, 2, 3), from `poses.matrices`.
        view: what of the records' images the network sees.

    Returns:
        float32 (n, input_px, input_px, slices); what lies outside the record is 0.
    """
    resample = _compiled if _is_compiled() else _resample
    return resample(images, of_poses, view.input_px, view.box)


def _is_compiled() -> bool:
    """Whether XLA makes one loop of it.

    On a CPU that takes 6 ms for 16 images of 320 px on 128 px, where operations one by one take 40.
    A GPU gathers fast anyhow, and XLA needs more installed there than TensorFlow brings.
    """
    return sys.platform == "linux" and not tf.config.list_physical_devices("GPU")


def _resample(images: tf.Tensor, of_poses: tf.Tensor, side: int, box: float) -> tf.Tensor:
    height, width = images.shape[1:3]
    columns, rows = _places(of_poses, side)
    # Sums unrolled over the pixels in reach: half the time of a sum over one axis more.
    by_column = _taps(columns, width, box)
    pixels = tf.reshape(images, [-1, images.shape[3]])
    first = (tf.range(tf.shape(images)[0]) * (height * width))[:, tf.newaxis, tf.newaxis]
    total = tf.zeros((tf.shape(images)[0], side, side, images.shape[3]))
    for row, row_weight in _taps(rows, height, box):
        of_row = tf.zeros_like(total)
        for column, weight in by_column:
            taken = tf.gather(pixels, first + row * width + column)
            of_row += weight[..., tf.newaxis] * taken
        total += row_weight[..., tf.newaxis] * of_row
    return total


_compiled = tf.function(_resample, jit_compile=True, autograph=False)


def _places(of_poses: tf.Tensor, side: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Columns and rows in the record of each input pixel, float32 (n, side, side) each."""
    pixel = tf.range(side, dtype=tf.float32)
    along_x, along_y, offset = (
        part[:, :, tf.newaxis, tf.newaxis] for part in tf.unstack(of_poses, axis=2)
    )
    places = along_x * pixel + along_y * pixel[:, tf.newaxis] + offset
    return places[:, 0], places[:, 1]


def _taps(places: tf.Tensor, size: int, box: float) -> list[tuple[tf.Tensor, tf.Tensor]]:
    """The record pixels in reach of places along an axis, int32, and their weights, float32."""
    reach = field_of_view.reach(box)
    first = tf.floor(places - reach) + 1.0
    found = []
    for number in range(math.ceil(2 * reach)):
        pixel = first + float(number)
        weight = field_of_view.kernel(pixel - places, box)
        is_inside = (pixel >= 0.0) & (pixel <= size - 1.0)
        inside = tf.cast(tf.clip_by_value(pixel, 0.0, size - 1.0), tf.int32)
        found.append((inside, tf.where(is_inside, weight, 0.0)))
    return found


def at_rest(images: tf.Tensor, view: field_of_view.FieldOfView) -> tf.Tensor:
    """Returns what a network sees of images that are not moved: two products with constants.

    The same values as `sample` gives at rest, but for rounding, in operations that every export
    format has.

    Args:
        images: float32 (n, record_px, record_px, slices), windowed.
        view: what of the records' images the network sees.

    Returns:
        float32 (n, input_px, input_px, slices).
    """
    if view.is_whole:
        return images
    weights = view.axis_weights()
    touched = np.flatnonzero(weights.any(axis=0))
    first, end = int(touched[0]), int(touched[-1]) + 1
    constant = tf.constant(weights[:, first:end].T)
    rows_last = tf.tensordot(images[:, first:end, first:end], constant, [[1], [0]])
    both_last = tf.tensordot(rows_last, constant, [[1], [0]])
    return tf.transpose(both_last, [0, 2, 3, 1])
