"""Densely connected convolutions (Huang et al., CVPR 2017), small."""

import dataclasses
from typing import Any

import keras

from spine_tf.configuration import model_configs
from spine_tf.models import blocks, heads


def build(
    x: keras.KerasTensor, model_config: model_configs.DenseNetConfig, head: heads.Head
) -> Any:
    """Returns what the head makes of images, float32 (batch, px, px, slices)."""
    x = blocks.stem(x, model_config.stem_filters, model_config)
    for block, num_layers in enumerate(model_config.blocks, start=1):
        if block > 1:
            x = _transition(x, model_config, name=f"transition{block - 1}")
        for layer in range(1, num_layers + 1):
            x = _densely_connected(x, model_config, name=f"block{block}_layer{layer}")
    x = blocks.normalize(x, model_config, name="last")
    x = keras.layers.Activation(model_config.activation, name="last_activation")(x)
    x = blocks.pool_globally(x, model_config.pooling)
    return head(x, model_config)


def _densely_connected(
    x: keras.KerasTensor, model_config: model_configs.DenseNetConfig, *, name: str
) -> keras.KerasTensor:
    new = blocks.normalize(x, model_config, name=name)
    new = keras.layers.Activation(model_config.activation, name=f"{name}_activation")(new)
    new = keras.layers.Conv2D(
        model_config.scaled(model_config.growth_rate),
        model_config.kernel_size,
        padding="same",
        kernel_initializer="he_normal",
        name=f"{name}_conv",
    )(new)
    return keras.layers.Concatenate(name=f"{name}_concat")([x, new])


def _transition(
    x: keras.KerasTensor, model_config: model_configs.DenseNetConfig, *, name: str
) -> keras.KerasTensor:
    # Of the maps there are, which the width has scaled already.
    filters = max(1, int(x.shape[-1] * model_config.compression))
    unscaled = dataclasses.replace(model_config, width=1.0)
    x = blocks.convolve(x, filters, unscaled, name=name, kernel_size=1)
    return keras.layers.AveragePooling2D(2, padding="same", name=f"{name}_pool")(x)
