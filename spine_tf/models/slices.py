"""One residual encoder for every slice, its vectors pooled: the 2.5-D recipe of RSNA's winners."""

from typing import Any

import keras
import tensorflow as tf

from spine_tf.configuration import model_configs
from spine_tf.models import blocks, heads


def build(x: keras.KerasTensor, model_config: model_configs.SlicesConfig, head: heads.Head) -> Any:
    """Returns what the head makes of images, float32 (batch, px, px, slices)."""
    num_slices = x.shape[3]
    x = SplitSlices(name="split")(x)
    x = blocks.residual_stages(x, model_config)
    x = blocks.pool_globally(x, model_config.pooling)
    x = _pool_slices(x, num_slices, model_config)
    return head(x, model_config)


def _pool_slices(
    x: keras.KerasTensor, num_slices: int, model_config: model_configs.SlicesConfig
) -> keras.KerasTensor:
    """Features of single slices, (batch * slices, features) -> one vector a crop."""
    x = JoinSlices(num_slices, name="slices")(x)
    if num_slices == 1 and model_config.slice_pooling != "lstm":
        return keras.layers.Flatten(name="slice_pool")(x)
    if model_config.slice_pooling == "attention":
        return _attend(x, model_config.slice_units)
    if model_config.slice_pooling == "lstm":
        # Unrolled: no loop in the graph, so every export format takes it, and no cuDNN kernel,
        # which would not be deterministic.
        cell = keras.layers.LSTM(model_config.slice_units, unroll=True)
        return keras.layers.Bidirectional(cell, name="slice_lstm")(x)
    if model_config.slice_pooling == "max":
        return keras.layers.GlobalMaxPooling1D(name="slice_pool")(x)
    return keras.layers.GlobalAveragePooling1D(name="slice_pool")(x)


def _attend(x: keras.KerasTensor, units: int) -> keras.KerasTensor:
    """Gated attention (Ilse, Tomczak and Welling, ICML 2018, equation 9), blind to the order."""
    content = keras.layers.Dense(units, "tanh", name="attention_content")(x)
    gate = keras.layers.Dense(units, "sigmoid", name="attention_gate")(x)
    gated = keras.layers.Multiply(name="attention_gated")([content, gate])
    score = keras.layers.Dense(1, use_bias=False, name="attention_score")(gated)
    weight = keras.layers.Softmax(axis=1, name="attention")(score)
    weighed = keras.layers.Dot(axes=1, name="attention_sum")([weight, x])
    return keras.layers.Flatten(name="attention_vector")(weighed)


@keras.saving.register_keras_serializable("spine_tf")
class SplitSlices(keras.layers.Layer):
    """Makes each slice an image: (batch, side, side, slices) -> (batch * slices, side, side, 1)."""

    def call(self, images: tf.Tensor) -> tf.Tensor:
        height, width = images.shape[1:3]
        return keras.ops.reshape(keras.ops.transpose(images, (0, 3, 1, 2)), (-1, height, width, 1))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (None, *input_shape[1:3], 1)


@keras.saving.register_keras_serializable("spine_tf")
class JoinSlices(keras.layers.Layer):
    """Undoes the split of a batch: (batch * slices, features) -> (batch, slices, features)."""

    def __init__(self, num_slices: int, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.num_slices = num_slices

    def call(self, features: tf.Tensor) -> tf.Tensor:
        return keras.ops.reshape(features, (-1, self.num_slices, features.shape[-1]))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (None, self.num_slices, input_shape[-1])

    def get_config(self) -> dict[str, object]:
        return {**super().get_config(), "num_slices": self.num_slices}
