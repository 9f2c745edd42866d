import pathlib
import re
import signal
import subprocess
import sys
import time
from typing import Any

import pytest

import spine_tf
from tfrecords import program

_PROGRAM = """
import sys, time
from absl import flags, logging
from tfrecords import program

_KINDS = ["none", "value", "file", "status", "memory", "deep", "bug", "wait", "full"]
_KIND = flags.DEFINE_enum("kind", "none", _KINDS, "What fails.")
_LONG_NAME = flags.DEFINE_bool("long_name", False, "Says so.")
_MANY_NAMES = flags.DEFINE_list("many_names", [], "Names.")

class _Refused(ValueError):
    exit_status = 3

def main():
    if _KIND.value == "value":
        raise ValueError("kind is value,\\n  expected none")
    if _KIND.value == "file":
        open("nowhere/at/all")
    if _KIND.value == "status":
        raise _Refused("too many")
    if _KIND.value == "memory":
        raise MemoryError("8 GiB")
    if _KIND.value == "deep":
        main()
    if _KIND.value == "bug":
        raise KeyError("bug")
    if _KIND.value == "wait":
        try:
            sys.stderr.write("at work\\n")
            time.sleep(20)
        finally:
            time.sleep(0.2)
            sys.stderr.write("cleaned up\\n")
    if _KIND.value == "full":
        for number in range(100_000):
            print("a line of a table")
        sys.stderr.write("at the end\\n")
        return
    logging.info("all is as it was")
    logging.warning("not quite")
    print("ran", program.arguments(), program.require(_KIND))
    print(program.given(_KIND))

program.run(main, usage="Fails as it is told: %s --kind=none", max_arguments=1)
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
    assert (result.returncode, result.stdout) == (0, "ran ['where'] none\n[]\n")


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("--kind=value",), 1, "error: kind is value, expected none\n"),
        (("--kind=file",), 1, "error: nowhere/at/all: No such file or directory\n"),
        (("--kind=memory",), 1, "error: there is not enough memory (8 GiB): lower data.memory_"),
        (("--kind=deep",), 1, "error: what was read is nested too deeply; --verbosity=1 says"),
        (("--kind=status",), 3, "error: too many\n"),
        (("gs://b/x",), 1, "error: the argument names gs://b/x, expected a path of this machine"),
        (("--log_dir=s3://b",), 1, "error: --log_dir names s3://b, expected a path of this"),
        (("one", "two"), 1, "error: 'two' is not a flag: write --name=value\n"),
        (("--kind=",), 1, "value should be one of <none|value|file|status|memory|deep|"),
        (("--kindly",), 1, "error: there is no flag --kindly; did you mean --kind?\n"),
        (("--long-nam",), 1, "error: there is no flag --long-nam; did you mean --long_name?\n"),
        (("--other=3",), 1, "error: there is no flag --other; see --help\n"),
        (("--kind",), 1, "error: Missing value for flag --kind\n"),
    ],
)
def test_what_a_user_can_mend_is_one_sentence(
    path: pathlib.Path, arguments: tuple[str, ...], status: int, message: str
) -> None:
    result = _run(path, *arguments)
    assert result.returncode == status
    assert message in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("number", "status", "said"),
    [
        (signal.SIGTERM, 143, "error: stopped by SIGTERM\n"),
        (signal.SIGHUP, 129, "error: stopped by SIGHUP\n"),
        (signal.SIGINT, 130, "error: interrupted\n"),
    ],
)
def test_a_signal_is_a_line_and_a_status_after_what_is_to_be_cleaned_up(
    path: pathlib.Path, number: signal.Signals, status: int, said: str
) -> None:
    process = _start(path, "--kind=wait")
    assert process.stderr is not None
    assert process.stderr.readline() == "at work\n"
    process.send_signal(number)
    time.sleep(0.05)
    if number is not signal.SIGINT:
        process.send_signal(number)  # a scheduler may say it twice
    _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (status, f"cleaned up\n{said}")


def test_a_program_under_nohup_outlives_its_terminal(path: pathlib.Path) -> None:
    process = _start(path, "--kind=wait", start=("nohup",))
    assert process.stderr is not None
    while process.stderr.readline() != "at work\n":
        pass
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (143, "cleaned up\nerror: stopped by SIGTERM\n")


def _start(
    path: pathlib.Path, *arguments: str, start: tuple[str, ...] = ()
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*start, sys.executable, str(path), *arguments],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_heed_signals,
    )


def _heed_signals() -> None:
    """As if these tests ran neither under nohup nor in the background."""
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)


def _run_in_shell(path: pathlib.Path, line: str) -> subprocess.CompletedProcess[str]:
    command = ["bash", "-c", line.replace("PROGRAM", f"{sys.executable} {path}")]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=path.parent)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("PROGRAM --kind=full | head -1; exit ${PIPESTATUS[0]}", "at the end\n"),
        ("PROGRAM --kind=full | true; exit ${PIPESTATUS[0]}", "at the end\n"),
        ("PROGRAM --kind=none |& true; exit ${PIPESTATUS[0]}", ""),
        ("PROGRAM --help | true; exit ${PIPESTATUS[0]}", ""),
        ("PROGRAM --kind=none >&-", "all is as it was\nwarning: not quite\n"),
        ("PROGRAM --kind=none 2>&-", ""),
    ],
)
def test_who_stops_reading_is_no_error(path: pathlib.Path, line: str, said: str) -> None:
    result = _run_in_shell(path, line)
    assert (result.returncode, result.stderr) == (0, said)


def test_a_full_disk_below_stdout_is_an_error(path: pathlib.Path) -> None:
    result = _run_in_shell(path, "PROGRAM --kind=full > /dev/full")
    assert (result.returncode, "No space left" in result.stderr) == (1, True)
    assert "Traceback" not in result.stderr


def test_a_name_that_is_no_text_is_shown_by_escapes(path: pathlib.Path) -> None:
    result = _run_in_shell(path, "PROGRAM $'B\\xe4'")
    assert (result.returncode, result.stdout) == (0, "ran ['B\\udce4'] none\n[]\n")


def test_home_is_where_it_is_in_every_flag_and_argument(path: pathlib.Path) -> None:
    (path.parent / "~kept").touch()
    line = "HOME=/h PROGRAM --long_name --many_names=~/b,c=~/d,~kept,e~ '~'"
    result = _run_in_shell(path, line)
    assert (
        result.stdout == "ran ['/h'] none\n['--long_name', '--many_names=/h/b,c=/h/d,~kept,e~']\n"
    )
    result = _run_in_shell(path, "PROGRAM --many_names=a=~nobody-here/b")
    assert result.returncode == 1
    assert result.stderr == (
        "error: --many_names is a=~nobody-here/b, and there is no user 'nobody-here' here: write "
        "a=./~nobody-here/b for a folder of that name\n"
    )


def test_a_bug_keeps_its_traceback(path: pathlib.Path) -> None:
    assert "Traceback" in _run(path, "--kind=bug").stderr


def test_help_is_a_success_and_names_the_flags(path: pathlib.Path) -> None:
    result = _run(path, "--help")
    assert result.returncode == 0
    assert f"Fails as it is told: {path} --kind=none" in result.stdout
    assert "--kind" in result.stdout


def test_version_is_a_success_whatever_else_is_asked(path: pathlib.Path) -> None:
    result = _run(path, "--kind=value", "--version")
    assert (result.returncode, result.stdout) == (0, f"spine-tf {spine_tf.__version__}\n")


def test_hyphens_of_a_flag_are_underscores_and_values_keep_theirs(path: pathlib.Path) -> None:
    result = _run(path, "--long-name", "--many-names=a-b,c", "--", "--not-a-flag")
    assert result.returncode == 0, result.stderr
    assert result.stdout == ("ran ['--not-a-flag'] none\n['--long_name', '--many_names=a-b,c']\n")
    assert "given: []" not in _run(path, "--nolong-name").stdout


def test_given_flags_are_ready_to_be_given_again_but_for_some(path: pathlib.Path) -> None:
    result = _run(path, "--kind=none", "--nolong_name", "--many_names", "a,b c")
    assert result.stdout.endswith("['--nolong_name', '--many_names=a,b c']\n")


def test_log_is_plain_on_a_terminal_and_has_times_in_a_file(path: pathlib.Path) -> None:
    assert _run(path).stderr == "all is as it was\nwarning: not quite\n"
    log_dir = path.parent / "logs" / "new"
    assert _run(path, f"--log_dir={log_dir}").stderr == ""
    (log,) = (file for file in log_dir.iterdir() if not file.is_symlink())
    assert re.search(r"^I\d{4} .*fails.py:\d+\] all is as it was$", log.read_text(), re.MULTILINE)


@pytest.mark.parametrize(
    ("arguments", "values", "line"),
    [
        ((), {"run_dir": "a b"}, "next: run me '--run_dir=a b'"),
        (("verify", pathlib.Path("r")), {}, "next: run me verify r"),
        ((), {"dry": True, "wet": False, "no": None}, "next: run me --dry --nowet"),
        ((), {"some": ["a", "b"], "none": 0}, "next: run me --some=a,b --none=0"),
        ((), {"some": ["a,b", "c"]}, """next: run me '--some="a,b",c'"""),
    ],
)
def test_next_line_is_what_a_shell_takes(
    arguments: tuple[Any, ...], values: dict[str, Any], line: str
) -> None:
    assert program.next_line(["run", "me"], *arguments, **values) == line
