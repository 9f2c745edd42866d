"""The report's small custom classifier: convolutions with pooling, one hidden layer."""

import keras

from spine_tf import config
from spine_tf.models import blocks


def build(
    model_config: config.SimpleConfig, input_shape: tuple[int, int, int], num_classes: int
) -> keras.Model:
    """Returns the uncompiled model, float32 (batch, *input_shape) -> (batch, num_classes)."""
    image, x = blocks.make_input(model_config, input_shape)
    for index, filters in enumerate(model_config.filters, start=1):
        x = blocks.convolve(
            x,
            filters,
            model_config,
            name=f"block{index}",
            kernel_size=model_config.kernel_size,
            # The first halves the side at once: a quarter of the time, and no worse on small data.
            strides=2 if index == 1 else 1,
        )
        x = keras.layers.MaxPooling2D(2, padding="same", name=f"block{index}_pool")(x)
    x = blocks.pool_globally(x, model_config.pooling)
    x = keras.layers.Dense(model_config.units, model_config.activation, name="hidden")(x)
    return keras.Model(image, blocks.classify(x, model_config, num_classes), name="simple")
