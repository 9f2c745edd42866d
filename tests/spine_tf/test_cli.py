import pathlib
import re
import shutil
import subprocess
import sys

import pytest

import spine_tf
from spine_tf import cli


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    script = pathlib.Path(sys.executable).with_name("spine-tf")
    assert shutil.which(script)
    return subprocess.run([script, *arguments], capture_output=True, text=True, check=False)


def test_script_without_a_program_names_them() -> None:
    result = _run()
    assert result.returncode == 0
    assert "convert " in result.stdout


@pytest.mark.parametrize("arguments", [("help",), ("--help",), ("-h",), ("help", "help")])
def test_help_is_a_success(arguments: tuple[str, ...]) -> None:
    result = _run(*arguments)
    assert (result.returncode, result.stderr) == (0, "")
    assert all(f"  {name} " in result.stdout for name in cli.PROGRAMS)


@pytest.mark.parametrize(
    "end", ["help | true", "version | true", "help convert | true", "help >&-"]
)
def test_who_stops_reading_is_no_error(end: str) -> None:
    script = pathlib.Path(sys.executable).with_name("spine-tf")
    command = ["bash", "-c", f"{script} {end}; exit ${{PIPESTATUS[0]}}"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")


def test_help_of_a_program_is_its_own() -> None:
    asked = _run("help", "subset")
    assert (asked.returncode, asked.stdout) == (0, _run("subset", "--help").stdout)
    assert "spine-tf subset --data_dir" in asked.stdout


@pytest.mark.parametrize("arguments", [("version",), ("--version",)])
def test_version_is_a_success(arguments: tuple[str, ...]) -> None:
    result = _run(*arguments)
    assert (result.returncode, result.stdout) == (0, f"spine-tf {spine_tf.__version__}\n")


@pytest.mark.parametrize("module", [program.module for program in cli.PROGRAMS.values()])
def test_every_program_has_a_version_and_names_the_flag_that_was_meant(module: str) -> None:
    start = ["warm-python", "-m", module]
    version = subprocess.run([*start, "--version"], capture_output=True, text=True)
    assert (version.returncode, version.stdout) == (0, f"spine-tf {spine_tf.__version__}\n")
    shown = subprocess.run([*start, "--help"], capture_output=True, text=True).stdout
    assert f"python -m {module} " in shown
    flag = re.search(r"^  --(?:\[no\])?(\w{3,}):", shown, re.MULTILINE)[1]
    wrong = subprocess.run([*start, f"--{flag}s"], capture_output=True, text=True)
    assert wrong.returncode == 1
    assert wrong.stderr == f"error: there is no flag --{flag}s; did you mean --{flag}?\n"


def test_unknown_program_is_refused_and_the_nearest_named() -> None:
    result = _run("transmogrify")
    assert result.returncode == 1
    assert "there is no program 'transmogrify'" in result.stderr
    assert "there is no program 'trian'; did you mean train?" in _run("trian").stderr


@pytest.mark.parametrize("program", ["convert", "train", "records"])
def test_script_runs_a_program_with_its_own_flags(program: str) -> None:
    result = _run(program, "--help")
    assert result.returncode == 0, result.stderr
    assert ("--num_folds" in result.stdout) == (program == "convert")


@pytest.mark.parametrize(("name", "module"), [("records", "tfrecords"), ("search", "tuner")])
def test_program_answers_to_the_name_of_its_module_too(name: str, module: str) -> None:
    by_name, by_module = _run(name, "--help"), _run(module, "--help")
    assert by_module.returncode == 0, by_module.stderr
    assert by_module.stdout == by_name.stdout


def test_exit_status_of_the_program_is_passed_on(tmp_path: pathlib.Path) -> None:
    result = _run("convert", f"--data_dir={tmp_path / 'none'}", f"--output_dir={tmp_path / 'out'}")
    assert result.returncode == 1
    assert result.stderr.startswith("error: ")
