import pathlib
import shutil
import subprocess
import sys

import pytest


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    script = pathlib.Path(sys.executable).with_name("spine-tf")
    assert shutil.which(script)
    return subprocess.run([script, *arguments], capture_output=True, text=True, check=False)


def test_script_without_a_program_names_them() -> None:
    result = _run()
    assert result.returncode == 0
    assert "convert " in result.stdout


def test_unknown_program_is_refused() -> None:
    result = _run("transmogrify")
    assert result.returncode == 1
    assert "there is no program 'transmogrify'" in result.stderr


@pytest.mark.parametrize("program", ["convert", "train", "records"])
def test_script_runs_a_program_with_its_own_flags(program: str) -> None:
    result = _run(program, "--help")
    assert result.returncode == 0, result.stderr
    assert ("--num_folds" in result.stdout) == (program == "convert")


@pytest.mark.parametrize(("name", "module"), [("records", "tfrecords"), ("search", "tuner")])
def test_program_answers_to_the_name_of_its_module_too(name: str, module: str) -> None:
    by_name, by_module = _run(name, "--help"), _run(module, "--help")
    assert by_module.returncode == 0, by_module.stderr
    assert by_module.stdout == by_name.stdout.replace(f"spine-tf {name}", f"spine-tf {module}")


def test_exit_status_of_the_program_is_passed_on(tmp_path: pathlib.Path) -> None:
    result = _run("convert", f"--data_dir={tmp_path / 'none'}", f"--output_dir={tmp_path / 'out'}")
    assert result.returncode == 1
    assert result.stderr.startswith("error: ")
