"""What scanners do to an image: another contrast, shading, ghosts, a smaller field of view.

Batched and stateless, as all changes are: equal seeds give equal changes.
"""

import tensorflow as tf

# Knots of the random curve between black and white.
_KNOTS = 5
# Bumps of the shading: as many along each side.
_BUMPS = 3


def bend(images: tf.Tensor, seed: tf.Tensor, strength: float) -> tf.Tensor:
    """Maps the grey values of each image by a rising curve of its own.

    Args:
        images: float32 (batch, height, width, slices) in [0, 1].
        seed: int32 (2,).
        strength: 0 keeps them; at 1 the steps between equidistant knots are drawn evenly.
    """
    steps = tf.random.stateless_uniform((tf.shape(images)[0], _KNOTS), seed, 1e-3, 1.0)
    steps = (1.0 - strength) / _KNOTS + strength * steps / tf.reduce_sum(steps, 1, keepdims=True)
    result = tf.zeros_like(images)
    for knot in range(_KNOTS):
        # Ramps add up: as fast as a gather per pixel is slow.
        ramp = tf.clip_by_value(images * _KNOTS - float(knot), 0.0, 1.0)
        result += steps[:, knot, tf.newaxis, tf.newaxis, tf.newaxis] * ramp
    return result


def shade(images: tf.Tensor, seed: tf.Tensor, largest: float) -> tf.Tensor:
    """Multiplies each image by a smooth field, between exp(-largest) and exp(largest)."""
    shape = tf.shape(images)
    grid = tf.random.stateless_uniform((shape[0], _BUMPS, _BUMPS), seed, -largest, largest)
    rows, columns = (_tents(shape[axis]) for axis in (1, 2))
    field = tf.einsum("hi,nij,wj->nhw", rows, grid, columns)
    return images * tf.exp(field)[..., tf.newaxis]


def _tents(size: tf.Tensor) -> tf.Tensor:
    """Smooth weights of the bumps at each pixel of a side, float32 (size, bumps); they sum to 1."""
    position = tf.linspace(0.0, _BUMPS - 1.0, size)
    distance = tf.abs(position[:, tf.newaxis] - tf.range(float(_BUMPS)))
    return 0.5 + 0.5 * tf.cos(3.14159265 * tf.minimum(distance, 1.0))


def add_ghost(images: tf.Tensor, seed: tf.Tensor, largest: float) -> tf.Tensor:
    """Adds a weak copy of each image, shifted around its edge along the rows or columns.

    Motion during an examination does so along the direction of phase encoding.
    """
    shape = tf.shape(images)
    drawn = tf.random.stateless_uniform((3,), seed)
    strength = tf.random.stateless_uniform((shape[0], 1, 1, 1), seed + 1, 0.0, largest)
    # One shift a batch: rolling each image by its own is a gather of all pixels.
    along_rows = drawn[0] < 0.5
    side = tf.cast(shape[1], tf.float32)
    shift = tf.cast(side * (0.1 + 0.8 * drawn[1]), tf.int32)
    shifts = tf.where(along_rows, tf.stack([shift, 0]), tf.stack([0, shift]))
    ghost = tf.roll(images, shifts, axis=[1, 2])
    return (images + strength * ghost) / (1.0 + strength)


def draw_field(count: tf.Tensor, seed: tf.Tensor, largest: float) -> tf.Tensor:
    """Draws what is left of a field of view, float32 (n, 2, 2): first and last of x, then of y.

    In fractions of the side; each border moves in by up to `largest`.
    """
    cut = tf.random.stateless_uniform((count, 2, 2), seed, 0.0, largest)
    return tf.stack([cut[:, :, 0], 1.0 - cut[:, :, 1]], axis=2)


def cut_field(images: tf.Tensor, field: tf.Tensor) -> tf.Tensor:
    """Sets what lies outside of the field of view to zero.

    Args:
        images: float32 (batch, height, width, slices).
        field: float32 (batch, 2, 2), from `draw_field`.
    """
    shape = tf.shape(images)
    inside_x, inside_y = (
        _is_inside(shape[axis], field[:, which]) for axis, which in ((2, 0), (1, 1))
    )
    return images * (inside_y[:, :, tf.newaxis] * inside_x[:, tf.newaxis])[..., tf.newaxis]


def _is_inside(size: tf.Tensor, ends: tf.Tensor) -> tf.Tensor:
    """Which pixels of a side lie between the ends, float32 (batch, size)."""
    place = (tf.range(size, dtype=tf.float32) + 0.5) / tf.cast(size, tf.float32)
    inside = (place >= ends[:, :1]) & (place <= ends[:, 1:])
    return tf.cast(inside, tf.float32)
