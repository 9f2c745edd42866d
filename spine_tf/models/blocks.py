"""What the families are built from: the input, convolutions, residual stages and pooling."""

import keras

from spine_tf.augmentation import field_of_view
from spine_tf.configuration import family_config, model_configs
from spine_tf.models import bias_field, resampling


def make_input(
    model_config: family_config.ModelConfig,
    input_shape: tuple[int, ...],
    record_mm: float | None,
) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Returns the model's input, a record, and what the network sees of it, corrected."""
    image = keras.Input(input_shape, name="image")
    view = field_of_view.make(model_config, input_shape[0], record_mm)
    x = resampling.resample(image, view)
    if model_config.bias_correction:
        # In float32 whatever the precision: it is a quotient of small numbers.
        x = bias_field.BiasFieldCorrection(
            model_config.bias_correction, dtype="float32", name="bias_correction"
        )(x)
    return image, x


def convolve(
    x: keras.KerasTensor,
    filters: int,
    model_config: family_config.ConvolutionalConfig,
    *,
    name: str,
    kernel_size: int = 3,
    strides: int = 1,
    activate: bool = True,
) -> keras.KerasTensor:
    """Convolution (same padding), normalisation and, unless told not to, activation.

    The convolution has `filters` feature maps times the configuration's width.
    """
    x = keras.layers.Conv2D(
        model_config.scaled(filters),
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
    x: keras.KerasTensor, model_config: model_configs.PoolingChainConfig
) -> keras.KerasTensor:
    """One convolution and a pooling to half the side for each width of `filters`."""
    for index, filters in enumerate(model_config.filters, start=1):
        is_first = index == 1
        x = convolve(
            x,
            filters,
            model_config,
            name=f"block{index}",
            kernel_size=model_config.first_kernel if is_first else model_config.kernel_size,
            # The first halves the side at once: a quarter of the time, and no worse on small data.
            strides=model_config.stem_stride if is_first else 1,
        )
        x = keras.layers.MaxPooling2D(2, padding="same", name=f"block{index}_pool")(x)
    return x


def stem(
    x: keras.KerasTensor,
    filters: int,
    model_config: model_configs.DenseNetConfig | model_configs.StagesConfig,
) -> keras.KerasTensor:
    """The first convolution and, where the configuration says so, a pooling to half the side."""
    x = convolve(
        x,
        filters,
        model_config,
        name="stem",
        kernel_size=model_config.first_kernel,
        strides=model_config.stem_stride,
    )
    if model_config.stem_pool:
        x = keras.layers.MaxPooling2D(2, padding="same", name="stem_pool")(x)
    return x


def residual_stages(
    x: keras.KerasTensor, model_config: model_configs.StagesConfig
) -> keras.KerasTensor:
    """The stem and stages of residual blocks (He et al., CVPR 2016)."""
    x = stem(x, model_config.filters[0], model_config)
    for stage, filters in enumerate(model_config.filters, start=1):
        if stage > 1:
            # Pooled before the block, and a 1 x 1 convolution at stride 1 in it: TensorFlow 2.21
            # corrupts the heap in the gradient of a strided 1 x 1 convolution on CPU.
            x = keras.layers.MaxPooling2D(2, padding="same", name=f"stage{stage}_pool")(x)
        for block in range(1, model_config.blocks_per_stage + 1):
            x = _residual(x, filters, model_config, name=f"stage{stage}_block{block}")
    return x


def _residual(
    x: keras.KerasTensor, filters: int, model_config: model_configs.StagesConfig, *, name: str
) -> keras.KerasTensor:
    size = model_config.kernel_size
    shortcut = x
    if x.shape[-1] != model_config.scaled(filters):
        shortcut = convolve(
            x, filters, model_config, name=f"{name}_shortcut", kernel_size=1, activate=False
        )
    x = convolve(x, filters, model_config, name=f"{name}_first", kernel_size=size)
    x = convolve(x, filters, model_config, name=f"{name}_second", kernel_size=size, activate=False)
    x = keras.layers.Add(name=f"{name}_add")([shortcut, x])
    return keras.layers.Activation(model_config.activation, name=f"{name}_activation")(x)


def normalize(
    x: keras.KerasTensor, model_config: family_config.ConvolutionalConfig, *, name: str
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
    if model_config.norm == "layer":
        return keras.layers.LayerNormalization(name=f"{name}_norm")(x)
    return x


def pool_globally(x: keras.KerasTensor, pooling: str) -> keras.KerasTensor:
    """One number a feature map: its average or its largest value."""
    if pooling == "max":
        return keras.layers.GlobalMaxPooling2D(name="pool")(x)
    return keras.layers.GlobalAveragePooling2D(name="pool")(x)
