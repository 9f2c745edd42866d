"""Where a data set's files are: one side (train or test) of a folder or of a zip file."""

import dataclasses
import errno
import os
import pathlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Protocol

from spine_tf.dicom import elements, header, reasons
from spine_tf.rsna import layout, zip_members
from tfrecords import regular_file

_HEADER_BYTES = 2**14


class Source(Protocol):
    """Reads the files of one side of a data set; picklable, for workers."""

    @property
    def side(self) -> str:
        """Returns "train" or "test"."""

    def read(self, name: str, limit: int = -1) -> bytes:
        """Returns a file's bytes, the first `limit` of them; OSError where it can't be read.

        Without a limit it is all of them, and `regular_file.UnfitFile` where there are more than
        `regular_file.MAX_BYTES`.
        """

    def instances(self, study_id: int, series_id: int) -> list[int]:
        """Returns the instance numbers that a series has files for, sorted."""

    def sizes(self, study_id: int, series_id: int) -> dict[int, int]:
        """Returns the bytes of each of these files, by instance number."""

    def image_names(self) -> Iterator[str]:
        """Yields the files in the folder of images, whether images or not, in any order."""

    def narrowed(self, series: Collection[tuple[int, int]]) -> "Source":
        """Returns a source for the images of these (study, series) alone, cheap to hand on."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Folder:
    """A data set as a folder; symbolic links inside it are followed."""

    directory: pathlib.Path
    side: str

    def read(self, name: str, limit: int = -1) -> bytes:
        """Returns a file's bytes, the first `limit` of them."""
        path = f"{self.directory}/{name}"
        try:
            return _read(path, limit)
        except FileNotFoundError:
            return _read(self.path(name), limit)

    def path(self, name: str) -> str:
        """Returns where a file lies: an image's suffix may have any case.

        Raises:
            FileNotFoundError: there is none; says what resembles it.
        """
        path = pathlib.Path(self.directory, name)
        if path.exists() or path.is_symlink():
            return str(path)
        folder, file = path.parent, path.name
        names = [other.name for other in folder.iterdir()] if folder.is_dir() else []
        wanted = layout.instance_number(file)
        for other in names if wanted is not None else ():
            if layout.instance_number(other) == wanted:
                return f"{folder}/{other}"
        raise _missing(str(path), names)

    def instances(self, study_id: int, series_id: int) -> list[int]:
        """Returns the instance numbers that a series has files for, sorted."""
        try:
            folder = self.directory / layout.series_dir(self.side, study_id, series_id)
            return layout.instances_among(path.name for path in folder.iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return []

    def sizes(self, study_id: int, series_id: int) -> dict[int, int]:
        """Returns the bytes of a series' files, by instance number; -1 for one that has none."""
        folder = self.directory / layout.series_dir(self.side, study_id, series_id)
        try:
            with os.scandir(folder) as entries:
                found = {entry.name: _size(entry) for entry in entries}
        except OSError:
            return {}
        numbers = {layout.instance_number(name): size for name, size in found.items()}
        # 1.dcm is read where 1.DCM lies beside it.
        return {
            number: found.get(f"{number}.dcm", numbers[number])
            for number in layout.instances_among(found)
        }

    def image_names(self) -> Iterator[str]:
        """Yields the files in the folder of images and the two levels of folders below it."""
        root = self.directory / layout.images_dir(self.side)
        for folder, folders, files in os.walk(root, followlinks=True):
            relative = pathlib.Path(folder).relative_to(self.directory)
            if len(relative.parts) > 2:
                folders.clear()  # nothing is looked for there, and a link may lead in a circle
            yield from (f"{relative.as_posix()}/{name}" for name in files)

    def narrowed(self, series: Collection[tuple[int, int]]) -> "Folder":
        """Returns itself: a path is cheap to hand on."""
        return self


def _size(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat().st_size
    except OSError:  # a link that leads nowhere
        return -1


def _read(path: str, limit: int) -> bytes:
    if limit < 0:
        return regular_file.read_bytes(path)
    return regular_file.read_beginning(path, limit)


def _missing(path: str, names: Iterable[str]) -> FileNotFoundError:
    """What to say of a file that isn't there, beside others of the folder."""
    similar = layout.similar(path.rpartition("/")[2], names)
    there = f", but there is {' and '.join(similar)}" if similar else ""
    return FileNotFoundError(errno.ENOENT, f"there is no such file{there}", path)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Archive:
    """One side of a data set in the zip file that was downloaded: nothing is unpacked.

    Attributes:
        path: the zip file.
        side: "train" or "test".
        members: by name relative to the data set.
        series: folder -> instance numbers, sorted.
        others: folder -> files that are none.
    """

    path: pathlib.Path
    side: str
    members: Mapping[str, zip_members.Member]
    series: Mapping[str, list[int]]
    others: Mapping[str, list[str]]

    def read(self, name: str, limit: int = -1) -> bytes:
        """Returns a file's bytes, the first `limit` of them; whole ones have their CRC checked."""
        if name not in self.members:
            others = self.others.get(name.rpartition("/")[0], ())
            raise _missing(f"{self.path}/{name}", others)
        return zip_members.read_member(self.path, name, self.members[name], limit)

    def instances(self, study_id: int, series_id: int) -> list[int]:
        """Returns the instance numbers that a series has files for, sorted."""
        return self.series.get(layout.series_dir(self.side, study_id, series_id), [])

    def sizes(self, study_id: int, series_id: int) -> dict[int, int]:
        """Returns the bytes of a series' files, by instance number."""
        return {
            number: self.members[
                layout.image_name(self.side, study_id, series_id, number)
            ].num_bytes
            for number in self.instances(study_id, series_id)
        }

    def image_names(self) -> Iterator[str]:
        """Yields the files in the folder of images, whether images or not."""
        prefix = layout.images_dir(self.side) + "/"
        return (name for name in self.members if name.startswith(prefix))

    def narrowed(self, series: Collection[tuple[int, int]]) -> "Archive":
        """Returns an archive that knows the images of these (study, series) alone."""
        folders = [layout.series_dir(self.side, *ids) for ids in series]
        kept = {folder: self.series[folder] for folder in folders if folder in self.series}
        names = [f"{folder}/{n}.dcm" for folder, numbers in kept.items() for n in numbers]
        members = {name: self.members[name] for name in names}
        others = {folder: self.others[folder] for folder in folders if folder in self.others}
        return dataclasses.replace(self, members=members, series=kept, others=others)


def open_source(data_dir: pathlib.Path, side: str = "train") -> Source:
    """Opens one side of a data set.

    Raises:
        ValueError: there is no such data set, or it lacks the images of that side.
    """
    if side not in layout.SIDES:
        raise ValueError(f"side is {side!r}, expected one of {', '.join(layout.SIDES)}")
    if not data_dir.exists():
        raise ValueError(f"--data_dir {data_dir} does not exist; expected {layout.EXPECTED}")
    if data_dir.is_file():
        return _open_archive(data_dir, zip_members.of_data_set(data_dir), side)
    if not data_dir.is_dir():
        raise ValueError(
            f"--data_dir {data_dir} is no file and no folder; expected {layout.EXPECTED}"
        )
    if not (data_dir / layout.images_dir(side)).is_dir():
        raise ValueError(_without_images(data_dir, side))
    return Folder(directory=data_dir, side=side)


def _without_images(data_dir: pathlib.Path, side: str) -> str:
    """What is wrong with a folder that has no images of a side."""
    names = [path.name for path in data_dir.iterdir()]
    instead = ""
    if similar := layout.similar(layout.images_dir(side), names):
        instead = f", but {similar[0]}/"
    elif layout.images_dir("test") in names:
        instead = (
            f", only {layout.images_dir('test')}/, of studies without grades: organize makes the "
            "train side of those that --labels_csv has grades of"
        )
    return (
        f"{data_dir} has no folder {layout.images_dir(side)}{instead}; expected {layout.EXPECTED}"
    )


def open_for_prediction(data_dir: pathlib.Path, side: str | None = None) -> Source:
    """Opens the side that is asked for; None is the test side where there is one, else the train.

    Raises:
        ValueError: as `open_source`, or the test side has no images.
    """
    if side is not None:
        return open_source(data_dir, side)
    csv, images = layout.series_csv("test"), layout.images_dir("test")
    if data_dir.is_file():
        members = zip_members.of_data_set(data_dir)
        has_images = any(name.startswith(f"{images}/") for name in members)
        _require_test_images(data_dir, csv in members, has_images)
        return _open_archive(data_dir, members, "test" if has_images else "train")
    has_images = (data_dir / images).is_dir() and any((data_dir / images).iterdir())
    _require_test_images(data_dir, (data_dir / csv).is_file(), has_images)
    return open_source(data_dir, "test" if has_images else "train")


def _require_test_images(data_dir: pathlib.Path, has_csv: bool, has_images: bool) -> None:
    if has_csv and not has_images:
        raise ValueError(
            f"{data_dir} has {layout.series_csv('test')} but no image in "
            f"{layout.images_dir('test')}/: add them, or choose the other side with --side train"
        )


def _open_archive(path: pathlib.Path, members: dict[str, zip_members.Member], side: str) -> Archive:
    prefix = layout.images_dir(side) + "/"
    by_folder: dict[str, list[str]] = {}
    for name in members:
        folder, _, file = name.rpartition("/")
        by_folder.setdefault(folder, []).append(file)
    series = {
        folder: layout.instances_among(files)
        for folder, files in by_folder.items()
        if folder.startswith(prefix)
    }
    if not series:
        raise ValueError(f"{path} has no images in {prefix}; expected {layout.EXPECTED}")
    others = {
        folder: [file for file in files if layout.instance_number(file) is None]
        for folder, files in by_folder.items()
    }
    for folder, numbers in series.items():
        _spell(members, folder, by_folder[folder], numbers)
    return Archive(
        path=path,
        side=side,
        members=members,
        series=series,
        others={folder: files for folder, files in others.items() if files},
    )


def _spell(
    members: dict[str, zip_members.Member], folder: str, files: list[str], numbers: list[int]
) -> None:
    """Gives 1.DCM the name 1.dcm, unless there is one."""
    if len(files) == len(numbers) and all(file.endswith(".dcm") for file in files):
        return
    for file in files:
        number = layout.instance_number(file)
        if number is not None and file != f"{number}.dcm":
            member = members.pop(f"{folder}/{file}")
            members.setdefault(f"{folder}/{number}.dcm", member)


def read_image(source: Source, name: str, limit: int | None = None) -> bytes:
    """Reads an image file, or its beginning.

    Args:
        source: where it is.
        name: the file's name.
        limit: bytes to read; None is all.

    Raises:
        reasons.Rejected: it is missing, too large, or can't be read.
    """
    try:
        return source.read(name, -1 if limit is None else limit)
    except FileNotFoundError as err:
        detail = err.strerror or "there is no such file"
        raise reasons.Rejected(reasons.Reason.MISSING_FILE, detail) from err
    except OSError as err:
        is_large = err.errno == errno.EFBIG
        reason = reasons.Reason.FILE_TOO_LARGE if is_large else reasons.Reason.UNREADABLE_FILE
        raise reasons.Rejected(reason, err.strerror or type(err).__name__) from err


def read_header(source: Source, name: str) -> header.Header:
    """Reads a header from the beginning of the file, or from all of it where that's short.

    Raises:
        reasons.Rejected: the file can't be read, or is no image that could be converted.
    """
    found = elements.walk(read_image(source, name, _HEADER_BYTES))
    return header.parse_header(found or elements.read_elements(read_image(source, name)))
