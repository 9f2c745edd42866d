"""One study: a patient, its series on disk, and its rows of the three CSVs."""

import contextlib
import dataclasses
import pathlib
import shutil
from collections.abc import Iterator

import numpy as np
import pydicom
from pydicom import encaps, uid
from rle import rle

from spine_tf.synthesis import (
    annotation,
    disc_truth,
    error_planting,
    evidence,
    grading,
    imaging,
    lesion,
    oddity_planting,
    patient as patient_module,
    phantom_config,
    protocol,
    variation,
    varied_patient,
)

LATE_DIR = "late_images"
_UNFINISHED = ".unfinished"

_FIRST_STUDY_ID = 4_000_000
_STUDY_ID_STEP = 2_171
_SERIES_IDS = 16
_HAS_RESCALE = 196 / 269

_ENHANCED_MR = uid.UID("1.2.840.10008.5.1.4.1.1.4.1")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Study:
    """What is known of a study once its images are written.

    Attributes:
        study_id: unique, increasing with the study's index.
        latents: float64 (conditions, levels).
        shown: what the images show of them.
        grades: int64 (conditions, levels), index into SEVERITIES, -1 where missing.
        series: (series_id, description) of each.
        annotations: the points that were marked.
        planted_errors: what is wrong in it on purpose.
        planted_oddities: what is odd in it on purpose.
        spelled_id: the id as in the CSVs and as a folder.
        kind: what a reader who sees the whole spine says.
        lesions: what is found in it.
        places: where its sagittal series show discs, of varied studies.
    """

    study_id: int
    latents: np.ndarray
    shown: evidence.Evidence
    grades: np.ndarray
    series: tuple[tuple[int, str], ...]
    annotations: tuple[annotation.Annotation, ...]
    planted_errors: tuple[error_planting.PlantedError, ...]
    planted_oddities: tuple[oddity_planting.PlantedOddity, ...]
    spelled_id: str
    kind: varied_patient.Kind = varied_patient.USUAL
    lesions: tuple[lesion.Lesion, ...] = ()
    places: tuple[disc_truth.Place, ...] = ()


def write_study(
    config: phantom_config.PhantomConfig, images_dir: pathlib.Path, index: int
) -> Study:
    """Draws study `index` of the configuration and writes its images below `images_dir`."""
    anatomy_rng, reader_rng, image_rng, error_rng = (
        np.random.default_rng(seeds)
        for seeds in np.random.SeedSequence([config.seed, index]).spawn(4)
    )
    study_id = _FIRST_STUDY_ID + index * _STUDY_ID_STEP + int(reader_rng.integers(_STUDY_ID_STEP))
    varied = variation.Study(config, index)
    patient = varied.make_patient(anatomy_rng)
    first_series_id = 10_000_000 + study_id * _SERIES_IDS
    all_series = varied.make_series(patient, first_series_id, image_rng)
    case = read_study(patient, all_series, reader_rng, is_exact=bool(config.varied))
    errors: tuple[error_planting.PlantedError, ...] = ()
    if config.with_errors:
        case, errors = error_planting.plant(case, all_series, study_id, error_rng)
    study_dir = images_dir / str(study_id)
    late_dir = images_dir.with_name(LATE_DIR)
    is_odd = config.with_oddities and index < config.num_studies  # the others are the test side
    if is_odd:
        oddity_planting.remove_leftovers(study_dir, late_dir)
    if is_odd or not study_dir.exists():
        with _new_directory(study_dir) as unfinished_dir:
            _write_images(
                study_id, varied, patient, all_series, case.removed, unfinished_dir, image_rng
            )
    planted = oddity_planting.Planted(
        study_id=str(study_id), annotations=case.annotations, oddities=()
    )
    if is_odd:
        planted = oddity_planting.plant(index, study_dir, late_dir, case.annotations)
    return Study(
        study_id=study_id,
        latents=patient.latents,
        shown=patient.shown,
        grades=case.grades,
        series=tuple((series.series_id, series.description) for series in all_series),
        annotations=planted.annotations,
        planted_errors=errors,
        planted_oddities=planted.oddities,
        spelled_id=planted.study_id,
        kind=varied.kind,
        lesions=patient.lesions,
        places=disc_truth.find(patient, all_series) if config.varied else (),
    )


def read_study(
    patient: patient_module.Patient,
    all_series: tuple[protocol.Series, ...],
    rng: np.random.Generator,
    *,
    is_exact: bool = False,
) -> error_planting.Case:
    """Returns what the readers of a study leave behind: grades and points, some missing.

    Args:
        patient, all_series: who is read, on what.
        rng: draws what readers make of it.
        is_exact: points lie where structures are, and just what is in view is graded.
    """
    grades = grading.draw_grades(grading.grade_probabilities(patient.latents), rng)
    if is_exact:
        marks = annotation.mark_exactly(patient, all_series, rng)
        seen = np.zeros(grades.shape, bool)
        for mark in marks:
            seen[annotation.target(mark)] = True
        return error_planting.Case(
            annotations=marks, grades=np.where(seen, grades, annotation.MISSING)
        )
    annotations = annotation.annotate(patient, all_series, rng)
    missing = annotation.draw_missing_grades(rng)
    return error_planting.Case(
        annotations=annotation.without_missing(annotations, missing, rng),
        grades=np.where(missing, annotation.MISSING, grades),
    )


@contextlib.contextmanager
def _new_directory(study_dir: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields a folder that gets its name when all images are in it: what is there is whole.

    The disk is not waited for, which would take longer than the images: what a loss of power leaves
    is for who lost it to remove.
    """
    unfinished_dir = study_dir.with_name(f"{study_dir.name}{_UNFINISHED}")
    shutil.rmtree(unfinished_dir, ignore_errors=True)  # a worker that died may have begun it
    yield unfinished_dir
    unfinished_dir.rename(study_dir)


def _write_images(
    study_id: int,
    varied: variation.Study,
    patient: patient_module.Patient,
    all_series: tuple[protocol.Series, ...],
    removed: tuple[tuple[int, int], ...],
    study_dir: pathlib.Path,
    rng: np.random.Generator,
) -> None:
    scanner = imaging.Scanner(patient, rng)
    has_rescale = bool(rng.random() < _HAS_RESCALE)
    for series in all_series:
        series_dir = study_dir / str(series.series_id)
        series_dir.mkdir(parents=True)
        contrast = varied.draw_sequence(series.description, rng)
        for number, plane in enumerate(series.slices, start=1):
            pixels = scanner.image(plane, contrast, rng)
            if (series.series_id, number) in removed:
                continue
            _write_slice(
                series_dir / f"{number}.dcm",
                pixels,
                plane,
                study_id=study_id,
                series_id=series.series_id,
                instance_number=number,
                has_rescale=has_rescale,
            )


def _write_slice(
    path: pathlib.Path,
    pixels: np.ndarray,
    plane: protocol.Slice,
    *,
    study_id: int,
    series_id: int,
    instance_number: int,
    has_rescale: bool,
) -> None:
    """Writes pixels, uint16 (rows, columns) of 12 bits, as a DICOM file in RLE Lossless.

    It has the tags that the RSNA 2024 files have and no others: no SOPClassUID although the file
    meta claims Enhanced MR, and an instance UID that is not unique over series.
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
