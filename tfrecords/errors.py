"""Errors that a user can meet, in one sentence each; any other is a fault of the code.

What came, where, and what helps. The traceback is in the log with `--verbosity=1`.
"""

import errno
import os
import re
import sys
from typing import Any

_ADVICE = {
    **dict.fromkeys(
        (errno.ENOSPC, errno.EDQUOT),
        "make room there, then run the command again, with --resume where it has that flag",
    ),
    errno.EFBIG: "allow larger files (ulimit -f), or choose another file system",
    errno.EMFILE: "allow more open files (ulimit -n), or lower --workers",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EROFS: "choose a place that can be written to",
}
_NO_MEMORY = (
    "lower data.memory_budget_mb, training.batch_size or --workers, or take a machine with more"
)
# What TensorFlow adds for its developers: [Op:Name], {{node name}} and all lines but the first.
_OF_GRAPH = re.compile(r"\s*(\[Op:[^\]]*\]|(\[\[)?\{\{\w*node [^}]*\}\}(\]\])?)")


def mendable() -> tuple[type[BaseException], ...]:
    """Returns the types of errors that have a sentence: TensorFlow's only once it is imported."""
    return (ValueError, OSError, MemoryError, RecursionError, *_of_operations())


def _of_operations() -> tuple[type[BaseException], ...]:
    tensorflow: Any = sys.modules.get("tensorflow")
    # Half imported, where the import itself failed, it has none.
    found = getattr(getattr(tensorflow, "errors", None), "OpError", None)
    return () if found is None else (found,)


def in_words(err: BaseException) -> str:
    """Returns the sentence of an error, such as one of those types."""
    if isinstance(err, MemoryError):
        return f"there is not enough memory{_in_brackets(err)}: {_NO_MEMORY}"
    if isinstance(err, RecursionError):
        return "what was read is nested too deeply; --verbosity=1 says where"
    if isinstance(err, OSError):
        return _of_system(err)
    if isinstance(err, _of_operations()):
        return _of_tensorflow(err)
    return reason(err)


def reason(err: BaseException) -> str:
    """Returns what an error says on one line, for the middle of another sentence: no advice.

    Of the system's errors where and what, without Python's number of them.
    """
    if isinstance(err, OSError) and _is_plain(err):
        place = f"{_name(err.filename)}: " if err.filename is not None else ""
        return f"{place}{err.strerror}"
    return _one_line(err) or type(err).__name__


def _is_plain(err: OSError) -> bool:
    """Whether it has a number, and no words of its own."""
    return err.errno is not None and type(err).__str__ is OSError.__str__


def _in_brackets(err: BaseException) -> str:
    return f" ({_one_line(err)})" if str(err) else ""


def _one_line(err: BaseException) -> str:
    return " ".join(str(err).split())


def _of_system(err: OSError) -> str:
    """The reason, and what helps."""
    if err.errno == errno.ENOMEM and _is_plain(err):
        return f"there is not enough memory: {_NO_MEMORY}"
    advice = f": {_ADVICE[err.errno]}" if err.errno in _ADVICE and _is_plain(err) else ""
    return f"{reason(err)}{advice}"


def _name(filename: Any) -> str:
    return os.fsdecode(filename) if isinstance(filename, bytes) else str(filename)


def _of_tensorflow(err: BaseException) -> str:
    lines = str(getattr(err, "message", err)).strip().splitlines() or [type(err).__name__]
    said = _OF_GRAPH.sub("", lines[0]).strip() or type(err).__name__
    if "No space left" in said:
        return f"{said}: {_ADVICE[errno.ENOSPC]}"
    if type(err).__name__ == "ResourceExhaustedError":
        return f"there is not enough memory ({said}): {_NO_MEMORY}"
    return f"TensorFlow can't go on: {said}"
