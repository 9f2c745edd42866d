"""What a row's image tells, and its place in the patient beside other rows."""

from collections.abc import Iterator, Mapping

from spine_tf import labels
from spine_tf.auditing import finding, headers, level_order, point, sides
from spine_tf.dicom import header, reasons
from spine_tf.rsna import annotations, layout

# The series that a condition is marked on.
DESCRIPTIONS = {
    "spinal_canal_stenosis": "Sagittal T2/STIR",
    "neural_foraminal_narrowing": "Sagittal T1",
    "subarticular_stenosis": "Axial T2",
}


def find(
    read: annotations.Annotations, answers: Mapping[headers.Image, headers.Answer], side: str
) -> Iterator[finding.Finding]:
    """Yields findings about usable rows; one that is wrong by itself isn't compared with others.

    Args:
        read: the CSVs.
        answers: the headers of the rows' images.
        side: of the data set.
    """
    points: dict[tuple[int, int, int], point.Point] = {}
    for kind, row, detail in [
        *_alone(read, answers, points),
        *level_order.find(points.values()),
        *sides.find(points.values()),
    ]:
        yield finding.of_row(kind, row, detail, layout.image_name(side, *row.image))


def _alone(
    read: annotations.Annotations,
    answers: Mapping[headers.Image, headers.Answer],
    points: dict[tuple[int, int, int], point.Point],
) -> Iterator[finding.Observation]:
    """Yields what is wrong with single rows; puts the others, by target, into `points`."""
    keys: dict[tuple[int, int, int], str] = {}
    for row in read.rows:
        answer, target = answers[row.image], (row.study_id, row.condition, row.level)
        if isinstance(answer, reasons.Rejected):
            yield _no_header(answer), row, f"{answer.reason}: {answer.detail}"
        elif (problem := _problem(row, answer, read.series)) is not None:
            yield problem[0], row, problem[1]
        elif target in keys:
            yield finding.Kind.REPEATED_POINT, row, f"{keys[target]} stands before it"
        else:
            keys[target] = row.key
            if (placed := point.make_point(row, answer)) is not None:
                points[target] = placed


def _no_header(rejected: reasons.Rejected) -> finding.Kind:
    is_missing = rejected.reason is reasons.Reason.MISSING_FILE
    return finding.Kind.MISSING_IMAGE if is_missing else finding.Kind.UNUSABLE_IMAGE


def _problem(
    row: annotations.Annotation,
    slice_header: header.Header,
    series: Mapping[tuple[int, int], str],
) -> tuple[finding.Kind, str] | None:
    description = series[row.study_id, row.series_id]
    condition = labels.CONDITIONS[row.condition]
    expected = DESCRIPTIONS[condition.removeprefix("left_").removeprefix("right_")]
    if description in DESCRIPTIONS.values() and description != expected:
        return finding.Kind.UNEXPECTED_SERIES, f"on {description}, expected {expected}"
    rows, columns = slice_header.shape
    where = f"x {row.x:.1f}, y {row.y:.1f} on {columns} columns and {rows} rows"
    if not point.is_on_image(row, slice_header):
        return finding.Kind.OFF_IMAGE, where
    return (finding.Kind.PLACEHOLDER_POINT, where) if point.is_placeholder(row) else None
