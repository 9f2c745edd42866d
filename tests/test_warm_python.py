"""`warm-python` is a program's process like any other: what it is given, how it ends."""

import multiprocessing
import os
import pathlib
import signal
import subprocess
import sys
import time

import psutil
import pytest

from spine_tf.processes import child, isolated

_COMMAND = ("warm-python", "-m", "tfrecords", "verify")


@pytest.mark.parametrize("variables", [{}, {"PYTHONHASHSEED": "1"}], ids=["warm", "ordinary"])
def test_call_has_its_callers_words_directory_streams_and_status(
    variables: dict[str, str], tmp_path: pathlib.Path
) -> None:
    (tmp_path / "nothing in it").mkdir()
    ended = subprocess.run(
        [*_COMMAND, "nothing in it"],
        cwd=tmp_path,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr.startswith("error: nothing in it ")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="an ordinary Python elsewhere")
def test_call_ends_with_its_caller(tmp_path: pathlib.Path) -> None:
    code = "import os, pathlib, time\npathlib.Path('pid').write_text(str(os.getpid()))\n"
    caller = subprocess.Popen(["warm-python", "-"], stdin=subprocess.PIPE, cwd=tmp_path, text=True)
    caller.stdin.write(f"{code}time.sleep(600)\n")
    caller.stdin.close()
    path = tmp_path / "pid"
    while not (path.exists() and path.read_text()):
        assert caller.poll() is None
        time.sleep(0.02)
    called = psutil.Process(int(path.read_text()))
    caller.send_signal(signal.SIGKILL)
    assert caller.wait() == -signal.SIGKILL
    called.wait(20)


@pytest.mark.parametrize("variable", ["TF_CPP_MIN_LOG_LEVEL=3", "KERAS_BACKEND=tensorflow"])
def test_spawned_process_is_warm_and_its_parents_own(
    variable: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where its parent has set what programs set for their children."""
    monkeypatch.setenv(*variable.split("="))
    log_path = tmp_path / "log"
    is_warm = "'tensorflow' in __import__('sys').modules"
    assert isolated.call(eval, is_warm, log_path=log_path) == (sys.platform == "linux")
    assert isolated.call(eval, "__import__('os').getppid()") == os.getpid()
    assert isolated.call(print, "told", log_path=log_path) is None
    assert log_path.read_text() == "told\n"


def test_spawned_process_ends_by_the_signal_that_multiprocessing_sends_at_the_end() -> None:
    others = set(multiprocessing.active_children())
    child.Child(child.Connection.recv)
    (process,) = set(multiprocessing.active_children()) - others
    process.terminate()
    process.join(20)
    assert process.exitcode == -signal.SIGTERM
