"""Answers as they are handed in: a CSV of probabilities, and beside it how each row came about."""

import pathlib
from collections.abc import Iterable, Sequence

from spine_tf import labels
from spine_tf.readings import reading
from tfrecords import atomic, csv_text, output_place

REPORT_NAME = "predict_report.csv"
# Outputs whose report has that name; any other's has the output's own name before it.
_USUAL_OUTPUTS = ("submission.csv", "predictions.csv")
_REPORT_COLUMNS = ("row_id", "answered_by", "reason", "detail", "file", "models", "points")


def require_place(output_path: pathlib.Path) -> None:
    """Raises ValueError where the report beside an output can't be written."""
    begins = csv_text.beginning(_REPORT_COLUMNS)
    output_place.require_file(report_path(output_path), "the report of --output", begins=begins)


def write(path: pathlib.Path, task: labels.Task, grades: Iterable[reading.Grade]) -> None:
    """Writes the rows of grades."""
    write_rows(path, task, ((one.row_id, one.probabilities) for one in grades))


def write_rows(
    path: pathlib.Path, task: labels.Task, rows: Iterable[tuple[str, Sequence[float]]]
) -> None:
    """Writes `row_id` and one probability a class, which sum to 1."""
    written = ([name, *(f"{value:.9f}" for value in values)] for name, values in rows)
    _write_csv(path, ("row_id", *task.columns), written)


def write_report(
    path: pathlib.Path,
    grades: Iterable[reading.Grade],
    unasked: Iterable[tuple[str, reading.Remark]],
) -> None:
    """Writes by what each row was answered, and why: a line a remark, at least one a row.

    Rows that nobody asked for, or that can't be read, stand at the end.
    """
    nothing = reading.Remark(reason="", detail="")
    rows = [
        [one.row_id, one.answered_by, *_fields(remark), " ".join(one.models), one.points_by]
        for one in grades
        for remark in one.remarks or (nothing,)
    ]
    rows += [
        [name, reading.AnsweredBy.NOTHING, *_fields(remark), "", ""] for name, remark in unasked
    ]
    _write_csv(path, _REPORT_COLUMNS, rows)


def _fields(remark: reading.Remark) -> tuple[str, str, str]:
    return remark.reason, remark.detail, remark.file


def _write_csv(path: pathlib.Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    atomic.write_text(path, csv_text.to_text(columns, rows))


def report_path(output_path: pathlib.Path) -> pathlib.Path:
    """Returns where the report of an output lies, so that no two outputs share one.

    That is predict_report.csv beside submission.csv or predictions.csv, x_predict_report.csv
    beside x.csv; where both usual ones lie in a folder, the later one's has its own name too.
    """
    usual = output_path.with_name(REPORT_NAME)
    own = output_path.with_name(_own_report_name(output_path.name))
    if output_path.name not in _USUAL_OUTPUTS or own.exists():
        return own
    others = [output_path.with_name(name) for name in _USUAL_OUTPUTS if name != output_path.name]
    is_others = usual.exists() and any(
        other.exists() and not other.with_name(_own_report_name(other.name)).exists()
        for other in others
    )
    return own if is_others else usual


def _own_report_name(output_name: str) -> str:
    return f"{output_name.removesuffix('.csv')}_{REPORT_NAME}"
