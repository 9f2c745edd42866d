"""Where a data set's files are: one side (train or test) of a folder or of a zip file."""

import dataclasses
import os
import pathlib
import stat
import struct
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping
from typing import Protocol

from spine_tf.dicom import elements, header, reasons
from spine_tf.rsna import layout

_MAX_FILE_BYTES = 2**26
_HEADER_BYTES = 2**14
_LOCAL_HEADER = struct.Struct("<4s22xHH")
_ENCRYPTED = 1


class Source(Protocol):
    """Reads the files of one side of a data set; picklable, for workers."""

    @property
    def side(self) -> str:
        """Returns "train" or "test"."""

    def read(self, name: str, limit: int = -1) -> bytes:
        """Returns a file's bytes, the first `limit` of them; OSError where it can't be read."""

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
        with open(f"{self.directory}/{name}", "rb", buffering=0) as file:  # noqa: PTH123
            # A read with a size allocates that size, a read without one what the file has.
            is_whole = limit < 0 or os.fstat(file.fileno()).st_size <= limit
            return file.read() if is_whole else file.read(limit)

    def instances(self, study_id: int, series_id: int) -> list[int]:
        """Returns the instance numbers that a series has files for, sorted."""
        try:
            folder = self.directory / layout.series_dir(self.side, study_id, series_id)
            return layout.instances_among(path.name for path in folder.iterdir())
        except FileNotFoundError:
            return []

    def sizes(self, study_id: int, series_id: int) -> dict[int, int]:
        """Returns the bytes of a series' files, by instance number; -1 for one that has none."""
        folder = self.directory / layout.series_dir(self.side, study_id, series_id)
        try:
            with os.scandir(folder) as entries:
                found = {entry.name: _size(entry) for entry in entries}
        except OSError:
            return {}
        return {number: found[f"{number}.dcm"] for number in layout.instances_among(found)}

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


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """Where a file lies in the archive.

    Attributes:
        offset: of its local header.
        num_bytes, num_compressed: sizes.
        crc: CRC-32 of the file.
        method: zipfile.ZIP_STORED or ZIP_DEFLATED, or -1 for what can't be read.
    """

    offset: int
    num_bytes: int
    num_compressed: int
    crc: int
    method: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Archive:
    """One side of a data set in the zip file that was downloaded: nothing is unpacked.

    The directory of 147,218 members takes half a second and 100 MB to read: it is read once, and
    workers get the members of the series they need.

    Attributes:
        path: of the zip file.
        side: "train" or "test".
        members: by name relative to the data set.
        series: folder -> instance numbers, sorted.
    """

    path: pathlib.Path
    side: str
    members: Mapping[str, Member]
    series: Mapping[str, list[int]]

    def read(self, name: str, limit: int = -1) -> bytes:
        """Returns a file's bytes, the first `limit` of them; whole ones have their CRC checked."""
        if name not in self.members:
            raise FileNotFoundError(f"{self.path} has no {name}")
        return read_member(self.path, name, self.members[name], limit)

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
        return dataclasses.replace(self, members=members, series=kept)


def read_member(path: pathlib.Path, name: str, member: Member, limit: int = -1) -> bytes:
    """Returns the first bytes of a file in a zip, a whole one with its CRC checked.

    Args:
        path: of the zip.
        name: of the file, for errors.
        member: where it lies.
        limit: bytes that are wanted; -1 for all.

    Raises:
        OSError: the zip can't be read there.
    """
    with path.open("rb", buffering=0) as file:
        file.seek(member.offset)
        start = file.read(_LOCAL_HEADER.size)
        if len(start) < _LOCAL_HEADER.size or start[:4] != b"PK\3\4":
            raise OSError(f"{path} is damaged at {name}")
        _, name_length, extra_length = _LOCAL_HEADER.unpack(start)
        file.seek(name_length + extra_length, 1)
        is_whole = limit < 0 or member.num_bytes <= limit
        num_wanted = member.num_compressed if is_whole else _enough(member, limit)
        data = _decompress(member, file.read(num_wanted), limit)
    if is_whole and (len(data) != member.num_bytes or zlib.crc32(data) != member.crc):
        raise OSError(f"{path} is damaged at {name}")
    return data


def _enough(member: Member, limit: int) -> int:
    """Compressed bytes that hold the first `limit` bytes: deflate never grows by more."""
    return min(member.num_compressed, limit + limit // 1000 + 64)


def _decompress(member: Member, data: bytes, limit: int) -> bytes:
    """Returns at most the size that the directory says, whatever the data would inflate to."""
    size = member.num_bytes if limit < 0 else min(limit, member.num_bytes)
    if member.method == zipfile.ZIP_STORED:
        return data[:size]
    if member.method != zipfile.ZIP_DEFLATED:
        raise OSError("encrypted, or compressed by another method than deflate")
    if not size:
        return b""
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, size)
    except zlib.error as err:
        raise OSError(f"damaged deflate data ({err})") from err


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
        return _open_archive(data_dir, _read_members(data_dir), side)
    if not (data_dir / layout.images_dir(side)).is_dir():
        raise ValueError(
            f"{data_dir} has no folder {layout.images_dir(side)}; expected {layout.EXPECTED}"
        )
    return Folder(directory=data_dir, side=side)


def open_for_prediction(data_dir: pathlib.Path, side: str | None = None) -> Source:
    """Opens the side that is asked for; None is the test side where there is one, else the train.

    Raises:
        ValueError: as `open_source`, or the test side has no images.
    """
    if side is not None:
        return open_source(data_dir, side)
    csv, images = layout.series_csv("test"), layout.images_dir("test")
    if data_dir.is_file():
        members = _read_members(data_dir)
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


def _open_archive(path: pathlib.Path, members: Mapping[str, Member], side: str) -> Archive:
    prefix = layout.images_dir(side) + "/"
    by_folder: dict[str, list[str]] = {}
    for name in members:
        if name.startswith(prefix):
            folder, _, file = name.rpartition("/")
            by_folder.setdefault(folder, []).append(file)
    if not by_folder:
        raise ValueError(f"{path} has no images in {prefix}; expected {layout.EXPECTED}")
    series = {folder: layout.instances_among(files) for folder, files in by_folder.items()}
    return Archive(path=path, side=side, members=members, series=series)


def _read_members(path: pathlib.Path) -> dict[str, Member]:
    """The files by name relative to the folder of train.csv: some zip a folder, some its files."""
    try:
        with zipfile.ZipFile(path) as opened:
            infos = {info.filename: info for info in opened.infolist() if not info.is_dir()}
    except (zipfile.BadZipFile, UnicodeDecodeError) as err:
        raise ValueError(
            f"--data_dir {path} is neither a folder nor a zip file ({err}); "
            f"expected {layout.EXPECTED}"
        ) from err
    series_csvs = tuple(layout.series_csv(side) for side in layout.SIDES)
    roots = [name.rpartition("/")[0] for name in infos if name.endswith(series_csvs)]
    root = min(roots, key=len, default="")
    prefix = f"{root}/" if root else ""
    return {
        name.removeprefix(prefix): _member(info)
        for name, info in infos.items()
        if name.startswith(prefix)
    }


def list_members(path: pathlib.Path) -> Iterator[tuple[str, Member, bool]]:
    """Yields the files of a zip: name as it stands there, place, whether it is a symbolic link.

    Raises:
        ValueError: it is no zip file.
    """
    try:
        with zipfile.ZipFile(path) as opened:
            infos = opened.infolist()
    except (zipfile.BadZipFile, UnicodeDecodeError) as err:
        raise ValueError(f"{path} is no zip file ({err})") from err
    for info in infos:
        if not info.is_dir():
            yield info.filename, _member(info), stat.S_ISLNK(info.external_attr >> 16)


def _member(info: zipfile.ZipInfo) -> Member:
    is_readable = info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    return Member(
        offset=info.header_offset,
        num_bytes=info.file_size,
        num_compressed=info.compress_size,
        crc=info.CRC,
        method=info.compress_type if is_readable and not info.flag_bits & _ENCRYPTED else -1,
    )


def read_image(source: Source, name: str, limit: int | None = None) -> bytes:
    """Reads an image file, or its beginning.

    Args:
        source: where it is.
        name: of the file.
        limit: bytes to read; None is all.

    Raises:
        reasons.Rejected: it is missing, too large, or can't be read.
    """
    try:
        data = source.read(name, _MAX_FILE_BYTES + 1 if limit is None else limit)
    except FileNotFoundError as err:
        raise reasons.Rejected(reasons.Reason.MISSING_FILE, "there is no such file") from err
    except OSError as err:
        detail = err.strerror or type(err).__name__
        raise reasons.Rejected(reasons.Reason.UNREADABLE_FILE, detail) from err
    if len(data) > _MAX_FILE_BYTES:
        raise reasons.Rejected(
            reasons.Reason.FILE_TOO_LARGE, f"more than {_MAX_FILE_BYTES} bytes, expected fewer"
        )
    return data


def read_header(source: Source, name: str) -> header.Header:
    """Reads a header from the beginning of the file, or from all of it where that's short.

    Raises:
        reasons.Rejected: the file can't be read, or is no image that could be converted.
    """
    found = elements.walk(read_image(source, name, _HEADER_BYTES))
    return header.parse_header(found or elements.read_elements(read_image(source, name)))
