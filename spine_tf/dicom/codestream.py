"""What a JPEG, JPEG-LS or JPEG 2000 codestream says of its own size.

Decoders believe it, not the DICOM header: a stream that claims 20,000 x 20,000 pixels takes 2 GB
and a minute and a half before anyone can compare. So it is compared first.
"""

import struct

_START_OF_IMAGE = b"\xff\xd8"
_START_OF_CODESTREAM = b"\xff\x4f\xff\x51"
_SIZE = struct.Struct(">4xHHIIII")
_MAX_BOX_BYTES = 4096

# SOF0 to SOF15 without DHT, JPG and DAC (ITU T.81, table B.1), and JPEG-LS's SOF55.
_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}
_STANDALONE = frozenset(range(0xD0, 0xD8)) | {0x01}


def read_shape(data: bytes) -> tuple[int, int] | None:
    """Returns rows and columns of a codestream, or None where it has no readable header."""
    if data.startswith(_START_OF_IMAGE):
        return _read_jpeg(data)
    # The codestream may lie in a box of a JP2 file.
    start = data.find(_START_OF_CODESTREAM, 0, _MAX_BOX_BYTES)
    return _read_jpeg_2000(data, start) if start >= 0 else None


def _read_jpeg(data: bytes) -> tuple[int, int] | None:
    position = 2
    while position + 9 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker in _FRAME_MARKERS:
            rows, columns = struct.unpack_from(">HH", data, position + 5)
            return rows, columns
        # Fill bytes and markers without a segment take no length.
        if marker == 0xFF:
            position += 1
        elif marker in _STANDALONE:
            position += 2
        else:
            position += 2 + max(struct.unpack_from(">H", data, position + 2)[0], 2)
    return None


def _read_jpeg_2000(data: bytes, start: int) -> tuple[int, int] | None:
    if start + _SIZE.size > len(data):
        return None
    _, _, right, bottom, left, top = _SIZE.unpack_from(data, start)
    return bottom - top, right - left
