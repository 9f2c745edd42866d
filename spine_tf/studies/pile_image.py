"""One image of a pile: whose it is, what its header says, where it lies in the patient."""

import contextlib
import dataclasses
import functools
import hashlib
import json
import logging
import math
import struct
import warnings
from collections.abc import Callable, Iterable, Iterator

from pydicom import charset, valuerep

from spine_tf.dicom import elements, header as header_module, reasons
from spine_tf.rsna import zip_members
from spine_tf.studies import multi_frame, outcome, pile as pile_module

SOP_CLASS = 0x00080016
SOP_INSTANCE = 0x00080018
ACCESSION_NUMBER = 0x00080050
MODALITY = 0x00080060
MANUFACTURER = 0x00080070
STUDY_DESCRIPTION = 0x00081030
SERIES_DESCRIPTION = 0x0008103E
PATIENT_NAME = 0x00100010
PATIENT_ID = 0x00100020
BIRTH_DATE = 0x00100030
CONTRAST_AGENT = 0x00180010
BODY_PART = 0x00180015
SCANNING_SEQUENCE = 0x00180020
SEQUENCE_VARIANT = 0x00180021
SCAN_OPTIONS = 0x00180022
ACQUISITION_TYPE = 0x00180023
SLICE_THICKNESS = 0x00180050
REPETITION_TIME = 0x00180080
ECHO_TRAIN_LENGTH = 0x00180091
PROTOCOL_NAME = 0x00181030
FLIP_ANGLE = 0x00181314
STUDY_UID = 0x0020000D
INSTANCE_NUMBER = 0x00200013

_CHARACTER_SET = 0x00080005

_MORE = frozenset({_CHARACTER_SET}) | frozenset(
    value for name, value in list(globals().items()) if name.isupper() and isinstance(value, int)
)

# Where the frames of a multi-frame file begin: its functional groups come before, all of them.
_NOT_SPLIT = "more than one frame in a file that is no enhanced MR, which alone is split"
_MAX_HEADER_BYTES = 2**26
# Of a file that is copied or decoded: one image, and many.
_MAX_FILE_BYTES = 2**26
_MAX_FRAMES_BYTES = 2**28


@dataclasses.dataclass(frozen=True, kw_only=True)
class Image:
    """A single-frame image, or a frame of a file of many.

    Its texts are the header's: they are compared, and written nowhere but beside the data.

    Attributes:
        file: name in the pile.
        frame: number, from 1; 0 where the file is one image.
        source: the header's attributes, without pixels.
    """

    file: str
    frame: int
    source: elements.Elements

    @functools.cached_property
    def header(self) -> header_module.Header:
        """The checked attributes; Rejected where they make no image."""
        return header_module.parse_header(self.source)

    @functools.cached_property
    def _values(self) -> header_module.Values:
        return header_module.Values(self.source)

    def text(self, tag: int) -> str:
        """Returns an attribute as text, "" where it is missing."""
        raw = self.source.values.get(tag, b"")
        if raw.isascii() and b"\x1b" not in raw:
            return raw.decode("ascii").strip(" \0")
        names = list(self._values.words(_CHARACTER_SET)) or ["ISO_IR 100"]
        try:
            encodings = charset.convert_encodings(names)
            return charset.decode_bytes(raw, encodings, valuerep.TEXT_VR_DELIMS).strip(" \0")
        except (LookupError, ValueError):
            return raw.decode("latin-1").strip(" \0")

    def words(self, tag: int) -> tuple[str, ...]:
        """Returns code strings in capitals, () where there are none."""
        return self._values.words(tag)

    def number(self, tag: int) -> float | None:
        """Returns the first of an attribute's decimal numbers, None where there is none."""
        return next(iter(self._values.numbers(tag)), None)

    def single(self, tag: int) -> float | None:
        """Returns a finite binary float32, None where there is none."""
        raw = self.source.values.get(tag, b"")
        if len(raw) != 4:
            return None
        (number,) = struct.unpack("<f" if self.source.byte_order == "little" else ">f", raw)
        return number if math.isfinite(number) else None

    @property
    def patient(self) -> str:
        """What tells patients apart: PatientID, else name and date of birth; "" for nothing."""
        if identity := self.text(PATIENT_ID):
            return identity
        name, born = self.text(PATIENT_NAME), self.text(BIRTH_DATE)
        return f"{name}\n{born}" if name else ""

    @property
    def study(self) -> str:
        """What tells studies apart: the UID, and the patient, since some share UIDs."""
        return json.dumps([self.text(STUDY_UID), self.patient])

    @property
    def instance(self) -> str:
        """What two files that are the same instance have in common, as a hash.

        SOPInstanceUID alone is not enough: some anonymisers give it twice in a study.
        """
        of_series = self.text(elements.SERIES_UID), self.text(SOP_INSTANCE), self.frame
        place = self.header.acquisition, self.header.position, self.header.orientation
        identity = repr((self.study, of_series, place)).encode("utf-8", "backslashreplace")
        return hashlib.sha256(identity).hexdigest()

    def to_json(self) -> str:
        """Returns the header's attributes as text."""
        return json.dumps(
            {
                "byte_order": self.source.byte_order,
                "values": {
                    f"{tag:08x}": value.decode("latin-1")
                    for tag, value in sorted(self.source.values.items())
                },
            }
        )


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """What an inventory keeps of an image: the same as text."""

    frame: int
    study: str
    instance: str
    header: str


def from_json(file: str, frame: int, text: str) -> Image:
    """Returns the image of which `to_json` gave the text."""
    read = json.loads(text)
    source = elements.Elements(
        transfer_syntax="",
        values={int(tag, 16): value.encode("latin-1") for tag, value in read["values"].items()},
        byte_order=read["byte_order"],
        pixel_tag=elements.PIXEL_DATA,
    )
    return Image(file=file, frame=frame, source=source)


def read_entries(pile: pile_module.Pile, file: pile_module.File) -> list[Entry] | outcome.LeftOut:
    """Reads the headers in a file: of one image, or of many frames; or why there is none."""
    read = functools.partial(pile.read, file)
    try:
        found = _read_images(file, read)
        return found if isinstance(found, outcome.LeftOut) else [_entry(i) for i in found]
    except reasons.Rejected as rejected:
        if rejected.reason is reasons.Reason.MULTI_FRAME:
            return outcome.LeftOut(reason=rejected.reason, detail=_NOT_SPLIT)
        if _is_zip(read):
            return outcome.LeftOut(
                reason=outcome.Reason.ARCHIVE, detail="a zip file: unpack it, or give it by itself"
            )
        return outcome.of_reject(rejected)
    except OSError as err:
        detail = err.strerror or type(err).__name__
        return outcome.LeftOut(reason=reasons.Reason.UNREADABLE_FILE, detail=detail)


def _entry(image: Image) -> Entry:
    return Entry(
        frame=image.frame, study=image.study, instance=image.instance, header=image.to_json()
    )


def _is_zip(read: Callable[[int], bytes]) -> bool:
    try:
        return pile_module.is_zip(read(len(zip_members.MAGIC)))
    except OSError:
        return False


def _read_images(
    file: pile_module.File, read: Callable[[int], bytes]
) -> list[Image] | outcome.LeftOut:
    source = elements.read_beginning(read, _MORE, _MAX_HEADER_BYTES)
    image = Image(file=file.name, frame=0, source=source)
    modality = image.text(MODALITY).upper()
    if modality not in ("", "MR"):
        return outcome.LeftOut(reason=outcome.Reason.OTHER_MODALITY, detail="not of MR")
    if image.text(SOP_CLASS) in multi_frame.CLASSES:
        images = _frames(file, read(_MAX_HEADER_BYTES))
    else:
        images = [image]
    for each in images:
        _check(each, file)
    if not image.text(STUDY_UID):
        return outcome.LeftOut(reason=outcome.Reason.NO_STUDY, detail="StudyInstanceUID is missing")
    return images


def _frames(file: pile_module.File, data: bytes) -> list[Image]:
    return [
        Image(
            file=file.name,
            frame=number,
            source=elements.read_beginning(functools.partial(_first, frame), _MORE, len(frame)),
        )
        for number, frame in enumerate(multi_frame.read_headers(data), start=1)
    ]


def _first(data: bytes, limit: int) -> bytes:
    return data[:limit]


def _check(image: Image, file: pile_module.File) -> None:
    """Raises Rejected where an image could be no part of a stack."""
    header = image.header
    if header.position is None or header.orientation is None:
        raise reasons.Rejected(
            reasons.Reason.NO_ORIENTATION,
            "ImagePositionPatient or ImageOrientationPatient is missing or makes no sense",
        )
    if not image.frame and image.source.pixel_end > file.num_bytes:
        raise reasons.Rejected(
            reasons.Reason.BAD_PIXELS,
            f"{file.num_bytes} bytes, expected {image.source.pixel_end}: it is cut off",
        )


def read_files(
    pile: pile_module.Pile, images: Iterable[tuple[pile_module.File, int]]
) -> Iterator[tuple[pile_module.File, int, bytes | reasons.Rejected]]:
    """Yields images, (file, frame), as DICOM files, or why they can't be read.

    A file of many frames is read once; its frames come together.
    """
    frames: dict[pile_module.File, list[int]] = {}
    for file, frame in images:
        frames.setdefault(file, []).append(frame)
    for file, of_file in frames.items():
        try:
            found = _read_file(pile, file, of_file)
        except reasons.Rejected as rejected:
            yield from ((file, frame, rejected) for frame in of_file)
        else:
            yield from ((file, frame, found[frame]) for frame in of_file)


def _read_file(
    pile: pile_module.Pile, file: pile_module.File, frames: list[int]
) -> dict[int, bytes]:
    limit = _MAX_FILE_BYTES if frames == [0] else _MAX_FRAMES_BYTES
    try:
        data = pile.read(file, limit + 1)
    except OSError as err:
        detail = err.strerror or type(err).__name__
        raise reasons.Rejected(reasons.Reason.UNREADABLE_FILE, detail) from err
    if len(data) > limit:
        raise reasons.Rejected(
            reasons.Reason.FILE_TOO_LARGE, f"more than {limit} bytes, expected fewer"
        )
    if frames == [0]:
        return {0: data}
    found = multi_frame.read_frames(data, frames)
    if missing := set(frames) - found.keys():
        raise reasons.Rejected(reasons.Reason.BAD_HEADER, f"frame {min(missing)} is not there")
    return found


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps pydicom from logging what it finds odd: it cites values, and those may be names.

    Whatever reads files or decodes texts of them does so in here.
    """
    logger = logging.getLogger("pydicom")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
