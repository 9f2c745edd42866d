"""A call in a process of its own: results and errors come back, and nothing of it is left."""

import math
import operator
import os
import signal
import subprocess
import sys
import time
from typing import Any

import psutil
import pytest

from spine_tf.processes import isolated

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ordinary_children")]


def test_result_comes_from_another_process():
    assert isolated.call(math.sqrt, 9.0) == 3.0
    process_id = isolated.call(os.getpid)
    assert process_id != os.getpid()
    assert not psutil.pid_exists(process_id)


def test_error_of_the_function_comes_back():
    with pytest.raises(ValueError, match="invalid literal"):
        isolated.call(int, "x")
    with pytest.raises(FileNotFoundError):
        isolated.call(os.listdir, "/nowhere")


def test_other_error_is_one_sentence_and_stands_in_the_log(tmp_path):
    with pytest.raises(ChildProcessError, match="ZeroDivisionError: division by zero"):
        isolated.call(operator.truediv, 1, 0, log_path=tmp_path / "log")
    assert "Traceback" in (tmp_path / "log").read_text()


@pytest.mark.parametrize(
    ("function", "argument", "message"),
    [
        (signal.raise_signal, signal.SIGKILL, "killed by SIGKILL, mostly for want of memory"),
        (signal.raise_signal, signal.SIGSEGV, "killed by SIGSEGV"),
        (os._exit, 7, "ended with status 7"),
    ],
)
def test_death_of_the_process_is_an_error(function, argument, message):
    with pytest.raises(ChildProcessError, match=message):
        isolated.call(function, argument)


def test_caller_can_end_it():
    started, before = time.monotonic(), set(psutil.Process().children())
    during = set()
    with pytest.raises(isolated.Stopped):
        isolated.call(
            time.sleep,
            60,
            is_over=lambda: time.monotonic() - started > 1.0,
            on_tick=lambda: during.update(set(psutil.Process().children()) - before),
        )
    assert during
    assert not any("spawn_main" in " ".join(one.cmdline()) for one in _alive(during))


def _alive(processes):
    """Those that are not dead, a zombie that nobody has waited for being dead."""
    return [
        process
        for process in processes
        if process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    ]


def test_it_ends_with_a_caller_that_is_killed():
    code = (
        "import time\n"
        "from spine_tf.processes import isolated\n"
        "if __name__ == '__main__': isolated.call(time.sleep, 60)\n"
    )
    caller = subprocess.Popen([sys.executable, "-c", code])
    process = psutil.Process(caller.pid)
    children: list[Any] = []
    while len(children) < 2:  # multiprocessing's tracker, and the call
        time.sleep(0.1)
        children = process.children()
    time.sleep(1.0)
    caller.kill()
    caller.wait()
    _, alive = psutil.wait_procs(children, timeout=30)
    assert not _alive(alive)
