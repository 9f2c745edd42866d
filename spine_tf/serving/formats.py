"""The formats of an export: which file each one is, and how it is written and read.

The packages of a format are optional: it is imported where it is used, and `require` says in one
sentence what is missing.
"""

import abc
import contextlib
import importlib
import logging
import pathlib
import sys
import types
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from spine_tf.serving import spec
from tfrecords import errors

SAVED_MODEL = "saved_model"
SAVED_MODEL_DIR = "saved_model/1"  # TensorFlow Serving reads <model folder>/<version>
INT8 = "litert_int8"

# int8 answers move a little with the kernels of a processor.
INT8_TOLERANCE = 0.05

# A quantised model that is further off than this on average is another model.
INT8_MEAN_TOLERANCE = 0.05

# Inputs of `serving_default` by name, such as image uint16 (n, px, px, slices).
Crops = Mapping[str, np.ndarray]

_SIGNATURE = "serving_default"
_TALKATIVE = ("tensorflow", "tf2onnx")
_TELEMETRY = "openvino_telemetry"


class Format(abc.ABC):
    """A format beside the SavedModel, converted from its `serving_default`.

    Attributes:
        file: below the export directory.
        packages: what it imports beside TensorFlow.
        is_exact: answers as the SavedModel does; int8 does not.
    """

    file: str
    packages: tuple[str, ...]
    is_exact = True

    @property
    def outputs_file(self) -> str:
        """Below `golden/`: where the answers lie if they are its own."""
        return f"outputs_{pathlib.PurePath(self.file).stem}.npz"

    @abc.abstractmethod
    def convert(
        self, saved_model_dir: pathlib.Path, path: pathlib.Path, crops: Crops | None
    ) -> None:
        """Writes the file; `crops` are representative ones, which int8 alone looks at."""

    @abc.abstractmethod
    def open(self, path: pathlib.Path) -> spec.Ask:
        """Opens the file in the format's own runtime, on the CPU."""

    @abc.abstractmethod
    def errors(self) -> tuple[type[Exception], ...]:
        """Returns what the converter and the runtime raise."""


class Onnx(Format):
    """ONNX: written by tf2onnx, read by ONNX Runtime."""

    file = "onnx/model.onnx"
    packages = ("onnx", "onnxruntime", "tf2onnx")

    def convert(
        self, saved_model_dir: pathlib.Path, path: pathlib.Path, crops: Crops | None
    ) -> None:
        """Writes an ONNX file with the signature's names."""
        import onnx
        import tensorflow as tf
        import tf2onnx
        from tensorflow.python.framework import convert_to_constants

        loaded = tf.saved_model.load(str(saved_model_dir))
        signature = loaded.signatures[_SIGNATURE]
        # A frozen graph: captured constants would otherwise become inputs of the ONNX graph.
        frozen = convert_to_constants.convert_variables_to_constants_v2(signature)
        inputs = {tensor.name: tensor.name.partition(":")[0] for tensor in frozen.inputs}
        names = sorted(signature.structured_outputs)  # as a function flattens a dict
        outputs = {tensor.name: name for tensor, name in zip(frozen.outputs, names, strict=True)}
        model, _ = tf2onnx.convert.from_graph_def(
            frozen.graph.as_graph_def(),
            input_names=list(inputs),
            output_names=list(outputs),
            opset=17,
            tensors_to_rename={**inputs, **outputs},
        )
        path.parent.mkdir()
        onnx.save(model, str(path))

    def open(self, path: pathlib.Path) -> spec.Ask:
        """Opens the file in ONNX Runtime."""
        import onnxruntime

        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]

        def ask(inputs: Crops) -> spec.Answer:
            values = session.run(names, dict(inputs))
            return spec.as_answer(dict(zip(names, values, strict=True)))

        return ask

    def errors(self) -> tuple[type[Exception], ...]:
        """Returns Python's own, and those of the runtime's C++."""
        from onnxruntime.capi import onnxruntime_pybind11_state as state

        return (
            *(RuntimeError, ValueError, TypeError, KeyError, NotImplementedError),
            *(state.Fail, state.InvalidGraph, state.InvalidProtobuf),
            *(state.NoSuchFile, state.NotImplemented),
        )


class OpenVino(Format):
    """OpenVINO: its own representation, for fast answers on CPUs."""

    file = "openvino/model.xml"
    packages = ("openvino",)

    def convert(
        self, saved_model_dir: pathlib.Path, path: pathlib.Path, crops: Crops | None
    ) -> None:
        """Writes model.xml and model.bin, float32."""
        import openvino

        model = openvino.convert_model(str(saved_model_dir))
        # It keeps the path that it was converted from: of no use elsewhere, and none of its
        # business.
        model.set_rt_info(SAVED_MODEL, ["conversion_parameters", "input_model"])
        path.parent.mkdir()
        openvino.save_model(model, str(path), compress_to_fp16=False)

    def open(self, path: pathlib.Path) -> spec.Ask:
        """Compiles the model in float32."""
        import openvino

        # The CPU plugin's default is bfloat16 where the processor has it: differences of 2e-4.
        exact = {"INFERENCE_PRECISION_HINT": "f32"}
        compiled = openvino.Core().compile_model(str(path), "CPU", exact)

        def ask(inputs: Crops) -> spec.Answer:
            values = compiled(dict(inputs))
            return spec.as_answer({port.get_any_name(): value for port, value in values.items()})

        return ask

    def errors(self) -> tuple[type[Exception], ...]:
        """Returns RuntimeError and the failures of its front end."""
        from openvino import frontend

        return (
            RuntimeError,
            frontend.GeneralFailure,
            frontend.InitializationFailure,
            frontend.NotImplementedFailure,
            frontend.OpConversionFailure,
        )


class LiteRt(Format):
    """LiteRT (TensorFlow Lite), float32."""

    file = "litert/model.tflite"
    packages = ("ai_edge_litert.interpreter",)

    def convert(
        self, saved_model_dir: pathlib.Path, path: pathlib.Path, crops: Crops | None
    ) -> None:
        """Writes a flat buffer."""
        import tensorflow as tf

        # From the SavedModel: a tf.Module or concrete functions gave NaN without a word (TF 2.21).
        converter = tf.lite.TFLiteConverter.from_saved_model(
            str(saved_model_dir), signature_keys=[_SIGNATURE]
        )
        self._quantize(converter, crops)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(converter.convert())

    def _quantize(self, converter: Any, crops: Crops | None) -> None:
        """Leaves float32 as it is."""

    def open(self, path: pathlib.Path) -> spec.Ask:
        """Opens the file in the LiteRT interpreter."""
        from ai_edge_litert import interpreter

        runner = interpreter.Interpreter(model_path=str(path)).get_signature_runner(_SIGNATURE)

        def ask(inputs: Crops) -> spec.Answer:
            return spec.as_answer(runner(**inputs))

        return ask

    def errors(self) -> tuple[type[Exception], ...]:
        """Returns Python's own, and that of the converter."""
        from tensorflow.lite.python import convert

        return RuntimeError, ValueError, convert.ConverterError


class LiteRtInt8(LiteRt):
    """LiteRT with int8 weights and activations, whose ranges representative crops set.

    What has no int8 kernel, such as the window, stays float32; inputs and outputs keep their types.
    """

    file = "litert/model_int8.tflite"
    is_exact = False

    def _quantize(self, converter: Any, crops: Crops | None) -> None:
        import tensorflow as tf

        if crops is None:
            raise ValueError(f"format {INT8} needs representative crops: they set its ranges")

        def representative() -> Iterator[tuple[str, dict[str, np.ndarray]]]:
            for index in range(len(crops["image"])):
                one = slice(index, index + 1)
                yield _SIGNATURE, {name: values[one] for name, values in crops.items()}

        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = representative
        converter.target_spec.supported_ops = [
            tf.lite.OpsSet.TFLITE_BUILTINS_INT8,
            tf.lite.OpsSet.TFLITE_BUILTINS,
        ]


FORMATS: types.MappingProxyType[str, Format] = types.MappingProxyType(
    {"onnx": Onnx(), "openvino": OpenVino(), "litert": LiteRt(), INT8: LiteRtInt8()}
)


def parse_names(names: list[str]) -> tuple[str, ...]:
    """Returns the formats beside the SavedModel, in this module's order.

    Raises:
        ValueError: a name that is not a format.
    """
    for name in names:
        if name not in FORMATS and name != SAVED_MODEL:
            expected = ", ".join([SAVED_MODEL, *FORMATS])
            raise ValueError(f"--formats names {name!r}, expected some of {expected}")
    return tuple(name for name in FORMATS if name in names)


def require(name: str) -> None:
    """Imports the packages of a format; ValueError if one is not installed."""
    # OpenVINO would tell its makers of every import and conversion; without this it can't.
    sys.modules.setdefault(_TELEMETRY, None)  # type: ignore[arg-type]
    try:
        with quiet():
            for package in FORMATS[name].packages:
                importlib.import_module(package)
    except ModuleNotFoundError as err:
        raise ValueError(
            f"format {name} needs the package {err.name}: pip install 'spine-tf[formats]'"
        ) from err


def write(export_dir: pathlib.Path, name: str, crops: Crops | None = None) -> None:
    """Writes a format from the directory's SavedModel.

    Args:
        export_dir: holds saved_model/1.
        name: a key of FORMATS.
        crops: representative inputs; int8 needs them.

    Raises:
        ValueError: the model can't be converted, with the converter's reason.
    """
    require(name)
    written = FORMATS[name]
    try:
        with quiet():
            written.convert(export_dir / SAVED_MODEL_DIR, export_dir / written.file, crops)
    except written.errors() as err:
        raise ValueError(
            f"format {name} can't be written for this model ({type(err).__name__}: "
            f"{errors.reason(err)}); "
            "leave it out of --formats"
        ) from err


def load(export_dir: pathlib.Path, name: str) -> spec.Ask:
    """Opens a format in its own runtime; ValueError if the runtime does not take it."""
    require(name)
    path = export_dir / FORMATS[name].file
    try:
        with quiet():
            return FORMATS[name].open(path)
    except FORMATS[name].errors() as err:
        raise ValueError(f"{path} can't be loaded: {errors.reason(err)}") from err


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps those packages from rearranging and filling our log.

    Restores the root logger's handlers (OpenVINO removes absl's) and hears only errors.
    """
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    levels = {name: logging.getLogger(name).level for name in _TALKATIVE}
    try:
        for name in _TALKATIVE:
            logging.getLogger(name).setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        for name, before in levels.items():
            logging.getLogger(name).setLevel(before)
