"""What the families are built from: the input, convolutions, pooling and the heads."""

import keras
import tensorflow as tf

from spine_tf import model_configs


def make_input(
    model_config: model_configs.ModelConfig, input_shape: tuple[int, int, int]
) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Returns the model's input and the images in the size that the network works on."""
    image = keras.Input(input_shape, name="image")
    side = model_config.input_px
    if side in (0, input_shape[0]):
        return image, image
    if side > input_shape[0]:
        raise ValueError(
            f"model.input_px is {side}, but the crops have {input_shape[0]} px: "
            "convert with a larger --roi_px or set a smaller model.input_px"
        )
    factor, remainder = divmod(input_shape[0], side)
    if remainder == 0:
        return image, keras.layers.AveragePooling2D(factor, name="resize")(image)
    return image, keras.layers.Resizing(side, side, antialias=True, name="resize")(image)


def convolve(
    x: keras.KerasTensor,
    filters: int,
    model_config: model_configs.ConvolutionalConfig,
    *,
    name: str,
    kernel_size: int = 3,
    strides: int = 1,
    activate: bool = True,
) -> keras.KerasTensor:
    """Convolution (same padding), normalisation and, unless told not to, activation."""
    x = keras.layers.Conv2D(
        filters,
        kernel_size,
        strides=strides,
        padding="same",
        use_bias=model_config.norm == "none",
        kernel_initializer="he_normal",
        name=f"{name}_conv",
    )(x)
    x = normalize(x, model_config, name=name)
    if activate:
        x = keras.layers.Activation(model_config.activation, name=f"{name}_activation")(x)
    return x


def convolve_and_halve(
    x: keras.KerasTensor, model_config: model_configs.SimpleConfig | model_configs.DenseConfig
) -> keras.KerasTensor:
    """One convolution and a pooling to half the side for each width of `filters`."""
    for index, filters in enumerate(model_config.filters, start=1):
        x = convolve(
            x,
            filters,
            model_config,
            name=f"block{index}",
            kernel_size=model_config.kernel_size,
            # The first halves the side at once: a quarter of the time, and no worse on small data.
            strides=2 if index == 1 else 1,
        )
        x = keras.layers.MaxPooling2D(2, padding="same", name=f"block{index}_pool")(x)
    return x


def normalize(
    x: keras.KerasTensor, model_config: model_configs.ConvolutionalConfig, *, name: str
) -> keras.KerasTensor:
    """The normalisation that the configuration names; none returns its input."""
    if model_config.norm == "batch":
        return keras.layers.BatchNormalization(
            momentum=model_config.norm_momentum, name=f"{name}_norm"
        )(x)
    if model_config.norm == "group":
        channels = x.shape[-1]
        groups = max(size for size in (8, 4, 2, 1) if channels % size == 0)
        return keras.layers.GroupNormalization(groups, name=f"{name}_norm")(x)
    return x


def pool_globally(x: keras.KerasTensor, pooling: str) -> keras.KerasTensor:
    """One number a feature map: its average or its largest value."""
    if pooling == "max":
        return keras.layers.GlobalMaxPooling2D(name="pool")(x)
    return keras.layers.GlobalAveragePooling2D(name="pool")(x)


def classify(
    x: keras.KerasTensor, model_config: model_configs.ModelConfig, num_classes: int
) -> keras.KerasTensor:
    """Dropout and the head: float32 probabilities (batch, classes) whatever the precision."""
    if model_config.dropout:
        x = keras.layers.Dropout(model_config.dropout, name="dropout")(x)
    if model_config.head == "ordinal":
        score = keras.layers.Dense(1, use_bias=False, name="score")(x)
        return OrdinalThresholds(num_classes, dtype="float32", name="probabilities")(score)
    logits = keras.layers.Dense(num_classes, name="logits")(x)
    return keras.layers.Activation("softmax", dtype="float32", name="probabilities")(logits)


@keras.saving.register_keras_serializable("spine_tf")
class OrdinalThresholds(keras.layers.Layer):
    """Cumulative link: P(class <= k) = sigmoid(threshold_k - score), with rising thresholds.

    McCullagh, Regression Models for Ordinal Data, J. R. Stat. Soc. B 42 (1980). Maps a score
    (batch, 1) to probabilities (batch, classes).
    """

    def __init__(self, num_classes: int, **kwargs: object):
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
