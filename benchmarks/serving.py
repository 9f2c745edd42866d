"""How fast an exported model answers, beside the bare model and beside the converter.

python benchmarks/serving.py [--rows 2000] [--calls 100] [--nopredict]

Calls that are compared alternate, and the fastest of each counts: other work on the machine then
slows both alike.
"""

import functools
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from typing import Any

import convert_data
import keras
import numpy as np
import openvino
from absl import app, flags

from spine_tf import labels
from spine_tf.configuration import config, roi_config
from spine_tf.models import families
from spine_tf.runs import run
from spine_tf.serving import bundle, formats, saved_model

_ROWS = flags.DEFINE_integer("rows", 2000, "Rows of the data set that predict answers.")
_CALLS = flags.DEFINE_integer("calls", 100, "Calls of each kind.")
_PREDICT = flags.DEFINE_bool("predict", True, "Measures predict too.")

_HERE = pathlib.Path(__file__).resolve().parent
_CONDITIONS = labels.CONDITIONS[3:]
_ROI = roi_config.RoiConfig()
_FAMILIES: Mapping[str, dict[str, str]] = {
    "simple": {},
    "residual": {},
    "resnet50": {"weights": "none"},
}
_THROUGHPUT_BATCH = 64


def _float32(values: Any) -> np.ndarray:
    return np.asarray(values, np.float32)


def _int32(values: Any) -> np.ndarray:
    return np.asarray(values, np.int32)


def main(_: list[str]) -> None:
    """Runs all measurements, one after the other."""
    with tempfile.TemporaryDirectory() as name:
        work_dir = pathlib.Path(name)
        for family in _FAMILIES:
            bundle.export([_make_run(family)], work_dir / family, format_names=["openvino"])
            _measure_slice(work_dir / family, family, _CALLS.value)
            _measure_openvino(work_dir / family, family, _CALLS.value // 10)
        if _PREDICT.value:
            _measure_predict(work_dir, _ROWS.value)


def _make_run(family: str) -> run.Run:
    """A run with random weights: speed does not depend on them."""
    run_config = config.from_dict(
        {"task": "multiclass", "model": {"family": family, **_FAMILIES[family]}}
    )
    keras.utils.set_random_seed(0)
    model = families.build_model(run_config.model, (_ROI.roi_px, _ROI.roi_px, 1), 3)
    roi = {"roi_mm": _ROI.roi_mm, "roi_px": _ROI.roi_px, "num_slices": 1, "mirror_right": True}
    where = {"conditions": list(_CONDITIONS), "levels": list(labels.LEVELS)}
    return run.Run(
        run_dir=pathlib.Path("benchmark"),
        config=run_config,
        members=(run.Member(model=model, temperature=1.0),),
        provenance={
            "versions": {},
            "records": {"manifest_sha256": "", "config": {**roi, **where}, "num_examples": {}},
            "train_splits": [],
            "monitor_split": None,
            "val_split": None,
            "train_studies": [],
        },
        class_prior=(0.5, 0.3, 0.2),
    )


def _measure_slice(export_dir: pathlib.Path, family: str, num_calls: int) -> None:
    generator = np.random.default_rng(0)
    model = saved_model.SavedModel(export_dir)
    image, window = _crops(generator, 1)
    pixels = generator.integers(0, 1500, (512, 512, 1)).astype(np.uint16)
    bare, whole = _fastest(
        functools.partial(model.ask, "serving_default", image=image, window=window),
        functools.partial(
            model.ask,
            "serve_slice",
            image=pixels,
            pixel_spacing=_float32([0.43, 0.43]),
            center_xy=_float32([[250.3, 260.7]]),
            mirror=True,
            padding=_int32([1, 0]),
        ),
        num_calls=num_calls,
    )
    print(
        f"{family}: bare {1e3 * bare:.2f} ms, serve_slice of 512 x 512 {1e3 * whole:.2f} ms: "
        f"{1e3 * (whole - bare):+.2f} ms, {whole / bare:.2f}x"
    )


def _measure_openvino(export_dir: pathlib.Path, family: str, num_calls: int) -> None:
    image, window = _crops(np.random.default_rng(0), _THROUGHPUT_BATCH)
    model = saved_model.SavedModel(export_dir)
    path = export_dir / formats.FORMATS["openvino"].file
    # As OpenVINO starts by itself: in bfloat16 where the processor has it.
    default = openvino.Core().compile_model(str(path), "CPU")
    plain, exact, fast = _fastest(
        functools.partial(model.ask, "serving_default", image=image, window=window),
        functools.partial(formats.load(export_dir, "openvino"), {"image": image, "window": window}),
        functools.partial(default, {"image": image, "window": window}),
        num_calls=num_calls,
    )
    print(
        f"{family}, batch {_THROUGHPUT_BATCH}: SavedModel {_THROUGHPUT_BATCH / plain:.0f} crops/s, "
        f"OpenVINO in float32 {plain / exact:.2f}x, as it starts by itself {plain / fast:.2f}x"
    )


def _measure_predict(work_dir: pathlib.Path, num_rows: int) -> None:
    """The reference does the same work by two programs: convert, then answer the records."""
    data_dir = convert_data.write_data(work_dir / "data", num_rows)
    model_dir, output = work_dir / "simple", work_dir / "submission.csv"

    def in_two() -> None:
        records_dir = pathlib.Path(tempfile.mkdtemp(dir=work_dir)) / "records"
        _run(convert_data.convert_command(data_dir, records_dir))
        _run([sys.executable, _HERE / "serving_plain.py", model_dir, records_dir])

    def in_one() -> None:
        flags_of = {"model_dir": model_dir, "data_dir": data_dir, "output": output, "workers": 2}
        given = [f"--{name}={value}" for name, value in flags_of.items()]
        _run([sys.executable, "-m", "spine_tf.predict", *given])

    both, one = _fastest(in_two, in_one, num_calls=3)
    print(
        f"{num_rows} rows, 2 workers: convert, then infer {both:.1f} s, predict {one:.1f} s: "
        f"{both / one:.2f}x"
    )


def _run(command: list[Any]) -> None:
    subprocess.run(command, check=True, capture_output=True)


def _crops(generator: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    shape = (count, _ROI.roi_px, _ROI.roi_px, 1)
    image = generator.integers(0, 1500, shape).astype(np.uint16)
    return image, np.tile(_float32([20, 1400]), (count, 1))


def _fastest(*functions: Callable[[], object], num_calls: int) -> list[float]:
    best = [float("inf")] * len(functions)
    for function in functions:
        function()
    for _ in range(num_calls):
        for index, function in enumerate(functions):
            start = time.perf_counter()
            function()
            best[index] = min(best[index], time.perf_counter() - start)
    return best


if __name__ == "__main__":
    app.run(main)
