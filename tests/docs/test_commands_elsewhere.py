"""What commands name that can't run in a test: programs, flags, fields, extras, targets."""

import configparser
import functools
import importlib.util
import itertools
import pathlib
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

import keras_tuner
import pytest

from spine_tf import cli
from spine_tf.configuration import config, model_configs, overrides
from tuner import space_presets

_ROOT = pathlib.Path(__file__).parents[2]
# What absl gives every program.
_ABSL_FLAGS = {"help", "helpfull", "log_dir", "verbosity"}
# Says where it was called and with what, a line a call, words apart by the unit separator.
_RECORDER = 'printf "%s\\x1f" "$(basename "$0")" "$@" >> "$CALLS"; echo >> "$CALLS"\n'
_RECORDERS = {
    **dict.fromkeys(("python", "python3", "pip", "make", "spine-tf"), _RECORDER),
    **dict.fromkeys(("docker", "dask"), _RECORDER),
    "sbatch": 'for word in "$@"; do case "$word" in *" "*) bash -c "$word" ;; esac; done\n',
}


def _calls(blocks: Sequence[Any], with_tools: Callable, directory: pathlib.Path) -> list[list[str]]:
    """The words of every command in the blocks, after all that a shell makes of them."""
    calls = directory / "calls"
    calls.touch()
    text = "\n".join(block.text for block in blocks if block.language == "sh")
    environment = {
        **with_tools(_RECORDERS),
        "CALLS": str(calls),
        "SLURM_ARRAY_TASK_ID": "0",
    }
    work_dir = directory / "work"
    work_dir.mkdir()
    (work_dir / "benchmarks").mkdir()
    subprocess.run(
        ["bash", "-c", text], cwd=work_dir, env=environment, capture_output=True, check=False
    )
    return [line.split("\x1f")[:-1] for line in calls.read_text("utf-8").splitlines()]


@functools.cache
def _flags_of_program(module: str) -> frozenset[str]:
    result = subprocess.run(
        [sys.executable, "-m", module, "--help"], capture_output=True, text=True, check=True
    )
    names = re.findall(r"^ +--(\[no\])?(\w+):", result.stdout, re.MULTILINE)
    negated = {f"no{name}" for optional, name in names if optional}
    return frozenset({name for _, name in names} | negated | _ABSL_FLAGS)


def _flags_of_benchmark(path: pathlib.Path) -> frozenset[str]:
    found = re.findall(r'flags\.DEFINE_(\w+)\(\s*"(\w+)"', path.read_text("utf-8"))
    return frozenset(
        {name for _, name in found} | {f"no{name}" for kind, name in found if kind == "bool"}
    )


def _check_flags(arguments: Sequence[str], known: frozenset[str]) -> None:
    for argument, following in itertools.zip_longest(arguments, arguments[1:], fillvalue=""):
        if argument.startswith("-"):
            name, equals, value = argument.removeprefix("--").partition("=")
            assert name in known, f"{arguments} has --{name}"
            if name == "set":
                _check_field(value if equals else following)


def _check_field(text: str) -> None:
    field = overrides.parse(text).field
    assert any(field in config.field_names(family) for family in model_configs.MODEL_CONFIGS), text


def _check_call(command: str, arguments: list[str]) -> None:
    modules = {program.module for program in cli.PROGRAMS.values()}
    match command, *arguments:
        case ("python" | "python3", "-m", "venv", _):
            pass
        case ("python" | "python3", "-m", "pip", *rest) | ("pip", *rest):
            _check_pip(rest)
        case "python", "-m", module, *_ if module.startswith("apache_beam."):
            assert importlib.util.find_spec(module), module
        case "python", "-m", module, *rest:
            assert module in modules, module
            _check_flags(rest, _flags_of_program(module))
        case "spine-tf", name, *rest:
            _check_flags(rest, _flags_of_program(cli.PROGRAMS[name].module))
        case "python", path, *rest:
            script = _ROOT / "benchmarks" / pathlib.Path(path).name
            assert script.is_file(), path
            _check_flags(rest, _flags_of_benchmark(script))
        case "make", *targets:
            rules = re.findall(r"^(\w+):", (_ROOT / "Makefile").read_text(), re.MULTILINE)
            assert set(targets) <= set(rules), targets


def _check_pip(arguments: Sequence[str]) -> None:
    setup = configparser.ConfigParser()
    setup.read(_ROOT / "setup.cfg")
    extras = [name for word in arguments for name in re.findall(r"\[(.+)\]", word)]
    for name in ",".join(extras).split(","):
        assert not name or name in setup["options.extras_require"], name


def test_commands_that_need_more_name_what_there_is(
    page: pathlib.Path, blocks_of: Callable, with_tools: Callable, tmp_path: pathlib.Path
) -> None:
    blocks = [block for block in blocks_of(page) if "needs" in block.options]
    calls = _calls(blocks, with_tools, tmp_path)
    assert bool(calls) == any(block.language == "sh" for block in blocks)
    for command, *arguments in calls:
        _check_call(command, arguments)


def test_checks_of_commands_find_what_is_not_there() -> None:
    for call in (
        ["python", "-m", "spine_tf.nothing"],
        ["python", "-m", "spine_tf.train", "--epoch=3"],
        ["python", "-m", "spine_tf.train", "--set", "model.drop=0"],
        ["python", "benchmarks/nothing.py"],
        ["python", "benchmarks/feed.py", "--nothing"],
        ["make", "nothing"],
        ["pip", "install", ".[nothing]"],
    ):
        with pytest.raises(AssertionError):
            _check_call(call[0], call[1:])


def test_example_of_a_search_space_declares_fields(
    blocks_of: Callable, tmp_path: pathlib.Path
) -> None:
    blocks = blocks_of(_ROOT / "docs" / "programs.md")
    (example,) = [block for block in blocks if block.options.get("file") == "my_space.py"]
    (tmp_path / "my_space.py").write_text(example.text, "utf-8")
    declare = space_presets.get_space(str(tmp_path / "my_space.py"))
    hyperparameters = keras_tuner.HyperParameters()
    declare(hyperparameters, config.default_config("multiclass", "residual"))
    assert set(hyperparameters.values) == {"training.learning_rate", "model.filters"}
    assert set(hyperparameters.values) <= set(config.field_names("residual"))


def test_code_that_needs_more_is_python(page: pathlib.Path, blocks_of: Callable) -> None:
    for block in blocks_of(page):
        if block.language == "python":
            compile(block.text, block.place, "exec")
