"""How far independent routes to one level lie apart: what a good study's don't."""

from collections.abc import Mapping

import numpy as np

from spine_tf.crops import anatomy
from spine_tf.localization import discs, gate, recesses


def sagittal(spine: discs.Spine, level: int) -> float | None:
    """Returns how far the foramina lie from where the canal point has them, in deviations.

    Both in height: canal on T2 and foramina on T1 where there are both, so that also a patient who
    moved between the series is found.
    """
    canal = spine.view(level, discs.CANAL, prefers_t1=False)
    sides = (discs.LEFT_FORAMEN, discs.RIGHT_FORAMEN)
    foramina = [view for side in sides if (view := spine.view(level, side, prefers_t1=True))]
    if canal is None or not foramina:
        return None
    above = np.mean([view.spot.point[2] for view in foramina]) - canal.spot.point[2]
    return abs(float(above) - anatomy.FORAMEN_ABOVE_MM[level]) / anatomy.AGREEMENT_MM


def axial(canal_point: np.ndarray, found: recesses.Recesses) -> float | None:
    """Returns how far the recesses lie from where the canal point has them, in deviations.

    In the plane of the slice: a level off, the spine's curve and its lean lead past them.
    """
    middle = found.middle
    if middle is None:
        return None
    normal = np.array(found.cover.stack.normal)
    apart = middle - canal_point
    apart = apart - (apart @ normal) * normal
    aside = abs(float(apart[0])) / 2  # the canal's slice is a few mm off the midline
    behind = float(apart[1]) + anatomy.RECESS_IN_FRONT_MM
    return float(np.hypot(aside, behind)) / anatomy.AGREEMENT_MM


def of_study(by_level: Mapping[int, float | None]) -> float:
    """Returns the root mean square over the levels that have two routes."""
    return gate.root_mean_square([value for value in by_level.values() if value is not None])
