"""A process of our own, with a pipe for messages, that dies when this one does."""

import contextlib
import ctypes
import logging as std_logging
import multiprocessing
import os
import pathlib
import pickle
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing import connection as connection_module
from typing import Any

from absl import flags, logging

from tfrecords import stop, terminal

Connection = connection_module.Connection
"""A pipe's end: `send`, `recv`, `poll`; the messages are what can be pickled."""

_END_SECONDS = 5.0
_PR_SET_PDEATHSIG = 1
_WATCH_SECONDS = 0.5
_SIGNALS = (signal.SIGINT, *stop.SIGNALS)


class Child:
    """A started process and our end of its pipe.

    However this process ends, killed or not, the child ends too. It leaves Ctrl-C and SIGHUP to us.
    """

    def __init__(
        self,
        function: Callable[..., None],
        *arguments: Any,
        start_method: str = "spawn",
        inherited: Sequence[int] = (),
        log_path: pathlib.Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Starts the process.

        Args:
            function: a module's function; called in the child with its pipe's end and `arguments`.
            arguments: what can be pickled.
            start_method: "spawn" starts afresh, so that the child may import TensorFlow whatever
                has been imported here; "fork" shares what is imported.
            inherited: descriptors that a fork closes at once, so that no lock outlives its owner.
            log_path: what the child writes to stdout and stderr is added to it; None is ours.
            environment: variables that the child sets before it does anything else.
        """
        if log_path is not None:
            log_path.touch()  # it is there for whoever is told to look into it
        self.connection, child_end = multiprocessing.Pipe()
        is_fork = start_method == "fork"
        task = (function, child_end, arguments)
        made = multiprocessing.get_context(start_method).Process(  # type: ignore[attr-defined]
            target=_work if is_fork else _work_afresh,
            args=(
                *(os.getpid(), inherited if is_fork else (), log_path, dict(environment or {})),
                *(
                    task
                    if is_fork
                    else (pickle.dumps(function), child_end, pickle.dumps(arguments))
                ),
            ),
            daemon=True,
        )
        # Ctrl-C goes to the whole process group: the child must not see it before it ignores it,
        # nor answer another signal as this program does.
        with _blocked_signals():
            made.start()
        child_end.close()
        self._process = made

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether the process has not ended."""
        return self._process.is_alive()

    @property
    def is_killed(self) -> bool:
        """Whether SIGKILL ended the process: it was not its own doing."""
        return self._process.exitcode == -signal.SIGKILL

    def send(self, message: Any) -> None:
        """Sends a message; that the child is dead is found out by `receive`."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.connection.send(message)

    def receive(self) -> Any:
        """Waits for a message.

        Raises:
            ChildProcessError: the child has ended; says how.
        """
        try:
            return self.connection.recv()
        except (EOFError, OSError) as err:
            self.join()
            raise ChildProcessError(self._how_it_ended()) from err

    def join(self, seconds: float = _END_SECONDS) -> None:
        """Waits for the end of the process, which is at it."""
        self._process.join(seconds)

    def end(self) -> None:
        """Ends the process, whatever it is at."""
        self._process.kill()
        self.connection.close()
        self._process.join(_END_SECONDS)

    def _how_it_ended(self) -> str:
        code = self._process.exitcode
        if code is None or code >= 0:
            return f"ended with status {code}"
        hint = ", mostly for want of memory" if -code == signal.SIGKILL else ""
        return f"was killed by {signal.Signals(-code).name}{hint}"


def start_method() -> str:
    """Fork where it is safe: it shares what is imported. TensorFlow's threads don't survive it."""
    is_safe = sys.platform == "linux" and "tensorflow" not in sys.modules
    return "fork" if is_safe and threading.active_count() == 1 else "spawn"


@contextlib.contextmanager
def _blocked_signals() -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work_afresh(
    parent: int,
    inherited: Sequence[int],
    log_path: pathlib.Path | None,
    environment: Mapping[str, str],
    function: bytes,
    child_end: Connection,
    arguments: bytes,
) -> None:
    """What a fork has from its parent, a new process has to set up: it logs as a program does.

    Function and arguments come pickled: what they need may import TensorFlow, which is silent then.
    """
    flags.FLAGS.mark_as_parsed()
    logging.set_verbosity(logging.INFO)
    logging.use_absl_handler()
    if log_path is None:
        logging.get_absl_handler().setFormatter(terminal.PlainFormatter())
    std_logging.getLogger("tensorflow").setLevel(std_logging.ERROR)
    terminal.silence_tensorflow()
    task = pickle.loads(function), child_end, pickle.loads(arguments)
    _work(parent, inherited, log_path, environment, *task)


def _work(
    parent: int,
    inherited: Sequence[int],
    log_path: pathlib.Path | None,
    environment: Mapping[str, str],
    function: Callable[..., None],
    child_end: Connection,
    arguments: Sequence[Any],
) -> None:
    os.environ.update(environment)
    # It may have children of its own, which end with it as it does with us.
    multiprocessing.current_process().daemon = False
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    # multiprocessing ends with it what is left when a program ends, and waits.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    for descriptor in inherited:
        os.close(descriptor)
    die_with(parent)
    if log_path is not None:
        _log_to(log_path)
    function(child_end, *arguments)


def _log_to(path: pathlib.Path) -> None:
    with path.open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)


def die_with(parent: int) -> None:
    """Ends this process when its parent is gone: a killed parent can't tell anyone.

    Linux sends the SIGKILL, also when only the thread ends that started this process. Elsewhere a
    thread looks twice a second whether this process has been given another parent.

    Args:
        parent: the process id of the parent, as the parent knows it.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    else:
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    if os.getppid() != parent:
        os._exit(1)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_WATCH_SECONDS)
    os._exit(1)
