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
def _graph_crop(roi_mm: float, roi_px: int, slices: int):
    return tf.function(
        functools.partial(graph.crop, roi_mm=roi_mm, roi_px=roi_px),
        input_signature=[
            tf.TensorSpec([None, None, slices], tf.uint16),
            tf.TensorSpec([2], tf.float32),
            tf.TensorSpec([slices, 2], tf.float32),
            tf.TensorSpec([], tf.bool),
            tf.TensorSpec([2], tf.int32),
        ],
    )


def _converted(image, spacing, centers, mirror, padding, roi_mm, roi_px):
    """The converter's crop, and which of its pixels show tissue."""
    slices = np.moveaxis(image, 2, 0)
    is_padding = (slices >= padding[0]) & (slices <= padding[1])
    square = roi.Square(
        shape=image.shape[:2],
        spacing=(float(spacing[0]), float(spacing[1])),
        roi_mm=roi_mm,
        roi_px=roi_px,
    )
    bands = square.bands([(float(x), float(y)) for x, y in centers])
    cut = roi.crop_stack(list(np.where(is_padding, 0, slices).astype(np.uint16)), bands)
    is_tissue = roi.find_tissue(list(is_padding), bands)
    return (cut[:, ::-1], is_tissue[:, ::-1]) if mirror else (cut, is_tissue)


def _equal(found, expected):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.numpy(), other)


@strategies.composite
def _places(draw):
    rows, columns = draw(strategies.integers(1, 400)), draw(strategies.integers(1, 400))
    slices = draw(strategies.sampled_from((1, 3)))
    rng = np.random.default_rng(draw(strategies.integers(0, 2**31)))
    highest = draw(strategies.sampled_from((1500, 65535)))
    image = rng.integers(0, highest + 1, (rows, columns, slices)).astype(np.uint16)
    padding = draw(strategies.sampled_from(((1, 0), (0, 0), (5, 400), (60000, 65535), (-5, -1))))
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
    shifts = [
        [
            draw(
                strategies.sampled_from((0.0, 0.25, -7.5, 1e8))
                | strategies.floats(-90, 90, width=32)
            )
            for _ in range(2)
        ]
        for _ in range(slices)
    ]
    shifts[slices // 2] = [0.0, 0.0]
    return (
        image,
        np.array(spacing, np.float32),
        np.array(center, np.float32) + np.array(shifts, np.float32),
        draw(strategies.booleans()),
        np.array(padding, np.int32),
    )


@pytest.mark.slow
@hypothesis.settings(max_examples=80, deadline=None)
@hypothesis.given(_places(), strategies.sampled_from(_ROIS))
def test_graph_crop_equals_the_converters(place, size):
    _equal(_graph_crop(*size, place[0].shape[2])(*place), _converted(*place, *size))


@hypothesis.settings(max_examples=8, deadline=None)
@hypothesis.given(_places())
def test_eager_crop_equals_the_converters(place):
    image, spacing, centers, mirror, padding = place
    found = graph.crop(
        tf.constant(image), spacing, centers, tf.constant(mirror), padding, roi_mm=50.0, roi_px=16
    )
    _equal(found, _converted(image, spacing, centers, mirror, padding, 50.0, 16))


@pytest.mark.slow
def test_crop_inside_a_dataset_equals_the_converters():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 4096, (90, 70, 3)).astype(np.uint16)
    spacing, padding = np.array([0.7, 0.43], np.float32), np.array([9, 40], np.int32)
    centers = rng.uniform(-0.5, 69.0, (5, 3, 2)).astype(np.float32)
    cut = functools.partial(graph.crop, roi_mm=50.0, roi_px=64)
    crops = tf.data.Dataset.from_tensor_slices(centers).map(
        lambda center: cut(tf.constant(image), spacing, center, tf.constant(True), padding),
        num_parallel_calls=2,
    )
    for center, found in zip(centers, crops, strict=True):
        _equal(found, _converted(image, spacing, center, True, padding, 50.0, 64))


@pytest.mark.slow
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


@pytest.mark.parametrize("padding", [(1, 0), (0, 0), (100, 900), (900, 70_000), (0, 1498)])
def test_window_without_padding_equals_the_converters(padding):
    pixels = np.random.default_rng(0).integers(0, 1500, (50, 60)).astype(np.uint16)
    is_tissue = (pixels < padding[0]) | (pixels > padding[1])
    found = _graph_window(pixels, np.array(padding, np.int32))
    np.testing.assert_array_equal(found.numpy(), roi.window(pixels, is_tissue))


def test_slice_that_is_all_padding_has_no_window():
    with pytest.raises(tf.errors.InvalidArgumentError, match="no pixel that is no padding"):
        _graph_window(np.zeros((3, 4), np.uint16), np.array([0, 5], np.int32))


@tf.function(input_signature=[tf.TensorSpec([None, None], tf.uint16), tf.TensorSpec([2], tf.int32)])
def _window_without_padding(pixels, padding):
    return graph.slice_window(pixels, padding)


def _graph_window(pixels, padding=(1, 0)):
    return _window_without_padding(pixels, np.array(padding, np.int32))
