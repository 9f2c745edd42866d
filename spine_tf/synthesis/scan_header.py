"""DICOM objects of a hospital's export: images with full headers, multi-frame ones, and others."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import pydicom
from pydicom import encaps, uid
from rle import rle

from spine_tf.synthesis import examination, scan_kinds, wording

_MR_IMAGE = uid.UID("1.2.840.10008.5.1.4.1.1.4")
_ENHANCED_MR = uid.UID("1.2.840.10008.5.1.4.1.1.4.1")
_SECONDARY_CAPTURE = uid.UID("1.2.840.10008.5.1.4.1.1.7")
_BASIC_TEXT_SR = uid.UID("1.2.840.10008.5.1.4.1.1.88.11")
_UNICODE = "ISO_IR 192"
_SYNTAXES = (uid.ExplicitVRLittleEndian, uid.RLELossless, uid.ImplicitVRLittleEndian)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """What the images of one kind in a series share.

    Attributes:
        echo_ms, repetition_ms, inversion_ms: TE, TR and TI as chosen; None without inversion.
    """

    echo_ms: float
    repetition_ms: float
    inversion_ms: float | None


def draw_settings(kind: scan_kinds.ScanKind, rng: np.random.Generator) -> Settings:
    """Draws the times of a series, rounded as consoles do."""
    echo_ms, repetition_ms, inversion_ms = (
        round(float(rng.uniform(*limits)), 1)
        for limits in (kind.echo_ms, kind.repetition_ms, kind.inversion_ms or (0.0, 0.0))
    )
    return Settings(
        echo_ms=echo_ms,
        repetition_ms=repetition_ms,
        inversion_ms=inversion_ms if kind.inversion_ms else None,
    )


def make_image(
    visit: examination.Visit,
    scan: examination.Scan,
    image: examination.Image,
    settings: Settings,
    pixels: np.ndarray,
    *,
    instance_number: int,
    sop_uid: str,
) -> pydicom.Dataset:
    """Returns an MR image.

    Args:
        visit, scan, image: what was scanned.
        settings: what the scanner was set to for an image of this kind.
        pixels: uint16 (rows, columns) of 12 bits.
        instance_number: from 1.
        sop_uid: UID of the object.
    """
    dataset = _begin(visit, _MR_IMAGE, sop_uid)
    _add_series(dataset, visit, scan)
    dataset.InstanceNumber = instance_number
    dataset.AcquisitionNumber = image.acquisition
    if not visit.is_stripped:
        _add_sequence(dataset, visit, image, settings)
    dataset.ImagePositionPatient = list(image.placed.position)
    dataset.ImageOrientationPatient = _orientation(image)
    dataset.SliceThickness = image.placed.thickness
    dataset.SpacingBetweenSlices = round(image.placed.thickness * 1.1, 3)
    dataset.SliceLocation = round(float(np.dot(image.placed.normal, image.placed.position)), 3)
    dataset.PixelSpacing = list(image.placed.spacing)
    _add_pixels(dataset, pixels[None], _SYNTAXES[visit.index % len(_SYNTAXES)])
    return dataset


def make_multi_frame(
    visit: examination.Visit,
    scan: examination.Scan,
    settings: Settings,
    pixels: np.ndarray,
    *,
    sop_uid: str,
) -> pydicom.Dataset:
    """Returns a whole series as one enhanced MR object (PS3.3, A.36).

    Args:
        visit, scan, settings: what was scanned.
        pixels: uint16 (frames, rows, columns) of 12 bits.
        sop_uid: UID of the object.
    """
    first = scan.images[0]
    dataset = _begin(visit, _ENHANCED_MR, sop_uid)
    _add_series(dataset, visit, scan)
    dataset.InstanceNumber = 1
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "M", "NONE"]
    dataset.MRAcquisitionType = "3D" if first.kind.is_3d else "2D"
    dataset.SharedFunctionalGroupsSequence = [_shared_groups(first, settings)]
    dataset.PerFrameFunctionalGroupsSequence = [
        _frame_groups(image, number) for number, image in enumerate(scan.images, start=1)
    ]
    _add_pixels(dataset, pixels, uid.ExplicitVRLittleEndian)
    return dataset


def _shared_groups(image: examination.Image, settings: Settings) -> pydicom.Dataset:
    groups = pydicom.Dataset()
    groups.MRTimingAndRelatedParametersSequence = [
        _item(RepetitionTime=settings.repetition_ms, FlipAngle=90.0)
    ]
    groups.MREchoSequence = [_item(EffectiveEchoTime=settings.echo_ms)]
    groups.PixelMeasuresSequence = [
        _item(PixelSpacing=list(image.placed.spacing), SliceThickness=image.placed.thickness)
    ]
    groups.PixelValueTransformationSequence = [
        _item(RescaleIntercept=0, RescaleSlope=1, RescaleType="US")
    ]
    return groups


def _frame_groups(image: examination.Image, number: int) -> pydicom.Dataset:
    groups = pydicom.Dataset()
    groups.FrameContentSequence = [
        _item(StackID="1", InStackPositionNumber=number, DimensionIndexValues=[1, number])
    ]
    groups.PlanePositionSequence = [_item(ImagePositionPatient=list(image.placed.position))]
    groups.PlaneOrientationSequence = [_item(ImageOrientationPatient=_orientation(image))]
    return groups


def _item(**values: object) -> pydicom.Dataset:
    item = pydicom.Dataset()
    for name, value in values.items():
        setattr(item, name, value)
    return item


def make_screenshot(visit: examination.Visit, *, series_uid: str, sop_uid: str) -> pydicom.Dataset:
    """Returns a picture in colour of what a reader saw."""
    dataset = _begin(visit, _SECONDARY_CAPTURE, sop_uid)
    dataset.Modality, dataset.SeriesInstanceUID = "MR", series_uid
    dataset.SeriesNumber, dataset.InstanceNumber = 99, 1
    dataset.ConversionType, dataset.ImageType = "WSD", ["DERIVED", "SECONDARY"]
    picture = np.zeros((32, 32, 3), np.uint8)
    picture[8:24, 8:24] = (250, 200, 0)
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 3, "RGB"
    dataset.PlanarConfiguration = 0
    _add_cells(dataset, picture.shape[:2], bits=8)
    dataset.PixelData = picture.tobytes()
    dataset["PixelData"].VR = "OB"
    dataset.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    return dataset


def make_report(visit: examination.Visit, *, series_uid: str, sop_uid: str) -> pydicom.Dataset:
    """Returns a text without pixels."""
    dataset = _begin(visit, _BASIC_TEXT_SR, sop_uid)
    dataset.Modality, dataset.SeriesInstanceUID = "SR", series_uid
    dataset.SeriesNumber, dataset.InstanceNumber = 98, 1
    dataset.CompletionFlag, dataset.VerificationFlag = "COMPLETE", "UNVERIFIED"
    dataset.ValueType, dataset.ContinuityOfContent = "CONTAINER", "SEPARATE"
    text = _item(RelationshipType="CONTAINS", ValueType="TEXT", TextValue="no finding")
    dataset.ContentSequence = [text]
    dataset.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    return dataset


def _begin(visit: examination.Visit, sop_class: uid.UID, sop_uid: str) -> pydicom.Dataset:
    """A data set with what is known of patient and examination."""
    dataset = pydicom.Dataset()
    dataset.SpecificCharacterSet = _UNICODE
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, sop_uid
    dataset.StudyDate = dataset.SeriesDate = visit.date
    dataset.StudyTime = dataset.SeriesTime = "101500"
    dataset.AccessionNumber, dataset.StudyID = visit.accession, visit.accession[-5:]
    dataset.Manufacturer, dataset.ManufacturerModelName = (
        visit.vendor.manufacturer,
        visit.vendor.model,
    )
    dataset.InstitutionName, dataset.ReferringPhysicianName = visit.identity.hospital, ""
    study_description = wording.describe_study(visit.language)
    if study_description:
        dataset.StudyDescription = study_description
    dataset.PatientName, dataset.PatientID = visit.identity.name, visit.identity.patient_id
    dataset.PatientBirthDate, dataset.PatientSex = visit.identity.birth_date, visit.identity.sex
    dataset.PatientPosition = "HFS"
    dataset.StudyInstanceUID, dataset.FrameOfReferenceUID = visit.study_uid, visit.frame_uid
    dataset.PositionReferenceIndicator = ""
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = sop_class
    dataset.file_meta.MediaStorageSOPInstanceUID = uid.UID(sop_uid)
    return dataset


def _add_series(dataset: pydicom.Dataset, visit: examination.Visit, scan: examination.Scan) -> None:
    dataset.Modality, dataset.SeriesInstanceUID = "MR", scan.series_uid
    dataset.SeriesNumber = scan.number
    description = wording.describe(scan.kind, visit.vendor, visit.language)
    if description:
        dataset.SeriesDescription, dataset.ProtocolName = description, description
    body_part = wording.body_part(scan.kind, visit.vendor)
    if body_part and not visit.is_stripped:
        dataset.BodyPartExamined = body_part


def _add_sequence(
    dataset: pydicom.Dataset,
    visit: examination.Visit,
    image: examination.Image,
    settings: Settings,
) -> None:
    """What says how an image was taken."""
    kind = image.kind
    dataset.ImageType = list(kind.image_type or visit.vendor.image_type)
    dataset.ScanningSequence = list(kind.scanning)
    dataset.SequenceVariant = ["SK", "SP"]
    dataset.MRAcquisitionType = "3D" if kind.is_3d else "2D"
    dataset.EchoTime, dataset.RepetitionTime = settings.echo_ms, settings.repetition_ms
    dataset.EchoNumbers = 2 if kind is scan_kinds.SECOND_ECHO else 1
    dataset.MagneticFieldStrength, dataset.FlipAngle = 1.5, 150.0
    dataset.EchoTrainLength = 1 if kind.scanning == ("GR",) else 12
    if settings.inversion_ms is not None:
        dataset.InversionTime = settings.inversion_ms
    if kind.has_agent:
        dataset.ContrastBolusAgent = "GADOTERATE"
    if kind.b_value is not None:
        dataset.DiffusionBValue = kind.b_value


def _orientation(image: examination.Image) -> list[float]:
    return [*image.placed.row_direction, *image.placed.column_direction]


def _add_pixels(dataset: pydicom.Dataset, pixels: np.ndarray, syntax: uid.UID) -> None:
    """Adds frames, uint16 (frames, rows, columns)."""
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    if dataset.SOPClassUID == _ENHANCED_MR:
        dataset.NumberOfFrames = len(pixels)
    _add_cells(dataset, pixels.shape[1:], bits=12)
    dataset.file_meta.TransferSyntaxUID = syntax
    if syntax == uid.RLELossless:
        frames = [
            rle.encode_frame(frame.astype("<u2").tobytes(), *frame.shape, 1, 16, "<")
            for frame in pixels
        ]
        dataset.PixelData = encaps.encapsulate(frames, has_bot=True)
        dataset["PixelData"].is_undefined_length = True
    else:
        dataset.PixelData = pixels.astype("<u2").tobytes()
    dataset["PixelData"].VR = "OW"


def _add_cells(dataset: pydicom.Dataset, shape: Sequence[int], *, bits: int) -> None:
    dataset.Rows, dataset.Columns = shape
    dataset.BitsAllocated = 8 if bits == 8 else 16
    dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = bits, bits - 1, 0
