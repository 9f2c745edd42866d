"""Convolutions, then fully connected layers with dropout on a small grid of features."""

import keras

from spine_tf.configuration import model_configs
from spine_tf.models import blocks, heads


def build(
    model_config: model_configs.DenseConfig, input_shape: tuple[int, int, int], head: heads.Head
) -> keras.Model:
    """Returns the uncompiled model, float32 (batch, *input_shape) -> what the head makes of it."""
    image, x = blocks.make_input(model_config, input_shape)
    x = blocks.convolve_and_halve(x, model_config)
    x = _pool_to_grid(x, model_config)
    x = keras.layers.Flatten(name="flatten")(x)
    for index, units in enumerate(model_config.units, start=1):
        if model_config.dropout:
            x = keras.layers.Dropout(model_config.dropout, name=f"hidden{index}_dropout")(x)
        x = keras.layers.Dense(units, model_config.activation, name=f"hidden{index}")(x)
    return keras.Model(image, head(x, model_config), name="dense")


def _pool_to_grid(
    x: keras.KerasTensor, model_config: model_configs.DenseConfig
) -> keras.KerasTensor:
    pool_size = max(1, x.shape[1] // model_config.grid_px)
    if model_config.pooling == "max":
        return keras.layers.MaxPooling2D(pool_size, name="grid")(x)
    return keras.layers.AveragePooling2D(pool_size, name="grid")(x)
