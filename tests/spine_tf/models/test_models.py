import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from spine_tf.configuration import config, model_configs, overrides, pretrained_configs
from spine_tf.models import families, heads

_SMALL = {
    "simple": model_configs.SimpleConfig(filters=(4, 8), units=8),
    "dense": model_configs.DenseConfig(filters=(4, 8), units=(8,)),
    "densenet": model_configs.DenseNetConfig(stem_filters=4, growth_rate=4, blocks=(1, 2)),
    "residual": model_configs.ResidualConfig(filters=(4, 8)),
    "slices": model_configs.SlicesConfig(filters=(4, 8), slice_units=4),
    "resnet50": pretrained_configs.ResNet50Config(weights="none"),
}


def _images(num_slices: int = 1, side: int = 32, count: int = 6) -> np.ndarray:
    return np.random.default_rng(0).random((count, side, side, num_slices), np.float32)


@pytest.mark.parametrize("num_slices", [1, 3, 5])
@pytest.mark.parametrize("family", [name for name in _SMALL if name != "resnet50"])
def test_family_gives_probabilities_for_any_number_of_slices(family: str, num_slices: int) -> None:
    model = families.build_model(_SMALL[family], (32, 32, num_slices), 3)
    answer = model(_images(num_slices)).numpy()
    assert answer.shape == (6, 3)
    assert answer.dtype == np.float32
    np.testing.assert_allclose(answer.sum(axis=1), 1.0, atol=1e-6)
    assert not model.compiled


@pytest.mark.slow
@pytest.mark.parametrize("num_slices", [1, 3])
def test_resnet50_takes_any_number_of_slices(num_slices: int) -> None:
    model = families.build_model(_SMALL["resnet50"], (32, 32, num_slices), 2)
    assert model(_images(num_slices)).shape == (6, 2)


@pytest.mark.slow
@pytest.mark.parametrize("head", ["softmax", "ordinal"])
@pytest.mark.parametrize("family", [name for name in _SMALL if name != "resnet50"])
def test_one_step_lowers_the_loss_and_the_model_survives_saving(
    family: str, head: str, tmp_path: pathlib.Path
) -> None:
    settings = overrides.apply(
        config.Config(task="multiclass", model=_SMALL[family]), [f"model.head={head}"]
    )
    keras.utils.set_random_seed(1)
    model = families.build_model(settings.model, (32, 32, 1), 3)
    images, truth = _images(), np.array([0, 1, 2, 0, 1, 2])
    # Inference mode: dropout would make the two losses incomparable.
    with tf.GradientTape() as tape:
        before = _loss(model, images, truth)
    gradients = tape.gradient(before, model.trainable_variables)
    keras.optimizers.SGD(0.01).apply(gradients, model.trainable_variables)
    assert float(_loss(model, images, truth)) < float(before)

    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras", compile=False)
    np.testing.assert_array_equal(loaded(images), model(images))


def _loss(model: keras.Model, images: np.ndarray, truth: np.ndarray) -> tf.Tensor:
    return tf.reduce_mean(
        keras.losses.sparse_categorical_crossentropy(truth, model(images, training=False))
    )


def test_input_larger_than_the_crop_is_refused() -> None:
    with pytest.raises(ValueError, match="input_px is 64, but the crops have 32 px"):
        families.build_model(model_configs.SimpleConfig(input_px=64), (32, 32, 1), 2)


def test_ordinal_probabilities_are_those_of_the_cumulative_link() -> None:
    layer = heads.OrdinalThresholds(3)
    layer.build((None, 1))
    layer.first.assign([-1.0])
    layer.steps.assign([np.log(np.expm1(2.0))])  # softplus gives a step of 2: thresholds -1, 1
    sigmoid = 1 / (1 + np.exp(1.0))
    np.testing.assert_allclose(
        layer(np.zeros((1, 1), np.float32)), [[sigmoid, 1 - 2 * sigmoid, sigmoid]], atol=1e-6
    )


def test_ordinal_mean_rises_with_the_score() -> None:
    layer = heads.OrdinalThresholds(4)
    scores = np.linspace(-3, 3, 7, dtype=np.float32)[:, np.newaxis]
    mean = layer(scores).numpy() @ np.arange(4)
    assert (np.diff(mean) > 0).all()


def test_resnet50_below_its_smallest_side_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 32 px, the model's input has 16"):
        families.build_model(pretrained_configs.ResNet50Config(weights="none"), (16, 16, 1), 2)
