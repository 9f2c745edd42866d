"""One study: a patient, its series on disk, and its rows of the three CSVs."""

import dataclasses
import pathlib

import numpy as np

from spine_tf.synthesis import (
    annotation,
    dicom_file,
    error_planting,
    imaging,
    omission,
    patient as patient_module,
    protocol,
    reader,
    sequence,
    settings,
)

_FIRST_STUDY_ID = 4_000_000
_STUDY_ID_STEP = 2_171
_SERIES_IDS = 16
_HAS_RESCALE = 196 / 269


@dataclasses.dataclass(frozen=True, kw_only=True)
class Study:
    """What is known of a study once its images are written.

    Attributes:
        study_id: unique, increasing with the study's index.
        latents: float64 (conditions, levels).
        grades: int64 (conditions, levels), index into SEVERITIES, -1 where missing.
        series: (series_id, description) of each.
        annotations: the points that were marked.
        planted_errors: what is wrong in it on purpose.
    """

    study_id: int
    latents: np.ndarray
    grades: np.ndarray
    series: tuple[tuple[int, str], ...]
    annotations: tuple[annotation.Annotation, ...]
    planted_errors: tuple[error_planting.PlantedError, ...]


def write_study(config: settings.PhantomConfig, index: int, images_dir: pathlib.Path) -> Study:
    """Draws study `index` of the configuration and writes its images below `images_dir`."""
    anatomy_rng, reader_rng, image_rng, error_rng = (
        np.random.default_rng(seeds)
        for seeds in np.random.SeedSequence([config.seed, index]).spawn(4)
    )
    study_id = _FIRST_STUDY_ID + index * _STUDY_ID_STEP + int(reader_rng.integers(_STUDY_ID_STEP))
    patient = patient_module.make_patient(anatomy_rng)
    first_series_id = 10_000_000 + study_id * _SERIES_IDS
    all_series = protocol.make_series(patient, config, first_series_id, image_rng)
    case = _read(patient, all_series, reader_rng)
    errors: tuple[error_planting.PlantedError, ...] = ()
    if config.with_errors:
        case, errors = error_planting.plant(case, all_series, study_id, error_rng)
    _write_images(patient, all_series, case.removed, images_dir / str(study_id), image_rng)
    return Study(
        study_id=study_id,
        latents=patient.latents,
        grades=case.grades,
        series=tuple((series.series_id, series.description) for series in all_series),
        annotations=case.annotations,
        planted_errors=errors,
    )


def _read(
    patient: patient_module.Patient,
    all_series: tuple[protocol.Series, ...],
    rng: np.random.Generator,
) -> error_planting.Case:
    """What the readers of a study leave behind: grades and points, some of them missing."""
    grades = reader.draw_grades(reader.grade_probabilities(patient.latents), rng)
    annotations = annotation.annotate(patient, all_series, rng)
    missing = omission.draw_missing_grades(rng)
    return error_planting.Case(
        annotations=omission.without_missing(annotations, missing, rng),
        grades=np.where(missing, omission.MISSING, grades),
    )


def _write_images(
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
        # A worker that died may have begun it.
        series_dir.mkdir(parents=True, exist_ok=True)
        contrast = sequence.draw_sequence(series.description, rng)
        for number, plane in enumerate(series.slices, start=1):
            pixels = scanner.image(plane, contrast, rng)
            if (series.series_id, number) in removed:
                continue
            dicom_file.write_slice(
                series_dir / f"{number}.dcm",
                pixels,
                plane,
                study_id=int(study_dir.name),
                series_id=series.series_id,
                instance_number=number,
                has_rescale=has_rescale,
            )
