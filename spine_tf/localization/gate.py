"""Is a point to be trusted? Graded, graded with a flag, or left to the prior, with the reason.

The checks stand in the order in which they tell most. What betrays a bad study is that independent
ways to one level disagree: the canal on T2, the foramina on T1, the recesses on axial slices.
"""

import dataclasses
import enum
import math
from collections.abc import Iterable, Sequence

from spine_tf.crops import anatomy
from spine_tf.localization import numbering

MAX_DEVIATION = 3.0
"""How many standard deviations the routes to one level may lie apart before it is flagged."""

# Below these a flag is set, or the row is left to the prior.
_SURE_NUMBERING = 0.8
_FAINT, _TOO_FAINT = 0.35, 0.12
_MAX_STUDY_DEVIATION = 1.4
# What a flag leaves of the confidence, but for those that have a figure of their own.
_FLAGGED = 0.6

# P(wrong level) above which the prior scores better than a grade, by condition: 0 is the canal, 1
# and 2 foramina, 3 and 4 recesses (measured on RSNA 2024 predictions).
_BREAK_EVEN = (0.6, 0.9, 0.9, 0.67, 0.67)


class _Explained(enum.StrEnum):
    """A code with what it means."""

    meaning: str

    def __new__(cls, code: str, meaning: str) -> "_Explained":
        """Makes a member of (code, meaning)."""
        member = str.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        return member


class Doubt(_Explained):
    """Why a point is flagged, in the order of the checks."""

    NUMBERING = "numbering", "the discs may be named one level too high or too low"
    SACRUM = "sacrum", "too little is seen below the lowest disc to be sure that it is L5/S1"
    ROUTES = "routes", "canal, foramina and recesses disagree about where the level is"
    FAINT = "faint", "the network hardly sees the structure"
    DISTANCE = "distance", "left and right lie too near to each other, or too far apart"
    SIDES = "sides", "the axial network names the sides otherwise than the patient's axes"
    SERIES = "series", "T1 and T2 seem to be exchanged: the canal is brighter on T1"
    SUBSTITUTE = "substitute", "the usual series is missing, the point is on another one"
    AXIAL_ALONE = "axial_alone", "no sagittal series: numbered from the lowest disc that was seen"


class Missing(_Explained):
    """Why a row has no point."""

    NO_SERIES = "no_series", "the study has no series that could show it"
    NOT_SEEN = "not_seen", "the structure was not found"
    TOO_FAINT = "too_faint", "it was found so faintly that the prior is better"
    NOT_COVERED = "not_covered", "no axial slice lies within 3 mm of the level"
    OTHER_FRAME = "other_frame", "the axial series has another frame of reference"
    WRONG_LEVEL = "wrong_level", "the level is more probably wrong than a grade could make good"
    UNREADABLE = "unreadable", "images that could show it can't be read"
    NO_HEADERS = "no_headers", "no slice of the study says where it lies"
    NOT_GIVEN = "not_given", "the given points have none for it"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Signals:
    """What is known of a point.

    Attributes:
        condition: index into CONDITIONS.
        amplitude: height of its peak in the heatmap.
        probabilities: how probable each of the numbering's shifts is.
        deviation: how far apart the routes to its level are, in standard deviations; 0 where there
            is one route.
        study_deviation: root mean square of that over the levels.
        apart_mm: left and right of the level; None where one is missing.
        known: doubts that were already there.
    """

    condition: int
    amplitude: float
    probabilities: tuple[float, float, float]
    deviation: float = 0.0
    study_deviation: float = 0.0
    apart_mm: float | None = None
    known: frozenset[Doubt] = frozenset()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verdict:
    """What becomes of a point.

    Attributes:
        missing: why the row is left to the prior; None where it is graded.
        doubts: flags, in the order of the checks.
        confidence: in [0, 1]: how sure place and level are, all signals taken together.
    """

    missing: Missing | None
    doubts: tuple[Doubt, ...]
    confidence: float

    @property
    def flag(self) -> str:
        """The flags as a column of points.csv has them."""
        return " ".join(self.doubts)


def judge(signals: Signals) -> Verdict:
    """Returns what becomes of a point."""
    right = signals.probabilities[numbering.SHIFTS.index(0)]
    missing = None
    if 1 - right > _BREAK_EVEN[signals.condition]:
        missing = Missing.WRONG_LEVEL
    elif signals.amplitude < _TOO_FAINT:
        missing = Missing.TOO_FAINT
    found = {doubt for doubt, holds in _checks(signals) if holds} | signals.known
    return Verdict(
        missing=missing,
        doubts=tuple(doubt for doubt in Doubt if doubt in found),
        confidence=_confidence(signals, right, found),
    )


def _checks(signals: Signals) -> Iterable[tuple[Doubt, bool]]:
    is_apart = signals.deviation > MAX_DEVIATION
    yield Doubt.NUMBERING, signals.probabilities[numbering.SHIFTS.index(0)] < _SURE_NUMBERING
    yield Doubt.ROUTES, is_apart or signals.study_deviation > _MAX_STUDY_DEVIATION
    yield Doubt.FAINT, signals.amplitude < _FAINT
    low, high = anatomy.FORAMINA_APART_MM if signals.condition < 3 else anatomy.RECESSES_APART_MM
    yield Doubt.DISTANCE, signals.apart_mm is not None and not low <= signals.apart_mm <= high


def _confidence(signals: Signals, right: float, found: Iterable[Doubt]) -> float:
    """All signals as one number: each takes away its share."""
    # Levels of one study err by themselves; all of them together by a level, or by none.
    worst = max(signals.deviation - 1.5, 2 * (signals.study_deviation - 0.8), 0.0)
    agreement = math.exp(-0.5 * worst**2)
    measured = {Doubt.NUMBERING, Doubt.ROUTES, Doubt.FAINT}
    flags = _FLAGGED ** len(set(found) - measured)
    return right * min(signals.amplitude, 1.0) * agreement * flags


def root_mean_square(deviations: Sequence[float]) -> float:
    """Returns the root mean square; 0 of nothing."""
    if not deviations:
        return 0.0
    return math.sqrt(math.fsum(value * value for value in deviations) / len(deviations))
