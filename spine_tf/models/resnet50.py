"""ResNet-50 with a new head, from published weights or a random start."""

import pathlib
import warnings

import keras
import numpy as np

from spine_tf import model_configs
from spine_tf.models import blocks

# Mean of the ImageNet training images, blue, green, red, 0-255 (keras.applications, "caffe").
_CAFFE_MEAN = (103.939, 116.779, 123.68)
_NORM_MOMENTUM = 0.9


def build(
    model_config: model_configs.ResNet50Config, input_shape: tuple[int, int, int], num_classes: int
) -> keras.Model:
    """Returns the uncompiled model, float32 (batch, *input_shape) -> (batch, num_classes).

    The layer `backbone` is the convolutional part, (batch, side, side, 3 * slices) -> a vector:
    each slice stands as a grey RGB image. With weights it is frozen and runs in inference mode,
    batch normalisation included; `unfreeze` opens its last blocks. `load_weights` reads the weights
    themselves, so that a search can build many models without reading any.
    """
    image, x = blocks.make_input(model_config, input_shape)
    is_pretrained = model_config.weights != "none"
    x = _scale(x, _scaling(model_config))
    backbone = _backbone(x.shape[1:], model_config.pooling, input_shape[2])
    if is_pretrained:
        backbone.trainable = False
        x = backbone(x, training=False)
    else:
        for layer in backbone.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.momentum = _NORM_MOMENTUM
        x = backbone(x)
    x = build_head(x, model_config)
    return keras.Model(image, blocks.classify(x, model_config, num_classes), name="resnet50")


def build_head(
    x: keras.KerasTensor, model_config: model_configs.ResNet50Config
) -> keras.KerasTensor:
    """The hidden layers between the backbone's vector and the classifier."""
    for index, units in enumerate(model_config.units, start=1):
        x = keras.layers.Dense(units, model_config.activation, name=f"hidden{index}")(x)
    return x


def load_weights(model: keras.Model, weights: str) -> None:
    """Puts published weights into the backbone of a model that `build` returned.

    The first convolution's kernel is repeated over the slices and divided by their number.

    Args:
        model: the model.
        weights: "imagenet", or the path of an .h5 or .keras file of ResNet-50 without its top.

    Raises:
        ValueError: the file is missing or doesn't fit, or ImageNet's can't be had.
    """
    published = _read_published(weights)
    backbone = model.get_layer("backbone")
    for layer in backbone.layers:
        values = published.get_layer(layer.name).get_weights() if layer.weights else []
        if layer.name == "conv1_conv":
            kernel, bias = values
            copies = layer.kernel.shape[2] // kernel.shape[2]
            values = [np.tile(kernel, (1, 1, copies, 1)) / copies, bias]
        layer.set_weights(values)


def unfreeze(model: keras.Model, num_blocks: int) -> None:
    """Lets the last residual blocks train; batch normalisation stays as published."""
    backbone = model.get_layer("backbone")
    names = sorted({_block_of(layer) for layer in backbone.layers} - {""})
    chosen = names[len(names) - num_blocks :]
    backbone.trainable = True
    for layer in backbone.layers:
        is_norm = isinstance(layer, keras.layers.BatchNormalization)
        layer.trainable = _block_of(layer) in chosen and not is_norm


def _block_of(layer: keras.layers.Layer) -> str:
    """Returns conv5_block3 for conv5_block3_1_conv, nothing outside the residual blocks."""
    parts = layer.name.split("_")
    is_block = len(parts) > 2 and parts[1].startswith("block")
    return f"{parts[0]}_{parts[1]}" if is_block else ""


def _scaling(model_config: model_configs.ResNet50Config) -> str:
    if model_config.weights_scaling != "auto":
        return model_config.weights_scaling
    return "caffe" if model_config.weights == "imagenet" else "unit"


def _scale(x: keras.KerasTensor, scaling: str) -> keras.KerasTensor:
    num_slices = x.shape[-1]
    if num_slices == 1:
        x = keras.layers.Concatenate(name="grey_to_rgb")([x, x, x])
    else:
        # Slice after slice, each three times: the order in which the first kernel is repeated.
        x = keras.layers.Reshape((*x.shape[1:], 1), name="slices")(x)
        x = keras.layers.Concatenate(name="grey_to_rgb")([x, x, x])
        x = keras.layers.Reshape((*x.shape[1:3], 3 * num_slices), name="channels")(x)
    if scaling == "caffe":
        offset = [-mean for mean in _CAFFE_MEAN] * num_slices
        return keras.layers.Rescaling(255.0, offset, name="scale")(x)
    return keras.layers.Rescaling(2.0, -1.0, name="scale")(x)


def _backbone(shape: tuple[int, int, int], pooling: str, num_slices: int) -> keras.Model:
    if min(shape[:2]) < 32:
        raise ValueError(f"resnet50 needs at least 32 px, the model's input has {shape[0]}")
    return keras.applications.ResNet50(
        include_top=False,
        weights=None,
        input_shape=(*shape[:2], 3 * num_slices),
        pooling="max" if pooling == "max" else "avg",
        name="backbone",
    )


def _read_published(weights: str) -> keras.Model:
    if weights == "imagenet":
        try:
            return keras.applications.ResNet50(include_top=False, weights="imagenet")
        except Exception as err:  # Keras raises a bare Exception when a download fails.
            raise ValueError(
                "the ImageNet weights of ResNet-50 could not be downloaded: fetch "
                "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5 of keras.applications where "
                "there is a network and pass its path with --set model.weights=PATH --set "
                "model.weights_scaling=caffe, or start at random with --set model.weights=none"
            ) from err
    path = pathlib.Path(weights)
    if not path.is_file():
        raise ValueError(
            f"model.weights is {weights!r}, which is no file; expected imagenet, none, or the path "
            "of an .h5 or .keras file of ResNet-50 without its top"
        )
    published = keras.applications.ResNet50(include_top=False, weights=None)
    # Keras passes over layers that a file lacks with no more than a warning: what it left is NaN.
    published.set_weights([np.full(weight.shape, np.nan) for weight in published.weights])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            published.load_weights(path)
    except (ValueError, OSError, KeyError, TypeError) as err:
        raise ValueError(
            f"{path} does not hold the weights of a ResNet-50 without its top: {err}"
        ) from err
    for weight in published.weights:
        if np.isnan(weight.numpy()).any():
            raise ValueError(
                f"{path} does not hold the weights of a ResNet-50 without its top: "
                f"{weight.path} is missing"
            )
    return published
