"""What a network is told beside the image: which condition and which level it looks at."""

from collections.abc import Mapping
from typing import Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf

from spine_tf import labels
from spine_tf.augmentation import copies
from tfrecords import stored_images

Images: TypeAlias = stored_images.Images | copies.Changed
"""What a model looks at: float32 (n, side, side, slices) in [0, 1], or indexed like it."""

# Inputs beside `image`, int64 (batch,), and how many values each may have.
SIZES: Mapping[str, int] = {"condition": len(labels.CONDITIONS), "level": len(labels.LEVELS)}

_PASSED = "_passed_on"


def make_inputs() -> dict[str, keras.KerasTensor]:
    """Returns the inputs by name."""
    return {name: keras.Input((), dtype="int64", name=name) for name in SIZES}


@keras.saving.register_keras_serializable("spine_tf")
class Modulation(keras.layers.Layer):
    """Features scaled and shifted by what the network is told, a pair a feature and value.

    FiLM: Perez et al., AAAI 2018. All is 0 at first, which changes nothing: training begins as an
    untold network's. Takes features (batch, n), condition and level int64 (batch,).
    """

    def build(self, input_shape: list[tuple[int | None, ...]]) -> None:
        num_features = input_shape[0][-1] or 0
        self.tables = [
            self.add_weight(shape=(size, 2 * num_features), initializer="zeros", name=name)
            for name, size in SIZES.items()
        ]

    def call(self, inputs: list[tf.Tensor]) -> tf.Tensor:
        features, *told = inputs
        of_each = [
            keras.ops.take(table, values, axis=0)
            for table, values in zip(self.tables, told, strict=True)
        ]
        scale, shift = keras.ops.split(of_each[0] + of_each[1], 2, axis=-1)
        return features * (1.0 + scale) + shift

    def compute_output_shape(
        self, input_shape: list[tuple[int | None, ...]]
    ) -> tuple[int | None, ...]:
        return input_shape[0]


def modulate(x: keras.KerasTensor, told: Mapping[str, keras.KerasTensor]) -> keras.KerasTensor:
    """Returns features of an image as those of what the network is told that it looks at."""
    return Modulation(name="told")([x, *(told[name] for name in SIZES)])


def passed_on(inputs: Mapping[str, keras.KerasTensor]) -> dict[str, keras.KerasTensor]:
    """Returns inputs as a network behind the sampler can begin with them.

    Keras can't save a model any more once another one was made of its layers that begins in part
    with its own inputs (3.15).
    """
    return {
        name: keras.layers.Identity(name=f"{name}{_PASSED}")(tensor)
        for name, tensor in inputs.items()
    }


def behind(model: keras.Model, image: keras.KerasTensor) -> Any:
    """Returns what a network takes that begins with a tensor inside a model instead of images."""
    if not is_told(model):
        return image
    others = [name for name in model.input if name != "image"]
    return {"image": image, **{n: model.get_layer(f"{n}{_PASSED}").output for n in others}}


def is_told(model: keras.Model) -> bool:
    """Says whether a model takes more than images."""
    return isinstance(model.input, dict)


def image_of(model: keras.Model) -> keras.KerasTensor:
    """Returns a model's input of images."""
    return model.input["image"] if is_told(model) else model.input


def inputs(model: keras.Model, images: Images, rows: np.ndarray) -> Any:
    """Returns what a model takes for the chosen images.

    Args:
        model: of a run.
        images: indexed like float32 (n, height, width, slices).
        rows: int64 (k,).

    Raises:
        ValueError: the model is told what they are of, and they don't say it.
    """
    if not is_told(model):
        return images[rows]
    columns: Mapping[str, np.ndarray] = getattr(images, "columns", {})
    for name in SIZES:
        if name not in columns:
            raise ValueError(
                f"the model is told the {name} of each image, and these don't say it: give it "
                "`examples.windowed` of records, or `stored_images.as_windowed` of images"
            )
    return {"image": images[rows], **{name: columns[name][rows] for name in SIZES}}
