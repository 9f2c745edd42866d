"""What a terminal shows: lines that are what they say, and no chatter of TensorFlow's."""

import contextlib
import importlib.abc
import importlib.machinery
import importlib.util
import io
import logging
import os
import re
import sys
import tempfile
import types
from collections.abc import Iterator, Sequence
from typing import Any, TextIO

_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
# As absl writes them from C++, as TensorFlow did before, and what goes with either.
_CHATTER = re.compile(
    rb"[IWE]\d{4} [\d:.]+ +\d+ \S+:\d+\] "
    rb"|\d{4}-\d\d-\d\d [\d:.]+: [IWE] "
    rb"|WARNING: All log messages before absl::InitializeLog"
    rb"|To enable the following instructions: "
)


class PlainFormatter(logging.Formatter):
    """Writes the message, after "warning: " or "error: " where it is one."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns the line, and below it the traceback, if there is one."""
        return _prefix(record.levelno) + super().format(record)


def _prefix(level: int) -> str:
    if level >= logging.ERROR:
        return "error: "
    return "warning: " if level >= logging.WARNING else ""


def outlive_readers() -> None:
    """Has stdout and stderr go on without whoever read them, as after `| head -1`.

    What is written then is lost, and no error. A name that the terminal can't show is shown by
    escapes.
    """
    sys.stdout = _outliving(sys.stdout, 1)
    sys.stderr = _outliving(sys.stderr, 2)


def _outliving(stream: TextIO | None, descriptor: int) -> TextIO:
    if stream is None:  # closed by whoever started the program
        return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123
    if type(stream) is not io.TextIOWrapper or stream.fileno() != descriptor:
        return stream
    stream.flush()
    raw = _Pipe(descriptor, "wb", closefd=False)
    return io.TextIOWrapper(
        # What PYTHONUNBUFFERED asks for.
        raw if stream.write_through else io.BufferedWriter(raw),
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


class _Pipe(io.FileIO):
    """Loses what is written after an error, which is raised once; a reader who went is none."""

    _is_lost = False

    def write(self, data: Any) -> int:
        try:
            if not self._is_lost:
                return super().write(data)
        except OSError as err:
            self._is_lost = True
            if not isinstance(err, BrokenPipeError):
                raise
        return memoryview(data).nbytes


def silence_tensorflow() -> None:
    """Turns off what TensorFlow says of itself, in this process; to be called before its import.

    Its variable alone does not: TensorFlow 2.21 writes of oneDNN and CUDA before it reads it. Where
    the user has set TF_CPP_MIN_LOG_LEVEL, to see it all, nothing is changed.
    """
    # TensorFlow writes its own errors at level 2 for graphs that are in order.
    if os.environ.setdefault(_LEVEL, "3") == "3" and "tensorflow" not in sys.modules:
        sys.meta_path.insert(0, _Finder())


class _Finder(importlib.abc.MetaPathFinder):
    """Finds TensorFlow, once, as it would be found otherwise, but with a loader that is quiet."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: types.ModuleType | None = None,
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != "tensorflow":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader = _QuietLoader(spec.loader)
        return spec


class _QuietLoader(importlib.abc.Loader):
    """Loads what another loader loads, and filters stderr meanwhile."""

    def __init__(self, loader: importlib.abc.Loader) -> None:
        self._loader = loader

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: types.ModuleType) -> None:
        # The module is its own loader's: resources are asked of that one.
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        with _filtered_stderr():
            self._loader.exec_module(module)


@contextlib.contextmanager
def _filtered_stderr() -> Iterator[None]:
    """Holds back what is written to descriptor 2, C++ included, then writes what is no chatter."""
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            os.close(stderr)
            held.seek(0)
            for line in held:
                if not _CHATTER.match(line):
                    with contextlib.suppress(BrokenPipeError):
                        os.write(2, line)
