"""The files in a zip: where each lies, and its bytes; nothing is unpacked.

The directory of the competition's 147,218 members takes half a second and 100 MB to read: it is
read once, and workers get the members that they need.
"""

import contextlib
import dataclasses
import errno
import io
import pathlib
import stat
import struct
import zipfile
import zlib
from collections.abc import Collection, Iterator
from typing import BinaryIO

from spine_tf.rsna import layout
from tfrecords import errors, regular_file

MAGIC = b"PK\3\4"

_LOCAL_HEADER = struct.Struct("<4s22xHH")
_ENCRYPTED = 1
# What zipfile raises of a directory that is damaged, or made to look so.
_NO_ZIP = (
    *(zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError, ValueError, struct.error),
    *(OverflowError, EOFError, MemoryError, OSError),
)
# macOS adds to every file one that holds nothing of it.
_MACOS_FOLDER, _MACOS_PREFIX = "__MACOSX/", "._"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Received:
    """A zip that came over a network and lies in memory alone.

    Attributes:
        data: all of it.
    """

    data: bytes = dataclasses.field(repr=False)

    def __str__(self) -> str:
        return "the zip file"

    def open(self) -> BinaryIO:
        """Returns it as a file, without a copy."""
        return io.BytesIO(self.data)


Place = pathlib.Path | Received
"""Where a zip is."""


def _open(place: Place) -> BinaryIO:
    if isinstance(place, Received):
        return place.open()
    return regular_file.open_file(place)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """Where a file lies in the archive.

    Attributes:
        offset: where its local header begins, in bytes.
        num_bytes, num_compressed: sizes.
        crc: CRC-32 of the file.
        method: zipfile.ZIP_STORED or ZIP_DEFLATED, or -1 for what can't be read.
    """

    offset: int
    num_bytes: int
    num_compressed: int
    crc: int
    method: int


def list_members(path: Place) -> Iterator[tuple[str, Member, bool]]:
    """Yields the files of a zip: name as it stands there, place, whether it is a symbolic link.

    Raises:
        ValueError: it is no zip file.
    """
    try:
        with _open(path) as file, zipfile.ZipFile(file) as opened:
            infos = opened.infolist()
    except _NO_ZIP as err:
        raise ValueError(f"{path} {in_words(path)} ({errors.reason(err)})") from err
    for info in infos:
        # A damaged directory has names without a letter, which is_dir can't take.
        if info.filename and not info.filename.endswith("/"):
            yield info.filename, _member(info), stat.S_ISLNK(info.external_attr >> 16)


def in_words(path: Place) -> str:
    """Returns what a file is that can't be listed: a zip of which a part is missing, or none."""
    with contextlib.suppress(OSError), _open(path) as file:
        if file.read(len(MAGIC)) == MAGIC:
            return "is a zip file that is cut off or damaged: copy or download it again"
    return "is neither a folder nor a zip file"


def _member(info: zipfile.ZipInfo) -> Member:
    is_readable = info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    return Member(
        offset=info.header_offset,
        num_bytes=info.file_size,
        num_compressed=info.compress_size,
        crc=info.CRC,
        method=info.compress_type if is_readable and not info.flag_bits & _ENCRYPTED else -1,
    )


def of_data_set(path: pathlib.Path) -> dict[str, Member]:
    """Returns the files of a data set in a zip by their names relative to it.

    Some zip a folder, some its files, some programs of Windows divide names by backslashes. The
    data set is where CSV and images lie together; copies of a CSV elsewhere are no other one.

    Raises:
        ValueError: it is no zip file, or holds no data set, or several.
    """
    members = {
        name: member
        for spelled, member, _ in list_members(path)
        if not _is_of_macos(name := spelled.replace("\\", "/")) and not name.endswith("/")
    }
    root = _root(path, members)
    return {
        name.removeprefix(root): member for name, member in members.items() if name.startswith(root)
    }


def _is_of_macos(name: str) -> bool:
    return name.startswith(_MACOS_FOLDER) or name.rpartition("/")[2].startswith(_MACOS_PREFIX)


def _root(path: pathlib.Path, names: Collection[str]) -> str:
    """Returns what the names of the data set begin with: "" or a folder and a slash."""
    csvs = tuple(layout.series_csv(side) for side in layout.SIDES)
    with_csv = {name.removesuffix(csv) for csv in csvs for name in names if name.endswith(csv)}
    with_csv = {root for root in with_csv if not root or root.endswith("/")}
    with_images = {root for name in names if (root := _root_of_image(name)) is not None}
    roots = sorted(with_csv & with_images)
    if len(roots) == 1:
        return roots[0]
    if roots:
        places = " and ".join(root or "its top" for root in roots)
        raise ValueError(
            f"{path} holds {len(roots)} data sets, in {places}: unpack it, and name one"
        )
    if with_csv and with_images:
        raise ValueError(
            f"{path} has its CSVs in {min(with_csv) or 'its top'} and its images in "
            f"{min(with_images) or 'its top'}; expected them in one folder"
        )
    return min(with_csv, key=len, default="")


def _root_of_image(name: str) -> str | None:
    for side in layout.SIDES:
        folder = f"{layout.images_dir(side)}/"
        at = name.find(folder)
        if at == 0 or (at > 0 and name[at - 1] == "/"):
            return name[:at]
    return None


def read_member(path: Place, name: str, member: Member, limit: int = -1) -> bytes:
    """Returns the first bytes of a file in a zip, a whole one with its CRC checked.

    Args:
        path: the zip file.
        name: the file's name, for errors.
        member: where it lies.
        limit: bytes that are wanted; -1 for all, which may be `regular_file.MAX_BYTES`.

    Raises:
        OSError: the file has more, or the zip can't be read there.
    """
    if limit < 0 and member.num_bytes > (limit := regular_file.MAX_BYTES):
        raise _unfit(path, name, f"more than {limit} bytes", errno.EFBIG)
    is_whole = member.num_bytes <= limit
    # Deflate never grows by more.
    num_wanted = min(member.num_compressed, limit + limit // 1000 + 64)
    try:
        with _open(path) as file:
            file.seek(member.offset)
            start = file.read(_LOCAL_HEADER.size)
            signature, name_length, extra_length = _LOCAL_HEADER.unpack(start)
            file.seek(name_length + extra_length, 1)
            data = _decompress(member, file.read(num_wanted), min(limit, member.num_bytes))
    except (struct.error, zlib.error, ValueError, OverflowError) as err:
        raise _unfit(path, name, "damaged") from err
    except OSError as err:
        if err.filename is not None:
            raise
        raise _unfit(path, name, f"out of reach ({err.strerror})") from err
    if data is None:
        raise _unfit(path, name, "encrypted, or compressed by another method than deflate")
    is_damaged = is_whole and (len(data) != member.num_bytes or zlib.crc32(data) != member.crc)
    if signature != b"PK\3\4" or is_damaged:
        raise _unfit(path, name, "damaged")
    return data


def _unfit(path: Place, name: str, what: str, number: int = errno.EIO) -> regular_file.UnfitFile:
    return regular_file.UnfitFile(number, f"holds {name}, which is {what}", str(path))


def _decompress(member: Member, data: bytes, size: int) -> bytes | None:
    """Returns no more bytes than `size`, whatever the data would inflate to."""
    if member.method == zipfile.ZIP_STORED:
        return data[:size]
    if member.method != zipfile.ZIP_DEFLATED:
        return None
    return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, size) if size else b""
