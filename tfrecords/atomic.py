"""Files and directories that are either whole or not there: temporary name, fsync, rename.

A temporary name is that of the file, a mark, the machine and the process. It is removed when the
writing fails; what a process that was killed has left is removed by who next writes that file.
"""

import contextlib
import json
import os
import pathlib
import re
import shutil
import zlib
from collections.abc import Iterator
from typing import IO, Any

from tfrecords import file_system

_BUFFER_BYTES = 2**20
# The machine was not in the names of earlier versions.
_TEMPORARY = re.compile(r"(.+)\.tmp-(?:(\d+)-)?(\d+)", re.DOTALL)


@contextlib.contextmanager
def open_binary(
    path: pathlib.Path, *, mode: int = 0o666, syncs: bool = True
) -> Iterator[IO[bytes]]:
    """Opens a file for writing that gets its name when the block ends without an error.

    Args:
        path: the file.
        mode: its permissions, of which the process's mask is taken.
        syncs: the disk holds it before it has its name; without, a loss of power may leave less.
    """

    def create(name: str, flags: int) -> int:
        return os.open(name, flags | os.O_EXCL, mode)

    with _temporary(path) as temporary:
        with open(temporary, "wb", buffering=_BUFFER_BYTES, opener=create) as file:
            yield file
            file.flush()
            if syncs:
                os.fsync(file.fileno())
        temporary.replace(path)


@contextlib.contextmanager
def replaced_file(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields a path of the same name for a library that writes by itself; then it is the file."""
    with _temporary(path) as temporary:
        temporary.mkdir()
        own = temporary / path.name
        yield own
        _sync_file(own)
        own.replace(path)
        temporary.rmdir()


@contextlib.contextmanager
def new_directory(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields a directory to fill, which gets its name when the block ends without an error."""
    with _temporary(path) as temporary:
        temporary.mkdir()
        yield temporary
        for other in temporary.rglob("*"):
            if other.is_file():
                _sync_file(other)
        temporary.rename(path)


def create_text(path: pathlib.Path, text: str) -> None:
    """Writes a whole file unless one of that name is there, also if that happens meanwhile.

    On a file system without hard links the last of several that write it at once stands.
    """
    with _temporary(path) as temporary:
        temporary.write_bytes(_encode(text))
        _sync_file(temporary)
        with contextlib.suppress(FileExistsError):
            if not file_system.link(temporary, path) and not path.exists():
                temporary.replace(path)
        temporary.unlink(missing_ok=True)


def write_bytes(path: pathlib.Path, data: bytes, *, syncs: bool = True) -> None:
    """Writes a whole file; `syncs` as in `open_binary`."""
    with open_binary(path, syncs=syncs) as file:
        file.write(data)


def write_text(path: pathlib.Path, text: str) -> None:
    """Writes a whole file as UTF-8, with line ends as they are; names that are none, by escapes."""
    write_bytes(path, _encode(text))


def _encode(text: str) -> bytes:
    # A file's name may hold bytes that are no UTF-8, which Python has as lone surrogates.
    return text.encode("utf-8", errors="backslashreplace")


def write_json(path: pathlib.Path, value: Any, *, indent: int | None = 2) -> None:
    """Writes a value as JSON, keys sorted, so that equal values give equal bytes."""
    write_text(path, json.dumps(value, indent=indent, sort_keys=True, allow_nan=False) + "\n")


def final_name(path: pathlib.Path) -> str:
    """Returns the name that a file has, or would have got had its writing not been interrupted."""
    found = _TEMPORARY.fullmatch(path.name)
    return found[1] if found else path.name


def is_temporary(path: pathlib.Path) -> bool:
    """Returns whether the name is one that an interrupted write leaves behind."""
    return final_name(path) != path.name


def contents(directory: pathlib.Path) -> list[pathlib.Path]:
    """Returns what lies in a directory, but for what interrupted writes left behind.

    A directory that isn't there holds nothing.
    """
    if not directory.exists():
        return []
    return [path for path in directory.iterdir() if not is_temporary(path)]


def remove_dead(directory: pathlib.Path, name: str | None = None) -> None:
    """Removes what processes of this machine that are no more have left in a directory.

    Args:
        directory: where.
        name: name of the file whose temporary names alone are looked for; None is any file.
    """
    for path in directory.iterdir() if directory.is_dir() else ():
        found = _TEMPORARY.fullmatch(path.name)
        if found is None or name not in (None, found[1]) or found[2] != _machine():
            continue
        if not _is_alive(int(found[3])):
            _remove(path)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def _machine() -> str:
    """A number for what process ids count in: a machine, or a container on it."""
    named = [os.uname().nodename]
    with contextlib.suppress(OSError):
        named.append(os.readlink("/proc/self/ns/pid"))  # noqa: PTH115
    return str(zlib.crc32(" ".join(named).encode(errors="replace")))


@contextlib.contextmanager
def _temporary(path: pathlib.Path) -> Iterator[pathlib.Path]:
    temporary = path.with_name(f"{path.name}.tmp-{_machine()}-{os.getpid()}")
    try:
        remove_dead(path.parent, path.name)
        _remove(temporary)
        yield temporary
    except OSError as err:
        _remove(temporary)
        # Errors of write and fsync, such as a full disk, don't say of which file.
        is_ours = err.filename is None or str(err.filename).startswith(str(temporary))
        if err.errno is None or not is_ours:
            raise
        raise OSError(err.errno, err.strerror, str(path)) from err
    except BaseException:
        _remove(temporary)
        raise
    file_system.sync_directory(path.parent)


def _remove(path: pathlib.Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _sync_file(path: pathlib.Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
