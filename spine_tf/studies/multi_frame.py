"""Enhanced MR, many frames in one file, as the classic images that everything else reads.

The functional groups of a frame (PS3.3, C.7.6.16) hold what a classic image has at its top; pixels
keep their bytes, compressed or not.
"""

import io
from collections.abc import Iterator

import pydicom
from pydicom import dataelem, encaps, uid

from spine_tf.dicom import elements, reasons

CLASSES = frozenset(
    {uid.EnhancedMRImageStorage, uid.UID("1.2.840.10008.5.1.4.1.1.4.4")}  # and legacy converted
)

# More frames than any volume's time series has; and what each of them may repeat of the file's top.
_MAX_FRAMES = 2**14
_MAX_BYTES = 2**12
# Of all frames: each repeats what they share, so that a file of 1 MiB could fill any memory.
_MAX_HEADERS = 2**28

# Of the top of the file, what says how its frames are kept.
_LEFT_BEHIND = frozenset({"NumberOfFrames", "PixelData", "SOPInstanceUID", "InstanceNumber"})

# What a functional group calls otherwise than a classic image does.
_CLASSIC_NAMES = {
    "FrameType": "ImageType",
    "EffectiveEchoTime": "EchoTime",
    "InversionTimes": "InversionTime",
    "FrameAcquisitionNumber": "AcquisitionNumber",
    "TemporalPositionIndex": "TemporalPositionIdentifier",
    "PulseSequenceName": "SequenceName",
}
_SEQUENCES = {"SPIN": ["SE"], "GRADIENT": ["GR"], "BOTH": ["SE", "GR"]}
_DOUBLE_VRS = {"FD", "FL"}


def read_headers(data: bytes) -> list[bytes]:
    """Returns each frame of a file as a file of its own, with empty PixelData.

    Args:
        data: the file, or its beginning with all that comes before the pixels.

    Raises:
        reasons.Rejected: the functional groups are missing or make no sense.
    """
    return list(_encoded(_read(data, has_pixels=False), {}))


def read_frames(data: bytes, numbers: list[int]) -> dict[int, bytes]:
    """Returns some frames of a file as files of their own, by number, from 1.

    Raises:
        reasons.Rejected: the functional groups or the pixels make no sense.
    """
    dataset = _read(data, has_pixels=True)
    try:
        pixels = {number: _frame_pixels(dataset, number) for number in numbers}
    except elements.PARSE_ERRORS as err:
        raise reasons.Rejected(
            reasons.Reason.BAD_PIXELS, f"the frames' pixels can't be told apart ({_name(err)})"
        ) from err
    files = enumerate(_encoded(dataset, pixels), start=1)
    return {number: file for number, file in files if number in pixels}


def _read(data: bytes, *, has_pixels: bool) -> pydicom.Dataset:
    def is_pixels(tag: pydicom.tag.BaseTag, vr: str | None, length: int) -> bool:
        return not has_pixels and tag == elements.PIXEL_DATA

    try:
        _, dataset = elements.read_datasets(io.BytesIO(data[132:]), is_pixels)
    except elements.PARSE_ERRORS as err:
        raise reasons.Rejected(
            reasons.Reason.NOT_DICOM, f"pydicom can't parse it ({_name(err)})"
        ) from err
    return dataset


def _encoded(dataset: pydicom.Dataset, pixels: dict[int, bytes]) -> Iterator[bytes]:
    num_bytes = 0
    try:
        for number, frame in enumerate(_frames(dataset), start=1):
            frame.add_new("PixelData", "OW", pixels.get(number, b""))
            syntax = frame.file_meta.TransferSyntaxUID
            frame["PixelData"].is_undefined_length = syntax.is_encapsulated and bool(pixels)
            if syntax.is_encapsulated:
                frame["PixelData"].VR = "OB"
                if not pixels:
                    frame.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
            file = io.BytesIO()
            frame.save_as(file, enforce_file_format=True)
            num_bytes += file.tell() - len(pixels.get(number, b""))
            if num_bytes > _MAX_HEADERS:
                raise reasons.Rejected(
                    reasons.Reason.IMAGE_TOO_LARGE,
                    f"the headers of its frames take more than {_MAX_HEADERS} bytes",
                )
            yield file.getvalue()
    except elements.PARSE_ERRORS as err:
        raise reasons.Rejected(
            reasons.Reason.BAD_HEADER, f"the functional groups make no sense ({_name(err)})"
        ) from err


def _frames(dataset: pydicom.Dataset) -> Iterator[pydicom.Dataset]:
    """Yields each frame as a classic image without pixels."""
    groups = dataset.get("PerFrameFunctionalGroupsSequence") or []
    num_frames = int(dataset.get("NumberOfFrames") or 1)
    if num_frames > _MAX_FRAMES:
        raise reasons.Rejected(
            reasons.Reason.IMAGE_TOO_LARGE, f"{num_frames} frames, expected at most {_MAX_FRAMES}"
        )
    if len(groups) != num_frames:
        raise reasons.Rejected(
            reasons.Reason.BAD_HEADER,
            f"{len(groups)} functional groups, which say where frames lie, of {num_frames} frames; "
            "expected one each",
        )
    shared = dataset.get("SharedFunctionalGroupsSequence") or []
    for number, own in enumerate(groups, start=1):
        frame = _top(dataset)
        for group in (*shared, own):
            _flatten(group, frame)
        _name_as_classic(frame)
        _identify(frame, dataset, number)
        yield frame


def _top(dataset: pydicom.Dataset) -> pydicom.Dataset:
    """What all frames have in common; private attributes may say more than we know, and go."""
    frame = pydicom.Dataset()
    for tag in dataset.keys() - {elements.PIXEL_DATA}:
        if tag.is_private or _num_bytes(dataset.get_item(tag)) > _MAX_BYTES:
            continue
        element = dataset[tag]
        if element.VR != "SQ" and element.keyword not in _LEFT_BEHIND:
            frame.add(element)
    if agents := dataset.get("ContrastBolusAgentSequence"):
        frame.ContrastBolusAgent = str(agents[0].get("CodeMeaning", "")) or "contrast agent"
    return frame


def _num_bytes(element: pydicom.DataElement | dataelem.RawDataElement) -> int:
    """Of an attribute that is not parsed yet; one that is, is small or a sequence."""
    is_raw = isinstance(element, dataelem.RawDataElement)
    return len(element.value or b"") if is_raw else 0


def _flatten(group: pydicom.Dataset, frame: pydicom.Dataset) -> None:
    """Puts the attributes of the macros of a functional group at the top of the frame."""
    for macro in group:
        if macro.VR != "SQ" or macro.tag.is_private or not macro.value:
            continue
        for element in macro.value[0]:
            if element.VR != "SQ" and not element.tag.is_private:
                frame.add(element)
            elif element.keyword == "AnatomicRegionSequence" and element.value:
                frame.BodyPartExamined = str(element.value[0].get("CodeMeaning", ""))[:16].upper()


def _name_as_classic(frame: pydicom.Dataset) -> None:
    for enhanced, classic in _CLASSIC_NAMES.items():
        if enhanced in frame and frame[enhanced].value not in (None, "", []):
            element = frame[enhanced]
            is_number = element.VR in _DOUBLE_VRS
            setattr(frame, classic, _decimal(element.value) if is_number else element.value)
    sequences = list(_SEQUENCES.get(str(frame.get("EchoPulseSequence", "")), []))
    if frame.get("InversionRecovery") == "YES":
        sequences.append("IR")
    if sequences:
        frame.ScanningSequence = sequences


def _decimal(value: float | list[float]) -> str:
    """A number, the first of several, as the decimal string that a classic image has."""
    number = value if isinstance(value, float | int) else next(iter(value))
    return f"{float(number):.10g}"


def _identify(frame: pydicom.Dataset, dataset: pydicom.Dataset, number: int) -> None:
    instance = str(dataset.get("SOPInstanceUID", ""))
    frame.SOPClassUID = uid.MRImageStorage
    frame.SOPInstanceUID = uid.generate_uid(entropy_srcs=[instance, str(number)])
    frame.InstanceNumber = number
    frame.file_meta = pydicom.dataset.FileMetaDataset()
    frame.file_meta.MediaStorageSOPClassUID = frame.SOPClassUID
    frame.file_meta.MediaStorageSOPInstanceUID = frame.SOPInstanceUID
    frame.file_meta.TransferSyntaxUID = dataset.file_meta.TransferSyntaxUID


def _frame_pixels(dataset: pydicom.Dataset, number: int) -> bytes:
    num_frames = int(dataset.get("NumberOfFrames") or 1)
    data = dataset.PixelData
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        return encaps.encapsulate(
            [encaps.get_frame(data, number - 1, number_of_frames=num_frames)], has_bot=True
        )
    cell_bytes = dataset.BitsAllocated // 8
    num_bytes = dataset.Rows * dataset.Columns * dataset.get("SamplesPerPixel", 1) * cell_bytes
    if len(data) < num_frames * num_bytes:
        raise ValueError(f"{len(data)} bytes of pixels, expected {num_frames * num_bytes}")
    return data[(number - 1) * num_bytes : number * num_bytes]


def _name(err: Exception) -> str:
    return type(err).__name__
