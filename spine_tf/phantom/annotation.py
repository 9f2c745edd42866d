"""Where annotators put the coordinate of each target: a slice and a point on it."""

import dataclasses

import numpy as np

from spine_tf import labels
from spine_tf.phantom import patient as patients
from spine_tf.phantom import protocol

_JITTER_MM = 0.8


@dataclasses.dataclass(frozen=True, kw_only=True)
class Annotation:
    """A point on a slice; x and y are pixels (column, row), whole numbers at pixel centres."""

    series_id: int
    instance_number: int
    condition: str
    level: str
    x: float
    y: float


def annotate(
    patient: patients.Patient, all_series: tuple[protocol.Series, ...], rng: np.random.Generator
) -> tuple[Annotation, ...]:
    """Returns one annotation for each of the 25 targets."""
    by_description = {series.description: series for series in all_series}
    return tuple(
        _mark(patient, by_description[_description(condition)], condition, level, rng)
        for condition in labels.CONDITIONS
        for level in labels.LEVELS
    )


def _description(condition: str) -> str:
    if "subarticular" in condition:
        return protocol.AXIAL_T2
    return protocol.SAGITTAL_T1 if "foraminal" in condition else protocol.SAGITTAL_T2


def _mark(
    patient: patients.Patient,
    series: protocol.Series,
    condition: str,
    level: str,
    rng: np.random.Generator,
) -> Annotation:
    point = patient.landmark(condition, level)
    projections = [plane.project(point) for plane in series.slices]
    nearest = min(range(len(projections)), key=lambda index: abs(projections[index][2]))
    plane, (x, y, _) = series.slices[nearest], projections[nearest]
    jitter = rng.normal(0, _JITTER_MM, 2) / plane.spacing[::-1]
    return Annotation(
        series_id=series.series_id,
        instance_number=nearest + 1,
        condition=condition,
        level=level,
        x=x + jitter[0],
        y=y + jitter[1],
    )
