"""ONNX: written by tf2onnx from the SavedModel, read by ONNX Runtime."""

import pathlib

import numpy as np
import onnx
import onnxruntime
import tensorflow as tf
import tf2onnx
from onnxruntime.capi import onnxruntime_pybind11_state
from tensorflow.python.framework import convert_to_constants

from spine_tf.serving import golden, saved_model

_OPSET = 17

# What the converter and the runtime raise.
ERRORS = (
    RuntimeError,
    ValueError,
    TypeError,
    KeyError,
    NotImplementedError,
    onnxruntime_pybind11_state.Fail,
    onnxruntime_pybind11_state.InvalidGraph,
    onnxruntime_pybind11_state.InvalidProtobuf,
    onnxruntime_pybind11_state.NoSuchFile,
    onnxruntime_pybind11_state.NotImplemented,
)


def write(saved_model_dir: pathlib.Path, path: pathlib.Path) -> None:
    """Writes `serving_default` as an ONNX file with the signature's names."""
    loaded = tf.saved_model.load(str(saved_model_dir))
    signature = loaded.signatures["serving_default"]
    # A frozen graph: captured constants would otherwise become inputs of the ONNX graph.
    frozen = convert_to_constants.convert_variables_to_constants_v2(signature)
    inputs = {tensor.name: tensor.name.partition(":")[0] for tensor in frozen.inputs}
    names = sorted(signature.structured_outputs)  # the order in which a function flattens a dict
    outputs = {tensor.name: name for tensor, name in zip(frozen.outputs, names, strict=True)}
    model, _ = tf2onnx.convert.from_graph_def(
        frozen.graph.as_graph_def(),
        input_names=list(inputs),
        output_names=list(outputs),
        opset=_OPSET,
        tensors_to_rename={**inputs, **outputs},
    )
    path.parent.mkdir()
    onnx.save(model, str(path))


def load(path: pathlib.Path) -> golden.Ask:
    """Opens the file in ONNX Runtime on the CPU."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]

    def ask(image: np.ndarray, window: np.ndarray) -> saved_model.Answer:
        values = session.run(names, {"image": image, "window": window})
        return saved_model.as_arrays(dict(zip(names, values, strict=True)))

    return ask
