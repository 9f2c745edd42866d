"""Residual blocks in stages (He et al., CVPR 2016), small."""

import keras

from spine_tf.configuration import model_configs
from spine_tf.models import blocks, heads


def build(
    model_config: model_configs.ResidualConfig, input_shape: tuple[int, int, int], head: heads.Head
) -> keras.Model:
    """Returns the uncompiled model, float32 (batch, *input_shape) -> what the head makes of it."""
    image, x = blocks.make_input(model_config, input_shape)
    x = blocks.residual_stages(x, model_config)
    x = blocks.pool_globally(x, model_config.pooling)
    return keras.Model(image, head(x, model_config), name="residual")
