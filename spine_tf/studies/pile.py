"""A pile: the files of any folder or zip, under whatever names, listed and read, never changed."""

import dataclasses
import itertools
import os
import pathlib
import stat
import zipfile
from collections.abc import Iterator, Set
from typing import Protocol

from spine_tf.dicom import reasons
from spine_tf.rsna import zip_members
from spine_tf.studies import outcome
from tfrecords import regular_file


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class File:
    """A file of a pile.

    Attributes:
        name: relative to the pile, parts divided by "/".
        num_bytes: its size.
        version: changes when the file does: ns of the last change, or the CRC of a zip's member.
        member: where it lies in a zip; None in a folder.
        left_out: why it is not looked into; None where it is.
    """

    name: str
    num_bytes: int
    version: int
    member: zip_members.Member | None = None
    left_out: outcome.LeftOut | None = None


class Pile(Protocol):
    """Lists and reads files; picklable, for workers."""

    def files(self) -> Iterator[File]:
        """Yields all files there are, in any order."""

    def read(self, file: File, limit: int) -> bytes:
        """Returns the first bytes of a file; OSError where it can't be read."""

    def path(self, file: File) -> pathlib.Path | None:
        """Returns where a file lies on disk by itself; None in a zip."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Folder:
    """A folder with all folders in it; symbolic links are not followed."""

    directory: pathlib.Path

    def files(self) -> Iterator[File]:
        """Yields files; a folder that can't be listed stands for what is in it."""
        waiting = [""]
        while waiting:
            folder = waiting.pop()
            try:
                with os.scandir(self.directory / folder) as entries:
                    listed = list(entries)
            except OSError as err:
                yield _unreadable(folder, f"the folder can't be listed: {err.strerror}")
                continue
            for entry in listed:
                name = f"{folder}/{entry.name}" if folder else entry.name
                try:
                    status = entry.stat(follow_symlinks=False)
                except OSError as err:  # it is gone since, or its disk is damaged
                    yield _unreadable(name, err.strerror or type(err).__name__)
                    continue
                if stat.S_ISDIR(status.st_mode):
                    waiting.append(name)
                else:
                    yield _in_folder(status, name)

    def read(self, file: File, limit: int) -> bytes:
        """Returns the first bytes of a file."""
        return regular_file.read_beginning(f"{self.directory}/{file.name}", limit)

    def path(self, file: File) -> pathlib.Path:
        """Returns where a file lies."""
        return self.directory / file.name


def _unreadable(name: str, detail: str) -> File:
    why = outcome.LeftOut(reason=reasons.Reason.UNREADABLE_FILE, detail=detail)
    return File(name=name, num_bytes=0, version=0, left_out=why)


def _in_folder(status: os.stat_result, name: str) -> File:
    left_out = None
    if stat.S_ISLNK(status.st_mode):
        left_out = _LINK
    elif not stat.S_ISREG(status.st_mode):
        left_out = outcome.LeftOut(
            reason=outcome.Reason.SPECIAL_FILE, detail="no regular file, expected one"
        )
    return File(name=name, num_bytes=status.st_size, version=status.st_mtime_ns, left_out=left_out)


_LINK = outcome.LeftOut(
    reason=outcome.Reason.LINK,
    detail="a symbolic link: files are read where they lie; give the folder that it leads to as "
    "--dicom_dir, or copy what is in it",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Zip:
    """A zip file; nothing is unpacked, and no member's name becomes a path."""

    archive: zip_members.Place

    def files(self) -> Iterator[File]:
        """Yields the members.

        Raises:
            ValueError: it is no zip file.
        """
        members = list(zip_members.list_members(self.archive))
        taken = {name for name, _, _ in members}
        first: set[str] = set()
        numbers: dict[str, int] = {}
        for spelled, member, is_link in members:
            name = spelled if spelled not in first else _another(spelled, taken, numbers)
            first.add(name)
            taken.add(name)
            left_out = _LINK if is_link else None
            parts = name.replace("\\", "/").split("/")
            if ".." in parts or parts[0] == "" or parts[0].endswith(":"):
                left_out = outcome.LeftOut(
                    reason=outcome.Reason.UNSAFE_NAME, detail="its name leads out of the zip file"
                )
            yield File(
                name=name,
                num_bytes=member.num_bytes,
                version=member.crc,
                member=member,
                left_out=left_out,
            )

    def read(self, file: File, limit: int) -> bytes:
        """Returns the first bytes of a member."""
        if file.member is None:
            raise ValueError(f"{file.name} is no member of a zip file")
        return zip_members.read_member(self.archive, file.name, file.member, limit)

    def path(self, file: File) -> None:
        """Returns None: members have no path."""


def _another(name: str, taken: Set[str], numbers: dict[str, int]) -> str:
    """A name of its own for a member that has that of an earlier one, such as IM1 (2).

    `numbers` has the last one of each name: members without end may share one.
    """
    for number in itertools.count(numbers.get(name, 1) + 1):
        numbers[name] = number
        if (found := f"{name} ({number})") not in taken:
            return found
    raise ValueError(name)


def open_pile(place: pathlib.Path) -> Pile:
    """Opens a folder or a zip file.

    Raises:
        ValueError: it is neither.
    """
    expected = "expected a folder of DICOM files, or a zip file of one"
    if place.is_dir():
        return Folder(directory=place)
    if not place.exists():
        raise ValueError(f"--dicom_dir {place} does not exist; {expected}")
    if not place.is_file() or not zipfile.is_zipfile(place):
        raise ValueError(f"--dicom_dir {place} {zip_members.in_words(place)}; {expected}")
    return Zip(archive=place)


def is_zip(data: bytes) -> bool:
    """Returns whether a file that begins like this is a zip file itself."""
    return data.startswith(zip_members.MAGIC)
