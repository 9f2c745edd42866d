"""Random changes of training images: batched, stateless, and a function of the examples' seeds."""

import tensorflow as tf

from spine_tf import config


def augment(images: tf.Tensor, seeds: tf.Tensor, settings: config.AugmentationConfig) -> tf.Tensor:
    """Changes each image in its own way; equal seeds give equal changes.

    Args:
        images: float32 (batch, side, side, slices) in [0, 1].
        seeds: int32 (batch, 2), those of the feed.
        settings: the strength of each change; what has strength zero costs nothing.

    Returns:
        float32 (batch, side, side, slices) in [0, 1].
    """
    seed = seeds[0]
    if settings.rotation_degrees or settings.shift or settings.scale:
        images = _move(images, _fold_in(seed, 1), settings)
    if settings.gamma:
        strength = _uniform(_fold_in(seed, 2), images, settings.gamma)
        images = tf.pow(images, tf.exp(strength))
    if settings.contrast or settings.brightness:
        factor = 1.0 + _uniform(_fold_in(seed, 3), images, settings.contrast)
        offset = _uniform(_fold_in(seed, 4), images, settings.brightness)
        mean = tf.reduce_mean(images, axis=(1, 2, 3), keepdims=True)
        images = (images - mean) * factor + mean + offset
    if settings.noise:
        noise = tf.random.stateless_normal(tf.shape(images), _fold_in(seed, 5))
        images = images + settings.noise * noise
    images = tf.clip_by_value(images, 0.0, 1.0)
    if settings.cutout:
        images = _cut_out(images, _fold_in(seed, 6), settings.cutout)
    return images


def mix(
    images: tf.Tensor, targets: tf.Tensor, seeds: tf.Tensor, alpha: float
) -> tuple[tf.Tensor, tf.Tensor]:
    """Mixup (Zhang et al., ICLR 2018): each example with another of the batch, targets alike.

    Args:
        images: float32 (batch, side, side, slices).
        targets: float32 (batch, classes).
        seeds: int32 (batch, 2).
        alpha: parameter of the symmetric Beta distribution of the share.
    """
    size = tf.shape(images)[0]
    first = tf.random.stateless_gamma([size], _fold_in(seeds[0], 7), alpha)
    second = tf.random.stateless_gamma([size], _fold_in(seeds[0], 8), alpha)
    share = first / tf.maximum(first + second, 1e-12)
    share = tf.maximum(share, 1.0 - share)
    order = tf.argsort(tf.random.stateless_uniform([size], _fold_in(seeds[0], 9)))
    of_image, of_target = share[:, None, None, None], share[:, None]
    return (
        of_image * images + (1.0 - of_image) * tf.gather(images, order),
        of_target * targets + (1.0 - of_target) * tf.gather(targets, order),
    )


def _fold_in(seed: tf.Tensor, index: int) -> tf.Tensor:
    return tf.random.experimental.stateless_fold_in(seed, index)


def _uniform(seed: tf.Tensor, images: tf.Tensor, strength: float) -> tf.Tensor:
    """One number an image in [-strength, strength], float32 (batch, 1, 1, 1)."""
    return tf.random.stateless_uniform((tf.shape(images)[0], 1, 1, 1), seed, -strength, strength)


def _move(images: tf.Tensor, seed: tf.Tensor, settings: config.AugmentationConfig) -> tf.Tensor:
    """Rotation and zoom about the centre, then translation, in one bilinear resampling."""
    size = tf.shape(images)[1:3]
    height, width = tf.cast(size[0], tf.float32), tf.cast(size[1], tf.float32)
    draw = tf.random.stateless_uniform((tf.shape(images)[0], 4), seed, -1.0, 1.0)
    angle = draw[:, 0] * (settings.rotation_degrees * 3.14159265 / 180.0)
    zoom = 1.0 / (1.0 + draw[:, 1] * settings.scale)
    cosine, sine = tf.cos(angle) * zoom, tf.sin(angle) * zoom
    center_x, center_y = (width - 1.0) / 2.0, (height - 1.0) / 2.0
    shift_x = draw[:, 2] * settings.shift * width + center_x
    shift_y = draw[:, 3] * settings.shift * height + center_y
    # Output pixel -> input position, rows of the projective matrix without its last entry.
    zeros = tf.zeros_like(angle)
    transforms = tf.stack(
        [
            cosine,
            -sine,
            center_x - cosine * shift_x + sine * shift_y,
            sine,
            cosine,
            center_y - sine * shift_x - cosine * shift_y,
            zeros,
            zeros,
        ],
        axis=1,
    )
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=transforms,
        output_shape=size,
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )


def _cut_out(images: tf.Tensor, seed: tf.Tensor, fraction: float) -> tf.Tensor:
    """Sets a square to the image's mean (DeVries and Taylor, 2017)."""
    shape = tf.shape(images)
    center = tf.random.stateless_uniform((shape[0], 2, 1), seed)
    rows = (tf.range(shape[1], dtype=tf.float32) + 0.5) / tf.cast(shape[1], tf.float32)
    columns = (tf.range(shape[2], dtype=tf.float32) + 0.5) / tf.cast(shape[2], tf.float32)
    is_row = tf.abs(rows - center[:, 0]) < fraction / 2.0
    is_column = tf.abs(columns - center[:, 1]) < fraction / 2.0
    is_cut = (is_row[:, :, None] & is_column[:, None, :])[..., None]
    return tf.where(is_cut, tf.reduce_mean(images, axis=(1, 2, 3), keepdims=True), images)
