"""A Python file of the user's own that a flag names, and the function in it that is asked for."""

import pathlib
import runpy
import traceback
from collections.abc import Callable
from typing import Any

from tfrecords import errors


def read_function(path: pathlib.Path, name: str, *, flag: str, purpose: str) -> Callable[..., Any]:
    """Runs a Python file and returns one of its functions.

    Args:
        path: ends with .py.
        name: the function's name in the file.
        flag: name of the flag that leads to the file, for messages, such as "space".
        purpose: the function as it is written and what it does, for messages.

    Raises:
        ValueError: there is no such file, it fails, or it defines no such function.
    """
    if not path.is_file():
        raise ValueError(f"--{flag} is {path}, which is no file")
    try:
        defined = runpy.run_path(str(path))
    except Exception as err:  # whatever somebody's own code may raise
        raise failure(path, err) from err
    function = defined.get(name)
    if not callable(function):
        raise ValueError(f"{path} has no function {purpose}")
    return function


def failure(path: pathlib.Path, err: Exception) -> ValueError:
    """Returns what says in one sentence, with the line, that somebody's own code failed."""
    line = err.lineno if isinstance(err, SyntaxError) else None
    for frame in traceback.extract_tb(err.__traceback__):
        if frame.filename == str(path):
            line = frame.lineno
    message = err.msg if isinstance(err, SyntaxError) else errors.reason(err)
    where = f"{path}, line {line}," if line else f"{path}"
    return ValueError(f"{where} can't be run: {type(err).__name__}: {message}")
