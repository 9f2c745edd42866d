"""The report's small custom classifier: convolutions with pooling, one hidden layer."""

from typing import Any

import keras

from spine_tf.configuration import model_configs
from spine_tf.models import blocks, heads


def build(x: keras.KerasTensor, model_config: model_configs.SimpleConfig, head: heads.Head) -> Any:
    """Returns what the head makes of images, float32 (batch, px, px, slices)."""
    x = blocks.convolve_and_halve(x, model_config)
    x = blocks.pool_globally(x, model_config.pooling)
    x = keras.layers.Dense(model_config.units, model_config.activation, name="hidden")(x)
    return head(x, model_config)
