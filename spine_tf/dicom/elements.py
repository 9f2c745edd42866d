"""The attributes of a DICOM file as raw bytes: a short walk where the file is plain, else pydicom.

pydicom takes 0.24 ms to parse a header of 40 elements. The walk takes 0.04 ms and gives up, without
judging, wherever a file isn't a flat little endian data set; pydicom then decides.
"""

import dataclasses
import io
import struct
import zlib
from collections.abc import Callable, Mapping, Set

import pydicom
from pydicom import dataelem, errors, filereader, uid

from spine_tf.dicom import reasons

TRANSFER_SYNTAX = 0x00020010
IMAGE_TYPE = 0x00080008
COMPLEX_IMAGE_COMPONENT = 0x00089208
SEQUENCE_NAME = 0x00180024
ECHO_TIME = 0x00180081
INVERSION_TIME = 0x00180082
ECHO_NUMBERS = 0x00180086
TRIGGER_TIME = 0x00181060
B_VALUE = 0x00189087
SIEMENS_B_VALUE = 0x0019100C
SERIES_UID = 0x0020000E
ACQUISITION_NUMBER = 0x00200012
IMAGE_POSITION = 0x00200032
IMAGE_ORIENTATION = 0x00200037
FRAME_OF_REFERENCE = 0x00200052
TEMPORAL_POSITION = 0x00200100
SAMPLES_PER_PIXEL = 0x00280002
PHOTOMETRIC = 0x00280004
NUMBER_OF_FRAMES = 0x00280008
ROWS = 0x00280010
COLUMNS = 0x00280011
PIXEL_SPACING = 0x00280030
BITS_ALLOCATED = 0x00280100
BITS_STORED = 0x00280101
HIGH_BIT = 0x00280102
PIXEL_REPRESENTATION = 0x00280103
PIXEL_PADDING = 0x00280120
PIXEL_PADDING_LIMIT = 0x00280121
RESCALE_INTERCEPT = 0x00281052
RESCALE_SLOPE = 0x00281053
GE_IMAGE_KIND = 0x0043102F
GE_B_VALUE = 0x00431039
PHILIPS_B_VALUE = 0x20011003
FLOAT_PIXEL_DATA = 0x7FE00008
DOUBLE_FLOAT_PIXEL_DATA = 0x7FE00009
PIXEL_DATA = 0x7FE00010
_PIXEL_TAGS = (PIXEL_DATA, FLOAT_PIXEL_DATA, DOUBLE_FLOAT_PIXEL_DATA)

_NEEDED = frozenset(
    {
        SAMPLES_PER_PIXEL,
        PHOTOMETRIC,
        NUMBER_OF_FRAMES,
        ROWS,
        COLUMNS,
        PIXEL_SPACING,
        BITS_ALLOCATED,
        BITS_STORED,
        HIGH_BIT,
        PIXEL_REPRESENTATION,
        PIXEL_PADDING,
        PIXEL_PADDING_LIMIT,
        RESCALE_INTERCEPT,
        RESCALE_SLOPE,
        IMAGE_POSITION,
        IMAGE_ORIENTATION,
        FRAME_OF_REFERENCE,
    }
)

# What tells acquisitions, and files at one place, apart. The last ones are the vendors' own.
_TELLING = frozenset(
    {
        IMAGE_TYPE,
        COMPLEX_IMAGE_COMPONENT,
        SEQUENCE_NAME,
        ECHO_TIME,
        INVERSION_TIME,
        ECHO_NUMBERS,
        TRIGGER_TIME,
        B_VALUE,
        SERIES_UID,
        ACQUISITION_NUMBER,
        TEMPORAL_POSITION,
        SIEMENS_B_VALUE,
        GE_IMAGE_KIND,
        GE_B_VALUE,
        PHILIPS_B_VALUE,
    }
)
_WANTED = _NEEDED | _TELLING

# Transfer syntaxes that the walk understands.
_PLAIN = frozenset({uid.RLELossless, uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian})
# Those whose pixels are the bytes of the file, once it is inflated.
_UNCOMPRESSED = frozenset(
    {
        uid.ImplicitVRLittleEndian,
        uid.ExplicitVRLittleEndian,
        uid.DeflatedExplicitVRLittleEndian,
        uid.ExplicitVRBigEndian,
    }
)
_LONG_VRS = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN"})
_LONGER_VRS = _LONG_VRS | {b"UR", b"UT", b"UV"}
_SHORT_HEADER = struct.Struct("<HH2sH")
_LONG_LENGTH = struct.Struct("<I")
_UNDEFINED = 0xFFFFFFFF
_PREFIX_END = 132

# What most headers fit into, and what those with long private attributes do.
_BEGINNINGS = (2**14, 2**18)

# What an inflated data set may take: a bomb of 64 MiB would otherwise become 64 GiB.
_MAX_INFLATED = 2**26

# pydicom converts values when they are first read, and a hostile file can make that fail in any of
# these ways (thousands of mutated files raised nothing else).
PARSE_ERRORS = (
    errors.InvalidDicomError,
    errors.BytesLengthException,
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    NotImplementedError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Elements:
    """What a file says of its image, not yet judged.

    Attributes:
        transfer_syntax: UID.
        values: tag -> raw bytes, of the attributes that matter here.
        byte_order: "little" or "big", of binary numbers in `values` and of uncompressed pixels.
        pixel_data: raw bytes of PixelData, where the pixels are to be decoded without pydicom,
            which clears the bits beside those stored.
        dataset: the parsed file, where pydicom has to decode them.
        pixel_tag: tag of the attribute that holds the pixels; 0 where there is none.
        pixel_end: bytes that the file needs to have, up to the end of pixels whose length it says;
            0 where it doesn't.
    """

    transfer_syntax: str
    values: Mapping[int, bytes]
    byte_order: str = "little"
    pixel_data: memoryview | None = None
    dataset: pydicom.Dataset | None = None
    pixel_tag: int = 0
    pixel_end: int = 0


def read_elements(data: bytes) -> Elements:
    """Parses a DICOM file.

    Raises:
        reasons.Rejected: it isn't one.
    """
    _check_prefix(data)
    return walk(data) or _parse(data)


def read_beginning(read: Callable[[int], bytes], more: Set[int], limit: int) -> Elements:
    """Parses a file up to its pixels, and reads little more of it than that.

    Args:
        read: returns so many bytes of the file's beginning, fewer where it has fewer.
        more: tags of further attributes that are wanted.
        limit: the most that is read, where the pixels don't come before.

    Returns:
        What the file says of its image, without `pixel_data` and `dataset`.

    Raises:
        reasons.Rejected: it is no DICOM file.
    """
    wanted = _WANTED | more
    for num_bytes in (*_BEGINNINGS, limit):
        data = read(num_bytes)
        _check_prefix(data)
        is_last = len(data) < num_bytes or num_bytes == limit
        found = walk(data, wanted)
        if found is None and (is_last or num_bytes > _BEGINNINGS[0]):
            found = _parse_beginning(data, wanted, is_whole=is_last)
        if found is not None:
            return dataclasses.replace(found, pixel_data=None)
        if is_last:
            break
    raise reasons.Rejected(reasons.Reason.NOT_DICOM, "pydicom can't parse it")


def _check_prefix(data: bytes) -> None:
    if data[128:_PREFIX_END] != b"DICM":
        raise reasons.Rejected(reasons.Reason.NOT_DICOM, "no DICM prefix at byte 128")


def walk(data: bytes, wanted: Set[int] = _WANTED) -> Elements | None:
    """Returns the elements of a flat little endian file, or None.

    The beginning of a file is enough for all but the pixels.
    """
    values: dict[int, bytes] = {}
    position, transfer_syntax = _PREFIX_END, ""
    end, is_implicit = len(data) - 8, False
    while position <= end:
        group, element, vr, length = _SHORT_HEADER.unpack_from(data, position)
        tag = group << 16 | element
        if is_implicit and group != 2:
            if vr.isalpha() and vr.isupper():
                return None  # a VR where there should be none, or a length that looks like one
            (length,) = _LONG_LENGTH.unpack_from(data, position + 4)
            position += 8
        elif vr in _LONGER_VRS:
            if position > end - 4:
                return None
            (length,) = _LONG_LENGTH.unpack_from(data, position + 8)
            position += 12
        elif vr.isalpha():
            position += 8
        else:
            return None
        if tag == PIXEL_DATA:
            return _with_pixels(data, position, length, transfer_syntax, values)
        if length == _UNDEFINED or position + length > len(data):
            return None
        if tag in wanted:
            values[tag] = data[position : position + length]
        elif tag == TRANSFER_SYNTAX:
            transfer_syntax = data[position : position + length].rstrip(b"\0 ").decode("latin-1")
            if transfer_syntax not in _PLAIN:
                return None
            is_implicit = transfer_syntax == uid.ImplicitVRLittleEndian
        position += length
    return None


def _with_pixels(
    data: bytes, position: int, length: int, transfer_syntax: str, values: dict[int, bytes]
) -> Elements | None:
    is_encapsulated = length == _UNDEFINED
    if not transfer_syntax or is_encapsulated != (transfer_syntax == uid.RLELossless):
        return None
    end = len(data) if is_encapsulated else position + length
    return Elements(
        transfer_syntax=transfer_syntax,
        values=values,
        pixel_data=memoryview(data)[position:end],
        pixel_tag=PIXEL_DATA,
        pixel_end=0 if is_encapsulated else end,
    )


def _parse(data: bytes) -> Elements:
    try:
        meta, dataset = read_datasets(io.BytesIO(data[_PREFIX_END:]))
        transfer_syntax = str(meta.TransferSyntaxUID)
        values = {tag: _raw(dataset, tag) for tag in _NEEDED if tag in dataset}
        values |= {tag: _raw(dataset, tag) for tag in _TELLING if _is_plain(dataset, tag)}
        is_decoded_here = PIXEL_DATA in dataset and _is_plain_pixels(dataset, transfer_syntax)
        pixel_data = memoryview(_raw(dataset, PIXEL_DATA)) if is_decoded_here else None
    except PARSE_ERRORS as err:
        raise reasons.Rejected(
            reasons.Reason.NOT_DICOM, f"pydicom can't parse it ({type(err).__name__})"
        ) from err
    return Elements(
        transfer_syntax=transfer_syntax,
        values=values,
        byte_order="big" if transfer_syntax == uid.ExplicitVRBigEndian else "little",
        pixel_data=pixel_data,
        dataset=dataset,
        pixel_tag=next((tag for tag in _PIXEL_TAGS if tag in dataset), 0),
    )


def _parse_beginning(data: bytes, wanted: Set[int], *, is_whole: bool) -> Elements | None:
    """Parses up to the pixels; None where the file goes on and they haven't come yet."""
    file = io.BytesIO(data[_PREFIX_END:])
    tag, end = 0, 0

    def is_pixels(found: pydicom.tag.BaseTag, vr: str | None, length: int) -> bool:
        nonlocal tag, end
        if found in _PIXEL_TAGS:
            has_end = length != _UNDEFINED
            tag, end = int(found), has_end * (_PREFIX_END + file.tell() + length)
        return found in _PIXEL_TAGS

    try:
        meta, dataset = read_datasets(file, is_pixels)
        transfer_syntax = str(meta.TransferSyntaxUID)
        values = {tag: _raw(dataset, tag) for tag in wanted if _is_plain(dataset, tag)}
    except PARSE_ERRORS as err:
        if not is_whole:
            return None
        raise reasons.Rejected(
            reasons.Reason.NOT_DICOM, f"pydicom can't parse it ({type(err).__name__})"
        ) from err
    if not (tag or is_whole):
        return None
    has_length = transfer_syntax in _UNCOMPRESSED - {uid.DeflatedExplicitVRLittleEndian}
    return Elements(
        transfer_syntax=transfer_syntax,
        values=values,
        byte_order="big" if transfer_syntax == uid.ExplicitVRBigEndian else "little",
        pixel_tag=tag,
        pixel_end=end if has_length else 0,
    )


def read_datasets(
    file: io.BytesIO,
    stop_when: Callable[[pydicom.tag.BaseTag, str | None, int], bool] | None = None,
) -> tuple[pydicom.Dataset, pydicom.Dataset]:
    """Returns the file meta information and the data set; dcmread would inflate without limit.

    Args:
        file: what follows the prefix.
        stop_when: is told tag, VR and length of each attribute; True ends the data set before it.

    Raises:
        PARSE_ERRORS: it can't be parsed.
        reasons.Rejected: it inflates to too much.
    """
    meta = filereader.read_dataset(file, False, True, stop_when=_is_behind_meta)
    syntax = meta.TransferSyntaxUID
    if syntax == uid.DeflatedExplicitVRLittleEndian:
        file = io.BytesIO(_inflated(file.read()))
    dataset = filereader.read_dataset(
        file,
        syntax == uid.ImplicitVRLittleEndian,
        syntax != uid.ExplicitVRBigEndian,
        stop_when=stop_when,
    )
    dataset.file_meta = pydicom.dataset.FileMetaDataset(meta)
    return meta, dataset


def _is_behind_meta(tag: pydicom.tag.BaseTag, vr: str | None, length: int) -> bool:
    return tag.group != 2


def _is_plain_pixels(dataset: pydicom.Dataset, transfer_syntax: str) -> bool:
    if transfer_syntax not in _UNCOMPRESSED:
        return transfer_syntax == uid.RLELossless
    # Bytes of a big endian file may be swapped in pairs, or not, as the VR says.
    has_bytes = _raw(dataset, BITS_ALLOCATED) == b"\0\x08" if BITS_ALLOCATED in dataset else False
    is_swapped = transfer_syntax == uid.ExplicitVRBigEndian and has_bytes
    return not is_swapped and getattr(dataset.get_item(PIXEL_DATA), "length", 0) != _UNDEFINED


def _raw(dataset: pydicom.Dataset, tag: int) -> bytes:
    if not _is_plain(dataset, tag):
        raise ValueError(f"{tag:#010x} is no plain value")
    return dataset.get_item(tag).value


def _is_plain(dataset: pydicom.Dataset, tag: int) -> bool:
    if tag not in dataset:
        return False
    element = dataset.get_item(tag)
    is_raw = isinstance(element, dataelem.RawDataElement) or tag == PIXEL_DATA
    return is_raw and isinstance(element.value, bytes)


def _inflated(data: bytes) -> bytes:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    inflated = inflater.decompress(data, _MAX_INFLATED)
    if inflater.unconsumed_tail:
        raise reasons.Rejected(
            reasons.Reason.FILE_TOO_LARGE, f"inflates to more than {_MAX_INFLATED} bytes"
        )
    return inflated
