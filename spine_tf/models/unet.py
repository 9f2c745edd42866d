"""A small U-Net (Ronneberger, Fischer and Brox, MICCAI 2015) that stops above the input's size."""

from typing import Any

import keras

from spine_tf.configuration import model_configs
from spine_tf.models import blocks, heads


def build(x: keras.KerasTensor, model_config: model_configs.UNetConfig, head: heads.Head) -> Any:
    """Returns what the head makes of a map of features of images, (batch, px, px, slices).

    Raises:
        ValueError: the images' side is no multiple of the lowest stage's stride.
    """
    side, stride = x.shape[1], model_config.strides[-1]
    if side % stride:
        raise ValueError(
            f"the model sees {side} px, expected a multiple of {stride}, the stride of its lowest "
            "stage: set model.input_px, or fewer model.filters"
        )
    seen = _go_down(x, model_config)
    x = seen[-1]
    if model_config.dropout:
        x = keras.layers.SpatialDropout2D(model_config.dropout, name="dropout")(x)
    lowest = len(seen) - 1
    highest = model_config.strides.index(model_config.output_stride)
    for stage in range(lowest - 1, highest - 1, -1):
        # XLA can't compile the gradient of a resize in float16.
        x = keras.layers.UpSampling2D(
            interpolation="bilinear", dtype="float32", name=f"up{stage + 1}"
        )(x)
        x = keras.layers.Concatenate(name=f"up{stage + 1}_concat")([x, seen[stage]])
        x = _convolve(x, stage, model_config, name=f"up{stage + 1}_block")
    return head(x, model_config)


def _go_down(
    x: keras.KerasTensor, model_config: model_configs.UNetConfig
) -> list[keras.KerasTensor]:
    """The last features of each stage; the first stage is the first convolution alone."""
    x = blocks.convolve(
        x,
        model_config.filters[0],
        model_config,
        name="stem",
        kernel_size=model_config.first_kernel,
        strides=model_config.stem_stride,
    )
    seen = [x]
    for stage in range(1, len(model_config.filters)):
        x = _halve(x, model_config.pooling, name=f"down{stage + 1}_pool")
        for block in range(1, model_config.blocks_per_stage + 1):
            x = _convolve(x, stage, model_config, name=f"down{stage + 1}_block{block}")
        seen.append(x)
    return seen


def _halve(x: keras.KerasTensor, pooling: str, *, name: str) -> keras.KerasTensor:
    if pooling == "max":
        return keras.layers.MaxPooling2D(2, name=name)(x)
    return keras.layers.AveragePooling2D(2, name=name)(x)


def _convolve(
    x: keras.KerasTensor, stage: int, model_config: model_configs.UNetConfig, *, name: str
) -> keras.KerasTensor:
    return blocks.convolve(
        x,
        model_config.filters[stage],
        model_config,
        name=name,
        kernel_size=model_config.kernel_size,
    )
