import contextlib
import hashlib
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pandas as pd
import psutil
import pydicom
import pytest
from pydicom import uid

from spine_tf import labels
from spine_tf.synthesis import phantom, phantom_config

SMALL = phantom_config.PhantomConfig(
    num_studies=4,
    num_test_studies=1,
    axial_px=(96,),
    axial_fov_mm=(80.0, 90.0),
    sagittal_px=(96,),
    sagittal_slices=5,
)


def hashes(directory: pathlib.Path) -> dict[str, str]:
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def studies_dir(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    directory = tmp_path_factory.mktemp("phantom")
    phantom.write_studies(SMALL, directory)
    return directory


@pytest.mark.slow
def test_two_workers_write_the_same_bytes_as_one(studies_dir, tmp_path):
    phantom.write_studies(SMALL, tmp_path / "two", num_workers=2)

    assert hashes(tmp_path / "two") == hashes(studies_dir)


@pytest.mark.slow
def test_study_whose_worker_is_killed_is_written_all_the_same(studies_dir, tmp_path):
    killed = []

    def kill_workers():
        while not list(tmp_path.glob("d/train_images/*")):
            time.sleep(0.01)
        for process in psutil.Process().children():
            with contextlib.suppress(psutil.NoSuchProcess):  # or a zombie
                if "spawn_main" in " ".join(process.cmdline()):
                    process.kill()
                    killed.append(process)

    killer = threading.Thread(target=kill_workers)
    killer.start()  # beside a thread, workers are spawned
    phantom.write_studies(SMALL, tmp_path / "d", num_workers=2)
    killer.join()

    assert killed
    assert hashes(tmp_path / "d") == hashes(studies_dir)


@pytest.mark.slow
def test_another_seed_writes_other_studies(studies_dir, tmp_path):
    one = phantom_config.PhantomConfig(
        num_studies=1, num_test_studies=0, seed=1, sagittal_px=(64,), axial_px=(64,)
    )
    phantom.write_studies(one, tmp_path / "one")

    assert (tmp_path / "one/train.csv").read_text() not in (studies_dir / "train.csv").read_text()


def test_csvs_have_the_columns_and_spelling_of_the_real_ones(studies_dir):
    grades = pd.read_csv(studies_dir / "train.csv")
    points = pd.read_csv(studies_dir / "train_label_coordinates.csv")
    series = pd.read_csv(studies_dir / "train_series_descriptions.csv")

    assert list(grades.columns) == [
        "study_id",
        *(f"{condition}_{level}" for condition in labels.CONDITIONS for level in labels.LEVELS),
    ]
    assert list(points.columns) == [
        "study_id",
        "series_id",
        "instance_number",
        "condition",
        "level",
        "x",
        "y",
    ]
    assert set(np.unique(grades.iloc[:, 1:].astype(str))) <= {*labels.SEVERITIES, "nan"}
    assert set(points.condition) == {
        "Spinal Canal Stenosis",
        "Left Neural Foraminal Narrowing",
        "Right Neural Foraminal Narrowing",
        "Left Subarticular Stenosis",
        "Right Subarticular Stenosis",
    }
    assert set(points.level) == {"L1/L2", "L2/L3", "L3/L4", "L4/L5", "L5/S1"}
    assert set(series.series_description) == {"Sagittal T1", "Sagittal T2/STIR", "Axial T2"}


def test_coordinates_lie_on_images_of_the_right_kind_of_series(studies_dir):
    points = pd.read_csv(studies_dir / "train_label_coordinates.csv")
    series = pd.read_csv(studies_dir / "train_series_descriptions.csv").set_index("series_id")
    kinds = {"Spinal": "Sagittal T2/STIR", "Neural": "Sagittal T1", "Subarticular": "Axial T2"}

    for row in points.itertuples():
        path = f"train_images/{row.study_id}/{row.series_id}/{row.instance_number}.dcm"
        header = pydicom.dcmread(studies_dir / path, stop_before_pixels=True)
        kind = next(kind for word, kind in kinds.items() if word in row.condition)
        assert series.loc[row.series_id, "series_description"] == kind
        assert -0.5 <= row.x < header.Columns - 0.5
        assert -0.5 <= row.y < header.Rows - 0.5


def test_images_have_the_tags_of_the_real_ones(studies_dir):
    path = next((studies_dir / "train_images").rglob("*.dcm"))
    image = pydicom.dcmread(path)

    assert image.file_meta.TransferSyntaxUID == uid.RLELossless
    assert image.file_meta.MediaStorageSOPClassUID == "1.2.840.10008.5.1.4.1.1.4.1"
    assert "SOPClassUID" not in image
    assert image.SOPInstanceUID == f"{image.PatientID}.1.{image.InstanceNumber}"
    assert image.PatientID == path.parts[-3]
    assert int(path.stem) == image.InstanceNumber
    assert (image.BitsAllocated, image.BitsStored, image.PixelRepresentation) == (16, 12, 0)
    assert image.PhotometricInterpretation == "MONOCHROME2"
    assert image.PatientPosition == "HFS"
    assert len(image.ImagePositionPatient) == 3
    assert np.linalg.norm(image.ImageOrientationPatient[:3]) == pytest.approx(1, abs=1e-5)
    assert image.SliceThickness > 1
    assert 100 < image.pixel_array.max() < 4096


def test_test_side_has_series_but_neither_labels_nor_coordinates(studies_dir):
    series = pd.read_csv(studies_dir / "test_series_descriptions.csv")
    images = {path.name for path in (studies_dir / "test_images").iterdir()}

    assert {str(study_id) for study_id in series.study_id} == images
    assert not images & {path.name for path in (studies_dir / "train_images").iterdir()}
    assert not list(studies_dir.glob("test_label*"))


def test_truth_names_probabilities_for_every_row(studies_dir):
    truth = pd.read_csv(studies_dir / "truth.csv")

    assert len(truth) == 25 * SMALL.num_studies
    assert truth[list(labels.SEVERITY_COLUMNS)].sum(axis=1).to_numpy() == pytest.approx(1, abs=1e-5)
    assert "latent" not in (studies_dir / "train.csv").read_text()


def test_nothing_of_this_run_is_in_the_files(studies_dir):
    assert not [path for path in studies_dir.rglob("*") if path.name.startswith(".")]
    for name in ("truth.json", "train.csv"):
        assert str(studies_dir) not in (studies_dir / name).read_text()


def test_tables_of_studies_that_failed_are_not_there(tmp_path):
    with (
        pytest.raises(RuntimeError, match="the third study"),
        phantom.open_tables(tmp_path, phantom.TRAIN_TABLES),
    ):
        raise RuntimeError("the third study")

    assert list(tmp_path.iterdir()) == []


def test_directory_that_is_not_empty_is_refused(tmp_path):
    (tmp_path / "note.txt").write_text("mine")

    with pytest.raises(ValueError, match="is not empty and holds no complete data set"):
        phantom.write_studies(SMALL, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["note.txt"]


def test_complete_data_set_is_not_overwritten(studies_dir):
    with pytest.raises(ValueError, match="is not empty: remove it"):
        phantom.write_studies(SMALL, studies_dir)


def test_file_in_place_of_the_directory_is_refused(tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(ValueError, match="is a file"):
        phantom.write_studies(SMALL, tmp_path / "file")


def test_no_workers_are_refused(tmp_path):
    with pytest.raises(ValueError, match="workers is 0"):
        phantom.write_studies(SMALL, tmp_path, num_workers=0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_studies": 0}, "num_studies is 0, expected at least 1"),
        ({"num_test_studies": -1}, "num_test_studies is -1"),
        ({"seed": -1}, "seed is -1"),
        ({"sagittal_slices": 2}, "sagittal_slices is 2"),
        ({"axial_slices_per_level": 0}, "axial_slices_per_level is 0"),
        ({"axial_px": (8,)}, "axial_px is"),
        ({"sagittal_px": ()}, "sagittal_px is"),
        ({"axial_fov_mm": (90.0, 80.0)}, "axial_fov_mm is 90.0, 80.0"),
    ],
)
def test_impossible_configuration_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        phantom_config.PhantomConfig(**changes)


def run_program(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["warm-python", "-m", "spine_tf.phantom", *arguments],
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_help_answers_without_work():
    result = run_program("--help")

    assert result.returncode == 0
    assert "--output_dir" in result.stdout


def test_program_without_a_destination_says_what_to_give():
    result = run_program()

    assert result.returncode == 1
    assert "give --output_dir" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--vary=anatomy"], "--vary says what --randomize varies"),
        (["--randomize", "--vary=colour"], "varied has colour, expected some of anatomy"),
        (["--style=hospital", "--edition=2"], "are for studies of --style rsna"),
    ],
)
def test_flags_that_can_have_no_effect_are_refused(tmp_path, arguments, message):
    result = run_program(f"--output_dir={tmp_path / 'd'}", *arguments)

    assert result.returncode == 1
    assert message in result.stderr and "Traceback" not in result.stderr


def test_pictures_take_no_flags_of_a_data_set(tmp_path):
    result = run_program(f"--png={tmp_path / 'p'}", "--randomize")

    assert result.returncode == 1
    assert "--randomize has no effect on the pictures of --png" in result.stderr


def test_order_of_what_varies_changes_nothing():
    parts = (phantom_config.CONTRAST, phantom_config.ANATOMY)
    assert phantom_config.PhantomConfig(varied=parts) == phantom_config.PhantomConfig(
        varied=parts[::-1]
    )


@pytest.mark.slow
def test_program_writes_a_data_set_and_prints_its_ceiling(tmp_path):
    result = run_program("--output_dir", str(tmp_path / "d"), "--num_studies", "2", "--workers=2")

    assert result.returncode == 0, result.stderr
    assert "best possible accuracy, multiclass" in result.stdout
    assert len(pd.read_csv(tmp_path / "d/train.csv")) == 2


@pytest.mark.slow
def test_killed_run_is_gone_on_with_by_the_same_command_alone(tmp_path):
    output_dir = tmp_path / "d"
    asked = ["--num_studies=2", "--vary=curvature,protocol", "--randomize", "--workers=2"]
    process = subprocess.Popen(
        [sys.executable, "-m", "spine_tf.phantom", f"--output_dir={output_dir}", *asked],
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    finished: list[pathlib.Path] = []
    while not finished and time.monotonic() < deadline:
        time.sleep(0.05)
        finished = [path for path in output_dir.glob("train_images/*") if path.name.isdigit()]
    children = psutil.Process(process.pid).children(recursive=True)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()

    _, alive = psutil.wait_procs(children, timeout=30)
    times = {path: path.stat().st_mtime_ns for path in finished[0].rglob("*.dcm")}
    assert times and not alive
    assert not (output_dir / "train.csv").exists()
    with pytest.raises(ValueError, match="unfinished data set of other settings"):
        phantom.write_studies(SMALL, output_dir)

    result = run_program(f"--output_dir={output_dir}", *asked)

    assert result.returncode == 0, result.stderr
    assert times == {path: path.stat().st_mtime_ns for path in finished[0].rglob("*.dcm")}
    config = phantom_config.PhantomConfig(
        num_studies=2, varied=(phantom_config.CURVATURE, phantom_config.PROTOCOL)
    )
    phantom.write_studies(config, tmp_path / "undisturbed")
    assert hashes(output_dir) == hashes(tmp_path / "undisturbed")


@pytest.mark.slow
def test_directory_of_one_killed_at_once_is_taken(tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "unfinished.json.tmp-99999999").touch()
    one = phantom_config.PhantomConfig(
        num_studies=1, num_test_studies=0, sagittal_px=(64,), axial_px=(64,)
    )

    phantom.write_studies(one, tmp_path / "d")

    assert (tmp_path / "d" / "train.csv").exists()
    assert not (tmp_path / "d" / "unfinished.json").exists()
