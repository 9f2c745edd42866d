"""The pixels of one slice: decoded, and as stored values that don't depend on the encoding."""

import struct

import numpy as np
import pydicom
import rle.rle as fast_rle  # the compiled module of pylibjpeg-rle
from pydicom import pixels, uid

from spine_tf.dicom import elements, header, jpeg, reasons

_ITEM, _SEQUENCE_DELIMITER = 0xE000FFFE, 0xE0DDFFFE
_ITEM_HEADER = struct.Struct("<II")
_RLE_HEADER = struct.Struct("<16I")


def decode(source: elements.Elements, slice_header: header.Header) -> np.ndarray:
    """Returns the pixels as the file has them, uint or int of 8 or 16 bits (rows, columns).

    Raises:
        reasons.Rejected: there are none, or they can't be decoded.
    """
    if source.pixel_data is None:
        array = _decode_by_pydicom(source, slice_header)
    elif source.transfer_syntax == uid.RLELossless:
        array = _decode_rle(source.pixel_data, slice_header)
    else:
        array = _decode_native(source.pixel_data, slice_header)
    return _with_sign(array, slice_header)


def stored_values(
    array: np.ndarray, slice_header: header.Header, reference: header.Header
) -> np.ndarray:
    """Returns pixels as uint16 on the scale of a reference slice (the slice itself, mostly).

    The modality rescale is left out: the window is by percentile, so a positive one changes
    nothing. Signed pixels are shifted by half the range of the bits stored; MONOCHROME1 and a
    negative slope invert within that range. Nothing depends on the slice's own extremes.
    """
    is_same_scale = _scale(slice_header) == _scale(reference)
    is_inverted = slice_header.is_inverted != (reference.slope < 0)
    if is_same_scale and not reference.is_signed and not is_inverted:
        return array.astype(np.uint16, copy=False)
    values = array.astype(np.float64)
    if not is_same_scale:
        offset = (slice_header.intercept - reference.intercept) / reference.slope
        values = np.rint(values * (slice_header.slope / reference.slope) + offset)
    if reference.is_signed:
        values += 2.0 ** (reference.bits_stored - 1)
    if is_inverted:
        maximum = 2.0**reference.bits_stored - 1
        values = maximum - np.clip(values, 0, maximum)
    return np.clip(values, 0, 65535).astype(np.uint16)


def scale_of(slice_header: header.Header) -> tuple[object, ...]:
    """Returns what decides how `stored_values` maps pixels where a slice is the reference."""
    return *_scale(slice_header), slice_header.is_signed, slice_header.bits_stored


def _scale(slice_header: header.Header) -> tuple[float, float]:
    return slice_header.slope, slice_header.intercept


def _with_sign(array: np.ndarray, slice_header: header.Header) -> np.ndarray:
    """Bits above those stored mean nothing: cleared, or copies of the sign."""
    dtype = np.dtype(f"{'i' if slice_header.is_signed else 'u'}{slice_header.bits_allocated // 8}")
    array = array.view(dtype)
    unused = slice_header.bits_allocated - slice_header.bits_stored
    if unused and slice_header.is_signed:
        return (array << unused) >> unused
    # Mostly there are none: looking takes a tenth of the time of clearing.
    if unused and array.max() >> slice_header.bits_stored:
        return array & ((1 << slice_header.bits_stored) - 1)
    return array


def _decode_native(data: memoryview, slice_header: header.Header) -> np.ndarray:
    num_bytes = slice_header.rows * slice_header.columns * slice_header.bits_allocated // 8
    if len(data) < num_bytes:
        raise _bad_pixels(f"{len(data)} bytes of pixels, expected {num_bytes}")
    dtype = "<u2" if slice_header.bits_allocated == 16 else "u1"
    return np.frombuffer(data[:num_bytes], dtype).reshape(slice_header.shape)


def _decode_rle(data: memoryview, slice_header: header.Header) -> np.ndarray:
    frame = _first_frame(data)
    num_segments = slice_header.bits_allocated // 8
    _check_rle_header(frame, num_segments)
    num_pixels = slice_header.rows * slice_header.columns
    try:
        decoded = fast_rle.decode_frame(frame, num_pixels, slice_header.bits_allocated, "<")
    except ValueError as err:
        raise _bad_pixels("the RLE segments don't hold the pixels") from err
    except BaseException as err:
        # The decoder is written in Rust: segments that hold too much make it panic, which is no
        # Exception, and its class can't be imported.
        if type(err).__name__ != "PanicException":
            raise
        raise _bad_pixels("the RLE segments hold more than the pixels") from err
    if len(decoded) != num_pixels * num_segments:
        raise _bad_pixels(f"{len(decoded)} decoded bytes, expected {num_pixels * num_segments}")
    dtype = "<u2" if num_segments == 2 else "u1"
    return np.frombuffer(decoded, dtype).reshape(slice_header.shape)


def _first_frame(data: memoryview) -> bytes:
    """Returns the one frame of encapsulated pixel data (PS3.5, A.4): table, fragments, end.

    `pydicom.encaps` would yield a fragment that is cut off as if it were whole.
    """
    fragments: list[memoryview] = []
    position = 0
    while position + 8 <= len(data):
        tag, length = _ITEM_HEADER.unpack_from(data, position)
        if tag == _SEQUENCE_DELIMITER:
            break
        position += 8
        if tag != _ITEM or length > len(data) - position:
            raise _bad_pixels("the encapsulated pixel data are cut off or damaged")
        fragments.append(data[position : position + length])
        position += length
    if len(fragments) < 2:
        raise _bad_pixels("the encapsulated pixel data hold no frame")
    return b"".join(fragments[1:])


def _check_rle_header(frame: bytes, num_segments: int) -> None:
    """Refuses headers that lie: decoders trust them, and one segfaults, one panics."""
    if len(frame) < _RLE_HEADER.size:
        raise _bad_pixels(f"an RLE frame of {len(frame)} bytes, expected a header of 64")
    count, *offsets = _RLE_HEADER.unpack_from(frame)
    ends = [*offsets[1:num_segments], len(frame)]
    is_rising = all(a < b for a, b in zip(offsets, ends, strict=False))
    if count != num_segments or offsets[0] != _RLE_HEADER.size or not is_rising:
        raise _bad_pixels(f"an RLE header that doesn't describe {num_segments} segments")


def _decode_by_pydicom(source: elements.Elements, slice_header: header.Header) -> np.ndarray:
    dataset = source.dataset
    if dataset is None:
        raise _bad_pixels("there is no parsed data set to decode from")
    syntax = uid.UID(source.transfer_syntax)
    try:
        pixels.get_decoder(syntax)
    except NotImplementedError as err:
        raise reasons.Rejected(
            reasons.Reason.NO_DECODER, f"pydicom knows no decoder for {_name(syntax)}"
        ) from err
    if syntax.startswith(jpeg.PREFIX):
        data = dataset.get_item(elements.PIXEL_DATA).value
        array = jpeg.decode(syntax, _first_frame(memoryview(data or b"")), slice_header)
    else:
        array = _decode_in_python(syntax, dataset)
    if array.shape != slice_header.shape or array.dtype.itemsize * 8 != slice_header.bits_allocated:
        raise _bad_pixels(f"decoded to {array.dtype} {array.shape}, not as the header says")
    return np.ascontiguousarray(array, array.dtype.newbyteorder("="))


def _decode_in_python(syntax: uid.UID, dataset: pydicom.Dataset) -> np.ndarray:
    try:
        array, _ = pixels.get_decoder(syntax).as_array(dataset, raw=True)
    except elements.PARSE_ERRORS as err:
        raise _bad_pixels(f"the pixels can't be decoded ({type(err).__name__})") from err
    return array


def _name(syntax: uid.UID) -> str:
    """The name of a known transfer syntax; a private UID could name an institution."""
    return syntax.name if syntax.is_transfer_syntax and not syntax.is_private else "it"


def _bad_pixels(detail: str) -> reasons.Rejected:
    return reasons.Rejected(reasons.Reason.BAD_PIXELS, detail)
