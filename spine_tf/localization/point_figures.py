"""How good found points are beside given ones: millimetres, slices, levels, sides, rows filled.

Millimetres and slices are of points at the right level, since a wrong one is 30 mm off; how many
those are stands beside them. All figures have intervals over studies.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from spine_tf.crops import imaged_study
from spine_tf.dicom import geometry
from spine_tf.rsna import annotations
from spine_tf.scoring import bootstrap, figure

GROUPS: Mapping[str, tuple[int, ...]] = {"canal": (0,), "foramen": (1, 2), "recess": (3, 4)}
"""Name -> conditions, as indices into CONDITIONS."""

FIGURES = (
    "median_mm",
    "p95_mm",
    "slice_exact",
    "slice_within_1",
    "slice_within_2",
    "level_right",
    "side_right",
    "rows_filled",
)
_NUM_RESAMPLES = 500
_SEED = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Match:
    """A given point, and what was found for its row.

    Attributes:
        study_id, condition, level: the row.
        found: whether there is a point.
        confidence: how sure the localiser is of it, 0 to 1; NaN without one.
        error_mm: between both, in the plane of the given one's slice; NaN where unknown.
        slices_off: planes between both; NaN unless they are of one stack.
        is_level_right: the given point that is nearest to it is of its own level; None without
            one.
        is_side_right: likewise of its own side, or None where there is no side.
    """

    study_id: int
    condition: int
    level: int
    found: bool
    confidence: float = np.nan
    error_mm: float = np.nan
    slices_off: float = np.nan
    is_level_right: bool | None = None
    is_side_right: bool | None = None


class Places:
    """Where the points of a study are in the patient."""

    def __init__(self, study: imaged_study.ImagedStudy) -> None:
        """Args: study has the headers."""
        self._planes = {
            (stack.series_id, number): (stack, plane)
            for stack in study.stacks
            for plane, number in enumerate(stack.numbers)
        }

    def plane(self, row: annotations.Annotation) -> tuple[imaged_study.SliceStack, int] | None:
        """Returns the stack of a row's slice, and the slice's index in it; None where unknown."""
        return self._planes.get((row.series_id, row.instance_number))

    def point(self, row: annotations.Annotation) -> np.ndarray | None:
        """Returns the row's point in mm, float64 (3,); None where its slice lies nowhere."""
        found = self.plane(row)
        if found is None:
            return None
        stack, plane = found
        return np.array(geometry.to_patient(stack.headers[plane], (row.x, row.y)))


def match(
    study: imaged_study.ImagedStudy,
    found: Iterable[annotations.Annotation],
    given: Iterable[annotations.Annotation],
) -> list[Match]:
    """Compares the points of a study; a match for each given row.

    Args:
        study: whose points they are.
        found: at most one a row.
        given: the truth; of several points of one row the first counts.
    """
    places = Places(study)
    by_row = {(row.condition, row.level): row for row in found}
    truth: dict[tuple[int, int], annotations.Annotation] = {}
    for row in given:
        truth.setdefault((row.condition, row.level), row)
    return [_match(places, by_row.get(key), row, truth) for key, row in truth.items()]


def _match(
    places: Places,
    found: annotations.Annotation | None,
    given: annotations.Annotation,
    truth: Mapping[tuple[int, int], annotations.Annotation],
) -> Match:
    row = Match(
        study_id=given.study_id,
        condition=given.condition,
        level=given.level,
        found=found is not None,
        confidence=np.nan if found is None else found.confidence,
    )
    own = None if found is None else places.point(found)
    if found is None or own is None or places.point(given) is None:
        return row
    near = _nearest(places, own, truth.values(), GROUPS[group_of(given.condition)])
    return dataclasses.replace(
        row,
        error_mm=_in_plane_mm(places, own, given),
        slices_off=_slices_off(places, found, given),
        is_level_right=near.level == given.level,
        is_side_right=None if given.condition == 0 else near.condition == given.condition,
    )


def group_of(condition: int) -> str:
    """Returns the name of a condition's group."""
    return next(name for name, members in GROUPS.items() if condition in members)


def _nearest(
    places: Places,
    point: np.ndarray,
    given: Iterable[annotations.Annotation],
    conditions: Sequence[int],
) -> annotations.Annotation:
    """The given point of some conditions that is nearest in the patient."""
    placed = [
        (float(np.linalg.norm(place - point)), index, row)
        for index, row in enumerate(given)
        if row.condition in conditions and (place := places.point(row)) is not None
    ]
    return min(placed)[2]


def _in_plane_mm(places: Places, own: np.ndarray, given: annotations.Annotation) -> float:
    found = places.plane(given)
    if found is None:
        return np.nan
    stack, plane = found
    header = stack.headers[plane]
    (x, y), _ = geometry.locate(own.tolist(), header)
    return float(np.hypot((x - given.x) * header.spacing[1], (y - given.y) * header.spacing[0]))


def _slices_off(
    places: Places, found: annotations.Annotation, given: annotations.Annotation
) -> float:
    one, other = places.plane(found), places.plane(given)
    if one is None or other is None or one[0] is not other[0]:
        return np.nan
    return float(abs(one[1] - other[1]))


def table(matches: Sequence[Match]) -> dict[str, dict[str, figure.Figure]]:
    """Returns group -> name -> figure; a group without a given point is not there."""
    result = {}
    for group, conditions in GROUPS.items():
        own = [one for one in matches if one.condition in conditions]
        if own:
            result[group] = _figures(own)
    return result


def _figures(matches: Sequence[Match]) -> dict[str, figure.Figure]:
    studies = np.array([one.study_id for one in matches])
    weights = bootstrap.resample_weights(studies, seed=_SEED, num_resamples=_NUM_RESAMPLES)
    weights = np.vstack([np.ones(len(matches)), weights])
    right = np.array([_as_number(one.is_level_right) for one in matches])
    at_level = np.where(right == 1, 0.0, np.nan)
    mm = np.array([one.error_mm for one in matches]) + at_level
    off = np.array([one.slices_off for one in matches]) + at_level
    side = np.array([_as_number(one.is_side_right) for one in matches])
    filled = np.array([float(one.found) for one in matches])
    shares = {f"slice_within_{steps}": _at_most(off, steps) for steps in (1, 2)}
    shares |= {"slice_exact": _at_most(off, 0), "level_right": right, "side_right": side}
    values = {
        name: bootstrap.mean(share, weights)
        for name, share in (shares | {"rows_filled": filled}).items()
    }
    values |= {
        "median_mm": bootstrap.quantile(mm, weights, 0.5),
        "p95_mm": bootstrap.quantile(mm, weights, 0.95),
    }
    return {
        name: bootstrap.figure(
            values[name], len(np.unique(studies)), is_share=not name.endswith("_mm")
        )
        for name in FIGURES
    }


def _as_number(claim: bool | None) -> float:
    return np.nan if claim is None else float(claim)


def _at_most(values: np.ndarray, bound: int) -> np.ndarray:
    return np.where(np.isnan(values), np.nan, values <= bound)


# ---- What the confidence is worth.


@dataclasses.dataclass(frozen=True, kw_only=True)
class Risk:
    """Level errors of the surest points.

    Attributes:
        coverage: share of the found points that are kept, the surest first.
        risk: share of those whose level is wrong.
    """

    coverage: float
    risk: float


def risk_coverage(matches: Sequence[Match]) -> list[Risk]:
    """Returns the curve, from few points to all of them."""
    right = _by_confidence(matches)
    wrong = np.cumsum(~right)
    return [
        Risk(coverage=kept / len(right), risk=float(wrong[kept - 1] / kept))
        for kept in range(1, len(right) + 1)
    ]


def errors_in_tail(matches: Sequence[Match], share: float = 0.1) -> float | None:
    """Returns how much of the level errors the least sure points hold; None without an error.

    Args:
        matches: the matches of several studies.
        share: share of the found points that is looked at, 0 to 1.
    """
    right = _by_confidence(matches)
    if right.all():
        return None
    num_tail = round(share * len(right))
    return float((~right[len(right) - num_tail :]).sum() / (~right).sum())


def _by_confidence(matches: Sequence[Match]) -> np.ndarray:
    """Whether levels are right, bool (found points,), the surest first."""
    known = [one for one in matches if one.is_level_right is not None]
    ordered = sorted(known, key=lambda one: -one.confidence)
    return np.array([bool(one.is_level_right) for one in ordered], bool)
