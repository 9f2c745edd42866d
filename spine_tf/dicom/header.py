"""The attributes of one slice, checked: shape, encoding of its pixels, place in the patient."""

import dataclasses
import math
import struct
from typing import Literal, cast

import numpy as np

from spine_tf.dicom import elements, reasons

MAX_PIXELS = 2**24
_MIN_SPACING_MM, _MAX_SPACING_MM = 0.001, 100.0
_MAX_POSITION_MM = 1e5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Acquisition:
    """What tells the acquisitions of a folder apart; what a file doesn't say is empty.

    These are values of the file: they are compared, and never written anywhere.

    Attributes:
        series_uid: SeriesInstanceUID.
        echo_time: ms, to 0.01, since writers round differently.
        echo_numbers: which echoes.
        image_type: ImageType and ComplexImageComponent, such as magnitude or phase.
        temporal_position: number of the time point in a dynamic series.
        b_value: strength of the diffusion weighting, s/mm^2.
    """

    series_uid: str = ""
    echo_time: tuple[float, ...] = ()
    echo_numbers: tuple[float, ...] = ()
    image_type: tuple[str, ...] = ()
    temporal_position: tuple[float, ...] = ()
    b_value: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Header:
    """What one slice is.

    Attributes:
        rows, columns: the image's height and width in pixels.
        bits_allocated, bits_stored: 8 or 16, and how many of them carry the value.
        high_bit: the highest of those that do, from 0; bits_stored - 1 but in old files.
        is_signed: pixels are two's complement.
        is_inverted: MONOCHROME1, low values are bright.
        slope, intercept: the modality rescale's; 1 and 0 where the file has none.
        padding: lowest and highest pixel value that is no tissue but fills the frame, or None.
        spacing: mm between rows and between columns, float32 values.
        position: place of the first pixel's centre in the patient, mm, or None.
        orientation: cosines of the direction along a row, then along a column, or None. The
            patient's axes point to the left, to the back, and to the head.
        acquisition: what the slice is a part of.
        frame_of_reference: FrameOfReferenceUID, in which positions are; compared, never written
            anywhere; "" where the file doesn't say, as RSNA's own don't.
        hints: further values of the file that differ between acquisitions, but may also differ
            between the slices of one: they only choose between files at one place.
    """

    rows: int
    columns: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    is_signed: bool
    is_inverted: bool
    slope: float
    intercept: float
    padding: tuple[int, int] | None = None
    spacing: tuple[float, float]
    position: tuple[float, float, float] | None
    orientation: tuple[float, ...] | None
    acquisition: Acquisition = dataclasses.field(default=Acquisition(), repr=False)
    frame_of_reference: str = dataclasses.field(default="", repr=False)
    hints: tuple[bytes | None, ...] = dataclasses.field(default=(), repr=False)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.rows, self.columns


def parse_header(source: elements.Elements) -> Header:
    """Checks the attributes of a file.

    Raises:
        reasons.Rejected: an attribute is missing or senseless, or the image is of a kind that is
            not converted.
    """
    _check_has_pixels(source)
    values = Values(source)
    _check_kind(values)
    rows, columns = values.integer(elements.ROWS), values.integer(elements.COLUMNS)
    if rows < 1 or columns < 1:
        raise _bad_header(f"{rows} rows and {columns} columns, expected at least 1")
    if rows * columns > MAX_PIXELS:
        raise reasons.Rejected(
            reasons.Reason.IMAGE_TOO_LARGE,
            f"{rows} x {columns} pixels, expected at most {MAX_PIXELS}",
        )
    bits_allocated, bits_stored, high_bit = _bits(values)
    is_signed = values.integer(elements.PIXEL_REPRESENTATION, 0) == 1
    slope, intercept = _rescale(values)
    return Header(
        rows=rows,
        columns=columns,
        bits_allocated=bits_allocated,
        bits_stored=bits_stored,
        high_bit=high_bit,
        is_signed=is_signed,
        is_inverted=values.text(elements.PHOTOMETRIC) == "MONOCHROME1",
        slope=slope,
        intercept=intercept,
        padding=_padding(values, is_signed=is_signed),
        spacing=_spacing(values),
        position=_position(values),
        orientation=_orientation(values),
        acquisition=_acquisition(values),
        frame_of_reference=values.text(elements.FRAME_OF_REFERENCE),
        hints=tuple(map(source.values.get, _HINTS)),
    )


class Values:
    """Raw values as numbers and text."""

    def __init__(self, source: elements.Elements) -> None:
        """Takes the attributes of a file, which may lack any."""
        self._values = source.values
        self._byte_order = cast(Literal["little", "big"], source.byte_order)

    def integer(self, tag: int, default: int | None = None, *, is_signed: bool = False) -> int:
        """Returns a binary integer of 16 bits; Rejected where there is none and no default."""
        raw = self._values.get(tag, b"")
        if len(raw) == 2:
            return int.from_bytes(raw, self._byte_order, signed=is_signed)
        if not raw and default is not None:
            return default
        raise _bad_header(f"attribute {tag:08X} is missing or has {len(raw)} bytes, expected 2")

    def text(self, tag: int) -> str:
        """Returns text in Latin-1, stripped; "" where the attribute is missing."""
        return self._values.get(tag, b"").decode("latin-1").strip(" \0")

    def words(self, tag: int) -> tuple[str, ...]:
        """Code strings in capitals; () where the attribute is missing or empty."""
        text = self.text(tag)
        return tuple(part.strip().upper() for part in text.split("\\")) if text else ()

    def numbers(self, tag: int) -> tuple[float, ...]:
        """Decimal strings; () where the attribute is missing, empty or not of finite numbers."""
        if not self._values.get(tag):
            return ()
        try:
            numbers = tuple(float(part) for part in self.text(tag).split("\\"))
        except ValueError:
            return ()
        return numbers if all(map(math.isfinite, numbers)) else ()

    def has(self, tag: int) -> bool:
        """Returns whether the attribute is there and not empty."""
        return bool(self._values.get(tag))

    def double(self, tag: int) -> float | None:
        """A finite binary float64; None where there is none."""
        raw = self._values.get(tag, b"")
        if len(raw) != 8:
            return None
        (number,) = struct.unpack("<d" if self._byte_order == "little" else ">d", raw)
        return number if math.isfinite(number) else None


def _check_has_pixels(source: elements.Elements) -> None:
    if source.pixel_tag == elements.PIXEL_DATA:
        return
    if source.pixel_tag:
        raise reasons.Rejected(
            reasons.Reason.UNSUPPORTED_PIXELS, "floating point pixels, expected integers"
        )
    raise reasons.Rejected(reasons.Reason.NO_PIXELS, "the file has no PixelData")


def _check_kind(values: Values) -> None:
    samples = values.integer(elements.SAMPLES_PER_PIXEL, 1)
    photometric = values.text(elements.PHOTOMETRIC)
    if samples != 1 or (photometric and not photometric.startswith("MONOCHROME")):
        raise reasons.Rejected(
            reasons.Reason.COLOUR, f"{samples} samples a pixel, expected one, grey"
        )
    frames = values.text(elements.NUMBER_OF_FRAMES)
    if frames.strip("0123456789"):
        raise _bad_header("NumberOfFrames is no count")
    # 0 is one frame too: some exporters write it for a plain slice, and pydicom reads it so.
    if frames.lstrip("0") not in ("", "1"):
        raise reasons.Rejected(
            reasons.Reason.MULTI_FRAME,
            "more than one frame, expected one; spine_tf.organize splits enhanced MR into frames",
        )


def _bits(values: Values) -> tuple[int, int, int]:
    """Bits allocated, bits stored, and the highest of these: older files align them left."""
    allocated = values.integer(elements.BITS_ALLOCATED)
    stored = values.integer(elements.BITS_STORED, allocated)
    if allocated not in (8, 16):
        raise reasons.Rejected(
            reasons.Reason.UNSUPPORTED_PIXELS, f"{allocated} bits allocated, expected 8 or 16"
        )
    if not 1 <= stored <= allocated:
        raise _bad_header(f"{stored} bits stored of {allocated} allocated")
    high_bit = values.integer(elements.HIGH_BIT, stored - 1)
    if not stored - 1 <= high_bit < allocated:
        raise _bad_header(
            f"HighBit is {high_bit}, expected {stored - 1} to {allocated - 1} for {stored} bits "
            f"stored of {allocated} allocated"
        )
    return allocated, stored, high_bit


def _rescale(values: Values) -> tuple[float, float]:
    slope = values.numbers(elements.RESCALE_SLOPE) or (1.0,)
    intercept = values.numbers(elements.RESCALE_INTERCEPT) or (0.0,)
    if not 1e-9 <= abs(slope[0]) <= 1e9 or abs(intercept[0]) > 1e9:
        raise _bad_header("RescaleSlope or RescaleIntercept is zero or out of all bounds")
    return slope[0], intercept[0]


def _padding(values: Values, *, is_signed: bool) -> tuple[int, int] | None:
    """PixelPaddingValue and, on either side of it, PixelPaddingRangeLimit (PS3.3, C.7.5.1.1.2).

    They have the sign of the pixels, whatever VR a writer gave them.
    """
    if not values.has(elements.PIXEL_PADDING):
        return None
    value = values.integer(elements.PIXEL_PADDING, is_signed=is_signed)
    limit = values.integer(elements.PIXEL_PADDING_LIMIT, value, is_signed=is_signed)
    return min(value, limit), max(value, limit)


def _spacing(values: Values) -> tuple[float, float]:
    spacing = values.numbers(elements.PIXEL_SPACING)
    if len(spacing) != 2 or not all(_MIN_SPACING_MM <= s <= _MAX_SPACING_MM for s in spacing):
        raise reasons.Rejected(
            reasons.Reason.NO_SPACING,
            f"PixelSpacing is missing or outside {_MIN_SPACING_MM} to {_MAX_SPACING_MM:.0f} mm",
        )
    return float(np.float32(spacing[0])), float(np.float32(spacing[1]))


def _position(values: Values) -> tuple[float, float, float] | None:
    position = values.numbers(elements.IMAGE_POSITION)
    if len(position) != 3 or max(map(abs, position)) > _MAX_POSITION_MM:
        return None
    return position[0], position[1], position[2]


def _orientation(values: Values) -> tuple[float, ...] | None:
    """Two directions that are about unit vectors and about at right angles, else None."""
    cosines = values.numbers(elements.IMAGE_ORIENTATION)
    if len(cosines) != 6 or max(map(abs, cosines)) > 2:
        return None
    row, column = cosines[:3], cosines[3:]
    lengths = math.hypot(*row), math.hypot(*column)
    cosine = sum(a * b for a, b in zip(row, column, strict=True))
    is_frame = all(0.9 < length < 1.1 for length in lengths) and abs(cosine) < 0.1
    return cosines if is_frame else None


_HINTS = (
    elements.PIXEL_REPRESENTATION,
    elements.PHOTOMETRIC,
    elements.RESCALE_SLOPE,
    elements.RESCALE_INTERCEPT,
    elements.ACQUISITION_NUMBER,
    elements.TRIGGER_TIME,
    elements.INVERSION_TIME,
    elements.SEQUENCE_NAME,
    elements.SIEMENS_B_VALUE,
    elements.GE_IMAGE_KIND,
    elements.GE_B_VALUE,
    elements.PHILIPS_B_VALUE,
)


def _acquisition(values: Values) -> Acquisition:
    image_type = *values.words(elements.IMAGE_TYPE), *values.words(elements.COMPLEX_IMAGE_COMPONENT)
    return Acquisition(
        series_uid=values.text(elements.SERIES_UID),
        echo_time=tuple(round(number, 2) for number in values.numbers(elements.ECHO_TIME)),
        echo_numbers=values.numbers(elements.ECHO_NUMBERS),
        image_type=image_type,
        temporal_position=values.numbers(elements.TEMPORAL_POSITION),
        b_value=values.double(elements.B_VALUE),
    )


def _bad_header(detail: str) -> reasons.Rejected:
    return reasons.Rejected(reasons.Reason.BAD_HEADER, detail)
