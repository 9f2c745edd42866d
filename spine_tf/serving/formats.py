"""The table of formats: which file each one is, and which module writes and reads it."""

import dataclasses
import importlib
import pathlib
import types

from spine_tf.serving import quiet

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
        with quiet.quiet():
            return importlib.import_module(f"spine_tf.serving.{FORMATS[name].module}")
    except ModuleNotFoundError as err:
        raise ValueError(
            f"format {name} needs the package {err.name}: pip install 'spine-tf[formats]'"
        ) from err
