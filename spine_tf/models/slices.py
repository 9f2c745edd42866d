"""One residual encoder for every slice, its vectors pooled: the 2.5-D recipe of RSNA's winners."""

import keras

from spine_tf.configuration import model_configs
from spine_tf.models import blocks, heads, slice_stack


def build(
    model_config: model_configs.SlicesConfig, input_shape: tuple[int, int, int], num_classes: int
) -> keras.Model:
    """Returns the uncompiled model, float32 (batch, *input_shape) -> (batch, num_classes)."""
    image, x = blocks.make_input(model_config, input_shape)
    x = slice_stack.SplitSlices(name="split")(x)
    x = blocks.residual_stages(x, model_config)
    x = blocks.pool_globally(x, model_config.pooling)
    x = slice_stack.pool(x, input_shape[2], model_config)
    return keras.Model(image, heads.classify(x, model_config, num_classes), name="slices")
