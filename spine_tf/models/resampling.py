"""The layer that gives a network what it sees of a record, and the network behind it."""

import warnings

import keras
import tensorflow as tf

from spine_tf.augmentation import field_of_view, sampler
from spine_tf.models import told

_NAME = "sampled"


@keras.saving.register_keras_serializable("spine_tf")
class Resampling(keras.layers.Layer):
    """The sampler at rest: (batch, record_px, record_px, slices) -> (batch, px, px, slices).

    Two products with constant matrices, which every export format has.
    """

    def __init__(
        self,
        record_px: int,
        input_px: int,
        pitch: float,
        record_mm: float | None = None,
        **kwargs: object,
    ) -> None:
        """Takes the fields of `field_of_view.FieldOfView`."""
        super().__init__(**kwargs)
        self.view = field_of_view.FieldOfView(
            record_px=record_px, record_mm=record_mm, input_px=input_px, pitch=pitch
        )

    def call(self, images: tf.Tensor) -> tf.Tensor:
        return sampler.at_rest(images, self.view)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (input_shape[0], self.view.input_px, self.view.input_px, input_shape[3])

    def get_config(self) -> dict[str, object]:
        return {**super().get_config(), **vars(self.view)}


def resample(image: keras.KerasTensor, view: field_of_view.FieldOfView) -> keras.KerasTensor:
    """Returns what a network sees of a record: the record itself where it sees all of it."""
    if view.is_whole:
        return image
    # In float32 whatever the precision: float16 has fewer steps than a record's window.
    return Resampling(**vars(view), dtype="float32", name=_NAME)(image)


def behind(model: keras.Model) -> keras.Model:
    """Returns the network behind the sampler, which shares the model's layers.

    Its input is what the sampler gives. A model that sees records as they are is returned itself.
    """
    return model if _find(model) is None else part_behind(model, model.output)


def part_behind(model: keras.Model, output: keras.KerasTensor) -> keras.Model:
    """Returns what a model does between the sampler, or its input, and a tensor inside it."""
    layer = _find(model)
    start = model.input if layer is None else told.behind(model, layer.output)
    with warnings.catch_warnings():
        # That tensors inside a model have other names than the inputs' keys.
        warnings.simplefilter("ignore", UserWarning)
        return keras.Model(start, output, name=model.name)


def view_of(model: keras.Model, record_mm: float | None) -> field_of_view.FieldOfView:
    """Returns what a model sees of a record.

    Args:
        model: such as a run's.
        record_mm: side of its records in millimetres, None where nobody said.
    """
    layer = _find(model)
    if layer is None:
        return field_of_view.whole(told.image_of(model).shape[1], record_mm)
    return layer.view


def _find(model: keras.Model) -> Resampling | None:
    found = [layer for layer in model.layers if isinstance(layer, Resampling)]
    return found[0] if found else None
