"""The place of an output, tried before the work: hours later, it would be too late to find out."""

import contextlib
import errno
import os
import pathlib
import stat
import tempfile
from collections.abc import Iterable

_EXPECTED = "a place that can be written to"


def require_file(path: pathlib.Path, name: str, *, begins: bytes = b"") -> None:
    """Raises ValueError where no file of that path can be written; nothing is left behind.

    Args:
        path: the file; folders above it need not exist yet.
        name: what the user gave it by, such as "--output".
        begins: how what is written begins. A file that is there and begins otherwise is somebody's
            own, and is not replaced.
    """
    try:
        found = stat.S_IFMT(path.stat().st_mode)
    except FileNotFoundError:
        found = stat.S_IFREG
    except OSError as err:
        raise _unfit(path, name, err) from err
    if found == stat.S_IFDIR:
        raise ValueError(f"{name} {path} is a directory: name a file in it")
    if found != stat.S_IFREG:
        raise ValueError(f"{name} {path} is a device or a pipe, which can't be replaced by a file")
    _require_own(path, name, begins)
    _try_to_write(path, name)


def _require_own(path: pathlib.Path, name: str, begins: bytes) -> None:
    try:
        with path.open("rb") as file:
            found = file.read(len(begins))
    except OSError:  # there is none, or one that is asked for by writing
        return
    if found not in (b"", begins):
        raise ValueError(
            f"{name} {path} is a file that was not written by this program, and would be lost: "
            "choose another, or remove it"
        )


def require_directory(path: pathlib.Path, name: str) -> None:
    """Raises ValueError where no directory of that path can be made or written into.

    Args:
        path: the directory; it and folders above it need not exist yet.
        name: what the user gave it by, such as "--run_dir".
    """
    if os.path.lexists(path) and not path.is_dir():
        what = "a link that leads nowhere" if path.is_symlink() else "a file"
        raise ValueError(f"{name} {path} is {what}, expected a directory: choose another")
    _try_to_write(path, name)


def require_inside(
    directory: pathlib.Path,
    name: str,
    *,
    files: Iterable[str] = (),
    directories: Iterable[str] = (),
) -> None:
    """Raises ValueError where something else is in the place of what goes into a directory.

    Args:
        directory: that need not exist yet.
        name: what the user gave it by, such as "--report_dir".
        files: names of files that will be written into it, in the place of earlier ones.
        directories: likewise, that will be written into.
    """
    for kind, names, is_kind in (
        ("file", files, pathlib.Path.is_file),
        ("directory", directories, pathlib.Path.is_dir),
    ):
        for each in names:
            path = directory / each
            if path.exists() and not is_kind(path):
                raise ValueError(
                    f"{path} is no {kind}, and one of that name is to be written: remove it, or "
                    f"choose another {name}"
                )


def _try_to_write(path: pathlib.Path, name: str) -> None:
    """Writes a file of no name into the nearest folder that there is."""
    try:
        folder = _nearest_folder(path)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"\0")
            file.flush()
        _require_length(folder, path.name)
    except OSError as err:
        raise _unfit(path, name, err) from err


def _nearest_folder(path: pathlib.Path) -> pathlib.Path:
    folder = path.absolute()
    while not folder.is_dir():
        if os.path.lexists(folder) and folder != path.absolute():
            raise NotADirectoryError(errno.ENOTDIR, f"{folder} is no directory")
        folder = folder.parent
    return folder


def _require_length(folder: pathlib.Path, name: str) -> None:
    """Asks for a name that is not there, as long as a temporary one of it will be."""
    with contextlib.suppress(FileNotFoundError):
        (folder / f"{name}.tmp-{2**32}-{2**22}").lstat()


def _unfit(path: pathlib.Path, name: str, err: OSError) -> ValueError:
    return ValueError(f"{name} {path} can't be written ({err.strerror}), expected {_EXPECTED}")
