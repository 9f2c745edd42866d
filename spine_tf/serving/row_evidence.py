"""Why a row is answered as it is: its points, flagged, lost, or never there."""

import collections
from collections.abc import Iterable, Sequence

from spine_tf.dicom import reasons
from spine_tf.localization import gate, localization
from spine_tf.readings import reading
from spine_tf.rsna import annotations, tables
from spine_tf.serving import answers as answers_module, asked_rows

NO_COORDINATE, NO_MODEL, UNKNOWN_ROW = "no_coordinate", "no_model", "unknown_row"
OTHER_VIEWS = "other_views"


class Evidence:
    """Why rows are answered as they are: points that were flagged, lost, or never there.

    Attributes:
        unreadable: image files that gave no header or no pixels.
    """

    def __init__(self) -> None:
        """Knows of no point yet."""
        self._finders: dict[annotations.Annotation, str] = {}
        self._points_by: dict[asked_rows.Target | None, set[str]] = collections.defaultdict(set)
        self._flags: dict[asked_rows.Target, set[str]] = collections.defaultdict(set)
        self._missing: dict[asked_rows.Target, gate.Missing] = {}
        self.unreadable: set[str] = set()
        self._rejects: dict[str, set[reading.Remark]] = collections.defaultdict(set)

    def add_points(self, rows: Iterable[annotations.Annotation]) -> None:
        """Adds points that the models are asked about."""
        for row in rows:
            target = asked_rows.Target(row.study_id, row.condition, row.level)
            self._flags[target].update(row.flag.split())
            self._points_by[target].add(self._finders.get(row, localization.GIVEN))

    def add_other_views(self, row: annotations.Annotation) -> None:
        """Adds a row that has no point of its own and is graded by the other views of its level."""
        target = asked_rows.Target(row.study_id, row.condition, row.level)
        self._flags[target].add(OTHER_VIEWS)

    def add_result(self, result: localization.StudyResult) -> None:
        """Adds what was found in a study, before its points, and the rows that have none."""
        self.unreadable.update(result.study.unreadable)
        if result.localized:
            found = set(result.points).difference(result.given)
            self._finders |= dict.fromkeys(found, result.localized.finder)
        for gap in result.gaps:
            self._missing[asked_rows.Target(gap.study_id, gap.condition, gap.level)] = gap.reason

    def add_rejects(self, rejects: Iterable[reasons.Reject]) -> None:
        """Adds points that can't be used."""
        for reject in rejects:
            study, _, _, condition, level, *_ = [*reject.key.split("/"), "", "", "", ""]
            remark = reading.Remark(reason=reject.reason, detail=reject.detail, file=reject.file)
            self._rejects[asked_rows.row_id(study, condition, level)].add(remark)

    def add_faults(self, faults: Iterable[tables.Fault]) -> None:
        """Adds rows of the series CSV that can't be read: nobody knows whose they are."""
        for fault in faults:
            remark = reading.Remark(reason=fault.reason, detail=fault.in_words())
            self._rejects[""].add(remark)

    def grade(self, asked: asked_rows.Asked, answers: answers_module.Answers) -> reading.Grade:
        """Returns a row with its answer."""
        models = answers.models(asked.target)
        values = answers.probabilities(asked.target)
        flags = sorted(self._flags.get(asked.target, ())) if asked.target is not None else []
        by_model = reading.AnsweredBy.FLAGGED if flags else reading.AnsweredBy.MODEL
        lost = tuple(sorted(self._rejects.get(asked.row_id, ())))
        return reading.Grade(
            row_id=asked.row_id,
            condition=-1 if asked.target is None else asked.target.condition,
            level=-1 if asked.target is None else asked.target.level,
            probabilities=tuple(float(value) for value in values / sum(values)),
            answered_by=by_model if models else reading.AnsweredBy.PRIOR,
            models=models,
            points_by=" and ".join(sorted(self._points_by[asked.target])) if models else "",
            remarks=(*_of_flags(flags), *lost) if models else lost or self._why(asked, answers),
        )

    def _why(
        self, asked: asked_rows.Asked, answers: answers_module.Answers
    ) -> tuple[reading.Remark, ...]:
        """Why a row has the prior."""
        target = asked.target
        if target is None:
            detail = "its name is no study, condition and level"
            return (reading.Remark(reason=UNKNOWN_ROW, detail=detail),)
        if not answers.is_covered((target.condition, target.level)):
            return (reading.Remark(reason=NO_MODEL, detail="no model grades it"),)
        missing = self._missing.get(target)
        if missing is None or missing is gate.Missing.NOT_GIVEN:
            return (reading.Remark(reason=NO_COORDINATE, detail="it has no point"),)
        return (reading.Remark(reason=missing.value, detail=missing.meaning),)

    def unasked(self, asked: Iterable[asked_rows.Asked]) -> list[tuple[str, reading.Remark]]:
        """Returns what was lost of rows that nobody asked for, as far as they can be read."""
        names = {one.row_id for one in asked}
        return sorted(
            (name, remark)
            for name, remarks in self._rejects.items()
            if name not in names
            for remark in remarks
        )


def _of_flags(flags: Sequence[str]) -> tuple[reading.Remark, ...]:
    if not flags:
        return ()
    known = {doubt.value: doubt.meaning for doubt in gate.Doubt}
    known[OTHER_VIEWS] = "it has no point of its own: graded by the other views of its level"
    detail = "; ".join(known.get(flag, flag) for flag in flags)
    return (reading.Remark(reason=" ".join(flags), detail=detail),)
