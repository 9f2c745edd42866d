"""The served graph cuts the integers that the converter cuts."""

import functools

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies

from spine_tf.crops import roi
from spine_tf.serving import graph

_ROIS = ((50.0, 128), (50.0, 32), (80.0, 17), (1000.0, 8))


@functools.cache
def _graph_crop(roi_mm: float, roi_px: int):
    return tf.function(
        functools.partial(graph.crop, roi_mm=roi_mm, roi_px=roi_px),
        input_signature=[
            tf.TensorSpec([None, None, None], tf.uint16),
            tf.TensorSpec([2], tf.float32),
            tf.TensorSpec([2], tf.float32),
            tf.TensorSpec([], tf.bool),
        ],
    )


def _converted(image, spacing, center, mirror, roi_mm, roi_px):
    cut = roi.crop_stack(
        list(np.moveaxis(image, 2, 0)),
        center_xy=(float(center[0]), float(center[1])),
        spacing=(float(spacing[0]), float(spacing[1])),
        roi_mm=roi_mm,
        roi_px=roi_px,
    )
    return cut[:, ::-1] if mirror else cut


@strategies.composite
def _places(draw):
    rows, columns = draw(strategies.integers(1, 400)), draw(strategies.integers(1, 400))
    slices = draw(strategies.sampled_from((1, 3)))
    rng = np.random.default_rng(draw(strategies.integers(0, 2**31)))
    highest = draw(strategies.sampled_from((1500, 65535)))
    image = rng.integers(0, highest + 1, (rows, columns, slices)).astype(np.uint16)
    # Ties of the resampling grid are likely at these spacings, and unlikely between them.
    spacing = [
        draw(
            strategies.sampled_from((0.1953125, 0.390625, 0.5, 0.78125, 1.0))
            | strategies.floats(0.015625, 5.0, width=32)
        )
        for _ in range(2)
    ]
    center = [
        draw(
            strategies.sampled_from((-0.5, 0.0, size / 2, size - 1.0))
            | strategies.floats(-0.5, size - 0.5, width=32, exclude_max=True)
        )
        for size in (columns, rows)
    ]
    return (
        image,
        np.array(spacing, np.float32),
        np.array(center, np.float32),
        draw(strategies.booleans()),
    )


@hypothesis.settings(max_examples=60, deadline=None)
@hypothesis.given(_places(), strategies.sampled_from(_ROIS))
def test_graph_crop_equals_the_converters(place, size):
    image, spacing, center, mirror = place
    expected = _converted(image, spacing, center, mirror, *size)
    found = _graph_crop(*size)(image, spacing, center, mirror)
    np.testing.assert_array_equal(found.numpy(), expected)


@hypothesis.settings(max_examples=8, deadline=None)
@hypothesis.given(_places())
def test_eager_crop_equals_the_converters(place):
    image, spacing, center, mirror = place
    expected = _converted(image, spacing, center, mirror, 50.0, 16)
    found = graph.crop(
        tf.constant(image), spacing, center, tf.constant(mirror), roi_mm=50.0, roi_px=16
    )
    np.testing.assert_array_equal(found.numpy(), expected)


def test_crop_inside_a_dataset_equals_the_converters():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 4096, (90, 70, 1)).astype(np.uint16)
    spacing = np.array([0.7, 0.43], np.float32)
    centers = rng.uniform(-0.5, 69.0, (5, 2)).astype(np.float32)
    cut = functools.partial(graph.crop, roi_mm=50.0, roi_px=64)
    crops = tf.data.Dataset.from_tensor_slices(centers).map(
        lambda center: cut(tf.constant(image), spacing, center, tf.constant(True)),
        num_parallel_calls=2,
    )
    for center, found in zip(centers, crops, strict=True):
        expected = _converted(image, spacing, center, True, 50.0, 64)
        np.testing.assert_array_equal(found.numpy(), expected)


@hypothesis.settings(max_examples=50, deadline=None)
@hypothesis.given(
    strategies.integers(1, 60),
    strategies.integers(1, 60),
    strategies.sampled_from((1, 10, 4096, 65536)),
    strategies.integers(0, 2**31),
)
def test_window_equals_the_converters(rows, columns, num_values, seed):
    pixels = np.random.default_rng(seed).integers(0, num_values, (rows, columns)).astype(np.uint16)
    np.testing.assert_array_equal(_graph_window(pixels).numpy(), roi.window(pixels))


@pytest.mark.parametrize("size", [200, 400, 1000, 40_000], ids=lambda size: f"{size} pixels")
def test_window_takes_the_exact_rank_where_the_share_is_a_whole_number(size):
    pixels = np.arange(size, dtype=np.uint16).reshape(20, -1)
    expected = np.percentile(pixels, [0.5, 99.5], method="inverted_cdf")
    np.testing.assert_array_equal(_graph_window(pixels).numpy(), expected)


@tf.function(input_signature=[tf.TensorSpec([None, None], tf.uint16)])
def _graph_window(pixels):
    return graph.pixel_window(pixels)
