import pathlib
import shutil

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

from spine_tf import config, model_configs
from spine_tf.models import blocks, families, resnet50

_SMALL = {
    "simple": model_configs.SimpleConfig(filters=(4, 8), units=8),
    "dense": model_configs.DenseConfig(filters=(4, 8), units=(8,)),
    "densenet": model_configs.DenseNetConfig(stem_filters=4, growth_rate=4, blocks=(1, 2)),
    "residual": model_configs.ResidualConfig(filters=(4, 8)),
    "resnet50": model_configs.ResNet50Config(weights="none"),
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


@pytest.mark.parametrize("head", ["softmax", "ordinal"])
@pytest.mark.parametrize("family", [name for name in _SMALL if name != "resnet50"])
def test_one_step_lowers_the_loss_and_the_model_survives_saving(
    family: str, head: str, tmp_path: pathlib.Path
) -> None:
    settings = config.with_settings(
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


@pytest.mark.parametrize(("input_px", "layer"), [(16, "AveragePooling2D"), (24, "Resizing")])
def test_input_is_resized_in_the_model(input_px: int, layer: str) -> None:
    model = families.build_model(model_configs.SimpleConfig(input_px=input_px), (32, 32, 1), 2)
    assert type(model.get_layer("resize")).__name__ == layer
    assert model.get_layer("resize").output.shape == (None, input_px, input_px, 1)


def test_input_larger_than_the_crop_is_refused() -> None:
    with pytest.raises(ValueError, match="input_px is 64, but the crops have 32 px"):
        families.build_model(model_configs.SimpleConfig(input_px=64), (32, 32, 1), 2)


def test_ordinal_probabilities_are_those_of_the_cumulative_link() -> None:
    layer = blocks.OrdinalThresholds(3)
    layer.build((None, 1))
    layer.first.assign([-1.0])
    layer.steps.assign([np.log(np.expm1(2.0))])  # softplus gives a step of 2: thresholds -1, 1
    sigmoid = 1 / (1 + np.exp(1.0))
    np.testing.assert_allclose(
        layer(np.zeros((1, 1), np.float32)), [[sigmoid, 1 - 2 * sigmoid, sigmoid]], atol=1e-6
    )


def test_ordinal_mean_rises_with_the_score() -> None:
    layer = blocks.OrdinalThresholds(4)
    scores = np.linspace(-3, 3, 7, dtype=np.float32)[:, np.newaxis]
    mean = layer(scores).numpy() @ np.arange(4)
    assert (np.diff(mean) > 0).all()


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A file of the published format: ResNet-50 without its top, other than a new one's weights."""
    keras.utils.set_random_seed(5)
    model = keras.applications.ResNet50(include_top=False, weights=None)
    path = tmp_path_factory.mktemp("weights") / "resnet50_notop.weights.h5"
    model.save_weights(path)
    return path


@pytest.mark.slow
def test_published_weights_give_the_published_features(published: pathlib.Path) -> None:
    settings = model_configs.ResNet50Config(weights=str(published))
    model = families.build_model(settings, (64, 64, 3), 2)
    resnet50.load_weights(model, str(published))
    backbone = model.get_layer("backbone")
    reference = keras.applications.ResNet50(include_top=False, weights=None, pooling="avg")
    reference.load_weights(published)
    grey = np.random.default_rng(1).normal(size=(2, 64, 64, 1)).astype(np.float32)
    # Three equal slices, each as RGB: nine channels, a third of the kernel on each slice.
    np.testing.assert_allclose(
        backbone(np.tile(grey, 9), training=False),
        reference(np.tile(grey, 3), training=False),
        rtol=1e-3,
        atol=1e-4,
    )


@pytest.mark.slow
def test_unfreeze_opens_the_last_blocks_without_their_normalisation(
    published: pathlib.Path,
) -> None:
    settings = model_configs.ResNet50Config(weights=str(published))
    model = families.build_model(settings, (32, 32, 1), 2)
    backbone = model.get_layer("backbone")
    assert not backbone.trainable_variables
    resnet50.unfreeze(model, 2)
    opened = {layer.name for layer in backbone.layers if layer.trainable and layer.weights}
    assert opened == {f"conv5_block{b}_{c}_conv" for b in (2, 3) for c in (1, 2, 3)}
    resnet50.unfreeze(model, 0)
    assert not backbone.trainable_variables


@pytest.mark.slow
def test_weights_that_are_missing_or_of_another_model_are_named(tmp_path: pathlib.Path) -> None:
    model = families.build_model(model_configs.ResNet50Config(weights="w.h5"), (32, 32, 1), 2)
    with pytest.raises(ValueError, match=r"none.h5', which is no file; expected imagenet, none"):
        resnet50.load_weights(model, str(tmp_path / "none.h5"))
    other = tmp_path / "other.weights.h5"
    families.build_model(model_configs.SimpleConfig(), (32, 32, 1), 2).save_weights(other)
    with pytest.raises(ValueError, match=r"other.weights.h5 does not hold the weights"):
        resnet50.load_weights(model, str(other))
    noise = tmp_path / "noise.h5"
    noise.write_bytes(b"no file of weights")
    with pytest.raises(ValueError, match=r"noise.h5 does not hold the weights"):
        resnet50.load_weights(model, str(noise))


@pytest.mark.slow
def test_weights_of_a_part_are_no_silent_random_start(
    published: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    partial = tmp_path / "partial.weights.h5"
    shutil.copy(published, partial)
    with h5py.File(partial, "r+") as file:
        del file["layers/conv2d_7"]
    model = families.build_model(model_configs.ResNet50Config(weights="w.h5"), (32, 32, 1), 2)
    with pytest.raises(ValueError, match=r"partial.weights.h5 does not hold the weights"):
        resnet50.load_weights(model, str(partial))


def test_resnet50_below_its_smallest_side_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 32 px, the model's input has 16"):
        families.build_model(model_configs.ResNet50Config(weights="none"), (16, 16, 1), 2)
