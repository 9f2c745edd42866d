"""The formats of an export: which file each one writes, and the module that writes and reads it."""

import dataclasses
import importlib
import pathlib
import types

import numpy as np

from spine_tf.serving import golden, saved_model

SAVED_MODEL = "saved_model"
INT8 = "litert_int8"

# int8 answers move a little with the kernels of a processor.
INT8_TOLERANCE = 0.05

# A quantised model that is further off than this on average is another model.
INT8_MEAN_TOLERANCE = 0.05


@dataclasses.dataclass(frozen=True, kw_only=True)
class Format:
    """A format beside the SavedModel.

    Attributes:
        file: below the export directory.
        module: writes and loads it; imported on use, since its packages are optional.
        is_exact: answers as the SavedModel does; int8 does not.
    """

    file: str
    module: str
    is_exact: bool = True

    @property
    def outputs_file(self) -> str:
        """Below `golden/`: where the answers lie if they are its own."""
        return f"outputs_{pathlib.PurePath(self.file).stem}.npz"


FORMATS = types.MappingProxyType(
    {
        "onnx": Format(file="onnx/model.onnx", module="onnx_format"),
        "openvino": Format(file="openvino/model.xml", module="openvino_format"),
        "litert": Format(file="litert/model.tflite", module="litert_format"),
        INT8: Format(file="litert/model_int8.tflite", module="litert_format", is_exact=False),
    }
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


def import_module(name: str) -> types.ModuleType:
    """Returns the module of a format; ValueError if a package that it needs is not installed."""
    try:
        return importlib.import_module(f"spine_tf.serving.{FORMATS[name].module}")
    except ModuleNotFoundError as err:
        raise ValueError(
            f"format {name} needs the package {err.name}: pip install 'spine-tf[formats]'"
        ) from err


def write(
    export_dir: pathlib.Path, name: str, crops: tuple[np.ndarray, np.ndarray] | None = None
) -> None:
    """Writes a format from the directory's SavedModel.

    Args:
        export_dir: holds saved_model/1.
        name: a key of FORMATS.
        crops: representative images and windows; int8 needs them.

    Raises:
        ValueError: the model can't be converted, with the converter's reason.
    """
    module = import_module(name)
    source = export_dir / saved_model.FOLDER / saved_model.VERSION
    path = export_dir / FORMATS[name].file
    try:
        if name == INT8:
            module.write_int8(source, path, *_required(crops))
        else:
            module.write(source, path)
    except module.ERRORS as err:
        raise ValueError(
            f"format {name} can't be written for this model ({type(err).__name__}: {err}); "
            "leave it out of --formats"
        ) from err


def load(export_dir: pathlib.Path, name: str) -> golden.Ask:
    """Opens a format in its own runtime; ValueError if the runtime does not take it."""
    module = import_module(name)
    path = export_dir / FORMATS[name].file
    try:
        return module.load(path)
    except module.ERRORS as err:
        raise ValueError(f"{path} can't be loaded: {err}") from err


def _required(
    crops: tuple[np.ndarray, np.ndarray] | None,
) -> tuple[np.ndarray, np.ndarray]:
    if crops is None:
        raise ValueError(f"format {INT8} needs --records_dir: representative crops set its ranges")
    return crops
