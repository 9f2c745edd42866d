"""Where annotators put the coordinate of each target: a slice and a point on it."""

import dataclasses

import numpy as np

from spine_tf import labels
from spine_tf.synthesis import patient as patient_module, protocol, sequence

_JITTER_MM = 2.0


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
    patient: patient_module.Patient,
    all_series: tuple[protocol.Series, ...],
    rng: np.random.Generator,
) -> tuple[Annotation, ...]:
    """Returns one annotation for each of the 25 targets.

    Where a study has two axial series, each point is marked on one of them by chance, so that left
    and right of a level may lie in different ones.
    """
    result = []
    for condition in labels.CONDITIONS:
        fitting = [item for item in all_series if item.description == _description(condition)]
        for level in labels.LEVELS:
            series = fitting[int(rng.integers(len(fitting)))]
            result.append(_mark(patient, series, condition, level, rng))
    return tuple(result)


def _description(condition: str) -> str:
    if "subarticular" in condition:
        return sequence.AXIAL_T2
    return sequence.SAGITTAL_T1 if "foraminal" in condition else sequence.SAGITTAL_T2


def _mark(
    patient: patient_module.Patient,
    series: protocol.Series,
    condition: str,
    level: str,
    rng: np.random.Generator,
) -> Annotation:
    """Marks the landmark, a little off, on the slice that is nearest to it."""
    point = patient.landmark(condition, level)
    projections = [plane.project(point) for plane in series.slices]
    nearest = min(range(len(projections)), key=lambda index: abs(projections[index][2]))
    plane, (x, y, _) = series.slices[nearest], projections[nearest]
    jitter = rng.normal(0, _JITTER_MM, 2)
    return Annotation(
        series_id=series.series_id,
        instance_number=nearest + 1,
        condition=condition,
        level=level,
        x=x + float(jitter[0]) / plane.spacing[1],
        y=y + float(jitter[1]) / plane.spacing[0],
    )
