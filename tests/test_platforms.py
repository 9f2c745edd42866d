"""Where programs run, and where what they read and write may lie."""

import subprocess
import sys

import pytest

from spine_tf import cli

_PROGRAMS = [program.module for program in cli.PROGRAMS.values()]

# Python's own modules and numpy take the system as it is; what comes after sees Windows.
_WINDOWS = """
import ctypes, multiprocessing.connection, runpy, subprocess, sys
import numpy, absl.app, absl.logging
sys.modules["fcntl"] = sys.modules["resource"] = None
sys.platform = "win32"
sys.argv = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""

# Flags are defined once a process: each case is a fork. Their names, and what is worth importing
# before, are told by one that runs nothing.
_REMOTE = """
import importlib, os, runpy, sys
from absl import flags
import spine_tf.flags

def run(name, *arguments):
    reading, writing = os.pipe()
    if not os.fork():
        os.dup2(writing, 2)
        sys.argv = [module, *arguments]
        before = set(flags.FLAGS)
        runpy.run_module(module, run_name=name, alter_sys=True)
        texts = ("string", "comma separated list of strings", "multi string")
        names = [n for n in flags.FLAGS if n not in before and flags.FLAGS[n].flag_type() in texts]
        ours = [n for n in sys.modules if n.startswith(("spine_tf.", "tfrecords.", "tuner."))]
        os.write(writing, (" ".join(names) + "|" + " ".join(ours)).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as file:
        said = file.read()
    return os.waitstatus_to_exitcode(os.wait()[1]), said

module = sys.argv[1]
status, said = run("listed")
assert status == 0, said
names, imported = (part.split() for part in said.split("|"))
for name in imported:
    importlib.import_module(name)
for name in names:
    expected = f"error: --{name} names gs://bucket/x, expected a path of this machine"
    status, said = run("__main__", f"--{name}=gs://bucket/x")
    assert status == 1 and said.startswith(expected) and said.count("\\n") == 1, said
    status, said = run("__main__", f"--{name}=~nobody-here/x")
    assert status == 1 and said.startswith(f"error: --{name} is ~nobody-here/x, and there"), said
print(*names)
"""


def _run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return _python("-c", code, *arguments)


def _run_module(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return _python("-m", module, *arguments)


def _python(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("module", _PROGRAMS)
def test_windows_is_told_of_wsl(module: str) -> None:
    done = _run(_WINDOWS, module)
    assert done.stderr == (
        "error: this program runs on Linux and macOS; on Windows, run it inside WSL2\n"
    )
    assert (done.returncode, done.stdout) == (1, "")


@pytest.mark.slow
@pytest.mark.parametrize("module", _PROGRAMS)
def test_place_that_is_not_local_is_refused(module: str) -> None:
    done = _run(_REMOTE, module)
    assert done.returncode == 0, done.stderr
    if module == "spine_tf.convert":
        assert {"data_dir", "output_dir", "folds_csv", "exclude"} <= set(done.stdout.split())
    if module == "spine_tf.train":
        assert {"records_dir", "run_dir", "config", "set"} <= set(done.stdout.split())


def test_place_inside_a_setting_is_refused() -> None:
    done = _run_module("spine_tf.train", "--set=transfer:model.weights=s3://bucket/w.h5")
    assert done.returncode == 1
    assert done.stderr.startswith("error: --set names s3://bucket/w.h5, expected a path")


def test_what_beam_is_told_is_beams_business() -> None:
    told = "--beam_args=--temp_location=gs://bucket/tmp"
    done = _run_module("spine_tf.convert", "--engine=beam", told)
    assert done.stderr == "error: --data_dir is missing; see --help\n"
