"""What makes a vector of features into a network's answers."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from spine_tf.configuration import family_config

# (features (batch, n), configuration) -> outputs: a tensor or a dict of tensors.
Head = Callable[[keras.KerasTensor, family_config.ModelConfig], Any]


# The height that heatmaps begin with: most of them is background, and costs little from the start.
_PRIOR = 0.01


@dataclasses.dataclass(frozen=True, kw_only=True)
class Classes:
    """The head of one answer: dropout, then probabilities of the classes.

    Attributes:
        num_classes: at least 2.
    """

    num_classes: int

    def __call__(
        self, x: keras.KerasTensor, model_config: family_config.ModelConfig
    ) -> keras.KerasTensor:
        """Returns float32 probabilities (batch, classes), whatever the precision."""
        if model_config.dropout:
            x = keras.layers.Dropout(model_config.dropout, name="dropout")(x)
        if model_config.head == "ordinal":
            score = keras.layers.Dense(1, use_bias=False, name="score")(x)
            return OrdinalThresholds(self.num_classes, dtype="float32", name="probabilities")(score)
        logits = keras.layers.Dense(self.num_classes, name="logits")(x)
        return keras.layers.Activation("softmax", dtype="float32", name="probabilities")(logits)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Heatmaps:
    """The head of a map of features: how high a point's Gaussian stands at each place.

    Attributes:
        num_channels: points to mark.
    """

    num_channels: int

    def __call__(
        self, x: keras.KerasTensor, model_config: family_config.ModelConfig
    ) -> keras.KerasTensor:
        """Returns float32 heights (batch, side, side, channels) in [0, 1]."""
        del model_config
        logits = keras.layers.Conv2D(
            self.num_channels,
            1,
            bias_initializer=keras.initializers.Constant(math.log(_PRIOR / (1.0 - _PRIOR))),
            name="logits",
        )(x)
        return keras.layers.Activation("sigmoid", dtype="float32", name="heatmaps")(logits)


@keras.saving.register_keras_serializable("spine_tf")
class OrdinalThresholds(keras.layers.Layer):
    """Cumulative link: P(class <= k) = sigmoid(threshold_k - score), with rising thresholds.

    McCullagh, Regression Models for Ordinal Data, J. R. Stat. Soc. B 42 (1980). Maps a score
    (batch, 1) to probabilities (batch, classes).
    """

    def __init__(self, num_classes: int, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.num_classes = num_classes

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        del input_shape
        self.first = self.add_weight(shape=(1,), initializer="zeros", name="first")
        self.steps = self.add_weight(
            shape=(self.num_classes - 2,), initializer="zeros", name="steps"
        )

    def call(self, score: tf.Tensor) -> tf.Tensor:
        steps = keras.ops.cumsum(keras.ops.softplus(self.steps))
        thresholds = keras.ops.concatenate([self.first, self.first + steps])
        below = keras.ops.sigmoid(thresholds - score)
        zeros = keras.ops.zeros_like(score)
        cumulative = keras.ops.concatenate([zeros, below, zeros + 1.0], axis=-1)
        return cumulative[:, 1:] - cumulative[:, :-1]

    def get_config(self) -> dict[str, object]:
        return {**super().get_config(), "num_classes": self.num_classes}
