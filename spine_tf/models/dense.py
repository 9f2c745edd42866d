"""Convolutions, then fully connected layers with dropout on a small grid of features."""

from typing import Any

import keras

from spine_tf.configuration import model_configs
from spine_tf.models import blocks, heads


def build(x: keras.KerasTensor, model_config: model_configs.DenseConfig, head: heads.Head) -> Any:
    """Returns what the head makes of images, float32 (batch, px, px, slices)."""
    x = blocks.convolve_and_halve(x, model_config)
    x = _pool_to_grid(x, model_config)
    x = keras.layers.Flatten(name="flatten")(x)
    for index, units in enumerate(model_config.units, start=1):
        if model_config.dropout:
            x = keras.layers.Dropout(model_config.dropout, name=f"hidden{index}_dropout")(x)
        x = keras.layers.Dense(units, model_config.activation, name=f"hidden{index}")(x)
    return head(x, model_config)


def _pool_to_grid(
    x: keras.KerasTensor, model_config: model_configs.DenseConfig
) -> keras.KerasTensor:
    pool_size = max(1, x.shape[1] // model_config.grid_px)
    if model_config.pooling == "max":
        return keras.layers.MaxPooling2D(pool_size, name="grid")(x)
    return keras.layers.AveragePooling2D(pool_size, name="grid")(x)
