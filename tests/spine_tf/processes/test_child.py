"""A child process: messages, a log, an environment, and its end."""

import importlib
import os
import pathlib
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import psutil
import pytest

from spine_tf.processes import child

pytestmark = pytest.mark.usefixtures("ordinary_children")

_METHODS = ("fork", "spawn")


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., child.Child]]:
    """Starts a child with a function of child_tasks.py; it ends after the test."""
    monkeypatch.syspath_prepend(pathlib.Path(__file__).parent)
    started = []

    def start(name, *arguments, **options):
        function = getattr(importlib.import_module("child_tasks"), name)
        started.append(child.Child(function, *arguments, **options))
        return started[-1]

    yield start
    for one in started:
        one.end()


@pytest.mark.parametrize("method", _METHODS)
def test_messages_go_both_ways(start, method):
    one = start("answer_twice", "hello", start_method=method)
    for number in (1, 2):
        one.send(number)
        assert one.receive() == f"hello {number}"


@pytest.mark.parametrize("method", _METHODS)
def test_environment_and_log_are_the_childs_own(start, method, tmp_path):
    one = start(
        *("tell_variable", "SPINE_TF_TEST"),
        start_method=method,
        environment={"SPINE_TF_TEST": "7"},
        log_path=tmp_path / "log",
    )
    assert one.receive() == "7"
    assert (tmp_path / "log").read_text() == "a line for the log\n"
    assert "SPINE_TF_TEST" not in os.environ


def test_fork_closes_what_it_is_told_to(start, tmp_path):
    with (tmp_path / "locked").open("w") as file:
        for inherited, state in (((), "open"), ((file.fileno(),), "closed")):
            one = start(
                *("tell_descriptors", file.fileno()), start_method="fork", inherited=inherited
            )
            assert one.receive() == state


def test_child_that_ended_is_found_out_when_it_is_heard(start):
    one = start("wait_for_ever")
    os.kill(one.receive(), signal.SIGKILL)
    one.join()
    assert not one.is_alive
    one.send("nobody hears this")
    with pytest.raises(ChildProcessError, match=r"^was killed by SIGKILL, mostly for want of mem"):
        one.receive()


def test_ended_child_is_gone(start):
    one = start("wait_for_ever")
    one.end()
    assert not psutil.pid_exists(one.pid)


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_child_dies_with_a_killed_parent(platform):
    dies = f"""
import os, sys, time
sys.platform = {platform!r}
from spine_tf.processes import child
child.die_with(os.getppid())
print("ready", flush=True)
time.sleep(60)
"""
    starts = f"""
import subprocess, sys, time
one = subprocess.Popen([sys.executable, "-c", {dies!r}], stdout=subprocess.PIPE)
one.stdout.readline()
print(one.pid, flush=True)
time.sleep(60)
"""
    parent = subprocess.Popen([sys.executable, "-c", starts], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    started = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.wait()
    assert not psutil.wait_procs([started], timeout=10)[1]


def test_child_whose_parent_is_gone_already_ends():
    code = "from spine_tf.processes import child; child.die_with(1); print('lives')"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert (result.returncode, result.stdout) == (1, b"")


@pytest.mark.parametrize("method", _METHODS)
def test_child_may_have_a_child_which_ends_with_it(start, method):
    one = start("have_a_child", start_method=method)
    answer, pid = one.receive()
    assert answer == "grandchild 1"
    grandchild = psutil.Process(pid)
    one.end()
    assert not psutil.wait_procs([grandchild], timeout=10)[1]
