"""Files that came from elsewhere: opened without waiting, regular ones only, read up to a limit.

A name may lead to a pipe that nobody writes to, to a device without an end, or to a file that is
larger than it says: none of them may hold up a program or fill its memory.
"""

import contextlib
import errno
import os
import pathlib
import stat
from collections.abc import Iterator
from typing import BinaryIO, cast

MAX_BYTES = 2**26
"""What no image, table or configuration comes near: fifteen times the competition's largest CSV."""

_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
# What is read at once where more comes than the size promised.
_CHUNK_BYTES = 2**20


class UnfitFile(OSError):
    """A file that is not read: it is no regular one, or larger than it may be.

    `strerror` says it without the path, which `filename` has.
    """

    def __str__(self) -> str:
        return f"{self.filename} {self.strerror}"


def open_file(path: str | os.PathLike[str]) -> BinaryIO:
    """Opens a regular file for reading, without a buffer; links are followed.

    Raises:
        UnfitFile: it is something else.
        OSError: it can't be opened.
    """
    return cast(BinaryIO, open(path, "rb", buffering=0, opener=_open_regular))


def _open_regular(path: str, flags: int) -> int:
    try:
        # Without O_NONBLOCK a pipe is only opened when somebody writes to it.
        descriptor = os.open(path, flags | os.O_NONBLOCK)
    except OSError as err:
        if err.errno != errno.ENXIO:
            raise
        raise _unfit(path, _KINDS[stat.S_IFSOCK]) from err
    kind = stat.S_IFMT(os.fstat(descriptor).st_mode)
    if kind == stat.S_IFREG:
        return descriptor
    os.close(descriptor)
    raise _unfit(path, _KINDS.get(kind, "no file"))


def _unfit(path: str, what: str) -> UnfitFile:
    return UnfitFile(errno.EINVAL, f"is {what}, expected a regular file", os.fspath(path))


def read_bytes(path: str | os.PathLike[str], limit: int = MAX_BYTES) -> bytes:
    """Returns all bytes of a file.

    Args:
        path: the file.
        limit: the most that it may have, whatever size it says.

    Raises:
        UnfitFile: it is no regular file, or has more.
        OSError: it can't be read.
    """
    data = read_beginning(path, limit + 1)
    if len(data) > limit:
        raise UnfitFile(errno.EFBIG, f"has more than {limit} bytes", os.fspath(path))
    return data


def read_beginning(path: str | os.PathLike[str], num_bytes: int) -> bytes:
    """Returns the first bytes of a file, all of them where it has fewer.

    Raises:
        UnfitFile: it is no regular file.
        OSError: it can't be read.
    """
    with open_file(path) as file, _named(path):
        # A read allocates what it asks for: no more than there seems to be.
        wanted = min(os.fstat(file.fileno()).st_size + 1, num_bytes)
        data = file.read(wanted)
        while len(data) < num_bytes and (
            more := file.read(min(_CHUNK_BYTES, num_bytes - len(data)))
        ):
            data += more
    return data


@contextlib.contextmanager
def _named(path: str | os.PathLike[str]) -> Iterator[None]:
    """An error of a read, such as of a disk or a server that is gone, doesn't say of which file."""
    try:
        yield
    except OSError as err:
        raise OSError(err.errno, err.strerror, os.fspath(path)) from err


def read_text(path: str | os.PathLike[str], limit: int = MAX_BYTES) -> str:
    """Returns the text of a file in UTF-8, without a byte order mark, line ends as they are.

    Raises:
        UnfitFile, OSError: as `read_bytes`.
        ValueError: it is not UTF-8; names it.
    """
    try:
        return read_bytes(path, limit).decode("utf-8-sig")
    except UnicodeDecodeError as err:
        raise ValueError(
            f"{pathlib.Path(path)} is not UTF-8 ({err.reason} at {err.start})"
        ) from err
