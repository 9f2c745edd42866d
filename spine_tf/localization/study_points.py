"""One study in, its points out: 25 rows at most, each judged, and why the others are missing."""

import dataclasses
from collections.abc import Iterable, Sequence

from spine_tf.crops import anatomy, imaged_study
from spine_tf.dicom import geometry
from spine_tf.localization import (
    axial_alone,
    discs,
    gate,
    heatmaps,
    numbering,
    recesses,
    routes,
    spots,
    weighting,
)
from spine_tf.rsna import annotations, layout

CANAL_ROW, LEFT_FORAMEN_ROW, RIGHT_FORAMEN_ROW, LEFT_RECESS_ROW, RIGHT_RECESS_ROW = range(5)
_PARTS = {
    CANAL_ROW: discs.CANAL,
    LEFT_FORAMEN_ROW: discs.LEFT_FORAMEN,
    RIGHT_FORAMEN_ROW: discs.RIGHT_FORAMEN,
}
_RECESS_ROWS = (LEFT_RECESS_ROW, RIGHT_RECESS_ROW)
_OF_NOTHING_SEEN = (gate.Missing.NO_SERIES, gate.Missing.NOT_SEEN, gate.Missing.NOT_COVERED)
_LEVELS = range(heatmaps.NUM_LEVELS)
_LOWEST = heatmaps.NUM_LEVELS - 1

# Of the lowest disc that axial slices show: radiologists who number a spine by lumbar MRI alone err
# in 14 %, and here not even the sacrum is seen.
_BY_AXIAL_ALONE = (0.15, 0.7, 0.15)
_NO_SPINE = discs.Spine(
    levels=((),) * heatmaps.NUM_LEVELS,
    numbering=numbering.Numbering(
        candidates=(None,) * heatmaps.NUM_LEVELS, probabilities=_BY_AXIAL_ALONE
    ),
    frame="",
)


@dataclasses.dataclass(frozen=True, kw_only=True, order=True)
class Gap:
    """A row that is left to the prior.

    Attributes:
        study_id, condition, level: the row.
        reason: why.
    """

    study_id: int
    condition: int
    level: int
    reason: gate.Missing

    def explained(self, by_sagittal: bool, by_axial: bool) -> "Gap":
        """Returns it, with the reason `UNREADABLE` where that may be why nothing was found.

        Args:
            by_sagittal: sagittal images can't be read; recesses are looked for below them.
            by_axial: axial images can't be read.
        """
        is_hidden = by_sagittal or (by_axial and self.condition in _RECESS_ROWS)
        if not is_hidden or self.reason not in _OF_NOTHING_SEEN:
            return self
        return dataclasses.replace(self, reason=gate.Missing.UNREADABLE)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Localized:
    """What was found in a study.

    Attributes:
        study: the study.
        points: in the order of conditions and levels; labels are None.
        gaps: rows without a point.
        probabilities: how probable each of the numbering's shifts is, by each sagittal series that
            counts.
        deviations: how far apart the routes to each level are, in standard deviations: sagittal,
            axial; None where there is one route.
        finder: what found it, in words.
    """

    study: imaged_study.ImagedStudy
    points: tuple[annotations.Annotation, ...]
    gaps: tuple[Gap, ...]
    probabilities: tuple[float, float, float]
    deviations: tuple[tuple[float | None, float | None], ...]
    finder: str = "a localiser"

    @property
    def doubt(self) -> float:
        """How much the study wants to be looked at, in [0, 1]: as its worst point does."""
        return 1.0 - min((point.confidence for point in self.points), default=0.0)

    def with_unreadable(self, files: Iterable[str]) -> "Localized":
        """Returns it with image files that can't be read, where they are why a row is missing."""
        study = self.study.with_unreadable(files)
        is_sagittal = {stack.series_id: stack.is_sagittal for stack in study.stacks}
        # Nobody knows what a series shows that gave not even a header.
        hidden = [is_sagittal.get(layout.series_of(name)[1]) for name in study.unreadable]
        by_sagittal = any(each is not False for each in hidden)
        by_axial = any(each is not True for each in hidden)
        gaps = tuple(gap.explained(by_sagittal, by_axial) for gap in self.gaps)
        return dataclasses.replace(self, study=study, gaps=gaps)


def localize(
    study: imaged_study.ImagedStudy,
    source: heatmaps.Source,
    *,
    temperature: float = numbering.TEMPERATURE,
    brightness: weighting.Brightness | None = None,
) -> Localized:
    """Finds the points of a study.

    Args:
        study: the study.
        source: draws heatmaps of its slices.
        temperature: divides the logits of the numbering's softmax.
        brightness: tells whether T1 and T2 are exchanged; None takes the series CSV's word.
    """
    spines = discs.find(study, source, temperature)
    spine = spines[0] if spines else _NO_SPINE
    exchanged = weighting.exchanged(spine, brightness) if brightness else frozenset()
    by_level = _recesses(study, spine, source)
    found = _Judge(study, spine, by_level, exchanged)
    rows = [found.row(condition, level) for condition in range(5) for level in _LEVELS]
    return Localized(
        study=study,
        points=tuple(row for row in rows if isinstance(row, annotations.Annotation)),
        gaps=tuple(row for row in rows if isinstance(row, Gap)),
        probabilities=found.probabilities,
        deviations=tuple((found.sagittal[level], found.axial[level]) for level in _LEVELS),
    )


def _recesses(
    study: imaged_study.ImagedStudy, spine: discs.Spine, source: heatmaps.Source
) -> list[recesses.Recesses | None]:
    if not study.sagittal:
        by_frame: dict[str, list[imaged_study.SliceStack]] = {}
        for stack in study.axial:
            by_frame.setdefault(stack.frame, []).append(stack)
        largest = max(by_frame.values(), key=len, default=[])
        return axial_alone.find(largest, source)
    stacks = [stack for stack in study.axial if stack.frame == spine.frame]
    canals = [spine.view(level, discs.CANAL, prefers_t1=False) for level in _LEVELS]
    return [
        None if view is None else recesses.find(view.spot.point, level, stacks, source)
        for level, view in enumerate(canals)
    ]


class _Judge:
    """Turns what was found into rows."""

    def __init__(
        self,
        study: imaged_study.ImagedStudy,
        spine: discs.Spine,
        by_level: Sequence[recesses.Recesses | None],
        exchanged: frozenset[int],
    ) -> None:
        self._study = study
        self._spine = spine
        self._recesses = by_level
        self._exchanged = exchanged
        self._canals = {
            level: spine.view(level, discs.CANAL, prefers_t1=False) for level in _LEVELS
        }
        self.probabilities = spine.numbering.probabilities
        self.sagittal = {level: routes.sagittal(spine, level) for level in _LEVELS}
        self.axial = {level: self._axial_deviation(level) for level in _LEVELS}
        self._known = self._doubts_of_study()

    def _axial_deviation(self, level: int) -> float | None:
        canal, found = self._canals[level], self._recesses[level]
        return None if canal is None or found is None else routes.axial(canal.spot.point, found)

    def _doubts_of_study(self) -> frozenset[gate.Doubt]:
        if not self._study.sagittal:
            return frozenset({gate.Doubt.AXIAL_ALONE})
        lowest = self._spine.view(_LOWEST, discs.CANAL, prefers_t1=False)
        sees_sacrum = lowest is not None and below_mm(lowest.spot) >= anatomy.SACRUM_MM
        return frozenset() if sees_sacrum else frozenset({gate.Doubt.SACRUM})

    def row(self, condition: int, level: int) -> annotations.Annotation | Gap:
        """Returns the point of a row, or why it has none."""
        if condition in _RECESS_ROWS:
            return self._recess_row(condition, level)
        part = _PARTS[condition]
        wants_t1 = condition != CANAL_ROW
        view = self._spine.view(level, part, prefers_t1=wants_t1)
        if view is None:
            has_series = bool(self._study.sagittal)
            reason = gate.Missing.NOT_SEEN if has_series else gate.Missing.NO_SERIES
            return self._gap(condition, level, reason)
        known: set[gate.Doubt] = set()
        if view.stack.is_t1 != wants_t1:
            known.add(gate.Doubt.SUBSTITUTE)
        if view.stack.series_id in self._exchanged:
            known.add(gate.Doubt.SERIES)
        signals = gate.Signals(
            condition=condition,
            amplitude=view.spot.amplitude,
            probabilities=self.probabilities,
            deviation=self.sagittal[level] or 0.0,
            study_deviation=routes.of_study(self.sagittal),
            apart_mm=None if condition == CANAL_ROW else self._foramina_apart(level),
            known=self._known | known,
        )
        return self._judged(signals, view.spot, level)

    def _foramina_apart(self, level: int) -> float | None:
        left, right = (
            self._spine.view(level, part, prefers_t1=True)
            for part in (discs.LEFT_FORAMEN, discs.RIGHT_FORAMEN)
        )
        return None if left is None or right is None else _apart(left.spot, right.spot)

    def _recess_row(self, condition: int, level: int) -> annotations.Annotation | Gap:
        found = self._recesses[level]
        if found is None:
            return self._gap(condition, level, self._why_no_recess(level))
        spot = found.left if condition == LEFT_RECESS_ROW else found.right
        if spot is None:
            return self._gap(condition, level, gate.Missing.NOT_SEEN)
        worst = max(self.sagittal[level] or 0.0, self.axial[level] or 0.0)
        signals = gate.Signals(
            condition=condition,
            amplitude=spot.amplitude,
            probabilities=self.probabilities,
            deviation=worst,
            study_deviation=max(routes.of_study(self.sagittal), routes.of_study(self.axial)),
            apart_mm=found.apart_mm,
            known=self._known | ({gate.Doubt.SIDES} if found.is_crossed else set()),
        )
        return self._judged(signals, spot, level)

    def _why_no_recess(self, level: int) -> gate.Missing:
        if not self._study.axial:
            return gate.Missing.NO_SERIES
        if self._canals[level] is None:
            return gate.Missing.NOT_SEEN
        if all(stack.frame != self._spine.frame for stack in self._study.axial):
            return gate.Missing.OTHER_FRAME
        return gate.Missing.NOT_COVERED

    def _judged(
        self, signals: gate.Signals, spot: spots.Spot, level: int
    ) -> annotations.Annotation | Gap:
        verdict = gate.judge(signals)
        if verdict.missing is not None:
            return self._gap(signals.condition, level, verdict.missing)
        x, y = spot.place_xy
        return annotations.Annotation(
            study_id=self._study.study_id,
            series_id=spot.window.series_id,
            instance_number=spot.window.instance_number,
            condition=signals.condition,
            level=level,
            x=x,
            y=y,
            label=None,
            confidence=verdict.confidence,
            numbering=signals.probabilities,
            flag=verdict.flag,
        )

    def _gap(self, condition: int, level: int, reason: gate.Missing) -> Gap:
        return Gap(study_id=self._study.study_id, condition=condition, level=level, reason=reason)


def below_mm(spot: spots.Spot) -> float:
    """Returns how much of its sagittal slice lies nearer to the feet than a spot, in mm."""
    header = spot.window.header
    ends = (geometry.to_patient(header, (spot.place_xy[0], row)) for row in (0, header.rows - 1))
    return float(spot.point[2]) - min(end[2] for end in ends if end is not None)


def _apart(left: spots.Spot, right: spots.Spot) -> float:
    """From side to side, mm: the slices may lie apart."""
    return abs(float(left.point[0] - right.point[0]))
