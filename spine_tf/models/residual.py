"""Residual blocks in stages (He et al., CVPR 2016), small."""

from typing import Any

import keras

from spine_tf.configuration import model_configs
from spine_tf.models import blocks, heads


def build(
    x: keras.KerasTensor, model_config: model_configs.ResidualConfig, head: heads.Head
) -> Any:
    """Returns what the head makes of images, float32 (batch, px, px, slices)."""
    x = blocks.residual_stages(x, model_config)
    x = blocks.pool_globally(x, model_config.pooling)
    return head(x, model_config)
