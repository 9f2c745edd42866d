"""Residual blocks in stages (He et al., CVPR 2016), small."""

import keras

from spine_tf import model_configs
from spine_tf.models import blocks


def build(
    model_config: model_configs.ResidualConfig, input_shape: tuple[int, int, int], num_classes: int
) -> keras.Model:
    """Returns the uncompiled model, float32 (batch, *input_shape) -> (batch, num_classes)."""
    image, x = blocks.make_input(model_config, input_shape)
    x = blocks.convolve(
        x, model_config.filters[0], model_config, name="stem", kernel_size=5, strides=2
    )
    x = keras.layers.MaxPooling2D(2, padding="same", name="stem_pool")(x)
    for stage, filters in enumerate(model_config.filters, start=1):
        if stage > 1:
            # Pooled before the block, and a 1 x 1 convolution at stride 1 in it: TensorFlow 2.21
            # corrupts the heap in the gradient of a strided 1 x 1 convolution on CPU.
            x = keras.layers.MaxPooling2D(2, padding="same", name=f"stage{stage}_pool")(x)
        for block in range(1, model_config.blocks_per_stage + 1):
            x = _residual(x, filters, model_config, name=f"stage{stage}_block{block}")
    x = blocks.pool_globally(x, model_config.pooling)
    return keras.Model(image, blocks.classify(x, model_config, num_classes), name="residual")


def _residual(
    x: keras.KerasTensor, filters: int, model_config: model_configs.ResidualConfig, *, name: str
) -> keras.KerasTensor:
    size = model_config.kernel_size
    shortcut = x
    if x.shape[-1] != filters:
        shortcut = blocks.convolve(
            x, filters, model_config, name=f"{name}_shortcut", kernel_size=1, activate=False
        )
    x = blocks.convolve(x, filters, model_config, name=f"{name}_first", kernel_size=size)
    x = blocks.convolve(
        x, filters, model_config, name=f"{name}_second", kernel_size=size, activate=False
    )
    x = keras.layers.Add(name=f"{name}_add")([shortcut, x])
    return keras.layers.Activation(model_config.activation, name=f"{name}_activation")(x)
