import pathlib
import subprocess
import sys

import pytest

_PROGRAM = """
from absl import flags
from tfrecords import program

_KIND = flags.DEFINE_enum("kind", "none", ["none", "value", "file", "status", "bug"], "What fails.")

class _Refused(ValueError):
    exit_status = 3

def main():
    if _KIND.value == "value":
        raise ValueError("kind is value,\\n  expected none")
    if _KIND.value == "file":
        open("nowhere/at/all")
    if _KIND.value == "status":
        raise _Refused("too many")
    if _KIND.value == "bug":
        raise KeyError("bug")
    print("ran", program.arguments(), program.require(_KIND))

program.run(main, usage="Fails as it is told.", max_arguments=1)
"""


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    path = tmp_path_factory.mktemp("program") / "fails.py"
    path.write_text(_PROGRAM)
    return path


def _run(path: pathlib.Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(path), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=path.parent)


def test_arguments_reach_the_program(path: pathlib.Path) -> None:
    result = _run(path, "where", "--kind=none")
    assert (result.returncode, result.stdout) == (0, "ran ['where'] none\n")


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("--kind=value",), 1, "error: kind is value, expected none\n"),
        (("--kind=file",), 1, "error: [Errno 2] No such file or directory: 'nowhere/at/all'\n"),
        (("--kind=status",), 3, "error: too many\n"),
        (("one", "two"), 1, "error: 'two' is not a flag: write --name=value\n"),
        (("--kind=",), 1, "value should be one of <none|value|file|status|bug>"),
        (("--kindly",), 1, "Unknown command line flag 'kindly'"),
    ],
)
def test_what_a_user_can_mend_is_one_sentence(
    path: pathlib.Path, arguments: tuple[str, ...], status: int, message: str
) -> None:
    result = _run(path, *arguments)
    assert result.returncode == status
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_a_bug_keeps_its_traceback(path: pathlib.Path) -> None:
    assert "Traceback" in _run(path, "--kind=bug").stderr


def test_help_is_a_success_and_names_the_flags(path: pathlib.Path) -> None:
    result = _run(path, "--help")
    assert result.returncode == 0
    assert "Fails as it is told." in result.stdout
    assert "--kind" in result.stdout
