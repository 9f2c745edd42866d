"""A data set as the zip file that was downloaded: read in place, nothing is unpacked."""

import dataclasses
import pathlib
import struct
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping

from spine_tf.rsna import layout

_LOCAL_HEADER = struct.Struct("<4s22xHH")
_ENCRYPTED = 1


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
    """One side of a data set in a zip file.

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
        member = self.members[name]
        with self.path.open("rb", buffering=0) as file:
            file.seek(member.offset)
            header = file.read(_LOCAL_HEADER.size)
            if len(header) < _LOCAL_HEADER.size or header[:4] != b"PK\3\4":
                raise OSError(f"{self.path} is damaged at {name}")
            _, name_length, extra_length = _LOCAL_HEADER.unpack(header)
            file.seek(name_length + extra_length, 1)
            is_whole = limit < 0 or member.num_bytes <= limit
            num_wanted = member.num_compressed if is_whole else _enough(member, limit)
            data = _decompress(member, file.read(num_wanted), limit)
        if is_whole and (len(data) != member.num_bytes or zlib.crc32(data) != member.crc):
            raise OSError(f"{self.path} is damaged at {name}")
        return data

    def instances(self, study_id: int, series_id: int) -> list[int]:
        """Returns the instance numbers that a series has files for, sorted."""
        return self.series.get(layout.series_dir(self.side, study_id, series_id), [])

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


def open_archive(path: pathlib.Path, side: str) -> Archive:
    """Opens one side of a zip file.

    Raises:
        ValueError: it is no zip file, or has no images of that side.
    """
    members = _read_members(path)
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


def open_for_prediction(path: pathlib.Path) -> Archive:
    """Opens the test side where it has coordinates and images, else the train side."""
    members = _read_members(path)
    has_images = any(name.startswith(layout.images_dir("test") + "/") for name in members)
    has_coordinates = layout.coordinates_csv("test") in members
    return open_archive(path, "test" if has_coordinates and has_images else "train")


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


def _member(info: zipfile.ZipInfo) -> Member:
    is_readable = info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    return Member(
        offset=info.header_offset,
        num_bytes=info.file_size,
        num_compressed=info.compress_size,
        crc=info.CRC,
        method=info.compress_type if is_readable and not info.flag_bits & _ENCRYPTED else -1,
    )


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
