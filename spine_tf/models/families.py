"""The table of model families, and the calls that build a model from a configuration."""

import types
from collections.abc import Callable, Mapping
from typing import Any

import keras

from spine_tf.configuration import family_config
from spine_tf.models import (
    bias_field,
    blocks,
    dense,
    densenet,
    heads,
    level,
    pretrained,
    resampling,
    residual,
    simple,
    slices,
    told as told_module,
    unet,
)

# (images, configuration, head) -> what the head makes of the family's features of the images.
_BUILDERS: Mapping[str, Callable[[keras.KerasTensor, Any, heads.Head], Any]] = (
    types.MappingProxyType(
        {
            "simple": simple.build,
            "dense": dense.build,
            "densenet": densenet.build,
            "residual": residual.build,
            "slices": slices.build,
            "unet": unet.build,
            "resnet50": pretrained.build,
            "transfer": pretrained.build,
        }
    )
)

# What Keras has to know to load a saved model.
CUSTOM_LAYERS: Mapping[str, type[keras.layers.Layer]] = types.MappingProxyType(
    {
        layer.__name__: layer
        for layer in (
            heads.OrdinalThresholds,
            bias_field.BiasFieldCorrection,
            resampling.Resampling,
            slices.SplitSlices,
            slices.JoinSlices,
            told_module.Modulation,
            level.SplitViews,
            level.MeanOfSlices,
            level.KindHeads,
            level.ViewAttention,
        )
    }
)


def build_model(
    model_config: family_config.ModelConfig,
    input_shape: tuple[int, ...],
    num_classes: int,
    *,
    record_mm: float | None = None,
) -> keras.Model:
    """Builds an uncompiled classifier.

    Example:
        >>> from spine_tf.configuration import config
        >>> from spine_tf.models import families
        >>> settings = config.default_config("multiclass", "residual")
        >>> model = families.build_model(settings.model, (128, 128, 1), num_classes=3)
        >>> model.output_shape
        (None, 3)

    Args:
        model_config: the family and its fields.
        input_shape: height, width and slices of a crop.
        num_classes: at least 2.
        record_mm: side of a crop in millimetres, the `roi_mm` of the records; a configuration with
            `input_mm` needs it.

    Returns:
        A functional model, float32 (batch, *input_shape) in [0, 1] -> probabilities, float32
        (batch, num_classes). Published weights are not read yet. With `condition_input` its input
        is a dict of the image, `condition` and `level`, int64 (batch,), as in the records.

    Raises:
        ValueError: the family can't work on that shape.
    """
    head = heads.Classes(num_classes=num_classes)
    return build_network(model_config, input_shape, head, record_mm=record_mm)


def build_network(
    model_config: family_config.ModelConfig,
    input_shape: tuple[int, ...],
    head: heads.Head,
    *,
    record_mm: float | None = None,
) -> keras.Model:
    """Builds an uncompiled model that answers what a head makes of the family's features.

    Args:
        model_config: the family and its fields, as `build_model` takes them.
        input_shape: height and width in pixels and the number of slices, as there.
        head: such as heads.Classes.
        record_mm: side of the records' crops in millimetres, as there.

    Raises:
        ValueError: `build_model` would raise it.
    """
    image, x = blocks.make_input(model_config, input_shape, record_mm)
    if model_config.family not in _BUILDERS:
        raise ValueError(
            f"model family {model_config.family} learns {', '.join(model_config.tasks)}, not from "
            "single crops: choose another family"
        )
    build = _BUILDERS[model_config.family]
    if not model_config.is_told:
        return keras.Model(image, build(x, model_config, head), name=model_config.family)
    inputs = told_module.make_inputs()
    told = told_module.passed_on(inputs)

    def told_head(features: keras.KerasTensor, config: family_config.ModelConfig) -> Any:
        return head(told_module.modulate(features, told), config)

    outputs = build(x, model_config, told_head)
    return keras.Model({"image": image, **inputs}, outputs, name=model_config.family)
