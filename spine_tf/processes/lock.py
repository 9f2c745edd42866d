"""Keeps a second program out of a directory. The kernel drops the locks when a process dies.

Where a file system has no locks the program goes on without, and says so.
"""

import contextlib
import errno
import fcntl
import os
import pathlib
import struct
from collections.abc import Iterator

from absl import logging

from tfrecords import file_system


@contextlib.contextmanager
def lock_directory(
    directory: pathlib.Path,
    *,
    is_shared: bool = False,
    owner: str = "converter",
    flag: str = "--output_dir",
) -> Iterator[int]:
    """Holds a lock on a directory, without a file; yields its descriptor.

    Args:
        directory: must exist.
        is_shared: tolerate others that hold it shared too (the slots of an array job).
        owner, flag: what is at work there, and which flag names the directory, for the message.

    Raises:
        ValueError: another program holds it.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        mode = fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX
        try:
            fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
        except BlockingIOError as err:
            raise ValueError(
                f"another {owner} is at work in {directory}: wait for its end, or choose "
                f"another {flag}"
            ) from err
        except OSError as err:
            _go_on_without(err, directory, f"one {owner} works in it at a time")
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def lock_slot(path: pathlib.Path, slot: int) -> Iterator[int]:
    """Holds one byte of a file that exists, as the lock of a slot; yields the descriptor.

    The lock holds across machines where the file system has it do so (NFS 4).

    Raises:
        ValueError: another converter holds that slot.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        try:
            _lock_byte(descriptor, slot)
        except OSError as err:
            if err.errno in (errno.EAGAIN, errno.EACCES):
                raise ValueError(
                    f"another converter is at work on slot {slot} of {path.parent}: each --shards "
                    "i/N is to be started once"
                ) from err
            _go_on_without(err, path.parent, "each --shards i/N is started once")
        yield descriptor
    finally:
        os.close(descriptor)


def _lock_byte(descriptor: int, position: int) -> None:
    """Locks one byte by the open file description where that exists, on Linux.

    Elsewhere, on macOS, by the process: such a lock ends too when this process closes the file
    that it opened a second time, so a locked file is opened by nobody else here.
    """
    if hasattr(fcntl, "F_OFD_SETLK"):
        # struct flock: type, whence, start, length, pid.
        request = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, position, 1, 0)
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, request)
    else:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, position)


def _go_on_without(err: OSError, directory: pathlib.Path, condition: str) -> None:
    if not file_system.lacks(err):
        raise err
    logging.warning(
        "the file system of %s has no locks (%s): going on without, see to it that %s",
        directory,
        os.strerror(err.errno or 0),
        condition,
    )
