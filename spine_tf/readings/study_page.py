"""The page of one study: grades, what is doubtful, and its slices; a file that asks for nothing."""

import dataclasses
import itertools
from collections.abc import Collection, Sequence
from typing import Any

import jinja2

from spine_tf import labels
from spine_tf.localization import gate, localization
from spine_tf.pages import charts, template
from spine_tf.readings import marking, reading, slice_pictures, study_file
from spine_tf.rsna import annotations

# Of a severity: a sign beside its word and its colour, so that none of them is needed.
_SIGNS = ("\N{WHITE CIRCLE}", "\N{CIRCLE WITH LEFT HALF BLACK}", "\N{BLACK CIRCLE}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Cell:
    """A grade in the table.

    Attributes:
        word: the grade; "" where nothing was graded.
        sign: stands for its severity.
        severity: index into SEVERITIES.
        parts: (class, severity, probability) of each class.
        by: what answered it.
        remarks: why it is flagged, or has the prior.
    """

    word: str
    sign: str
    severity: int
    parts: Sequence[tuple[str, int, float]]
    by: reading.AnsweredBy
    remarks: Sequence[reading.Remark]

    @property
    def bars(self) -> list[tuple[int, float, float]]:
        """(severity, where it begins, probability) of each class, side by side."""
        starts = itertools.accumulate((share for *_, share in self.parts), initial=0.0)
        return [
            (severity, start, share)
            for (_, severity, share), start in zip(self.parts, starts, strict=False)
        ]

    @property
    def in_words(self) -> str:
        """The probabilities."""
        return ", ".join(f"{name} {charts.percent(share, 0)}" for name, _, share in self.parts)


def render(
    one: reading.Reading,
    pictures: Sequence[slice_pictures.SlicePicture],
    *,
    index: str = "",
) -> str:
    """Returns the page.

    Args:
        one: the study.
        pictures: its slices.
        index: address of the page of all studies; "" where there is none.
    """
    return _load("study.html.jinja").render(index=index, **_facts(one, pictures))


def render_parts(
    one: reading.Reading,
    pictures: Sequence[slice_pictures.SlicePicture],
    *,
    marked: Collection[tuple[int, int]],
) -> str:
    """Returns the sections of the page, as a page shows them on which points are corrected.

    Args:
        one: the study.
        pictures: its slices.
        marked: condition and level of the points that a reader has marked.
    """
    facts = {**_facts(one, pictures), "is_editable": True}
    return _load("study_parts.html.jinja").render(marked=sorted(marked), **facts)


def render_marking(picture: slice_pictures.SlicePicture, proposal: marking.Proposal) -> str:
    """Returns a slice on which a point is to be marked, and the way to those beside it."""
    facts = {"is_editable": True, "flags_of": _flags_of, "row_words": _point_in_words}
    return _load("marking.html.jinja").render(shown=picture, proposal=proposal, **facts)


def style() -> str:
    """Returns the style sheet of what is in the sections."""
    return _load("study.css.jinja").render()


def _load(name: str) -> jinja2.Template:
    return template.load("spine_tf.readings", name)


def _facts(one: reading.Reading, pictures: Sequence[slice_pictures.SlicePicture]) -> dict[str, Any]:
    """What the templates know."""
    return {
        "one": one,
        "conditions": [labels.in_words(name) for name in _conditions(one)],
        "table": _table(one),
        "numbering": numbering_in_words(one),
        "missing": missing_in_words(one),
        "remarks": _remarks(one),
        "unreadable": localization.unreadable_in_words(one.result.study.unreadable),
        "sagittal": [each for each in pictures if not each.is_axial],
        "axial": [each for each in pictures if each.is_axial],
        "flags_of": _flags_of,
        "row_words": _point_in_words,
        "row_of": _row_in_words,
        "all_rows": [(c, v) for v in range(len(labels.LEVELS)) for c in range(5)],
        "is_editable": False,
    }


def _conditions(one: reading.Reading) -> list[str]:
    found = sorted({grade.condition for grade in one.grades})
    return [labels.CONDITIONS[condition] for condition in found]


def _table(one: reading.Reading) -> list[tuple[str, list[_Cell | None]]]:
    """(level, a cell a condition) of each level; None where nothing was asked."""
    by_row = {(grade.condition, grade.level): grade for grade in one.grades}
    conditions = sorted({condition for condition, _ in by_row})
    return [
        (
            labels.in_words(labels.LEVELS[level]),
            [_cell(by_row.get((condition, level)), one.readers) for condition in conditions],
        )
        for level in sorted({level for _, level in by_row})
    ]


def _cell(grade: reading.Grade | None, readers: reading.Readers) -> _Cell | None:
    if grade is None or readers.task is None:
        return None
    severities = readers.task.class_severities
    best = grade.probabilities.index(max(grade.probabilities))
    return _Cell(
        word=study_file.grade_of(grade, readers) or "",
        sign=_SIGNS[severities[best]],
        severity=severities[best],
        parts=list(zip(readers.task.classes, severities, grade.probabilities, strict=True)),
        by=grade.answered_by,
        remarks=grade.remarks,
    )


def numbering_in_words(one: reading.Reading) -> str:
    """Returns how sure the levels' names are."""
    if not one.result.points:
        return "none was named"
    if one.result.localized is None:
        return "as given"
    above, own, below = one.result.localized.probabilities
    return (
        f"{charts.percent(own, 0)} as named, {charts.percent(above, 0)} one higher, "
        f"{charts.percent(below, 0)} one lower"
    )


def missing_in_words(one: reading.Reading) -> list[tuple[str, str]]:
    """Returns (rows, why) of rows without a point that nobody grades, a line a reason."""
    graded = {(grade.condition, grade.level) for grade in one.grades}
    by_reason: dict[gate.Missing, list[str]] = {}
    for gap in one.result.gaps:
        if (gap.condition, gap.level) not in graded:
            by_reason.setdefault(gap.reason, []).append(_row_in_words(gap.condition, gap.level))
    return [(_listed(rows), reason.meaning) for reason, rows in by_reason.items()]


def _listed(rows: Sequence[str]) -> str:
    return f"{len(rows)} rows" if len(rows) > 3 else ", ".join(rows)


def _row_in_words(condition: int, level: int) -> str:
    return (
        f"{labels.in_words(labels.CONDITIONS[condition])} {labels.in_words(labels.LEVELS[level])}"
    )


def _remarks(one: reading.Reading) -> list[tuple[str, str]]:
    """(rows, why) of rows that have the prior, or lost an image; flags are said of the study."""
    by_reason: dict[str, list[str]] = {}
    for grade in one.grades:
        for remark in grade.remarks:
            is_flag = grade.answered_by is reading.AnsweredBy.FLAGGED and not remark.file
            if not is_flag:
                why = f"{grade.answered_by}, since {remark.detail}"
                row = _row_in_words(grade.condition, grade.level)
                by_reason.setdefault(why, []).append(row)
    return [(_listed(list(dict.fromkeys(rows))), why) for why, rows in by_reason.items()]


def _point_in_words(row: annotations.Annotation) -> str:
    return _row_in_words(row.condition, row.level)


def _flags_of(row: annotations.Annotation) -> str:
    """The flags of a point, in words."""
    known = {doubt.value: doubt.meaning for doubt in gate.Doubt}
    return "; ".join(known.get(flag, flag) for flag in row.flag.split())
