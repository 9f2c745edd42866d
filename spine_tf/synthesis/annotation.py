"""Where annotators put the coordinate of each target, and which they leave out, labels too."""

import dataclasses

import numpy as np

from spine_tf import labels
from spine_tf.synthesis import patient as patient_module, protocol, sequence

# The grade of a target without a label.
MISSING = -1

_JITTER_MM = 2.0

# RSNA 2024: 572 labels of 185 of 1,975 studies are missing, 35 of them have a coordinate; 146
# labels have none; one study has no coordinates at all.
_STUDIES_WITH_GAPS = 185 / 1975
_LABELS_OF_SUCH_A_STUDY = 572 / 185
_COORDINATE_STAYS = 35 / 572
_COORDINATE_MISSING = 146 / (25 * 1975)
_ALL_COORDINATES_MISSING = 1 / 1975


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
    nearest = series.nearest(point)
    plane = series.slices[nearest]
    x, y, _ = plane.project(point)
    jitter = rng.normal(0, _JITTER_MM, 2)
    return Annotation(
        series_id=series.series_id,
        instance_number=nearest + 1,
        condition=condition,
        level=level,
        x=x + float(jitter[0]) / plane.spacing[1],
        y=y + float(jitter[1]) / plane.spacing[0],
    )


def mark_exactly(
    patient: patient_module.Patient,
    all_series: tuple[protocol.Series, ...],
    rng: np.random.Generator,
) -> tuple[Annotation, ...]:
    """Returns an annotation for each target that is in view, where it is.

    Several series that show one have it by chance on one of them.
    """
    result = []
    for condition in labels.CONDITIONS:
        for level in labels.LEVELS:
            point = patient.landmark(condition, level)
            places = [
                (item, found)
                for item in all_series
                if item.description == _description(condition) and (found := item.find(point))
            ]
            if places:
                series, found = places[int(rng.integers(len(places)))]
                result.append(_at(series, found, condition, level))
    return tuple(result)


def _at(series: protocol.Series, found: protocol.Found, condition: str, level: str) -> Annotation:
    return Annotation(
        series_id=series.series_id,
        instance_number=found.place + 1,
        condition=condition,
        level=level,
        x=found.x,
        y=found.y,
    )


def draw_missing_grades(rng: np.random.Generator) -> np.ndarray:
    """Returns which grades are missing, bool (conditions, levels)."""
    shape = (len(labels.CONDITIONS), len(labels.LEVELS))
    has_gaps = rng.random() < _STUDIES_WITH_GAPS
    count = min(int(rng.geometric(1 / _LABELS_OF_SUCH_A_STUDY)), shape[0] * shape[1])
    targets = rng.permutation(shape[0] * shape[1])[:count]
    missing = np.zeros(shape, bool)
    if has_gaps:
        missing.ravel()[targets] = True
    return missing


def without_missing(
    annotations: tuple[Annotation, ...],
    missing: np.ndarray,
    rng: np.random.Generator,
) -> tuple[Annotation, ...]:
    """Returns the annotations that were made, given which grades are missing."""
    has_none = rng.random() < _ALL_COORDINATES_MISSING
    draws = rng.random(len(annotations))
    return tuple(
        mark
        for mark, draw in zip(annotations, draws, strict=True)
        if not has_none
        and draw < (_COORDINATE_STAYS if missing[target(mark)] else 1 - _COORDINATE_MISSING)
    )


def target(mark: Annotation) -> tuple[int, int]:
    """Returns the indices of an annotation's condition and level."""
    return labels.CONDITIONS.index(mark.condition), labels.LEVELS.index(mark.level)
