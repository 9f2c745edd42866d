"""Published weights: every backbone takes them, scales its input for them, and opens its end."""

import dataclasses
import inspect
import pathlib
import re
import shutil
import sys
from typing import Any

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

from spine_tf.configuration import backbones, config, model_configs, overrides, pretrained_configs
from spine_tf.models import efficientnet_lite, families, pretrained, state_dict
from spine_tf.training import loop

_SMALLEST = "mobilenetv3small"
_PACKAGE = backbones.BACKBONES["efficientnet_lite0"].weights_package
_OF_KERAS = [name for name, row in backbones.BACKBONES.items() if not row.weights_package]
# The module of keras.applications with the backbone's preprocess_input.
_MODULES = {
    "convnext": "convnext",
    "densenet": "densenet",
    "efficientnetv2": "efficientnet_v2",
    "mobilenetv2": "mobilenet_v2",
    "mobilenetv3": "mobilenet_v3",
    "resnet50": "resnet",
    "resnet50v2": "resnet_v2",
    "resnet101v2": "resnet_v2",
    "vgg16": "vgg16",
    "xception": "xception",
}


def _as_published(name: str, **options: Any) -> keras.Model:
    """The network as its source gives it, with whatever scaling it has inside."""
    if name not in _OF_KERAS:
        return efficientnet_lite.build(**({"input_shape": (None, None, 3)} | options))
    constructor = getattr(keras.applications, backbones.BACKBONES[name].constructor)
    return constructor(include_top=False, weights=None, **options)


def _save_published(name: str, path: pathlib.Path, **options: Any) -> keras.Model:
    """Writes a file of the published format whose weights are random, none of them zero or one."""
    model = _as_published(name, **options)
    generator = np.random.default_rng(5)
    # Variances must be positive; the others' signs don't matter.
    model.set_weights([generator.uniform(0.02, 0.08, w.shape) for w in model.get_weights()])
    model.save_weights(path)
    return model


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """ResNet-50 without its top, other than a new one's weights."""
    keras.utils.set_random_seed(5)
    model = keras.applications.ResNet50(include_top=False, weights=None)
    path = tmp_path_factory.mktemp("weights") / "resnet50_notop.weights.h5"
    model.save_weights(path)
    return path


@pytest.fixture(scope="module")
def small_published(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The smallest backbone's file."""
    path = tmp_path_factory.mktemp("weights") / "mobilenet_notop.weights.h5"
    _save_published(_SMALLEST, path)
    return path


def _transfer(name: str = _SMALLEST, **changes: Any) -> pretrained_configs.TransferConfig:
    return pretrained_configs.TransferConfig(backbone=name, **changes)


@pytest.mark.slow
@pytest.mark.parametrize("name", backbones.BACKBONES)
def test_table_says_what_is_built(name: str) -> None:
    network = backbones.BACKBONES[name]
    side = network.least_px
    # What is built, without the seconds that random weights take.
    with keras.StatelessScope(initialize_variables=False):
        built = families.build_model(_transfer(name, weights="none"), (side, side, 3), 2)
    backbone = built.get_layer("backbone")
    matches = [re.match(network.block, layer.name) for layer in backbone.layers]
    assert len({match.group() for match in matches if match}) == network.num_blocks
    with pytest.raises(ValueError, match=f"at least {side} px, the model's input has {side - 1}"):
        families.build_model(_transfer(name, weights="none"), (side - 1, side - 1, 1), 2)


@pytest.mark.parametrize("name", _OF_KERAS)
def test_table_says_which_networks_of_keras_scale_their_input(name: str) -> None:
    network = backbones.BACKBONES[name]
    constructor = getattr(keras.applications, network.constructor)
    takes_flag = "include_preprocessing" in inspect.signature(constructor).parameters
    assert takes_flag == network.scales_itself


@pytest.mark.parametrize("name", backbones.BACKBONES)
def test_input_is_scaled_as_its_source_scales_it(name: str) -> None:
    images = np.random.default_rng(0).random((2, 4, 4, 1)).astype(np.float32)
    expected = _preprocess(name, 255.0 * np.tile(images, 3))
    # What networks that scale themselves do inside: their source, keras 3.15.
    inside = {"convnext": "torch", "efficientnetv2": "torch", "mobilenetv3": "tf"}
    for prefix, mode in inside.items():
        if name.startswith(prefix):
            expected = keras.applications.imagenet_utils.preprocess_input(expected, mode=mode)
    inputs = keras.Input((4, 4, 1))
    scaled = pretrained._scale(inputs, _transfer(name).scaling)
    np.testing.assert_allclose(keras.Model(inputs, scaled)(images), expected, rtol=1e-5, atol=2e-4)


def _preprocess(name: str, rgb: np.ndarray) -> np.ndarray:
    """What the source does to RGB of 0-255 outside of the network."""
    if name not in _OF_KERAS:
        return (rgb - 127.0) / 128.0
    module = getattr(keras.applications, next(m for p, m in _MODULES.items() if _is(name, p)))
    return module.preprocess_input(rgb)


def _is(name: str, prefix: str) -> bool:
    return re.fullmatch(rf"{prefix}(_\w+|b\d|small|large|121|169)?", name) is not None


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["convnext_tiny", "efficientnet_lite0", "efficientnetv2b0", "mobilenetv3small"]
)
def test_weights_of_a_file_give_the_features_keras_gives(name: str, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "notop.weights.h5"
    reference = _save_published(name, path, pooling="avg", input_shape=(32, 32, 3))
    settings = _transfer(name, weights=str(path), dropout=0.0)
    model = families.build_model(settings, (32, 32, 3), 2)
    pretrained.load_weights(model, settings)
    grey = np.random.default_rng(1).random((2, 32, 32, 1)).astype(np.float32)
    # Networks that scale themselves take 0-255 as they are; Keras' own function scales for others.
    expected = reference(_preprocess(name, 255.0 * np.tile(grey, 3)), training=False)
    features = _features_of(model, np.tile(grey, 3))
    np.testing.assert_allclose(features, expected, rtol=2e-3, atol=1e-4)
    assert np.ptp(features) > 0


def _features_of(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """What the backbone gives inside the model."""
    position = model.layers.index(model.get_layer("backbone"))
    return keras.Model(model.input, model.layers[position + 1].input)(
        images, training=False
    ).numpy()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "num_slices"),
    [
        ("convnext_tiny", 5),
        ("efficientnet_lite0", 5),
        ("efficientnetv2b0", 3),
        ("mobilenetv3small", 5),
    ],
)
def test_backbone_learns_and_survives_saving(
    name: str, num_slices: int, tmp_path: pathlib.Path
) -> None:
    keras.utils.set_random_seed(2)
    settings = _transfer(name, weights="none", units=(8,), dropout=0.0)
    model = families.build_model(settings, (32, 32, num_slices), 3)
    images = np.random.default_rng(0).random((6, 32, 32, num_slices)).astype(np.float32)
    truth = np.array([0, 1, 2, 0, 1, 2])
    # Without batch statistics activations die out before a network has learnt any.
    training = name.startswith("mobilenet")
    with tf.GradientTape() as tape:
        before = _loss(model, images, truth, training)
    gradients = tape.gradient(before, model.trainable_variables)
    norm = tf.linalg.global_norm(gradients)
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        variable.assign_sub(0.01 * gradient / norm)
    assert float(_loss(model, images, truth, training)) < float(before)

    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras", compile=False)
    np.testing.assert_array_equal(loaded(images), model(images))


def _loss(model: keras.Model, images: np.ndarray, truth: np.ndarray, training: bool) -> tf.Tensor:
    answers = model(images, training=training)
    return tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(truth, answers))


@pytest.mark.slow
def test_dropout_inside_a_backbone_is_a_function_of_seed_and_epoch() -> None:
    model = families.build_model(_transfer("efficientnetv2b0", weights="none"), (32, 32, 1), 3)
    found = []
    for epoch in (3, 4, 3):
        loop._seed_dropout(model, 0, epoch)
        layers = [*loop._dropout_layers(model)]
        found.append([layer.seed_generator.state.numpy().tolist() for layer in layers])
    assert len(found[0]) > 10
    assert found[0] == found[2] != found[1]


@pytest.mark.slow
def test_published_weights_give_the_published_features(published: pathlib.Path) -> None:
    settings = pretrained_configs.ResNet50Config(weights=str(published))
    model = families.build_model(settings, (64, 64, 3), 2)
    pretrained.load_weights(model, settings)
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
@pytest.mark.parametrize("by_path", [False, True])
def test_weights_of_a_package_give_the_published_features(by_path: bool) -> None:
    path = pretrained._installed(backbones.BACKBONES["efficientnet_lite0"])
    settings = _transfer("efficientnet_lite0", weights=str(path) if by_path else "imagenet")
    model = families.build_model(settings, (32, 32, 3), 2)
    pretrained.load_weights(model, settings)
    reference = efficientnet_lite.build((32, 32, 3), "avg")
    efficientnet_lite.set_published(reference, state_dict.read_state_dict(path))
    grey = np.random.default_rng(1).random((2, 32, 32, 1)).astype(np.float32)
    # Three equal slices: a third of the first kernel on each.
    np.testing.assert_allclose(
        _features_of(model, np.tile(grey, 3)),
        reference((255.0 * np.tile(grey, 3) - 127.0) / 128.0, training=False),
        rtol=1e-4,
        atol=1e-5,
    )


@pytest.mark.slow
def test_weights_of_a_package_that_is_not_installed_say_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, _PACKAGE, None)
    settings = _transfer("efficientnet_lite0")
    model = families.build_model(settings, (32, 32, 1), 2)
    with pytest.raises(ValueError, match=r"EfficientNetLite0 are in .*install 'spine-tf\[lite0\]'"):
        pretrained.load_weights(model, settings)


@pytest.mark.slow
def test_state_dict_that_does_not_fit_is_named(tmp_path: pathlib.Path) -> None:
    model = families.build_model(_transfer("efficientnet_lite0"), (32, 32, 1), 2)

    def load(path: pathlib.Path) -> None:
        pretrained.load_weights(model, _transfer("efficientnet_lite0", weights=str(path)))

    with pytest.raises(ValueError, match=r"which is no file; .* an .h5, .keras or .pth file"):
        load(tmp_path / "none.pth")
    noise = tmp_path / "noise.pth"
    noise.write_bytes(b"no file of weights")
    with pytest.raises(ValueError, match=r"noise.pth does not hold the weights of EfficientNetL"):
        load(noise)


@pytest.mark.slow
def test_unfreeze_opens_the_last_blocks_without_their_normalisation(
    published: pathlib.Path,
) -> None:
    settings = pretrained_configs.ResNet50Config(weights=str(published), trainable_blocks=2)
    model = families.build_model(settings, (32, 32, 1), 2)
    backbone = model.get_layer("backbone")
    assert not backbone.trainable_variables
    pretrained.unfreeze(model, settings)
    opened = {layer.name for layer in backbone.layers if layer.trainable and layer.weights}
    assert opened == {f"conv5_block{b}_{c}_conv" for b in (2, 3) for c in (1, 2, 3)}
    pretrained.unfreeze(model, dataclasses.replace(settings, trainable_blocks=0))
    assert not backbone.trainable_variables


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "block", "after"),
    [
        ("mobilenetv3small", "expanded_conv_10_", "conv_1"),
        # Its name begins as the first block's does.
        ("efficientnet_lite0", "block16_", "head_conv"),
    ],
)
def test_unfreeze_opens_what_follows_the_blocks_too(name: str, block: str, after: str) -> None:
    settings = _transfer(name, trainable_blocks=1)
    model = families.build_model(settings, (32, 32, 1), 2)
    pretrained.unfreeze(model, settings)
    backbone = model.get_layer("backbone")
    opened = [layer.name for layer in backbone.layers if layer.trainable and layer.weights]
    assert opened[-1] == after
    assert all(layer.startswith(block) for layer in opened[:-1])
    every = dataclasses.replace(settings, trainable_blocks=settings.network.num_blocks)
    pretrained.unfreeze(model, every)
    assert len(backbone.trainable_variables) > 2 * len(opened)


@pytest.mark.slow
def test_weights_that_are_missing_or_of_another_model_are_named(tmp_path: pathlib.Path) -> None:
    model = families.build_model(_transfer(weights="w.h5"), (32, 32, 1), 2)

    def load(path: pathlib.Path) -> None:
        pretrained.load_weights(model, _transfer(weights=str(path)))

    with pytest.raises(ValueError, match=r"none.h5', which is no file; expected imagenet, none"):
        load(tmp_path / "none.h5")
    other = tmp_path / "other.weights.h5"
    families.build_model(model_configs.SimpleConfig(), (32, 32, 1), 2).save_weights(other)
    with pytest.raises(ValueError, match=r"other.weights.h5 does not hold the weights of MobileN"):
        load(other)
    noise = tmp_path / "noise.h5"
    noise.write_bytes(b"no file of weights")
    with pytest.raises(ValueError, match=r"noise.h5 does not hold the weights"):
        load(noise)


@pytest.mark.slow
def test_weights_of_a_part_are_no_silent_random_start(
    small_published: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    partial = tmp_path / "partial.weights.h5"
    shutil.copy(small_published, partial)
    with h5py.File(partial, "r+") as file:
        del file["layers/conv2d_7"]
    settings = _transfer(weights=str(partial))
    model = families.build_model(settings, (32, 32, 1), 2)
    with pytest.raises(ValueError, match=r"partial.weights.h5 does not hold the weights"):
        pretrained.load_weights(model, settings)


@pytest.mark.slow
def test_weights_that_can_not_be_downloaded_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    # A proxy that nobody answers at: no network, on any machine.
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    settings = _transfer()
    model = families.build_model(settings, (32, 32, 1), 2)
    message = (
        r"MobileNetV3Small could not be downloaded: fetch weights_mobilenet_v3_small_224.*unit"
    )
    with pytest.raises(ValueError, match=message):
        pretrained.load_weights(model, settings)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("model.backbone=vgg", "backbone is 'vgg', expected one of convnext_tiny"),
        ("model.trainable_blocks=22", "trainable_blocks is 22, expected 0 to 21"),
        ("model.weights_scaling=imagenet", "expected one of auto, caffe, torch, unit, lite"),
        ("model.feature_copies=-1", "feature_copies is -1, expected 0"),
    ],
)
def test_setting_that_does_not_fit_the_backbone_is_refused(setting: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        overrides.apply(config.default_config("binary", "transfer"), [setting])


@pytest.mark.parametrize(
    ("settings", "scaling"),
    [
        (pretrained_configs.ResNet50Config(), "caffe"),
        (pretrained_configs.ResNet50Config(weights="radimagenet.h5"), "unit"),
        (pretrained_configs.ResNet50Config(weights="w.h5", weights_scaling="caffe"), "caffe"),
        (pretrained_configs.TransferConfig(backbone="resnet50", weights="w.h5"), "caffe"),
        (pretrained_configs.TransferConfig(backbone="densenet121"), "torch"),
        (pretrained_configs.TransferConfig(weights_scaling="unit"), "unit"),
        (pretrained_configs.TransferConfig(backbone="efficientnet_lite0", weights="w.pth"), "lite"),
    ],
)
def test_scaling_follows_the_weights(
    settings: pretrained_configs.PretrainedConfig, scaling: str
) -> None:
    assert settings.scaling == scaling
