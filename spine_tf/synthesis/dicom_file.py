"""One slice as a DICOM file, with the tags that the RSNA 2024 files have and without the others."""

import pathlib

import numpy as np
import pydicom
from pydicom import encaps, uid
from rle import rle

from spine_tf.synthesis import slice_geometry

_ENHANCED_MR = uid.UID("1.2.840.10008.5.1.4.1.1.4.1")


def write_slice(
    path: pathlib.Path,
    pixels: np.ndarray,
    plane: slice_geometry.Slice,
    *,
    study_id: int,
    series_id: int,
    instance_number: int,
    has_rescale: bool,
) -> None:
    """Writes pixels, uint16 (rows, columns) of 12 bits, as RLE Lossless.

    As in the real files, the data set has no SOPClassUID although the file meta claims Enhanced
    MR, and the instance UID is not unique over series.
    """
    dataset = pydicom.Dataset()
    dataset.SOPInstanceUID = f"{study_id}.1.{instance_number}"
    dataset.PatientID = str(study_id)
    dataset.SliceThickness = plane.thickness
    dataset.PatientPosition = "HFS"
    dataset.StudyInstanceUID = str(study_id)
    dataset.SeriesInstanceUID = f"{study_id}.{series_id}"
    dataset.InstanceNumber = instance_number
    dataset.ImagePositionPatient = list(plane.position)
    dataset.ImageOrientationPatient = [*plane.row_direction, *plane.column_direction]
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = plane.shape
    dataset.PixelSpacing = list(plane.spacing)
    dataset.BitsAllocated = 16
    dataset.BitsStored = 12
    dataset.HighBit = 11
    dataset.PixelRepresentation = 0
    if has_rescale:
        dataset.RescaleIntercept = 0
        dataset.RescaleSlope = 1
    frame = rle.encode_frame(pixels.astype("<u2").tobytes(), *plane.shape, 1, 16, "<")
    dataset.PixelData = encaps.encapsulate([frame], has_bot=True)
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta = _file_meta(str(dataset.SOPInstanceUID))
    dataset.save_as(path, enforce_file_format=True)


def _file_meta(instance_uid: str) -> pydicom.dataset.FileMetaDataset:
    meta = pydicom.dataset.FileMetaDataset()
    meta.MediaStorageSOPClassUID = _ENHANCED_MR
    meta.MediaStorageSOPInstanceUID = uid.UID(instance_uid)
    meta.TransferSyntaxUID = uid.RLELossless
    return meta
