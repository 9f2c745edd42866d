"""study.json: a study's reading for programs. docs/data.md says what each field means."""

from typing import Any

from spine_tf import labels
from spine_tf.localization import localization
from spine_tf.pages import template
from spine_tf.readings import reading
from spine_tf.rsna import annotations

FORMAT_VERSION = 1


def to_json(one: reading.Reading) -> dict[str, Any]:
    """Returns the content of a file."""
    readers = one.readers
    return {
        "format_version": FORMAT_VERSION,
        "disclaimer": template.DISCLAIMER,
        "study_id": str(one.study_id),
        "doubt": round(one.result.doubt, 4),
        "points_by": one.points_by,
        "models": [{"name": model.name, "sha256": model.sha256} for model in readers.models],
        "classes": _classes(readers.task),
        "is_competition_weighted": readers.is_competition_weighted,
        "numbering": _numbering(one.result),
        "flags": [{"code": doubt.value, "meaning": doubt.meaning} for doubt in one.flags],
        "routes": one.routes,
        "rows": [_row(grade, readers) for grade in one.grades],
        "points": [_point(row, one) for row in one.result.points],
        "missing": [
            {**_at(gap.condition, gap.level), "reason": gap.reason.value} for gap in one.result.gaps
        ],
        "unreadable_files": list(one.result.study.unreadable),
    }


def _classes(task: labels.Task | None) -> dict[str, str]:
    """Column of a probability -> what the class is called."""
    return dict(zip(task.columns, task.classes, strict=True)) if task else {}


def _numbering(result: localization.StudyResult) -> dict[str, Any] | None:
    """Discs are numbered from the lowest; None where nothing is named, or by somebody."""
    if result.localized is None or not result.points:
        return None
    above, own, below = (round(share, 4) for share in result.localized.probabilities)
    return {"from": "lowest disc", "one_higher": above, "as_named": own, "one_lower": below}


def _row(grade: reading.Grade, readers: reading.Readers) -> dict[str, Any]:
    columns = readers.task.columns if readers.task else ()
    return {
        "row_id": grade.row_id,
        **_at(grade.condition, grade.level),
        "grade": grade_of(grade, readers),
        "probabilities": {
            name: round(value, 9) for name, value in zip(columns, grade.probabilities, strict=True)
        },
        "answered_by": grade.answered_by.value,
        "models": list(grade.models),
        "remarks": [
            {"reason": str(one.reason), "detail": one.detail, "file": one.file}
            for one in grade.remarks
        ],
    }


def grade_of(grade: reading.Grade, readers: reading.Readers) -> str | None:
    """Returns the class that is most probable, of several the first; None of a prior."""
    if readers.task is None or grade.answered_by is reading.AnsweredBy.PRIOR:
        return None
    values = grade.probabilities
    return readers.task.classes[values.index(max(values))]


def _at(condition: int, level: int) -> dict[str, str]:
    return {"condition": labels.CONDITIONS[condition], "level": labels.LEVELS[level]}


def _point(row: annotations.Annotation, one: reading.Reading) -> dict[str, Any]:
    place = one.places.point(row)
    above, own, below = (round(share, 4) for share in row.numbering)
    return {
        **_at(row.condition, row.level),
        "series_id": str(row.series_id),
        "instance_number": row.instance_number,
        "x": row.x,
        "y": row.y,
        "patient_mm": None if place is None else [round(float(part), 3) for part in place],
        "confidence": round(row.confidence, 4),
        "numbering": {"one_higher": above, "as_named": own, "one_lower": below},
        "flags": row.flag.split(),
    }
