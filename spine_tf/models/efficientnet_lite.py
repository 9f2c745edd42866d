"""EfficientNet-Lite0: EfficientNet-B0 without squeeze-and-excitation, and with ReLU6.

Tan and Le, EfficientNet, ICML 2019; the Lite networks are tensorflow/tpu's, in
models/official/efficientnet/lite. Their weights want RGB as (x - 127) / 128, of 0-255.
"""

import dataclasses
import re
import types
from collections.abc import Mapping

import keras
import numpy as np

_STEM_FILTERS = 32
_HEAD_FILTERS = 1280
# TensorFlow's, where the weights come from, also in the file for PyTorch, whose own is 1e-5.
_NORM_EPSILON = 1e-3


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Stage:
    """Blocks of one width; the stride is the first one's."""

    num_blocks: int
    kernel_size: int
    stride: int
    expansion: int
    filters: int


_STAGES = (
    _Stage(num_blocks=1, kernel_size=3, stride=1, expansion=1, filters=16),
    _Stage(num_blocks=2, kernel_size=3, stride=2, expansion=6, filters=24),
    _Stage(num_blocks=2, kernel_size=5, stride=2, expansion=6, filters=40),
    _Stage(num_blocks=3, kernel_size=3, stride=2, expansion=6, filters=80),
    _Stage(num_blocks=3, kernel_size=5, stride=1, expansion=6, filters=112),
    _Stage(num_blocks=4, kernel_size=5, stride=2, expansion=6, filters=192),
    _Stage(num_blocks=1, kernel_size=3, stride=1, expansion=6, filters=320),
)


def build(
    input_shape: tuple[int | None, int | None, int], pooling: str | None = None
) -> keras.Model:
    """Returns the network without its top, float32 (batch, *input_shape) -> 1280 features.

    Args:
        input_shape: height, width, channels.
        pooling: how the last feature map is pooled: "avg", "max", or None, which keeps it a map.
    """
    image = keras.Input(input_shape)
    x = _convolve(image, _STEM_FILTERS, kernel_size=3, strides=2, name="stem")
    number = 0
    for stage in _STAGES:
        for index in range(stage.num_blocks):
            number += 1
            x = _block(x, stage, stage.stride if index == 0 else 1, name=f"block{number}")
    x = _convolve(x, _HEAD_FILTERS, kernel_size=1, name="head")
    if pooling == "avg":
        x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    elif pooling == "max":
        x = keras.layers.GlobalMaxPooling2D(name="pool")(x)
    return keras.Model(image, x, name="efficientnet_lite0")


def _block(x: keras.KerasTensor, stage: _Stage, stride: int, *, name: str) -> keras.KerasTensor:
    """Inverted residual: a wide depthwise convolution between narrow feature maps."""
    shortcut = x
    if stage.expansion > 1:
        x = _convolve(x, stage.expansion * x.shape[-1], kernel_size=1, name=f"{name}_expand")
    x = keras.layers.DepthwiseConv2D(
        stage.kernel_size,
        strides=stride,
        padding="same",
        use_bias=False,
        depthwise_initializer=_initializer(),
        name=f"{name}_depthwise_conv",
    )(x)
    x = _normalize(x, name=f"{name}_depthwise")
    x = _convolve(x, stage.filters, kernel_size=1, activate=False, name=f"{name}_project")
    if x.shape[-1] == shortcut.shape[-1] and stride == 1:
        x = keras.layers.Add(name=f"{name}_add")([shortcut, x])
    return x


def _convolve(
    x: keras.KerasTensor,
    filters: int,
    *,
    kernel_size: int,
    strides: int = 1,
    activate: bool = True,
    name: str,
) -> keras.KerasTensor:
    x = keras.layers.Conv2D(
        filters,
        kernel_size,
        strides=strides,
        padding="same",
        use_bias=False,
        kernel_initializer=_initializer(),
        name=f"{name}_conv",
    )(x)
    return _normalize(x, activate=activate, name=name)


def _normalize(x: keras.KerasTensor, *, activate: bool = True, name: str) -> keras.KerasTensor:
    x = keras.layers.BatchNormalization(epsilon=_NORM_EPSILON, name=f"{name}_norm")(x)
    return keras.layers.ReLU(6.0, name=f"{name}_activation")(x) if activate else x


def _initializer() -> keras.initializers.Initializer:
    # One a layer: an initializer draws the same numbers each time.
    return keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal")


def set_published(network: keras.Model, state: Mapping[str, np.ndarray]) -> None:
    """Gives a network that `build` made the weights that are published for PyTorch.

    Args:
        state: the state dict. Its classifier has no place in the network and is left out.

    Raises:
        ValueError: the state dict is another network's.
    """
    weights = {
        f"{_published_name(layer.name)}.{_PUBLISHED_WEIGHTS[weight.name]}": weight
        for layer in network.layers
        for weight in layer.weights
    }
    found = {name for name in state if not re.search(r"^_fc\.|\.num_batches_tracked$", name)}
    if missing := weights.keys() - found:
        raise ValueError(f"{min(missing)} is missing")
    if foreign := found - weights.keys():
        raise ValueError(f"EfficientNet-Lite0 has no {min(foreign)}")
    for name, weight in weights.items():
        value = _as_in_keras(name, state[name])
        if value.shape != weight.shape:
            raise ValueError(f"{name} is {value.shape} in Keras' order, expected {weight.shape}")
        weight.assign(value)


_PUBLISHED_WEIGHTS: Mapping[str, str] = types.MappingProxyType(
    {
        "kernel": "weight",
        "gamma": "weight",
        "beta": "bias",
        "moving_mean": "running_mean",
        "moving_variance": "running_var",
    }
)
_PUBLISHED_LAYERS: Mapping[str, str] = types.MappingProxyType(
    {
        "stem_conv": "_conv_stem",
        "stem_norm": "_bn0",
        "expand_conv": "_expand_conv",
        "expand_norm": "_bn0",
        "depthwise_conv": "_depthwise_conv",
        "depthwise_norm": "_bn1",
        "project_conv": "_project_conv",
        "project_norm": "_bn2",
        "head_conv": "_conv_head",
        "head_norm": "_bn1",
    }
)


def _published_name(layer_name: str) -> str:
    if layer_name in _PUBLISHED_LAYERS:
        return _PUBLISHED_LAYERS[layer_name]
    block, _, part = layer_name.partition("_")
    # Counted from 0 there.
    return f"_blocks.{int(block.removeprefix('block')) - 1}.{_PUBLISHED_LAYERS[part]}"


def _as_in_keras(name: str, value: np.ndarray) -> np.ndarray:
    """Kernels are (outputs, inputs, height, width) there, depthwise ones (channels, 1, ...)."""
    if value.ndim != 4:
        return value
    return value.transpose((2, 3, 0, 1) if "_depthwise_" in name else (2, 3, 1, 0))
