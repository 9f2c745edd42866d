"""A function called in a process of its own, which gives back all memory when it ends."""

import pathlib
from collections.abc import Callable
from typing import Any

from absl import logging

from spine_tf.processes import child

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
        function: a module's function; it imports TensorFlow itself.
        arguments: what can be pickled.
        log_path: what the process writes to stdout and stderr is added to it; None is ours.
        is_over: asked several times a second; when it says so, the process is killed.
        on_tick: called as often.

    Raises:
        Stopped: `is_over` said so.
        ValueError, OSError: what the function raised.
        ChildProcessError: it raised something else, or the process was killed.
    """
    process = child.Child(_answer, function, arguments, log_path=log_path)
    try:
        while not process.connection.poll(_TICK_SECONDS):
            on_tick()
            if is_over():
                raise Stopped
        is_done, value = _receive(process)
        process.join(_END_SECONDS)
    finally:
        process.end()
    if not is_done:
        raise value
    return value


def _receive(process: child.Child) -> tuple[bool, Any]:
    try:
        return process.receive()
    except ChildProcessError as err:
        raise ChildProcessError(f"its process {err}") from err


def _answer(
    caller: child.Connection, function: Callable[..., Any], arguments: tuple[Any, ...]
) -> None:
    try:
        answer = True, function(*arguments)
    except (ValueError, OSError) as err:
        answer = False, err
    except Exception as err:  # noqa: BLE001 - whatever it is, the caller has to hear of it
        logging.exception("%s failed", function.__name__)
        reason = " ".join(str(err).split())[:_REASON_LENGTH]
        answer = False, ChildProcessError(f"{type(err).__name__}: {reason}".removesuffix(": "))
    caller.send(answer)
