"""What some file systems lack: locks, links, permissions, a directory that can be synced.

Lustre and DVS may have no flock, exFAT, CIFS and gcsfuse no hard links, CIFS and VirtualBox's
shares no fsync of a directory. What can do without goes on without.
"""

import errno
import os
import pathlib

from absl import logging

# Linux says ENOTSUPP, of 524, which is not meant for programs, where NFS or DVS lack locks.
_LACKING = frozenset(
    {errno.EPERM, errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK}
    | {errno.ENOTTY, 524}
)
_UNSYNCED = frozenset({errno.EBADF, errno.EACCES, errno.EISDIR})


def lacks(err: OSError) -> bool:
    """Returns whether an error says that the file system can't do such a thing at all."""
    return err.errno in _LACKING


def sync_directory(directory: pathlib.Path) -> None:
    """Has the disk hold the names in a directory, where the file system can be asked for it."""
    try:
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as err:
        if not lacks(err) and err.errno not in _UNSYNCED:
            raise


def link(source: pathlib.Path, path: pathlib.Path) -> bool:
    """Gives a file a second name; returns whether that was possible.

    Raises:
        FileExistsError: the name is taken.
    """
    try:
        os.link(source, path)
    except FileExistsError:
        raise
    except OSError:
        return False
    return True


def restrict(path: pathlib.Path, mode: int) -> None:
    """Lets nobody but the owner use a file or directory; warns where the file system can't."""
    try:
        path.chmod(mode)
    except OSError as err:
        if not lacks(err):
            raise
    if path.stat().st_mode & 0o077:
        logging.warning(
            "the file system of %s has no permissions: others who reach it can read it", path
        )
