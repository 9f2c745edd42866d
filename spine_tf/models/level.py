"""A level's views seen together: one encoder of slices, attention over them, five answers.

A view is what one condition is graded on, in the order of labels.CONDITIONS. Sides share their
weights: an answer for the right sees the views of its own side where that for the left does.
"""

import keras
import numpy as np
import tensorflow as tf

from spine_tf import labels
from spine_tf.augmentation import field_of_view
from spine_tf.configuration import model_configs
from spine_tf.models import bias_field, blocks, resampling, slices, told

NUM_VIEWS = len(labels.CONDITIONS)

# Of each view: canal, foramen or recess; then whose side it is of for a target of the left (0 none,
# 1 its own, 2 the other), and for one of the right.
_KINDS = np.array([0, 1, 1, 2, 2])
_SIDES = (np.array([0, 1, 2, 1, 2]), np.array([0, 2, 1, 2, 1]))

# The targets of the left, with the canal's, and those of the right.
_TARGETS = (np.array([0, 1, 3]), np.array([2, 4]))
_IN_ORDER = np.argsort(np.concatenate(_TARGETS))

# What a float16 still holds, and whose exponential is nothing beside any other.
_MASKED = -1e4


def build_network(
    model_config: model_configs.LevelConfig,
    image_shape: tuple[int, ...],
    num_classes: int,
    *,
    record_mm: float | None = None,
) -> keras.Model:
    """Builds an uncompiled network.

    Args:
        model_config: its fields.
        image_shape: views, height, width and slices of a record.
        num_classes: of each condition.
        record_mm: side of a view in millimetres.

    Returns:
        A model of a dict: image float32 (batch, views, height, width, slices) in [0, 1], present
        float32 (batch, views), 1 where there is a view, level int64 (batch,). It answers with a
        dict, both float32 (batch, conditions, classes): probabilities, from all views that are
        there, and single, from the condition's own view alone. What a missing view holds changes
        nothing.

    Raises:
        ValueError: the records hold less than it is to see.
    """
    _, height, _, num_slices = image_shape
    image = keras.Input(image_shape, name="image")
    others = {
        "present": keras.Input((NUM_VIEWS,), name="present"),
        "level": keras.Input((), dtype="int64", name="level"),
    }
    told_of = told.passed_on(others)
    x = SplitViews(name="views")(image)
    x = resampling.resample(x, field_of_view.make(model_config, height, record_mm))
    if model_config.bias_correction:
        x = bias_field.BiasFieldCorrection(
            model_config.bias_correction, dtype="float32", name="bias_correction"
        )(x)
    x = slices.SplitSlices(name="split")(x)
    x = blocks.residual_stages(x, model_config)
    x = blocks.pool_globally(x, model_config.pooling)
    x = keras.layers.Dense(model_config.units, name="token")(x)
    tokens = slices.JoinSlices(NUM_VIEWS * num_slices, name="tokens")(x)
    features = ViewAttention(model_config.num_heads, name="attention")(
        [tokens, told_of["present"], told_of["level"]]
    )
    if model_config.dropout:
        features = keras.layers.Dropout(model_config.dropout, name="dropout")(features)
    alone = MeanOfSlices(name="view")(tokens)
    answers = {}
    for name, of_targets in (("probabilities", features), ("single", alone)):
        logits = KindHeads(num_classes, name=f"{name}_logits")(of_targets)
        answers[name] = keras.layers.Activation("softmax", dtype="float32", name=name)(logits)
    return keras.Model({"image": image, **others}, answers, name=model_config.family)


@keras.saving.register_keras_serializable("spine_tf")
class SplitViews(keras.layers.Layer):
    """Makes each view an image: (batch, views, height, width, slices) -> (batch * views, ...)."""

    def call(self, images: tf.Tensor) -> tf.Tensor:
        return keras.ops.reshape(images, (-1, *images.shape[2:]))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (None, *input_shape[2:])


@keras.saving.register_keras_serializable("spine_tf")
class MeanOfSlices(keras.layers.Layer):
    """One token a view: (batch, views * slices, units) -> (batch, views, units)."""

    def call(self, tokens: tf.Tensor) -> tf.Tensor:
        by_view = keras.ops.reshape(
            tokens, (-1, NUM_VIEWS, tokens.shape[1] // NUM_VIEWS, tokens.shape[2])
        )
        return keras.ops.mean(by_view, axis=2)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (input_shape[0], NUM_VIEWS, input_shape[-1])


@keras.saving.register_keras_serializable("spine_tf")
class KindHeads(keras.layers.Layer):
    """A linear answer for each kind of condition: (batch, conditions, n) -> (..., classes)."""

    def __init__(self, num_classes: int, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.num_classes = num_classes

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        num_kinds = int(_KINDS.max()) + 1
        shape = (num_kinds, input_shape[-1] or 0, self.num_classes)
        self.kernels = self.add_weight(shape=shape, initializer="glorot_uniform", name="kernels")
        self.biases = self.add_weight(
            shape=(num_kinds, self.num_classes), initializer="zeros", name="biases"
        )

    def call(self, features: tf.Tensor) -> tf.Tensor:
        # Products and a sum, which every export format has for five small matrices.
        kernels = keras.ops.take(self.kernels, _KINDS, axis=0)
        products = keras.ops.expand_dims(features, -1) * kernels
        return keras.ops.sum(products, axis=2) + keras.ops.take(self.biases, _KINDS, axis=0)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (*input_shape[:-1], self.num_classes)

    def get_config(self) -> dict[str, object]:
        return {**super().get_config(), "num_classes": self.num_classes}


@keras.saving.register_keras_serializable("spine_tf")
class ViewAttention(keras.layers.Layer):
    """A target asks the slices of all views that are there: one layer of attention.

    Takes tokens (batch, views * slices, units), present (batch, views), level int64 (batch,); gives
    features of the targets, (batch, conditions, units). A token is told of which kind, side, slice
    and level it is; the target's own view is added to its question. Missing views have no token.
    """

    def __init__(self, num_heads: int, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.num_heads = num_heads

    def build(self, input_shape: list[tuple[int | None, ...]]) -> None:
        _, num_tokens, units = input_shape[0]
        self.units, self.num_slices = units or 0, (num_tokens or 0) // NUM_VIEWS

        def table(name: str, size: int) -> keras.Variable:
            return self.add_weight(
                shape=(size, self.units),
                initializer=keras.initializers.RandomNormal(0.02),
                name=name,
            )

        self.of_kind, self.of_side = table("kind", 3), table("side", 3)
        self.of_slice = table("slice", self.num_slices)
        self.of_level, self.question = table("level", len(labels.LEVELS)), table("question", 3)
        for name in ("ask", "key", "value", "join", "widen", "narrow"):
            width = 2 * self.units if name == "widen" else self.units
            layer = keras.layers.Dense(width, use_bias=name != "value", name=name)
            layer.build((None, None, 2 * self.units if name == "narrow" else self.units))
            setattr(self, name, layer)
        for name in ("first_norm", "second_norm"):
            layer = keras.layers.LayerNormalization(name=name)
            layer.build((None, None, self.units))
            setattr(self, name, layer)

    def call(self, inputs: list[tf.Tensor]) -> tf.Tensor:
        tokens, present, level = inputs
        of_view = keras.ops.cast(present, tokens.dtype)
        known = keras.ops.repeat(of_view, self.num_slices, axis=1)
        at_level = keras.ops.expand_dims(keras.ops.take(self.of_level, level, axis=0), 1)
        kinds = keras.ops.take(self.of_kind, np.repeat(_KINDS, self.num_slices), axis=0)
        places = keras.ops.take(
            self.of_slice, np.tile(np.arange(self.num_slices), NUM_VIEWS), axis=0
        )
        told = tokens + kinds + places + at_level
        own = self._own(tokens, known)
        answers = [
            self._answer(told, known, at_level, own, targets, sides)
            for targets, sides in zip(_TARGETS, _SIDES, strict=True)
        ]
        return keras.ops.take(keras.ops.concatenate(answers, axis=1), _IN_ORDER, axis=1)

    def _own(self, tokens: tf.Tensor, known: tf.Tensor) -> tf.Tensor:
        """Mean token of each view, 0 where it is missing: (batch, views, units)."""
        masked = tokens * keras.ops.expand_dims(known, -1)
        by_view = keras.ops.reshape(masked, (-1, NUM_VIEWS, self.num_slices, self.units))
        return keras.ops.mean(by_view, axis=2)

    def _answer(
        self,
        told: tf.Tensor,
        known: tf.Tensor,
        at_level: tf.Tensor,
        own: tf.Tensor,
        targets: np.ndarray,
        sides: np.ndarray,
    ) -> tf.Tensor:
        """Features of the targets of one side."""
        whose = keras.ops.take(self.of_side, np.repeat(sides, self.num_slices), axis=0)
        # Where no view is there, all weights are alike, and of nothing.
        sources = (told + whose) * keras.ops.expand_dims(known, -1)
        asked = keras.ops.take(self.question, _KINDS[targets], axis=0)
        x = asked + at_level + keras.ops.take(own, targets, axis=1)
        x = self.first_norm(x + self._attend(x, sources, known))
        return self.second_norm(x + self.narrow(keras.ops.gelu(self.widen(x))))

    def _attend(self, x: tf.Tensor, sources: tf.Tensor, known: tf.Tensor) -> tf.Tensor:
        """Scaled dot products in several heads (Vaswani et al., NeurIPS 2017)."""
        query, key, value = (
            self._heads(layer(source))
            for layer, source in ((self.ask, x), (self.key, sources), (self.value, sources))
        )
        scores = keras.ops.matmul(query, keras.ops.transpose(key, (0, 1, 3, 2)))
        scores = scores / (self.units // self.num_heads) ** 0.5
        mask = keras.ops.reshape((1.0 - known) * _MASKED, (-1, 1, 1, known.shape[1]))
        weights = keras.ops.softmax(scores + mask, axis=-1)
        mixed = keras.ops.transpose(keras.ops.matmul(weights, value), (0, 2, 1, 3))
        return self.join(keras.ops.reshape(mixed, (-1, x.shape[1], self.units)))

    def _heads(self, x: tf.Tensor) -> tf.Tensor:
        """(batch, n, units) -> (batch, heads, n, units of a head)."""
        shape = (-1, x.shape[1], self.num_heads, self.units // self.num_heads)
        return keras.ops.transpose(keras.ops.reshape(x, shape), (0, 2, 1, 3))

    def compute_output_shape(
        self, input_shape: list[tuple[int | None, ...]]
    ) -> tuple[int | None, ...]:
        return (input_shape[0][0], NUM_VIEWS, input_shape[0][-1])

    def get_config(self) -> dict[str, object]:
        return {**super().get_config(), "num_heads": self.num_heads}
