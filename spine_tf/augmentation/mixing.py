"""Mixup and CutMix: training examples blended with others of their batch, targets alike."""

from typing import Any

import tensorflow as tf

from spine_tf.augmentation import changes


def mix(
    inputs: tf.Tensor, targets: Any, seeds: tf.Tensor, *, mixup: float, cutmix: float
) -> tuple[tf.Tensor, Any]:
    """Blends each example with another one; where both ways are on, a batch takes either.

    Args:
        inputs: float32 (batch, side, side, slices), or (batch, features) if cutmix is 0.
        targets: float32 (batch, ...), or a dict of such.
        seeds: int32 (batch, 2), those of the feed.
        mixup: alpha of the Beta distribution of the share that stays; 0 is off.
        cutmix: the same for CutMix.

    Returns:
        The blended inputs and targets, of the same shapes.
    """
    seed = changes.fold_in(seeds[0], 20)
    if mixup and cutmix:
        is_mixup = tf.random.stateless_uniform([], changes.fold_in(seed, 0)) < 0.5
        return tf.cond(
            is_mixup,
            lambda: _mix_up(inputs, targets, seed, mixup),
            lambda: _cut_mix(inputs, targets, seed, cutmix),
        )
    if mixup:
        return _mix_up(inputs, targets, seed, mixup)
    if cutmix:
        return _cut_mix(inputs, targets, seed, cutmix)
    return inputs, targets


def _mix_up(
    inputs: tf.Tensor, targets: Any, seed: tf.Tensor, alpha: float
) -> tuple[tf.Tensor, Any]:
    """The weighted mean of two examples (Zhang et al., ICLR 2018)."""
    drawn = _beta(inputs, seed, alpha)
    share = tf.maximum(drawn, 1.0 - drawn)
    order = _other(inputs, seed)
    return _blend(inputs, order, share), _blend(targets, order, share)


def _cut_mix(
    images: tf.Tensor, targets: Any, seed: tf.Tensor, alpha: float
) -> tuple[tf.Tensor, Any]:
    """A box of another image, whose share of the area is its share of the target.

    Yun et al., ICCV 2019. The box may reach over the edge; the share is of what was replaced.
    """
    sides = tf.sqrt(1.0 - _beta(images, seed, alpha))[:, None]
    centers = tf.random.stateless_uniform((tf.shape(images)[0], 2), changes.fold_in(seed, 4))
    is_other = changes.in_box(images, centers, sides)
    order = _other(images, seed)
    share = 1.0 - tf.reduce_mean(tf.cast(is_other, tf.float32), axis=(1, 2, 3))
    return tf.where(is_other, tf.gather(images, order), images), _blend(targets, order, share)


def _beta(inputs: tf.Tensor, seed: tf.Tensor, alpha: float) -> tf.Tensor:
    """One number an example of Beta(alpha, alpha), float32 (batch,)."""
    size = tf.shape(inputs)[:1]
    first = tf.random.stateless_gamma(size, changes.fold_in(seed, 1), alpha)
    second = tf.random.stateless_gamma(size, changes.fold_in(seed, 2), alpha)
    return first / tf.maximum(first + second, 1e-12)


def _other(inputs: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """The example that each is blended with: a permutation, int32 (batch,)."""
    draw = tf.random.stateless_uniform(tf.shape(inputs)[:1], changes.fold_in(seed, 3))
    return tf.argsort(draw)


def _blend(values: Any, order: tf.Tensor, share: tf.Tensor) -> Any:
    """`share` of each example and the rest of another one, in every tensor of a structure."""

    def blend(tensor: tf.Tensor) -> tf.Tensor:
        own = tf.reshape(share, [-1, *[1] * (tensor.shape.rank - 1)])
        return own * tensor + (1.0 - own) * tf.gather(tensor, order)

    return tf.nest.map_structure(blend, values)
