"""Whether T1 and T2 are what the series CSV says: by how bright the canal is, at points found.

Cerebrospinal fluid is bright on T2 and dark on T1, whatever scanner and window.
"""

from collections.abc import Callable, Iterable

import numpy as np

from spine_tf.crops import slice_reader
from spine_tf.dicom import reasons
from spine_tf.localization import discs, spots

Brightness = Callable[[spots.Spot], float | None]
"""How bright a spot's place is against what is around it; None where the image can't be read."""

_NEAR_MM, _AROUND_MM = 3.0, 30.0


def make_brightness(reader: slice_reader.SliceReader) -> Brightness:
    """Returns what measures brightness, in shares of the slice's window, in [-1, 1]."""

    def brightness(spot: spots.Spot) -> float | None:
        window = spot.window
        try:
            stack = reader.read_stack(window.study_id, window.series_id, window.instance_number)
        except reasons.Rejected:
            return None
        low, high = stack.window
        values = stack.slices[len(stack.slices) // 2]
        near, around = (
            np.median(_square(values, spot.place_xy, stack.header.spacing, reach_mm))
            for reach_mm in (_NEAR_MM, _AROUND_MM)
        )
        return float(near - around) / max(high - low, 1.0)

    return brightness


def _square(
    values: np.ndarray, place_xy: tuple[float, float], spacing: tuple[float, float], mm: float
) -> np.ndarray:
    """The pixels of a slice around a place on it."""
    (x, y), (rows, columns) = place_xy, (mm / spacing[0], mm / spacing[1])
    top, first = max(round(y - rows), 0), max(round(x - columns), 0)
    return values[top : round(y + rows) + 1, first : round(x + columns) + 1]


def exchanged(spine: discs.Spine, brightness: Brightness) -> frozenset[int]:
    """Returns the series of a study whose weighting is another than its description says.

    That is all of them or none: with one weighting alone there is nothing to compare.
    """
    canals = [view for level in spine.levels for view in level if view.part == discs.CANAL]
    by_weighting = {
        is_t1: _median(brightness(view.spot) for view in canals if view.stack.is_t1 == is_t1)
        for is_t1 in (True, False)
    }
    on_t1, on_t2 = by_weighting[True], by_weighting[False]
    if on_t1 is None or on_t2 is None or on_t1 <= on_t2:
        return frozenset()
    return frozenset(view.stack.series_id for view in canals)


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None
