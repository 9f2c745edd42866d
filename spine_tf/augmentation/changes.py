"""Random changes of training images: batched, stateless, and a function of the examples' seeds."""

import dataclasses

import tensorflow as tf

from spine_tf.augmentation import field_of_view, poses, sampler, scanning
from spine_tf.configuration import data_config


@dataclasses.dataclass(frozen=True, kw_only=True)
class Changed:
    """Images that were changed, and how points of their records move with them.

    Attributes:
        images: float32 (batch, input_px, input_px, slices) in [0, 1].
        poses: float32 (batch, 2, 3), as of `poses.matrices`.
        is_flipped: bool (batch,), left is right.
        field: float32 (batch, 2, 2), what is left of the field of view, as `scanning.draw_field`.
    """

    images: tf.Tensor
    poses: tf.Tensor
    is_flipped: tf.Tensor
    field: tf.Tensor


def augment(
    images: tf.Tensor,
    seeds: tf.Tensor,
    settings: data_config.AugmentationConfig,
    view: field_of_view.FieldOfView,
) -> tf.Tensor:
    """Returns the images of `change`."""
    return change(images, seeds, settings, view).images


def change(
    images: tf.Tensor,
    seeds: tf.Tensor,
    settings: data_config.AugmentationConfig,
    view: field_of_view.FieldOfView,
) -> Changed:
    """Samples each image in a pose of its own and changes it; equal seeds give equal changes.

    Args:
        images: float32 (batch, record_px, record_px, slices) in [0, 1].
        seeds: int32 (batch, 2), those of the feed.
        settings: the strength of each change; what has strength zero costs nothing.
        view: what the network sees of a record.
    """
    seed = seeds[0]
    kept_share = _kept_share(settings, view)
    is_kept = _happens(fold_in(seed, 13), images, kept_share)
    moved = _move(images, seed, settings, view, is_kept[:, 0, 0, 0])
    sampled = images = moved.images
    if settings.slice_shuffle:
        images = _shuffle_slices(images, fold_in(seed, 11), settings.slice_shuffle)
    if settings.slice_reversal:
        is_turned = _happens(fold_in(seed, 15), images, settings.slice_reversal)
        images = tf.where(is_turned, tf.reverse(images, [3]), images)
    if settings.slice_repeat:
        is_alone = _happens(fold_in(seed, 21), images, settings.slice_repeat)
        middle = images.shape[3] // 2
        images = tf.where(is_alone, images[..., middle : middle + 1], images)
    if settings.curve:
        images = scanning.bend(images, fold_in(seed, 16), settings.curve)
    if settings.bias:
        images = scanning.shade(images, fold_in(seed, 17), settings.bias)
    if settings.ghost:
        images = scanning.add_ghost(images, fold_in(seed, 18), settings.ghost)
    if settings.blur:
        images = _blur(images, fold_in(seed, 12), settings.blur)
    if settings.gamma:
        strength = _uniform(fold_in(seed, 2), images, settings.gamma)
        images = tf.pow(images, tf.exp(strength))
    if settings.contrast or settings.brightness:
        factor = 1.0 + _uniform(fold_in(seed, 3), images, settings.contrast)
        offset = _uniform(fold_in(seed, 4), images, settings.brightness)
        mean = tf.reduce_mean(images, axis=(1, 2, 3), keepdims=True)
        images = (images - mean) * factor + mean + offset
    if settings.noise:
        noise = tf.random.stateless_normal(tf.shape(images), fold_in(seed, 5))
        images = images + settings.noise * noise
    images = tf.clip_by_value(images, 0.0, 1.0)
    if settings.cutout:
        images = _cut_out(images, fold_in(seed, 6), settings.cutout)
    field = moved.field
    if settings.field_cut:
        drawn = scanning.draw_field(tf.shape(images)[0], fold_in(seed, 19), settings.field_cut)
        field = tf.where(is_kept[:, :, :, 0], field, drawn)
        images = scanning.cut_field(images, drawn)
    if kept_share:
        images = tf.where(is_kept, sampled, images)
    return dataclasses.replace(moved, images=images, field=field)


def _kept_share(settings: data_config.AugmentationConfig, view: field_of_view.FieldOfView) -> float:
    """The share of images that are left as they are."""
    if settings.unchanged >= 0.0:
        return settings.unchanged
    return 0.0 if view.is_flat else 0.5


def fold_in(seed: tf.Tensor, index: int) -> tf.Tensor:
    """Returns the seed of one of the changes, int32 (2,), independent of the others'."""
    return tf.random.experimental.stateless_fold_in(seed, index)


def in_box(images: tf.Tensor, centers: tf.Tensor, sides: tf.Tensor) -> tf.Tensor:
    """Says which pixels lie in an image's box.

    Args:
        images: (batch, height, width, slices).
        centers: float32 (batch, 2), of the box, row and column as fractions of the side.
        sides: float32 (batch, 1) or a number, of the box, as fractions of the side.

    Returns:
        bool (batch, height, width, 1).
    """
    shape = tf.shape(images)
    rows = (tf.range(shape[1], dtype=tf.float32) + 0.5) / tf.cast(shape[1], tf.float32)
    columns = (tf.range(shape[2], dtype=tf.float32) + 0.5) / tf.cast(shape[2], tf.float32)
    is_row = tf.abs(rows - centers[:, :1]) < sides / 2.0
    is_column = tf.abs(columns - centers[:, 1:]) < sides / 2.0
    return (is_row[:, :, None] & is_column[:, None, :])[..., None]


def _uniform(seed: tf.Tensor, images: tf.Tensor, strength: float) -> tf.Tensor:
    """One number an image in [-strength, strength], float32 (batch, 1, 1, 1)."""
    return tf.random.stateless_uniform((tf.shape(images)[0], 1, 1, 1), seed, -strength, strength)


def _happens(seed: tf.Tensor, images: tf.Tensor, probability: float) -> tf.Tensor:
    """One decision an image, bool (batch, 1, 1, 1)."""
    return tf.random.stateless_uniform((tf.shape(images)[0], 1, 1, 1), seed) < probability


def _shuffle_slices(images: tf.Tensor, seed: tf.Tensor, probability: float) -> tf.Tensor:
    """Puts the slices of a crop in another order; a crop of one slice stays as it is."""
    shape = tf.shape(images)
    draw = tf.random.stateless_uniform((shape[0], shape[3]), fold_in(seed, 0))
    shuffled = tf.gather(images, tf.argsort(draw), axis=3, batch_dims=1)
    return tf.where(_happens(fold_in(seed, 1), images, probability), shuffled, images)


def _blur(images: tf.Tensor, seed: tf.Tensor, largest: float) -> tf.Tensor:
    """Gaussian blur, separable, as one matrix product a side; every row of a kernel sums to 1."""
    shape = tf.shape(images)
    sigma = tf.random.stateless_uniform((shape[0], 1, 1), seed, 0.0, largest) + 1e-3

    def kernel(side: tf.Tensor) -> tf.Tensor:
        position = tf.range(side, dtype=tf.float32)
        distance = position[:, None] - position[None, :]
        weights = tf.exp(-0.5 * tf.square(distance[None] / sigma))
        return weights / tf.reduce_sum(weights, axis=2, keepdims=True)

    along_rows = tf.einsum("bij,bjws->biws", kernel(shape[1]), images)
    return tf.einsum("bij,bhjs->bhis", kernel(shape[2]), along_rows)


def _move(
    images: tf.Tensor,
    seed: tf.Tensor,
    settings: data_config.AugmentationConfig,
    view: field_of_view.FieldOfView,
    is_kept: tf.Tensor,
) -> Changed:
    """What the network sees of images, in random poses but for those that are kept, bool (n,)."""
    count = tf.shape(images)[0]
    whole = tf.tile([[[0.0, 1.0]]], [count, 2, 1])
    at_rest = poses.matrices(poses.at_rest(count), view)
    if not poses.are_drawn(settings):
        return Changed(
            images=sampler.at_rest(images, view),
            poses=at_rest,
            is_flipped=tf.zeros((count,), tf.bool),
            field=whole,
        )
    of_poses = poses.draw(count, seed, settings)
    drawn = poses.matrices(of_poses, view)
    drawn = tf.where(is_kept[:, tf.newaxis, tf.newaxis], at_rest, drawn)
    return Changed(
        images=sampler.sample(images, drawn, view),
        poses=drawn,
        is_flipped=of_poses.is_flipped & ~is_kept,
        field=whole,
    )


def _cut_out(images: tf.Tensor, seed: tf.Tensor, fraction: float) -> tf.Tensor:
    """Sets a square to the image's mean (DeVries and Taylor, 2017)."""
    centers = tf.random.stateless_uniform((tf.shape(images)[0], 2, 1), seed)[..., 0]
    mean = tf.reduce_mean(images, axis=(1, 2, 3), keepdims=True)
    return tf.where(in_box(images, centers, fraction), mean, images)
