"""A function called in a process of its own, which gives back all memory when it ends."""

import logging as std_logging
import multiprocessing
import os
import pathlib
import signal
from collections.abc import Callable
from multiprocessing import connection
from typing import Any

from absl import flags, logging

from spine_tf.processes import pool

_TICK_SECONDS = 0.25
_END_SECONDS = 10.0
_REASON_LENGTH = 500


class Stopped(Exception):
    """The caller ended the process before the function was done."""


def call(
    function: Callable[..., Any],
    *arguments: Any,
    log_path: pathlib.Path | None = None,
    is_over: Callable[[], bool] = lambda: False,
    on_tick: Callable[[], None] = lambda: None,
) -> Any:
    """Returns what the function returns, called in a new process.

    The process ends with this one, however that ends. It is started afresh, not forked, so that it
    may import TensorFlow whatever has been imported here.

    Args:
        function: of a module; it imports TensorFlow itself.
        arguments: what can be pickled.
        log_path: what the process writes to stdout and stderr is added to it; None is ours.
        is_over: asked several times a second; when it says so, the process is killed.
        on_tick: called as often.

    Raises:
        Stopped: `is_over` said so.
        ValueError, OSError: what the function raised.
        ChildProcessError: it raised something else, or the process was killed.
    """
    start = multiprocessing.get_context("spawn")
    answers, child_end = start.Pipe(duplex=False)
    process = start.Process(
        target=_work, args=(child_end, os.getpid(), log_path, function, arguments), daemon=True
    )
    process.start()
    child_end.close()
    try:
        while not answers.poll(_TICK_SECONDS):
            on_tick()
            if is_over():
                raise Stopped
        is_done, value = answers.recv()
        process.join(_END_SECONDS)
    except EOFError as err:
        process.join()
        raise ChildProcessError(_death(process.exitcode)) from err
    finally:
        process.kill()
        process.join()
        answers.close()
    if not is_done:
        raise value
    return value


def _death(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        name = signal.Signals(-exit_code).name
        hint = ", mostly for want of memory" if -exit_code == signal.SIGKILL else ""
        return f"its process was killed by {name}{hint}"
    return f"its process ended with status {exit_code}"


def _work(
    answers: "connection.Connection[Any, Any]",
    parent: int,
    log_path: pathlib.Path | None,
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the caller, which ends us
    pool.die_with(parent)
    if log_path is not None:
        with log_path.open("ab") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
    flags.FLAGS.mark_as_parsed()
    logging.set_verbosity(logging.INFO)
    logging.use_absl_handler()
    std_logging.getLogger("tensorflow").setLevel(std_logging.ERROR)
    try:
        answer = True, function(*arguments)
    except (ValueError, OSError) as err:
        answer = False, err
    except Exception as err:  # whatever it is, the caller has to hear of it
        logging.exception("%s failed", function.__name__)
        reason = " ".join(str(err).split())[:_REASON_LENGTH]
        answer = False, ChildProcessError(f"{type(err).__name__}: {reason}".removesuffix(": "))
    answers.send(answer)
