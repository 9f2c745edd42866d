"""A Python that has imported what programs do: `warm-python -m MODULE ...`, on the tests' PATH.

To import TensorFlow takes five seconds of a processor, in every program that a test starts. Here
a server imports it, once for all tests, and forks for each call: a process of its own, with its
caller's arguments, directory, variables and descriptors, that is killed with its caller. So is what
these programs and the tests themselves spawn by multiprocessing. Another server has no TensorFlow:
without it, programs fork workers of their own. An ordinary Python is left what it alone can do: a
call with other variables that are read at an import, and all of them where a system has no
descriptors of processes.
"""

import atexit
import contextlib
import ctypes
import fcntl
import gc
import importlib
import json
import multiprocessing
import os
import pathlib
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping

# What the programs of a server import, whichever of them it is.
_IMPORTED = {
    "with": (
        *("tensorflow", "keras", "keras_tuner", "pandas", "scipy.stats", "matplotlib.pyplot"),
        *("spine_tf.evaluation.evaluation", "spine_tf.serving.bundle", "tuner.search"),
        "tuner.runner",
    ),
    "without": (
        *("numpy", "pydicom", "pandas", "absl.flags", "scipy.stats", "spine_tf.ablation.ablation"),
        *("spine_tf.auditing.audit", "spine_tf.conversion.job", "spine_tf.studies.organizing"),
        "spine_tf.synthesis.phantom",
    ),
}
_SERVER_OF = {
    **dict.fromkeys(("spine_tf.augment", "spine_tf.clean", "spine_tf.evaluate"), "with"),
    **dict.fromkeys(("spine_tf.export", "spine_tf.predict", "spine_tf.train", "tuner"), "with"),
    **dict.fromkeys(("spine_tf.localize", "spine_tf.serve", "spine_tf.stack"), "with"),
    **dict.fromkeys(("spine_tf.reproduce", "-", "-c"), "with"),
    **dict.fromkeys(("spine_tf.ablate", "spine_tf.audit", "spine_tf.config"), "without"),
    **dict.fromkeys(("spine_tf.convert", "spine_tf.organize", "spine_tf.phantom"), "without"),
    **dict.fromkeys(("spine_tf.subset", "tfrecords"), "without"),
}
# Beginnings of names of variables.
_READ_AT_AN_IMPORT = ("PYTHON", "TF_", "CUDA", "OMP_", "MPL", "KERAS_", "MALLOC", "LD_")
_SECONDS_TO_START = 120
_MAX_REQUEST_BYTES = 200_000
_MAX_DESCRIPTORS = 200
_MAX_OWN_DESCRIPTOR = 500
_SPAWNED = "--multiprocessing-fork"
_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Is a client, or with `--serve SOCKET PID` a server, which ends when that process does."""
    if sys.argv[1:2] == ["--serve"]:
        _serve(pathlib.Path(sys.argv[2]), int(sys.argv[3]))
    else:
        _call(sys.argv[1:])


def read_at_an_import(variables: Mapping[str, str]) -> dict[str, str]:
    """Returns those that a process which is forked would have to have had at its beginning."""
    read = {name: text for name, text in variables.items() if name.startswith(_READ_AT_AN_IMPORT)}
    # What programs set for themselves, their children and so for tests that call them.
    read.pop("TF_CPP_MIN_LOG_LEVEL", None)
    if read.get("KERAS_BACKEND") == "tensorflow":
        del read["KERAS_BACKEND"]
    return read


def _call(arguments: list[str]) -> None:
    """Ends as the call did; becomes an ordinary Python where that is needed."""
    if arguments[-1:] == [_SPAWNED]:
        words = ["-c", *arguments[-2:]]
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    else:
        words = arguments[arguments[:1] == ["-m"] :]
    status = None
    if hasattr(os, "pidfd_open") and words[:1] and words[0] in _SERVER_OF:
        address = pathlib.Path(os.environ["WARM_PYTHON_DIR"], _SERVER_OF[words[0]])
        _start_server(address)
        status = _asked(address, words)
    if status is None:
        os.execv(sys.executable, [sys.executable, *arguments])
    if status < 0:
        os.kill(os.getpid(), -status)
    sys.exit(status)


def _asked(address: pathlib.Path, words: list[str]) -> int | None:
    descriptors = _descriptors() if words[0] == "-c" else [0, 1, 2]
    call = [words, str(pathlib.Path.cwd()), dict(os.environ), os.getppid(), descriptors]
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        connection.connect(str(address))
        socket.send_fds(connection, [json.dumps(call).encode()], descriptors)
        # Held back from what is spawned until it is ready; multiprocessing ends processes by it.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        return json.loads(connection.recv(64))


def _descriptors() -> list[int]:
    """Returns what the caller has left open for this process: the numbers mean something to it."""
    found = []
    for path in pathlib.Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # what lists them
            os.fstat(int(path.name))
            found.append(int(path.name))
    return sorted(found)


def _start_server(address: pathlib.Path) -> None:
    log_path = address.with_suffix(".log")
    with address.with_suffix(".lock").open("w") as lock, log_path.open("a") as log:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if address.exists():
            return
        command = [sys.executable, "-P", __file__, "--serve", str(address)]
        server = subprocess.Popen(
            [*command, os.environ["WARM_PYTHON_FOR"]],
            env=json.loads(address.with_name("variables.json").read_text("utf-8")),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        end = time.monotonic() + _SECONDS_TO_START
        while not address.exists():
            if server.poll() is not None or time.monotonic() > end:
                sys.exit(f"no warm Python: {log_path.read_text()}")
            time.sleep(0.05)


def _serve(address: pathlib.Path, owner: int) -> None:
    variables = read_at_an_import(os.environ)
    _import(_IMPORTED[address.name])
    multiprocessing.set_executable(str(address.with_name("warm-python")))
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
        server.bind(str(address.with_suffix(".starting")))
        server.listen()
        address.with_suffix(".starting").rename(address)
        words = _Server(server, owner, variables).words()
    status: object = None
    try:
        _run(words)
    except SystemExit as end:
        status = end.code
    if status is None or isinstance(status, int):
        _end(status or 0)
    sys.exit(str(status))


def _run(words: list[str]) -> None:
    if words[0] in ("-", "-c"):
        code = sys.stdin.read() if words[0] == "-" else words.pop(1)
        sys.argv = words
        exec(compile(code, "<stdin>", "exec"), {"__name__": "__main__"})
    else:
        sys.argv = words
        runpy.run_module(words[0], run_name="__main__", alter_sys=True)


def _end(status: int) -> None:
    """Ends as Python does, but leaves its memory to the system: to free it would take long."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _import(names: Iterable[str]) -> None:
    importlib.import_module("tfrecords.environment").settle()
    importlib.import_module("tfrecords.terminal").silence_tensorflow()
    for name in names:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()


class _Server:
    """Forks for each request, tells its caller how it ended, and kills what has no caller left."""

    def __init__(self, server: socket.socket, owner: int, variables: Mapping[str, str]) -> None:
        self._server = server
        self._owner = os.pidfd_open(owner)
        self._variables = variables
        self._calls: dict[int, tuple[int, socket.socket]] = {}  # by the process's descriptor

    def words(self) -> list[str]:
        """Returns what a forked process is to run; in the server itself it never returns."""
        while True:
            pids = {connection.fileno(): pid for pid, connection in self._calls.values()}
            # One at a time, and ends before callers: both of a call may be ready at once.
            watched = [self._owner, self._server.fileno(), *self._calls, *pids]
            ready = select.select(watched, [], [])[0][0]
            if ready == self._owner:
                os._exit(0)
            elif ready in self._calls:
                self._answer(ready)
            elif ready in pids:
                os.kill(pids[ready], signal.SIGKILL)
            elif words := self._forked():
                return words

    def _forked(self) -> list[str] | None:
        """Returns the words in the process that is forked, None in the server."""
        connection, _ = self._server.accept()
        message, descriptors, _, _ = socket.recv_fds(
            connection, _MAX_REQUEST_BYTES, _MAX_DESCRIPTORS
        )
        words, directory, variables, parent, numbers = json.loads(message)
        if read_at_an_import(variables) != self._variables:
            pid = None
            connection.send(b"null")
            connection.close()
        elif pid := os.fork():
            self._calls[os.pidfd_open(pid)] = pid, connection
        else:
            for own in (connection, self._server, *(other for _, other in self._calls.values())):
                own.detach()  # their numbers become the caller's
            _take_over(dict(zip(numbers, descriptors, strict=True)))
            _become(directory, variables, parent)
            return words
        for descriptor in descriptors:
            os.close(descriptor)
        return None

    def _answer(self, process: int) -> None:
        pid, connection = self._calls.pop(process)
        os.close(process)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        with connection, contextlib.suppress(BrokenPipeError):
            connection.send(str(status).encode())


def _take_over(descriptors: Mapping[int, int]) -> None:
    """Gives this process its caller's descriptors, by number, and no other but the first three."""
    above = max(_MAX_OWN_DESCRIPTOR, *descriptors) + 1
    moved = {
        number: fcntl.fcntl(descriptor, fcntl.F_DUPFD, above)
        for number, descriptor in descriptors.items()
    }
    os.closerange(3, above)
    for number, descriptor in moved.items():
        os.dup2(descriptor, number)
        os.close(descriptor)


def _become(directory: str, variables: Mapping[str, str], parent: int) -> None:
    """Gives this process what is its caller's; its parent, to all who ask, is its caller's."""
    own, of_any = os.getpid(), os.getppid
    os.getppid = lambda: parent if os.getpid() == own else of_any()
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(variables)
    sys.path.insert(0, directory)


if __name__ == "__main__":
    main()
