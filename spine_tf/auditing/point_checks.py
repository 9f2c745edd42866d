"""What is wrong with points: alone, on their image, and in the patient beside other points."""

import collections
import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence

from spine_tf import labels
from spine_tf.auditing import finding
from spine_tf.dicom import geometry, header, reasons
from spine_tf.rsna import annotations, layout

Image = tuple[int, int, int]
"""Study, series and instance."""
Answer = header.Header | reasons.Rejected
"""The header of an image, or why it has none."""

# The series that a condition is marked on.
DESCRIPTIONS = {
    "spinal_canal_stenosis": "Sagittal T2/STIR",
    "neural_foraminal_narrowing": "Sagittal T1",
    "subarticular_stenosis": "Axial T2",
}

# Placeholders lie at about 5, 5 px; no structure of the spine lies in that corner.
_CORNER_PX = 10.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Point:
    """A row and where it is in the patient.

    Attributes:
        row: the point's row in the coordinates CSV.
        left, back, head: mm along the patient's axes.
    """

    row: annotations.Annotation
    left: float
    back: float
    head: float


def find(
    read: annotations.Annotations, answers: Mapping[Image, Answer], side: str
) -> Iterator[finding.Finding]:
    """Yields findings about rows; one that is wrong by itself isn't compared with others.

    Args:
        read: the CSVs.
        answers: the headers of the usable rows' images.
        side: the data set's side, "train" or "test".
    """
    yield from _of_tables(read)
    points: dict[tuple[int, int, int], Point] = {}
    for kind, row, detail in [
        *_of_single_rows(read, answers, points),
        *_of_level_order(points.values()),
        *_of_pairs(points.values()),
    ]:
        yield finding.of_row(kind, row, detail, layout.image_name(side, *row.image))


def _of_tables(read: annotations.Annotations) -> Iterator[finding.Finding]:
    """What the CSVs alone tell."""
    usable_keys = frozenset(row.key for row in read.rows)
    for reject in read.rejects:
        yield finding.of_reject(reject, usable_keys)
    for fault in read.faults:
        yield finding.of_fault(fault)
    for study, condition, level in read.unplaced:
        yield finding.Finding(
            kind=finding.Kind.LABEL_WITHOUT_COORDINATE,
            detail=f"{layout.LABELS_CSV} has a severity, the coordinates CSV no row",
            place=f"{study}/{labels.CONDITIONS[condition]}/{labels.LEVELS[level]}",
        )


def _of_single_rows(
    read: annotations.Annotations,
    answers: Mapping[Image, Answer],
    points: dict[tuple[int, int, int], Point],
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
            if (placed := _make_point(row, answer)) is not None:
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
    expected = expected_description(row.condition)
    if description in DESCRIPTIONS.values() and description != expected:
        return finding.Kind.UNEXPECTED_SERIES, f"on {description}, expected {expected}"
    rows, columns = slice_header.shape
    where = f"x {row.x:.1f}, y {row.y:.1f} on {columns} columns and {rows} rows"
    if not is_on_image(row, slice_header):
        return finding.Kind.OFF_IMAGE, where
    return (finding.Kind.PLACEHOLDER_POINT, where) if _is_placeholder(row) else None


def expected_description(condition: int) -> str:
    """Returns the kind of series that a condition is graded on."""
    name = labels.CONDITIONS[condition].removeprefix("left_").removeprefix("right_")
    return DESCRIPTIONS[name]


def _make_point(row: annotations.Annotation, slice_header: header.Header) -> Point | None:
    """Places a row in the patient; None where the slice doesn't say where it is."""
    place = geometry.to_patient(slice_header, (row.x, row.y))
    if place is None:
        return None
    left, back, head = place
    return Point(row=row, left=left, back=back, head=head)


def _is_placeholder(row: annotations.Annotation) -> bool:
    """Returns whether a row's point lies in the corner where placeholders do."""
    return 0 <= row.x < _CORNER_PX and 0 <= row.y < _CORNER_PX


def is_on_image(row: annotations.Annotation, slice_header: header.Header) -> bool:
    """Returns whether a row's point is on its image: pixels reach half a pixel around centres."""
    rows, columns = slice_header.shape
    return -0.5 <= row.x < columns - 0.5 and -0.5 <= row.y < rows - 0.5


def _of_level_order(points: Iterable[Point]) -> Iterator[finding.Observation]:
    """Yields the points that are out of order in their series.

    A point is out of order if some longest run of levels that does follow the spine is without it:
    of two exchanged points both are, of one that went astray only that one.

    Args:
        points: one a study, condition and level.
    """
    groups = collections.defaultdict(list)
    for item in points:
        groups[item.row.study_id, item.row.series_id, item.row.condition].append(item)
    for group in groups.values():
        in_order = sorted(group, key=lambda item: item.row.level)
        heights = [item.head for item in in_order]
        for index in out_of_order(heights):
            detail = _describe(in_order, index)
            yield finding.Kind.LEVEL_ORDER, in_order[index].row, detail


def out_of_order(heights: Sequence[float]) -> list[int]:
    """Returns the indices that some longest falling subsequence is without."""
    before = _run_lengths(heights)
    after = _run_lengths([-height for height in reversed(heights)])[::-1]
    longest = max(before, default=0)
    # At each place of a longest run stands an index; where only one can, every longest run has it.
    candidates = collections.Counter(
        a for a, b in zip(before, after, strict=True) if a + b - 1 == longest
    )
    return [
        index
        for index, (a, b) in enumerate(zip(before, after, strict=True))
        if a + b - 1 != longest or candidates[a] > 1
    ]


def _run_lengths(heights: Sequence[float]) -> list[int]:
    """The length of the longest falling subsequence that ends at each index."""
    lengths: list[int] = []
    for index, height in enumerate(heights):
        shorter = [lengths[i] for i in range(index) if heights[i] > height]
        lengths.append(1 + max(shorter, default=0))
    return lengths


def _describe(in_order: Sequence[Point], index: int) -> str:
    head = in_order[index].head
    above = [item for item in in_order[index + 1 :] if item.head >= head]
    below = [item for item in in_order[:index] if item.head <= head]
    parts = [f"{item.head - head:.1f} mm below {_level(item)}" for item in above]
    parts += [f"{head - item.head:.1f} mm above {_level(item)}" for item in below]
    return f"{_level(in_order[index])} lies {' and '.join(parts)}"


def _level(item: Point) -> str:
    return labels.LEVELS[item.row.level].replace("_", "/").upper()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """Distances across the patient between which left and right of a level lie, in mm."""

    closest: float
    farthest: float


# Recesses are about 16 to 18 mm apart, foramina about 30: far outside that is no anatomy.
_LIMITS = {
    "subarticular_stenosis": Limits(closest=5.0, farthest=40.0),
    "neural_foraminal_narrowing": Limits(closest=10.0, farthest=80.0),
}


def _of_pairs(points: Iterable[Point]) -> Iterator[finding.Observation]:
    """Yields both points of each pair that is swapped, too close or too far apart.

    Slices and series of a pair may differ: the patient's coordinates are compared.

    Args:
        points: one a study, condition and level.
    """
    by_target = {
        (item.row.study_id, labels.CONDITIONS[item.row.condition], item.row.level): item
        for item in points
    }
    for (study, condition, level), left in by_target.items():
        name = condition.removeprefix("left_")
        right = by_target.get((study, f"right_{name}", level))
        if name == condition or right is None:
            continue
        distance = left.left - right.left
        if (kind := judge_pair(distance, _LIMITS[name])) is not None:
            towards = "left" if distance >= 0 else "right"
            detail = f"the left point lies {abs(distance):.1f} mm to the {towards} of the right one"
            yield kind, left.row, detail
            yield kind, right.row, detail


def judge_pair(distance: float, limits: Limits) -> finding.Kind | None:
    """Returns what is wrong with a pair whose left point lies so many mm left of the right one."""
    if abs(distance) < limits.closest:
        return finding.Kind.PAIR_TOO_CLOSE
    if abs(distance) > limits.farthest:
        return finding.Kind.PAIR_TOO_FAR
    return finding.Kind.SIDES_SWAPPED if distance < 0 else None
