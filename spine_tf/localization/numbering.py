"""Which disc is which: the best ordered path over candidates, and what a shift by one would score.

Discs are numbered together, since one alone looks like the next: a path gives candidates from head
to feet ascending levels; spacing and what the network saw at each decide. Levels may be absent at
both ends, where the field of view ends, or between, where a disc wasn't seen.
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from spine_tf.crops import anatomy
from spine_tf.localization import heatmaps

TEMPERATURE = 2.0
"""Softens the probabilities of shifts: the discs of a spine err together."""

SHIFTS = (-1, 0, 1)
"""A disc that is named L4/L5 is in truth the one above, itself, or the one below."""

_MIN_SCORE = 0.02
# So high stands what is no disc, about.
_NOISE = 0.12
_LEVEL_MISSED = -2.5
_IMPOSSIBLE = -1e9


@dataclasses.dataclass(frozen=True, kw_only=True)
class Numbering:
    """What the candidates are.

    Attributes:
        candidates: index of the candidate that is each level, None where there is none.
        probabilities: how probable the shifts -1, 0 and 1 are; they sum to 1.
    """

    candidates: tuple[int | None, ...]
    probabilities: tuple[float, float, float]

    @property
    def confidence(self) -> float:
        """Probability that the names are right."""
        return self.probabilities[SHIFTS.index(0)]


_NOTHING = Numbering(candidates=(None,) * heatmaps.NUM_LEVELS, probabilities=(0.0, 1.0, 0.0))


def number(
    points: Sequence[np.ndarray], scores: np.ndarray, temperature: float = TEMPERATURE
) -> Numbering:
    """Numbers candidates.

    Args:
        points: mm in the patient, (3,) each, of n candidates from head to feet.
        scores: float (n, 5), in [0, 1]: how much a candidate looks like each level.
        temperature: divides the logits of the shifts' softmax.
    """
    if not len(points):
        return _NOTHING
    gains = _gains(scores)
    apart = _distances(points)
    path, best = _best_path(gains, apart)
    if not path:
        return _NOTHING
    # A path that is shifted keeps its discs, and what it loses at one end it may find at the other.
    totals = [
        best if shift == 0 else _best_path(_held(gains, path, shift), apart)[1] for shift in SHIFTS
    ]
    weights = np.exp((np.array(totals) - max(totals)) / temperature)
    below, own, above = (weights / weights.sum()).tolist()
    return Numbering(
        candidates=tuple(path.get(level) for level in range(heatmaps.NUM_LEVELS)),
        probabilities=(below, own, above),
    )


def _gains(scores: np.ndarray) -> np.ndarray:
    """What it is worth to take a candidate for a level, float (n, 5), against leaving it out.

    That is the logarithm of how much higher it is seen than what is no disc: a faint disc that fits
    between others is one all the same.
    """
    return np.log(np.clip(scores, _MIN_SCORE, 1.0) / _NOISE)


def _held(gains: np.ndarray, path: dict[int, int], shift: int) -> np.ndarray:
    """Gains where the path's discs may only be what they are with the shift, or be beyond an end.

    The candidates between them stay left out.
    """
    held = gains.copy()
    taken = sorted(path.values())
    held[taken[0] : taken[-1] + 1] = _IMPOSSIBLE
    for level, candidate in path.items():
        if 0 <= level + shift < heatmaps.NUM_LEVELS:
            held[candidate, level + shift] = gains[candidate, level + shift]
    return held


def _distances(points: Sequence[np.ndarray]) -> np.ndarray:
    """Returns how far candidates lie from each other, float (n, n), mm."""
    stacked = np.array(points, np.float64)
    return np.linalg.norm(stacked[:, None] - stacked, axis=2)


def _best_path(gains: np.ndarray, apart: np.ndarray) -> tuple[dict[int, int], float]:
    """Returns level -> candidate of the best path, and its score (Viterbi)."""
    best = gains.copy()
    before: dict[tuple[int, int], tuple[int, int]] = {}
    num_candidates, num_levels = gains.shape
    for index in range(1, num_candidates):
        for level in range(1, num_levels):
            steps = {
                (other, upper): best[other, upper] + _step(apart[other, index], upper, level)
                for other in range(index)
                for upper in range(level)
            }
            place, score = max(steps.items(), key=lambda item: item[1])
            if score > 0:
                best[index, level] += score
                before[index, level] = place
    place = divmod(int(best.argmax()), num_levels)
    total = float(best[place])
    if total <= 0:
        return {}, 0.0
    path = {place[1]: place[0]}
    while place in before:
        place = before[place]
        path[place[1]] = place[0]
    return path, total


def _step(distance: float, upper: int, lower: int) -> float:
    """The prior of a way from one level to another: its logarithm against the best distance."""
    expected = math.fsum(anatomy.SPACING_MM[upper:lower])
    num_steps = lower - upper
    # Ways add up, and with them what they differ by.
    deviation = (distance - expected) / (anatomy.SPACING_SD_MM * math.sqrt(num_steps))
    return -0.5 * deviation**2 + (num_steps - 1) * _LEVEL_MISSED
