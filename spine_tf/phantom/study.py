"""One study: a patient, its series on disk, and its rows of the three CSVs."""

import dataclasses
import pathlib

import numpy as np

from spine_tf.phantom import (
    annotation,
    dicom_file,
    imaging,
    protocol,
    reader,
    settings,
)
from spine_tf.phantom import patient as patients

_FIRST_STUDY_ID = 4_000_000
_STUDY_ID_STEP = 2_171
_SERIES_IDS = 16


@dataclasses.dataclass(frozen=True, kw_only=True)
class Study:
    """What is known of a study once its images are written.

    Attributes:
        study_id: unique, increasing with the study's index.
        latents: float64 (conditions, levels).
        grades: int64 (conditions, levels), index into SEVERITIES.
        series: (series_id, description) of each.
        annotations: the points that were marked.
    """

    study_id: int
    latents: np.ndarray
    grades: np.ndarray
    series: tuple[tuple[int, str], ...]
    annotations: tuple[annotation.Annotation, ...]


def write_study(config: settings.PhantomConfig, index: int, images_dir: pathlib.Path) -> Study:
    """Draws study `index` of the configuration and writes its images below `images_dir`."""
    rng = np.random.default_rng([config.seed, index])
    study_id = _FIRST_STUDY_ID + index * _STUDY_ID_STEP + int(rng.integers(_STUDY_ID_STEP))
    patient = patients.make_patient(rng)
    first_series_id = 10_000_000 + study_id * _SERIES_IDS
    all_series = protocol.make_series(patient, config, first_series_id, rng)
    grades = reader.draw_grades(reader.grade_probabilities(patient.latents), rng)
    annotations = annotation.annotate(patient, all_series, rng)
    has_rescale = bool(rng.random() < 0.73)
    for series in all_series:
        _write_series(patient, series, study_id, has_rescale, images_dir, rng)
    return Study(
        study_id=study_id,
        latents=patient.latents,
        grades=grades,
        series=tuple((series.series_id, series.description) for series in all_series),
        annotations=annotations,
    )


def _write_series(
    patient: patients.Patient,
    series: protocol.Series,
    study_id: int,
    has_rescale: bool,
    images_dir: pathlib.Path,
    rng: np.random.Generator,
) -> None:
    series_dir = images_dir / str(study_id) / str(series.series_id)
    for number, plane in enumerate(series.slices, start=1):
        dicom_file.write_slice(
            series_dir / f"{number}.dcm",
            imaging.image(patient, plane, series.description, rng),
            plane,
            study_id=study_id,
            series_id=series.series_id,
            instance_number=number,
            has_rescale=has_rescale,
        )
