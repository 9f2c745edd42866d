"""Plants the errors that the real data have, and says where, so that an audit can be scored."""

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np

from spine_tf import labels
from spine_tf.synthesis import annotation, protocol, sequence

# Fraction of studies that get one of the errors.
FRACTION = 0.5

Marks = tuple[annotation.Annotation, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlantedError:
    """One error; series_id and instance_number are those of the row as it now stands."""

    kind: str
    study_id: int
    series_id: int
    instance_number: int
    condition: str
    level: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """What an error may change in a study.

    Attributes:
        annotations: as they will be written.
        grades: int64 (conditions, levels), -1 where missing.
        changed: annotations, as they now stand or stood last, that are wrong.
        removed: (series_id, instance_number) of images that are missing.
    """

    annotations: Marks
    grades: np.ndarray
    changed: Marks = ()
    removed: tuple[tuple[int, int], ...] = ()


def plant(
    case: Case,
    all_series: tuple[protocol.Series, ...],
    study_id: int,
    rng: np.random.Generator,
) -> tuple[Case, tuple[PlantedError, ...]]:
    """Returns the study with at most one kind of error in it, and where that is."""
    kind = str(rng.choice(KINDS))
    if rng.random() >= FRACTION or not case.annotations:
        return case, ()
    level = labels.LEVELS[int(rng.integers(len(labels.LEVELS)))]
    case = _PLANTERS[kind](case, all_series, level, rng)
    planted = tuple(
        PlantedError(
            kind=kind,
            study_id=study_id,
            series_id=mark.series_id,
            instance_number=mark.instance_number,
            condition=mark.condition,
            level=mark.level,
        )
        for mark in case.changed
    )
    return case, planted


def _placeholder_point(
    case: Case, all_series: tuple[protocol.Series, ...], level: str, rng: np.random.Generator
) -> Case:
    mark = _any_mark(case, rng)
    x, y = (5 + rng.normal(0, 0.3, 2)).tolist()
    return _replaced(case, {mark: dataclasses.replace(mark, x=x, y=y)})


def _off_image(
    case: Case, all_series: tuple[protocol.Series, ...], level: str, rng: np.random.Generator
) -> Case:
    mark = _any_mark(case, rng)
    plane = _slice_of(mark, all_series)
    return _replaced(case, {mark: dataclasses.replace(mark, x=plane.shape[1] + 20.0)})


def _level_order(
    case: Case, all_series: tuple[protocol.Series, ...], level: str, rng: np.random.Generator
) -> Case:
    """Exchanges the points of two neighbouring levels on a sagittal series."""
    upper = int(rng.integers(len(labels.LEVELS) - 1))
    condition = labels.CONDITIONS[int(rng.integers(3))]
    return _exchanged(
        case, (condition, labels.LEVELS[upper]), (condition, labels.LEVELS[upper + 1])
    )


def _side_swap(
    case: Case, all_series: tuple[protocol.Series, ...], level: str, rng: np.random.Generator
) -> Case:
    """Exchanges the points of the left and the right recess of a level."""
    left, right = labels.CONDITIONS[3:]
    return _exchanged(case, (left, level), (right, level))


def _close_pair(
    case: Case, all_series: tuple[protocol.Series, ...], level: str, rng: np.random.Generator
) -> Case:
    """Puts the right recess beside the left one."""
    left = _find(case, labels.CONDITIONS[3], level)
    right = _find(case, labels.CONDITIONS[4], level)
    if left is None or right is None:
        return case
    close = dataclasses.replace(
        left, condition=right.condition, x=left.x + rng.uniform(1, 4), y=left.y + rng.uniform(-2, 2)
    )
    return _replaced(case, {right: close})


def _canal_on_t1(
    case: Case, all_series: tuple[protocol.Series, ...], level: str, rng: np.random.Generator
) -> Case:
    """Moves a canal point to the T1 series, on the slice with the same number."""
    mark = _find(case, labels.CONDITIONS[0], level)
    if mark is None:
        return case
    series = next(item for item in all_series if item.description == sequence.SAGITTAL_T1)
    return _replaced(case, {mark: dataclasses.replace(mark, series_id=series.series_id)})


def _coordinate_without_label(
    case: Case, all_series: tuple[protocol.Series, ...], level: str, rng: np.random.Generator
) -> Case:
    mark = _any_mark(case, rng)
    grades = case.grades.copy()
    grades[annotation.target(mark)] = annotation.MISSING
    return dataclasses.replace(case, grades=grades, changed=(mark,))


def _label_without_coordinate(
    case: Case, all_series: tuple[protocol.Series, ...], level: str, rng: np.random.Generator
) -> Case:
    mark = _any_mark(case, rng)
    kept = tuple(other for other in case.annotations if other != mark)
    return dataclasses.replace(case, annotations=kept, changed=(mark,))


def _missing_image(
    case: Case, all_series: tuple[protocol.Series, ...], level: str, rng: np.random.Generator
) -> Case:
    """Removes an annotated image: all points on it are wrong."""
    image = _any_mark(case, rng)
    removed = (image.series_id, image.instance_number)
    lost = tuple(
        mark for mark in case.annotations if (mark.series_id, mark.instance_number) == removed
    )
    return dataclasses.replace(case, changed=lost, removed=(removed,))


_PLANTERS: Mapping[
    str, Callable[[Case, tuple[protocol.Series, ...], str, np.random.Generator], Case]
] = {
    "placeholder_point": _placeholder_point,
    "off_image": _off_image,
    "level_order": _level_order,
    "side_swap": _side_swap,
    "close_pair": _close_pair,
    "canal_on_t1": _canal_on_t1,
    "coordinate_without_label": _coordinate_without_label,
    "label_without_coordinate": _label_without_coordinate,
    "missing_image": _missing_image,
}
KINDS = tuple(_PLANTERS)


def _any_mark(case: Case, rng: np.random.Generator) -> annotation.Annotation:
    """A point whose grade is there."""
    graded = [mark for mark in case.annotations if case.grades[annotation.target(mark)] >= 0]
    return graded[int(rng.integers(len(graded)))]


def _find(case: Case, condition: str, level: str) -> annotation.Annotation | None:
    for mark in case.annotations:
        if (mark.condition, mark.level) == (condition, level):
            return mark
    return None


def _exchanged(case: Case, first: tuple[str, str], second: tuple[str, str]) -> Case:
    one, other = _find(case, *first), _find(case, *second)
    if one is None or other is None:
        return case
    return _replaced(
        case,
        {
            one: dataclasses.replace(other, condition=one.condition, level=one.level),
            other: dataclasses.replace(one, condition=other.condition, level=other.level),
        },
    )


def _replaced(case: Case, changes: Mapping[annotation.Annotation, annotation.Annotation]) -> Case:
    annotations = tuple(changes.get(mark, mark) for mark in case.annotations)
    return dataclasses.replace(case, annotations=annotations, changed=tuple(changes.values()))


def _slice_of(
    mark: annotation.Annotation, all_series: tuple[protocol.Series, ...]
) -> protocol.Slice:
    series = next(item for item in all_series if item.series_id == mark.series_id)
    return series.slices[mark.instance_number - 1]
