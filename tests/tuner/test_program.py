"""python -m tuner: its flags, and what it refuses before TensorFlow is imported."""

import dataclasses
import os
import pathlib
import shutil
import subprocess
import sys
import time

import pytest

from tfrecords import manifest
from tuner import space_presets


def _run(*flags: str, python: str = "warm-python") -> subprocess.CompletedProcess:
    command = [python, "-m", "tuner", *flags]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def test_help_is_quick() -> None:
    started = time.process_time_ns(), time.monotonic()
    result = _run("--help", python=sys.executable)
    assert result.returncode == 0
    assert "--max_trials" in result.stdout.replace("--[no]", "--")
    assert time.monotonic() - started[1] < 5.0  # without TensorFlow; importing it takes longer


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--task=binary", "--models=dense"], "--search_dir"),
        (["--task=binary", "--models=vit"], "model is 'vit'"),
        (["--models=dense"], "--task is missing"),
        (["--task=binary"], "--models is missing"),
        (["--task=binary", "--models=dense", "--set=model.growth_rate=3"], "no field"),
        (["--task=binary", "--models=dense", "--objective=f2"], "objective is 'f2'"),
        (["--task=binary", "--models=dense", "--space=tiny"], "--space is"),
        (["--task=binary", "--models=dense", "--config=none.json"], "none.json does not exist"),
    ],
)
def test_wrong_flag_is_one_sentence(flags: list[str], message: str) -> None:
    result = _run(*flags)
    assert result.returncode == 1
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_directory_that_is_no_conversion_is_one_sentence(tmp_path: pathlib.Path) -> None:
    result = _run(
        *("--task=binary", "--models=dense", f"--records_dir={tmp_path}"),
        f"--search_dir={tmp_path / 's'}",
    )
    assert result.returncode == 1
    assert str(tmp_path) in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "s").exists()


@pytest.mark.slow
def test_records_with_other_bytes_are_refused_unless_they_are_not_compared(
    records_dir: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    copy = shutil.copytree(records_dir, tmp_path / "r")
    dataset = manifest.read_manifest(copy)
    shards = tuple(dataclasses.replace(part, sha256="0" * 64) for part in dataset.shards)
    manifest.write_manifest(copy, dataclasses.replace(dataset, shards=shards))
    # Both are refused; the bytes are compared first.
    flags = ["--task=binary", "--models=simple", f"--records_dir={copy}", "--resume", "--overwrite"]
    flags.append(f"--search_dir={tmp_path / 's'}")
    assert "has another sha256 than manifest.json says" in _run(*flags).stderr
    assert not (tmp_path / "s").exists()
    assert "--resume and --overwrite exclude each other" in _run(*flags, "--noverify").stderr


@pytest.mark.slow
def test_search_without_a_score_ends_with_one_and_few_trials_are_said(
    records_dir: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    result = _run(
        *("--task=binary", "--models=dense,simple", f"--records_dir={records_dir}"),
        *(f"--search_dir={tmp_path / 's'}", "--max_trials=1", "--max_parameters=10"),
    )
    assert result.returncode == 1
    assert "--max_trials is 1, but --models names 2 families: at least 1 of them" in result.stderr
    assert "error: none of 1 trials has a score, the first for this reason: the model has" in (
        result.stderr
    )


def test_space_of_a_user_is_read(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "space.py"
    path.write_text("def declare(hp, config):\n    hp.Float('model.dropout', 0.0, 0.5)\n")
    assert callable(space_presets.get_space(str(path)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def declare(", "can't be run: SyntaxError"),
        ("import no_such_module", "can't be run: ModuleNotFoundError"),
        ("x = 1", "has no function declare"),
        (None, "is no file"),
    ],
)
def test_space_that_cannot_be_read_is_refused(
    tmp_path: pathlib.Path, text: str | None, message: str
) -> None:
    path = tmp_path / "space.py"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ValueError, match=message):
        space_presets.get_space(str(path))
