"""The exported SavedModel: written by Keras, read and asked with nothing but TensorFlow."""

import pathlib
import re
from typing import Any

import tensorflow as tf

from spine_tf.serving import formats, spec
from tfrecords import errors


class SavedModel:
    """A loaded SavedModel; holds the object, without which its signatures lose their variables."""

    def __init__(self, export_dir: pathlib.Path) -> None:
        """Loads `saved_model/1` of an exported directory; ValueError if that can't be done."""
        self._path = export_dir / formats.SAVED_MODEL_DIR
        if not (self._path / "saved_model.pb").is_file():
            raise ValueError(
                f"{self._path} has no saved_model.pb; expected a directory written by "
                "spine_tf.export"
            )
        try:
            self._loaded = tf.saved_model.load(str(self._path))
        except (OSError, ValueError, RuntimeError, tf.errors.OpError) as err:
            raise ValueError(f"{self._path} can't be loaded: {errors.reason(err)}") from err

    @property
    def signatures(self) -> frozenset[str]:
        """Names of what can be asked; a model whose window is by series has no `serve_slice`."""
        return frozenset(self._loaded.signatures)

    def ask(self, signature: str, **inputs: Any) -> spec.Answer:
        """Returns a signature's answer as arrays; labels as str.

        Raises:
            ValueError: the model has no such signature, or it does not accept these inputs.
        """
        if signature not in self._loaded.signatures:
            raise ValueError(
                f"{self._path} has no signature {signature!r}, it has "
                f"{', '.join(sorted(self.signatures))}: export again, unless the model's window is "
                "by series, for which there is no serve_slice"
            )
        tensors = {name: tf.constant(value) for name, value in inputs.items()}
        try:
            answer = self._loaded.signatures[signature](**tensors)
        except (TypeError, tf.errors.InvalidArgumentError) as err:
            raise ValueError(f"{signature} did not accept its input: {_reason(err)}") from err
        return spec.as_answer({name: tensor.numpy() for name, tensor in answer.items()})

    def require(self, served: spec.Spec) -> None:
        """Raises ValueError unless the signature takes the crops that preprocess.json names."""
        signature = self._loaded.signatures.get("serving_default")
        inputs = signature.structured_input_signature[1] if signature else {}
        found = tuple(inputs["image"].shape[1:]) if "image" in inputs else None
        if found != served.image_shape:
            raise ValueError(
                f"{self._path} takes crops of {found}, {spec.PREPROCESS_FILE} names "
                f"{served.image_shape}: the files are of different exports, export again"
            )


def _reason(err: Exception) -> str:
    """What an assertion of the graph says, without the trace around it."""
    found = re.search(r"assertion failed: (.*)", str(err))
    return found.group(1) if found else str(err)
