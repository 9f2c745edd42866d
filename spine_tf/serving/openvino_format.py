"""OpenVINO: its own representation of the SavedModel, for fast answers on CPUs."""

import pathlib

import numpy as np
import openvino
from openvino import frontend

from spine_tf.serving import golden, saved_model

# What the converter and the runtime raise.
ERRORS = (
    RuntimeError,
    frontend.GeneralFailure,
    frontend.InitializationFailure,
    frontend.NotImplementedFailure,
    frontend.OpConversionFailure,
)

# The CPU plugin's default is bfloat16 where the processor has it: differences of 2e-4.
EXACT = {"INFERENCE_PRECISION_HINT": "f32"}


def write(saved_model_dir: pathlib.Path, path: pathlib.Path) -> None:
    """Writes `serving_default` as model.xml and model.bin, float32."""
    model = openvino.convert_model(str(saved_model_dir))
    # It keeps the path that it was converted from: of no use elsewhere, and none of its business.
    model.set_rt_info(saved_model.FOLDER, ["conversion_parameters", "input_model"])
    path.parent.mkdir()
    openvino.save_model(model, str(path), compress_to_fp16=False)


def load(path: pathlib.Path) -> golden.Ask:
    """Compiles the model for the CPU in float32."""
    compiled = openvino.Core().compile_model(str(path), "CPU", EXACT)

    def ask(image: np.ndarray, window: np.ndarray) -> saved_model.Answer:
        values = compiled({"image": image, "window": window})
        return saved_model.as_arrays({port.get_any_name(): value for port, value in values.items()})

    return ask
