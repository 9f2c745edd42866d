"""The U-Net: sides of its heatmaps, what it refuses, and that it sees the whole image."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from spine_tf.configuration import config, overrides
from spine_tf.models import families, heads


def _settings(*changes: str) -> config.Config:
    made = config.default_config("landmarks", "unet")
    return overrides.apply(made, ["model.filters=[4,6,8]", *changes])


@pytest.mark.parametrize(
    ("changes", "side"),
    [
        ([], 8),
        (["model.output_stride=2"], 16),
        (["model.output_stride=8", "model.pooling=average"], 4),
        (["model.stem_stride=1", "model.output_stride=1", "model.dropout=0.2"], 32),
        (["model.input_px=16", "model.output_stride=2"], 8),
    ],
)
def test_heatmaps_have_the_stride_that_was_asked_for(changes: list[str], side: int) -> None:
    model = families.build_network(
        _settings(*changes).model, (32, 32, 3), heads.Heatmaps(num_channels=10), record_mm=32.0
    )
    found = model(np.zeros((1, 32, 32, 3), np.float32)).numpy()
    assert found.shape == (1, side, side, 10)
    # Most of a heatmap is background.
    assert found.max() < 0.1


def test_each_place_depends_on_the_whole_image() -> None:
    keras.utils.set_random_seed(1)
    settings = _settings("model.filters=[4,6,8,8]", "model.norm=none", "model.blocks_per_stage=3")
    model = families.build_network(settings.model, (32, 32, 1), heads.Heatmaps(num_channels=1))
    image = tf.Variable(tf.random.stateless_uniform((1, 32, 32, 1), [1, 2]))
    with tf.GradientTape() as tape:
        corner = model(image)[0, 0, 0, 0]
    assert np.abs(tape.gradient(corner, image)[0, -4:, -4:]).max() > 0


@pytest.mark.slow
def test_gradients_in_float16_can_be_compiled() -> None:
    """As a GPU trains: XLA refuses operations whose sides are of different precision."""
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        model = families.build_network(
            _settings("model.filters=[2,2,2]", "model.pooling=average").model,
            (16, 16, 1),
            heads.Heatmaps(num_channels=1),
        )
    finally:
        keras.mixed_precision.set_global_policy("float32")

    @tf.function(jit_compile=True)
    def gradients(image: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(tf.cast(model(image, training=True), tf.float32))
        return tape.gradient(total, model.trainable_variables)

    found = gradients(tf.ones((2, 16, 16, 1)))
    assert all(np.isfinite(each.numpy()).all() for each in found)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["model.output_stride=3"], r"output_stride is 3, expected .* one of 2, 4, 8"),
        (["model.output_stride=16"], "output_stride is 16"),
        (["model.head=ordinal"], "heatmaps have none"),
        (["model.condition_input=true"], "windows are of no condition"),
    ],
)
def test_what_can_not_be_is_refused(changes: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _settings(*changes)


def test_a_side_that_can_not_be_halved_so_often_is_refused() -> None:
    with pytest.raises(ValueError, match="sees 36 px, expected a multiple of 8"):
        families.build_network(_settings().model, (36, 36, 3), heads.Heatmaps(num_channels=2))


def test_classes_and_points_are_learned_by_families_of_their_own() -> None:
    with pytest.raises(ValueError, match="task binary is not learned by model family unet"):
        config.default_config("binary", "unet")
    with pytest.raises(ValueError, match=r"task landmarks .* dense: choose one of unet"):
        config.default_config("landmarks", "dense")
