"""Files that are either whole or not there: temporary name, fsync, rename."""

import contextlib
import json
import os
import pathlib
from collections.abc import Iterator
from typing import IO, Any

_MARK = ".tmp-"
_BUFFER_BYTES = 2**20


@contextlib.contextmanager
def open_binary(path: pathlib.Path) -> Iterator[IO[bytes]]:
    """Opens a file for writing that gets its name when the block ends without an error.

    The temporary name carries the process id, so two writers never share one; it is removed when
    the block fails.
    """
    with _temporary(path) as (temporary, file):
        yield file
        _sync(file)
        temporary.replace(path)


def create_text(path: pathlib.Path, text: str) -> None:
    """Writes a whole file unless one of that name is there, also if that happens meanwhile."""
    with _temporary(path) as (temporary, file):
        file.write(text.encode("utf-8"))
        _sync(file)
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(temporary)
        temporary.unlink()


def write_bytes(path: pathlib.Path, data: bytes) -> None:
    """Writes a whole file."""
    with open_binary(path) as file:
        file.write(data)


def write_text(path: pathlib.Path, text: str) -> None:
    """Writes a whole file as UTF-8, with line ends as they are."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: pathlib.Path, value: Any, *, indent: int | None = 2) -> None:
    """Writes a value as JSON, keys sorted, so that equal values give equal bytes."""
    write_text(path, json.dumps(value, indent=indent, sort_keys=True, allow_nan=False) + "\n")


def is_temporary(path: pathlib.Path) -> bool:
    """Returns whether the name is one that an interrupted write leaves behind."""
    _, mark, process = path.name.rpartition(_MARK)
    return bool(mark) and process.isdigit()


def contents(directory: pathlib.Path) -> list[pathlib.Path]:
    """Returns what lies in a directory, but for what interrupted writes left behind.

    A directory that isn't there holds nothing.
    """
    if not directory.exists():
        return []
    return [path for path in directory.iterdir() if not is_temporary(path)]


@contextlib.contextmanager
def _temporary(path: pathlib.Path) -> Iterator[tuple[pathlib.Path, IO[bytes]]]:
    temporary = path.with_name(f"{path.name}{_MARK}{os.getpid()}")
    try:
        with temporary.open("wb", buffering=_BUFFER_BYTES) as file:
            yield temporary, file
    except OSError as err:
        temporary.unlink(missing_ok=True)
        # Errors of write and fsync, such as a full disk, don't say of which file.
        raise OSError(err.errno, err.strerror, err.filename or str(path)) from err
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_directory(path.parent)


def _sync(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _sync_directory(directory: pathlib.Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
