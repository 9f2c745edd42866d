"""LiteRT (TensorFlow Lite): float32, or int8 with ranges from representative crops."""

import pathlib
from collections.abc import Iterator

import numpy as np
import tensorflow as tf
from ai_edge_litert import interpreter
from tensorflow.lite.python import convert

from spine_tf.serving import golden, saved_model

# What the converter and the runtime raise.
ERRORS = (RuntimeError, ValueError, convert.ConverterError)

_SIGNATURE = "serving_default"


def write(saved_model_dir: pathlib.Path, path: pathlib.Path) -> None:
    """Writes `serving_default` as a float32 flat buffer."""
    # From the SavedModel: a tf.Module or concrete functions gave NaN without a word (TF 2.21).
    converter = _converter(saved_model_dir)
    _save(path, converter.convert())


def write_int8(
    saved_model_dir: pathlib.Path, path: pathlib.Path, image: np.ndarray, window: np.ndarray
) -> None:
    """Writes `serving_default` with int8 weights and activations.

    What has no int8 kernel, such as the window, stays float32; inputs and outputs keep their types.

    Args:
        saved_model_dir: holds saved_model.pb.
        path: to write to.
        image: uint16 (n, px, px, slices), representative crops: they set the ranges.
        window: float32 (n, 2).
    """

    def representative() -> Iterator[tuple[str, dict[str, np.ndarray]]]:
        for index in range(len(image)):
            one = slice(index, index + 1)
            yield _SIGNATURE, {"image": image[one], "window": window[one]}

    converter = _converter(saved_model_dir)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = representative
    converter.target_spec.supported_ops = [
        tf.lite.OpsSet.TFLITE_BUILTINS_INT8,
        tf.lite.OpsSet.TFLITE_BUILTINS,
    ]
    _save(path, converter.convert())


def load(path: pathlib.Path) -> golden.Ask:
    """Opens the file in the LiteRT interpreter."""
    runner = interpreter.Interpreter(model_path=str(path)).get_signature_runner(_SIGNATURE)

    def ask(image: np.ndarray, window: np.ndarray) -> saved_model.Answer:
        return saved_model.as_arrays(runner(image=image, window=window))

    return ask


def _converter(saved_model_dir: pathlib.Path) -> tf.lite.TFLiteConverter:
    return tf.lite.TFLiteConverter.from_saved_model(
        str(saved_model_dir), signature_keys=[_SIGNATURE]
    )


def _save(path: pathlib.Path, data: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
