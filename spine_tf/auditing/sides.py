"""Left and right of a level: each on its side of the patient, as far apart as anatomy has it."""

import dataclasses
from collections.abc import Iterable, Iterator

from spine_tf import labels
from spine_tf.auditing import finding, point


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """Distances across the patient between which left and right of a level lie, in mm."""

    closest: float
    farthest: float


# Recesses are about 16 to 18 mm apart, foramina about 30: far outside that is no anatomy.
_LIMITS = {
    "subarticular_stenosis": Limits(closest=5.0, farthest=40.0),
    "neural_foraminal_narrowing": Limits(closest=10.0, farthest=80.0),
}


def find(points: Iterable[point.Point]) -> Iterator[finding.Observation]:
    """Yields both points of each pair that is swapped, too close or too far apart.

    Slices and series of a pair may differ: the patient's coordinates are compared.

    Args:
        points: one a study, condition and level.
    """
    by_target = {
        (item.row.study_id, labels.CONDITIONS[item.row.condition], item.row.level): item
        for item in points
    }
    for (study, condition, level), left in by_target.items():
        name = condition.removeprefix("left_")
        right = by_target.get((study, f"right_{name}", level))
        if name == condition or right is None:
            continue
        distance = left.left - right.left
        if (kind := judge(distance, _LIMITS[name])) is not None:
            towards = "left" if distance >= 0 else "right"
            detail = f"the left point lies {abs(distance):.1f} mm to the {towards} of the right one"
            yield kind, left.row, detail
            yield kind, right.row, detail


def judge(distance: float, limits: Limits) -> finding.Kind | None:
    """Returns what is wrong with a pair whose left point lies so many mm left of the right one."""
    if abs(distance) < limits.closest:
        return finding.Kind.PAIR_TOO_CLOSE
    if abs(distance) > limits.farthest:
        return finding.Kind.PAIR_TOO_FAR
    return finding.Kind.SIDES_SWAPPED if distance < 0 else None
