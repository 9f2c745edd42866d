"""The pixels of one slice: decoded, and as stored values that don't depend on the encoding."""

import dataclasses
import struct

import numpy as np
import pydicom
import rle.rle as fast_rle  # the compiled module of pylibjpeg-rle
from pydicom import pixels, uid

from spine_tf.dicom import elements, header, jpeg, reasons

_ITEM, _SEQUENCE_DELIMITER = 0xE000FFFE, 0xE0DDFFFE
_ITEM_HEADER = struct.Struct("<II")
_RLE_HEADER = struct.Struct("<16I")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Decoded:
    """The pixels of one slice.

    Attributes:
        values: as the file means them, uint or int of 8 or 16 bits (rows, columns).
        is_padding: bool (rows, columns), pixels that are no tissue but fill the frame; None where
            the file names no such value or no pixel has it.
    """

    values: np.ndarray
    is_padding: np.ndarray | None

    @property
    def is_tissue(self) -> np.ndarray | None:
        """The other pixels; None where all are."""
        return None if self.is_padding is None else ~self.is_padding


def decode(source: elements.Elements, slice_header: header.Header) -> Decoded:
    """Returns the pixels.

    Raises:
        reasons.Rejected: there are none, or they can't be decoded.
    """
    if source.pixel_data is None:
        cells = _decode_by_pydicom(source, slice_header)
    elif source.transfer_syntax == uid.RLELossless:
        cells = _decode_rle(source.pixel_data, slice_header)
    else:
        cells = _decode_native(source.pixel_data, source.byte_order, slice_header)
    cells = cells.view(
        f"{'i' if slice_header.is_signed else 'u'}{slice_header.bits_allocated // 8}"
    )
    values = _values(cells, slice_header)
    return Decoded(values=values, is_padding=_find_padding(cells, values, slice_header))


def stored_values(
    decoded: Decoded, slice_header: header.Header, reference: header.Header
) -> np.ndarray:
    """Returns pixels as uint16 on the scale of a reference slice (the slice itself, mostly).

    The modality rescale is left out: the window is by percentile, so a positive one changes
    nothing. Signed pixels are shifted by half the range of the bits stored; MONOCHROME1 and a
    negative slope invert within that range. Nothing depends on the slice's own extremes. Padding
    is 0, as outside the image.

    A neighbour of another sign, scale or MONOCHROME is brought to what the reference means by its
    values; what lies below those is 0.
    """
    values = _on_scale(decoded.values, slice_header, reference)
    if decoded.is_padding is None:
        return values
    return np.where(decoded.is_padding, np.uint16(0), values)


def _on_scale(
    array: np.ndarray, slice_header: header.Header, reference: header.Header
) -> np.ndarray:
    is_same_scale = _scale(slice_header) == _scale(reference)
    is_other_way = slice_header.is_inverted != reference.is_inverted
    is_inverted = reference.is_inverted != (reference.slope < 0)
    is_signed = slice_header.is_signed or reference.is_signed
    if is_same_scale and not (is_signed or is_other_way or is_inverted):
        return array.astype(np.uint16, copy=False)
    values = array.astype(np.float64)
    if is_other_way:
        values = _least(slice_header) + _greatest(slice_header) - values
    if not is_same_scale:
        offset = (slice_header.intercept - reference.intercept) / reference.slope
        values = np.rint(values * (slice_header.slope / reference.slope) + offset)
    values -= _least(reference)
    if is_inverted:
        span = _greatest(reference) - _least(reference)
        values = span - np.clip(values, 0, span)
    return np.clip(values, 0, 65535).astype(np.uint16)


def _least(slice_header: header.Header) -> float:
    """The least value that the bits stored can hold."""
    return -(2.0 ** (slice_header.bits_stored - 1)) if slice_header.is_signed else 0.0


def _greatest(slice_header: header.Header) -> float:
    return _least(slice_header) + 2.0**slice_header.bits_stored - 1


def scale_of(slice_header: header.Header) -> tuple[object, ...]:
    """Returns what decides how `stored_values` maps pixels where a slice is the reference."""
    encoding = slice_header.is_signed, slice_header.is_inverted, slice_header.bits_stored
    return *_scale(slice_header), *encoding


def _scale(slice_header: header.Header) -> tuple[float, float]:
    return slice_header.slope, slice_header.intercept


def _values(cells: np.ndarray, slice_header: header.Header) -> np.ndarray:
    """Bits above and below those stored mean nothing: cleared, or copies of the sign."""
    above = slice_header.bits_allocated - 1 - slice_header.high_bit
    below = slice_header.high_bit + 1 - slice_header.bits_stored
    if slice_header.is_signed:
        return (cells << above) >> (above + below) if above or below else cells
    # Mostly there are none: looking takes a tenth of the time of clearing.
    if below or (above and cells.max() >> slice_header.bits_stored):
        return (cells >> below) & ((1 << slice_header.bits_stored) - 1)
    return cells


def _find_padding(
    cells: np.ndarray, values: np.ndarray, slice_header: header.Header
) -> np.ndarray | None:
    """Where values are padding; one that the bits stored can't hold fills whole cells."""
    if slice_header.padding is None:
        return None
    low, high = slice_header.padding
    found = _is_between(values, low, high)
    if low < _least(slice_header) or high > _greatest(slice_header):
        found |= _is_between(cells, low, high)
    return found if found.any() else None


def _is_between(array: np.ndarray, low: int, high: int) -> np.ndarray:
    limits = np.iinfo(array.dtype)
    low, high = max(low, limits.min), min(high, limits.max)
    return (array >= low) & (array <= high) if low <= high else np.zeros(array.shape, bool)


def _decode_native(data: memoryview, byte_order: str, slice_header: header.Header) -> np.ndarray:
    num_bytes = slice_header.rows * slice_header.columns * slice_header.bits_allocated // 8
    if len(data) < num_bytes:
        raise _bad_pixels(f"{len(data)} bytes of pixels, expected {num_bytes}")
    dtype = f"{'>' if byte_order == 'big' else '<'}u{slice_header.bits_allocated // 8}"
    cells = np.frombuffer(data[:num_bytes], dtype).reshape(slice_header.shape)
    return cells.astype(cells.dtype.newbyteorder("="), copy=False)


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
        _check_alignment(syntax, slice_header)
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


def _check_alignment(syntax: uid.UID, slice_header: header.Header) -> None:
    """A codec has samples, not cells: where their bits would lie in a cell is anybody's guess."""
    if slice_header.high_bit != slice_header.bits_stored - 1:
        raise reasons.Rejected(
            reasons.Reason.UNSUPPORTED_PIXELS,
            f"HighBit is {slice_header.high_bit} in {_name(syntax)}, expected "
            f"{slice_header.bits_stored - 1} for {slice_header.bits_stored} bits stored",
        )


def _name(syntax: uid.UID) -> str:
    """The name of a known transfer syntax; a private UID could name an institution."""
    return syntax.name if syntax.is_transfer_syntax and not syntax.is_private else "it"


def _bad_pixels(detail: str) -> reasons.Rejected:
    return reasons.Rejected(reasons.Reason.BAD_PIXELS, detail)
