"""The one sampler, at rest and in any pose, and the points that move with the pixels."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings, strategies as st
from scipy import ndimage

from spine_tf.augmentation import changes, field_of_view, poses, sampler
from spine_tf.configuration import data_config, model_configs

_CONTEXT = field_of_view.FieldOfView(record_px=64, record_mm=80.0, input_px=24, pitch=5 / 3)
_MOVING = data_config.AugmentationConfig(
    unchanged=0, rotation_degrees=30, shift=0.1, scale=0.2, contrast=0, brightness=0
)


def _images(side: int, count: int = 2, slices: int = 2) -> tf.Tensor:
    smooth = np.random.default_rng(0).random((count, side, side, slices))
    return tf.constant(ndimage.gaussian_filter(smooth, (0, 1.5, 1.5, 0)).astype(np.float32))


def _view(roi_mm: float, roi_px: int, input_mm: float, input_px: int) -> field_of_view.FieldOfView:
    model = model_configs.SimpleConfig(input_mm=input_mm, input_px=input_px)
    return field_of_view.make(model, roi_px, roi_mm)


def _sampled(images: tf.Tensor, view: field_of_view.FieldOfView, **pose: Any) -> tf.Tensor:
    at_rest = poses.at_rest(len(images))
    chosen = dataclasses.replace(at_rest, **{n: tf.constant(v) for n, v in pose.items()})
    return sampler.sample(images, poses.matrices(chosen, view), view)


@pytest.mark.slow
@pytest.mark.parametrize(
    "view",
    [
        _CONTEXT,
        _view(50.0, 64, 30.0, 0),
        _view(50.0, 64, 0.0, 32),
        _view(50.0, 64, 50.0, 68),
    ],
    ids=str,
)
def test_at_rest_both_ways_give_the_same(view: field_of_view.FieldOfView) -> None:
    images = _images(64)
    found = sampler.at_rest(images, view)
    assert found.shape == (2, view.input_px, view.input_px, 2)
    np.testing.assert_allclose(_sampled(images, view), found, atol=2e-6)


def test_the_region_on_the_records_own_pixels_is_cut_out() -> None:
    images = _images(64)
    view = _view(80.0, 64, 50.0, 0)
    assert (view.input_px, view.pitch) == (40, 1.0)
    np.testing.assert_array_equal(sampler.at_rest(images, view), images[:, 12:-12, 12:-12])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("view", "is_exact"),
    [
        (_view(80.0, 320, 50.0, 128), True),
        (_view(50.0, 128, 50.0, 64), True),
        (_view(80.0, 160, 50.0, 100), False),
    ],
    ids=str,
)
def test_noise_passes_at_rest_as_in_any_pose(
    view: field_of_view.FieldOfView, is_exact: bool
) -> None:
    generator = np.random.default_rng(1)
    noise = tf.constant(generator.normal(size=(24, view.record_px, view.record_px, 1)), tf.float32)
    inside = slice(view.input_px // 4, -view.input_px // 4)
    turning = dataclasses.replace(_MOVING, rotation_degrees=180, shift=0.01, scale=0.05)
    drawn = poses.matrices(poses.draw(24, tf.constant([0, 1]), turning), view)
    moved = sampler.sample(noise, drawn, view)[:, inside, inside]
    at_rest = sampler.at_rest(noise, view)[:, inside, inside]
    gain = float(tf.math.reduce_std(at_rest) / tf.math.reduce_std(moved))
    # As many pixels as the record has: at rest they are its own, sharper than between them.
    assert (abs(gain - 1) < 0.03) == is_exact


@pytest.mark.parametrize(
    ("view", "most"),
    [
        (_view(80.0, 320, 50.0, 128), 0.04),
        (_view(80.0, 240, 50.0, 100), 0.04),
        (_view(60.0, 256, 50.0, 122), 0.04),
        (_view(50.0, 256, 50.0, 128), 0.04),
    ],
    ids=str,
)
def test_noise_passes_alike_along_a_row(view: field_of_view.FieldOfView, most: float) -> None:
    gains = np.square(view.axis_weights()[2:-2]).sum(axis=1)
    assert gains.max() / gains.min() < 1 + most
    # Of as many pixels as the record has, those on its grid are sharper than those between.
    finer = dataclasses.replace(view, pitch=65 / 64)
    gains = np.square(finer.axis_weights()[2:-2]).sum(axis=1)
    assert gains.max() / gains.min() > 1.5


@pytest.mark.slow
def test_a_turned_record_has_tissue_in_its_corners() -> None:
    bright = tf.ones((1, 64, 64, 1))
    turned = {"angle": [0.5], "jitter_xy_mm": [[3.0, -3.0]]}
    np.testing.assert_allclose(_sampled(bright, _CONTEXT, **turned), 1.0, atol=1e-5)
    whole = _view(80.0, 64, 0.0, 24)
    assert float(_sampled(bright, whole, **turned)[0, 0, 0, 0]) == 0.0


def test_pose_is_scipys_affine_transform() -> None:
    images = _images(64)
    view = field_of_view.whole(64, side_mm=64.0)
    pose = {
        "angle": [0.2, -0.1],
        "zoom": [1.1, 0.8],
        "stretch": [1.0, 1.3],
        "shear": [0.0, 0.1],
        "shift_xy": [[0.05, -0.02], [0.0, 0.1]],
        "jitter_xy_mm": [[1.0, 2.0], [-3.0, 0.5]],
        "is_flipped": [False, True],
    }
    chosen = dataclasses.replace(
        poses.at_rest(2), **{name: tf.constant(value) for name, value in pose.items()}
    )
    matrices = poses.matrices(chosen, view).numpy().astype(np.float64)
    found = sampler.sample(images, tf.constant(matrices, tf.float32), view).numpy()
    for image, matrix, sampled in zip(images.numpy(), matrices, found, strict=True):
        by_row = matrix[::-1, [1, 0, 2]]
        expected = ndimage.affine_transform(
            image[..., 0], by_row[:, :2], by_row[:, 2], order=1, mode="grid-constant"
        )
        np.testing.assert_allclose(sampled[..., 0], expected, atol=2e-4)


@settings(max_examples=20, deadline=None)
@given(
    angle=st.floats(-3, 3),
    zoom=st.floats(0.5, 2),
    stretch=st.floats(0.5, 2),
    shear=st.floats(-0.5, 0.5),
    shift=st.floats(-0.5, 0.5),
    jitter=st.floats(-20, 20),
    flipped=st.booleans(),
)
def test_points_move_with_their_pixels(
    angle: float,
    zoom: float,
    stretch: float,
    shear: float,
    shift: float,
    jitter: float,
    flipped: bool,
) -> None:
    pose = poses.Poses(
        angle=tf.constant([angle], tf.float32),
        zoom=tf.constant([zoom], tf.float32),
        stretch=tf.constant([stretch], tf.float32),
        shear=tf.constant([shear], tf.float32),
        shift_xy=tf.constant([[shift, -shift]], tf.float32),
        jitter_xy_mm=tf.constant([[jitter, 1.0]], tf.float32),
        is_flipped=tf.constant([flipped]),
    )
    matrices = poses.matrices(pose, _CONTEXT)
    pixels = np.array([[0, 0], [23, 5], [11.5, 11.5]], np.float32)
    places = pixels @ matrices.numpy()[0, :, :2].T + matrices.numpy()[0, :, 2]
    found = poses.move_points(tf.constant(places[np.newaxis]), matrices)
    np.testing.assert_allclose(found[0], pixels, atol=1e-3)


def test_a_point_lies_where_its_pixel_went() -> None:
    image = np.zeros((1, 64, 64, 1), np.float32)
    image[0, 20:23, 40:43] = 1.0
    drawn = poses.matrices(poses.draw(1, tf.constant([3, 0]), _MOVING), _CONTEXT)
    sampled = sampler.sample(tf.constant(image), drawn, _CONTEXT).numpy()[0, :, :, 0]
    rows, columns = np.indices(sampled.shape)
    center = [(grid * sampled).sum() / sampled.sum() for grid in (columns, rows)]
    point = poses.move_points(tf.constant([[[41.0, 21.0]]]), drawn)
    np.testing.assert_allclose(point[0, 0], center, atol=0.1)


def test_operations_one_by_one_give_what_one_loop_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    images, view = _images(64), _CONTEXT
    drawn = poses.matrices(poses.draw(2, tf.constant([0, 0]), _MOVING), view)
    compiled = sampler.sample(images, drawn, view)
    monkeypatch.setattr("sys.platform", "darwin")
    np.testing.assert_allclose(sampler.sample(images, drawn, view), compiled, atol=1e-6)


def test_kept_images_are_what_the_model_is_served() -> None:
    images = _images(64)
    kept = dataclasses.replace(_MOVING, unchanged=1.0, noise=0.2)
    seeds = tf.constant([[0, 0], [0, 1]])
    found = changes.augment(images, seeds, kept, _CONTEXT)
    np.testing.assert_allclose(found, sampler.at_rest(images, _CONTEXT), atol=2e-6)


def test_weights_sum_to_one_wherever_a_pixel_stands() -> None:
    for view in (_CONTEXT, _view(80.0, 320, 50.0, 128), _view(50.0, 64, 40.0, 16)):
        np.testing.assert_allclose(view.axis_weights().sum(axis=1), 1.0, rtol=1e-6)


@pytest.mark.parametrize(
    ("settings_of_model", "record_mm", "message"),
    [
        ({"input_mm": 60.0}, 50.0, "input_mm is 60, but the crops have 50 mm: convert with a lar"),
        ({"input_px": 64}, 50.0, "input_px is 64, but the crops have 32 px .* --roi_px"),
        ({"input_mm": 25.0, "input_px": 32}, 50.0, "input_px is 32, but the crops have 16 px"),
        ({"input_mm": 25.0}, None, "25 mm of a crop whose side in millimetres is not known"),
    ],
)
def test_a_record_that_holds_too_little_is_refused(
    settings_of_model: dict[str, Any], record_mm: float | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        field_of_view.make(model_configs.SimpleConfig(**settings_of_model), 32, record_mm)
