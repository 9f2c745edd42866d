"""A directory that was received with a list of its files: each is what the list says, and no more.

Links are not followed, nothing else than regular files is opened, and what a desktop leaves in any
folder that it shows is passed over.
"""

import contextlib
import hashlib
import os
import pathlib
import stat
import tempfile
from collections.abc import Collection, Iterator, Mapping
from typing import IO

from tfrecords import regular_file

_CHUNK_BYTES = 2**20


def require(
    directory: pathlib.Path,
    listed: Mapping[str, str],
    *,
    list_name: str,
    mend: str,
    may_be_empty: Collection[str] = (),
    copy_dir: pathlib.Path | None = None,
    copied: Collection[str] = (),
) -> None:
    """Compares a directory with the list of its files; each file is read once.

    Args:
        directory: that was received.
        listed: sha256 of each file by its name below the directory, with "/".
        list_name: name of the file that has the list, for messages; there is no need to list it.
        mend: what to do where a file is another.
        may_be_empty: folders that need to hold no file.
        copy_dir: where copies of the very bytes that were compared are made.
        copied: the files that are copied.

    Raises:
        ValueError: a file is missing, was changed or is not listed; a link, a pipe, a device, a
            folder without a listed file; names it.
        OSError: a file can't be read or copied.
    """
    for name in listed:
        require_name(name, str(directory / list_name), mend)
    _require_listed_alone(directory, {*listed, list_name}, list_name, mend, may_be_empty)
    for name, expected in listed.items():
        copy = copy_dir / name if copy_dir is not None and name in copied else None
        found = _read(directory / name, copy, f"is missing, {list_name} lists it: {mend}")
        if found != expected:
            raise ValueError(
                f"{directory / name} was changed: its sha256 is {found}, {list_name} says "
                f"{expected}; {mend}"
            )


def require_name(name: str, where: str, mend: str) -> None:
    """Raises ValueError for what is no place below a directory, written in the one way there is."""
    is_odd = any(part in ("", ".", "..") for part in name.split("/"))
    if is_odd or "\\" in name or not name.isprintable():
        raise ValueError(f"{where} names {name!r}, expected a file below the directory: {mend}")


def _require_listed_alone(
    directory: pathlib.Path,
    names: Collection[str],
    list_name: str,
    mend: str,
    may_be_empty: Collection[str],
) -> None:
    folders = {parent.as_posix() for name in names for parent in pathlib.PurePath(name).parents}
    for relative, status in _contents(directory):
        path, name = directory / relative, relative.as_posix()
        if stat.S_ISDIR(status.st_mode):
            if name not in folders and name not in may_be_empty:
                raise ValueError(f"{path} holds nothing that {list_name} lists: remove it")
        elif name in names:
            require_plain(path, mend)
        elif not stat.S_ISREG(status.st_mode) or not _is_of_desktop(relative.name):
            raise ValueError(f"{path} is not listed in {list_name}: remove it")


def _contents(top: pathlib.Path) -> Iterator[tuple[pathlib.PurePath, os.stat_result]]:
    """Yields all that lies below a directory, with what it is itself; links are not followed."""
    pending = [pathlib.PurePath()]
    while pending:
        folder = pending.pop()
        for path in sorted((top / folder).iterdir()):
            status = path.lstat()
            yield folder / path.name, status
            if stat.S_ISDIR(status.st_mode):
                pending.append(folder / path.name)


def _is_of_desktop(name: str) -> bool:
    """Whether macOS, Windows or a desktop leaves files of that name in any folder it shows."""
    return name.startswith("._") or name in (".DS_Store", "Thumbs.db", "desktop.ini", ".directory")


def require_plain(path: pathlib.Path, mend: str) -> None:
    """Raises ValueError for a link, and for what is no regular file."""
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        raise ValueError(f"{path} is a link, expected the file itself: {mend}")
    if not stat.S_ISREG(mode):
        raise ValueError(f"{path} is no regular file, expected one: {mend}")


def _read(path: pathlib.Path, copy: pathlib.Path | None, missing: str) -> str:
    """Returns the sha256 of a file, all of which is copied meanwhile."""
    try:
        file: IO[bytes] = regular_file.open_file(path)
    except FileNotFoundError as err:
        raise ValueError(f"{path} {missing}") from err
    with file, contextlib.ExitStack() as stack:
        written = None if copy is None else stack.enter_context(_create(copy))
        try:
            return _digest(file, written)
        except OSError as err:
            raise OSError(
                f"{path} can't be read, or {tempfile.gettempdir()} has no room for a copy of it "
                f"({err.strerror}): make room, or set TMPDIR to another folder"
            ) from err


def _create(path: pathlib.Path) -> IO[bytes]:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("xb")


def _digest(file: IO[bytes], copy: IO[bytes] | None) -> str:
    digest = hashlib.sha256()
    while chunk := file.read(_CHUNK_BYTES):
        digest.update(chunk)
        if copy is not None:
            copy.write(chunk)
    return digest.hexdigest()
