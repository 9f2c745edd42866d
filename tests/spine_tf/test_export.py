"""Train, export, and ask in a process that has only TensorFlow: the answers are predict's."""

import csv
import json
import pathlib
import shutil
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from spine_tf.crops import cutting
from spine_tf.rsna import annotations, sources
from spine_tf.serving import spec

_OURS = ("keras", "keras_tuner", "spine_tf", "tfrecords", "tuner", "__editable__")


def _run(*arguments, expected=0):
    result = subprocess.run(
        ["warm-python", "-m", *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert result.returncode == expected, result.stderr
    return result


@pytest.fixture(scope="module")
def chain(small_data_dir, tmp_path_factory):
    """The programs in their order: convert, train, export, predict."""
    root = tmp_path_factory.mktemp("chain")
    _run(
        "spine_tf.convert",
        f"--data_dir={small_data_dir}",
        f"--output_dir={root / 'records'}",
        "--levels=l3_l4,l4_l5",
        "--roi_mm=20",
        "--roi_px=24",
        "--num_folds=3",
    )
    _run(
        "spine_tf.train",
        f"--records_dir={root / 'records'}",
        "--task=multiclass",
        "--model=simple",
        f"--run_dir={root / 'run'}",
        "--epochs=2",
        "--set=model.filters=[4]",
        "--set=model.units=4",
    )
    _run(
        "spine_tf.export",
        f"--run_dir={root / 'run'}",
        f"--export_dir={root / 'export'}",
        "--formats=openvino",
    )
    _run(
        "spine_tf.predict",
        f"--model_dir={root / 'export'}",
        f"--data_dir={small_data_dir}",
        f"--output={root / 'submission.csv'}",
    )
    return root


@pytest.fixture(scope="module")
def only_tensorflow(tmp_path_factory):
    """A folder of packages without Keras and without ours, as if neither were installed."""
    folder = tmp_path_factory.mktemp("packages")
    for entry in pathlib.Path(tf.__file__).parents[1].iterdir():
        if not entry.name.startswith(_OURS):
            (folder / entry.name).symlink_to(entry)
    return folder


_CLIENT = """
import sys
sys.path.insert(0, sys.argv[1])
import numpy as np
import tensorflow as tf
model = tf.saved_model.load(sys.argv[2])
inputs = dict(np.load(sys.argv[3]))
crops = model.signatures["serving_default"](
    image=tf.constant(inputs["image"]), window=tf.constant(inputs["window"])
)
slices = model.signatures["serve_slice"](
    image=tf.constant(inputs["slice"]),
    pixel_spacing=tf.constant(inputs["pixel_spacing"]),
    center_xy=tf.constant(inputs["center_xy"]),
    mirror=tf.constant(bool(inputs["mirror"])),
    padding=tf.constant([1, 0]),
)
assert not {"keras", "spine_tf"} & set(sys.modules)
np.savez(sys.argv[4], crops=crops["probabilities"], slices=slices["probabilities"])
"""


@pytest.mark.slow
def test_model_answers_as_predict_where_there_is_only_tensorflow(
    chain, only_tensorflow, small_data_dir, tmp_path
):
    source = sources.open_source(small_data_dir)
    served = spec.read(chain / "export")
    rows = annotations.read_annotations(source, levels=served.levels).rows[:12]
    cut: list[Any] = list(cutting.read_crops(source, rows, served.roi))
    np.savez(
        tmp_path / "inputs.npz",
        image=[crop.image for crop in cut],
        window=np.array([crop.window for crop in cut], np.float32),
        slice=np.stack(cut[-1].stack, axis=-1),
        pixel_spacing=np.array(cut[-1].spacing, np.float32),
        center_xy=np.array(cut[-1].centers_xy, np.float32),
        mirror=cut[-1].is_mirrored,
    )
    arguments = (
        only_tensorflow,
        chain / "export/saved_model/1",
        tmp_path / "inputs.npz",
        tmp_path / "answers.npz",
    )
    # -I and -S: no site-packages, so only the packages of that folder can be imported.
    command = [sys.executable, "-I", "-S", "-c", _CLIENT, *map(str, arguments)]
    subprocess.run(command, check=True, capture_output=True)
    with np.load(tmp_path / "answers.npz") as answers:
        with (chain / "submission.csv").open(newline="") as file:
            predicted = {row["row_id"]: row for row in csv.DictReader(file)}
        for crop, probabilities in zip(cut, answers["crops"], strict=True):
            study, _, _, condition, level = crop.annotation.key.split("/")
            row = predicted[f"{study}_{condition}_{level}"]
            expected = [float(row[column]) for column in served.task_spec.columns]
            np.testing.assert_allclose(probabilities, expected, atol=1e-6)
        np.testing.assert_allclose(answers["slices"][0], answers["crops"][-1], atol=1e-6)


@pytest.mark.slow
def test_check_passes_then_finds_a_changed_byte(chain):
    result = _run("spine_tf.export", f"--check={chain / 'export'}")
    assert "openvino answers as golden" in result.stdout
    path = chain / "export" / "openvino" / "model.bin"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    result = _run("spine_tf.export", f"--check={chain / 'export'}", expected=1)
    data[-1] ^= 1
    path.write_bytes(data)
    assert "model.bin was changed" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.slow
def test_check_takes_a_localiser_too(squares_localizer_dir, tmp_path):
    said = _run("spine_tf.export", f"--check={squares_localizer_dir}").stdout
    assert "are as exported\nboth networks answer with heatmaps\n" in said
    copy = shutil.copytree(squares_localizer_dir, tmp_path / "copy")
    with (copy / "axial/saved_model/1/saved_model.pb").open("ab") as file:
        file.write(b"x")
    result = _run("spine_tf.export", f"--check={copy}", expected=1)
    assert "saved_model.pb was changed" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.slow
def test_card_holds_the_figures_of_the_run(chain):
    summary = json.loads((chain / "run/metrics.json").read_bytes())
    figure = summary["metrics"]["accuracy"]
    row = f"| Accuracy | {figure['value']:.3f} ({figure['low']:.3f} to {figure['high']:.3f}) |"
    assert row in (chain / "export/model_card.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--run_dir is missing"),
        (["--run_dir=w"], "--export_dir is missing"),
        (["--run_dir=w", "--export_dir=."], ". exists; choose another --export_dir"),
        (["--check=e", "--run_dir=w"], "--check stands alone"),
        (["--run_dir=w", "--export_dir=e", "--formats=coreml"], "--formats names 'coreml'"),
        (["--run_dir=w", "--export_dir=e", "--records_dir=r"], "has no effect without"),
        (["--run_dir=w", "--export_dir=e", "extra"], "'extra' is not a flag"),
    ],
)
def test_flags_that_make_no_sense_end_with_one_sentence(arguments, message):
    result = _run("spine_tf.export", *arguments, expected=1)
    assert message in result.stderr
    assert "Traceback" not in result.stderr
