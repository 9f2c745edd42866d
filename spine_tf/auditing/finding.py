"""What an audit finds: a fixed vocabulary, one finding, and findings as a table."""

import collections
import dataclasses
import enum
import pathlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

from spine_tf.dicom import reasons
from spine_tf.pages import frame
from spine_tf.rsna import annotations, tables
from tfrecords import csv_text

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS = ("key", "finding", "severity", "detail", "file", "place")


class Severity(enum.StrEnum):
    """An error is a row that is better left out; a notice is to be known, and keeps its rows."""

    ERROR = "error"
    NOTICE = "notice"


class Kind(enum.StrEnum):
    """What may be wrong; errors first, in the order of a report."""

    PLACEHOLDER_POINT = "placeholder_point"
    OFF_IMAGE = "off_image"
    LEVEL_ORDER = "level_order"
    SIDES_SWAPPED = "sides_swapped"
    PAIR_TOO_CLOSE = "pair_too_close"
    PAIR_TOO_FAR = "pair_too_far"
    UNEXPECTED_SERIES = "unexpected_series"
    MISSING_IMAGE = "missing_image"
    UNUSABLE_IMAGE = "unusable_image"
    UNUSABLE_ROW = "unusable_row"
    REPEATED_POINT = "repeated_point"
    UNREADABLE_LINE = "unreadable_line"
    CONFLICTING_LINE = "conflicting_line"
    COORDINATE_WITHOUT_LABEL = "coordinate_without_label"
    LABEL_WITHOUT_COORDINATE = "label_without_coordinate"
    MIXED_STACKS = "mixed_stacks"
    NO_GEOMETRY = "no_geometry"
    ODD_SPACING = "odd_spacing"
    UNKNOWN_DESCRIPTION = "unknown_description"
    MISSING_SERIES = "missing_series"
    INSTANCE_GAP = "instance_gap"
    EXTRA_SERIES = "extra_series"
    EXTRA_FILE = "extra_file"

    @property
    def severity(self) -> Severity:
        """Whether it is an error or a notice."""
        return Severity.ERROR if self in _ERRORS else Severity.NOTICE

    @property
    def meaning(self) -> str:
        """What it says, in a sentence."""
        return _MEANINGS[self]


_ERRORS = frozenset(list(Kind)[: list(Kind).index(Kind.REPEATED_POINT)])
_MEANINGS = {
    Kind.PLACEHOLDER_POINT: "The point lies in the corner of the image, about 5, 5 px.",
    Kind.OFF_IMAGE: "The point is not on its image.",
    Kind.LEVEL_ORDER: "Points of one condition don't follow the spine from L1/L2 down to L5/S1.",
    Kind.SIDES_SWAPPED: "In the patient, the left point lies to the right of the right one.",
    Kind.PAIR_TOO_CLOSE: "Left and right of a level are nearly one point; either may be wrong.",
    Kind.PAIR_TOO_FAR: "Left and right of a level are too far apart; either may be wrong.",
    Kind.UNEXPECTED_SERIES: "The point is on another kind of series than its condition belongs to.",
    Kind.MISSING_IMAGE: "The row's image is not there.",
    Kind.UNUSABLE_IMAGE: "The header of the row's image says that it can't be converted.",
    Kind.UNUSABLE_ROW: "The row of the coordinates CSV, or its label, can't be used.",
    Kind.REPEATED_POINT: "A condition and level of a study has more than one point.",
    Kind.UNREADABLE_LINE: "A line of train.csv or the series CSV can't be read; rows that need it "
    "are not converted.",
    Kind.CONFLICTING_LINE: "A line of train.csv or the series CSV contradicts an earlier one; rows "
    "that need it are not converted.",
    Kind.COORDINATE_WITHOUT_LABEL: "The point has no severity in train.csv; it is not converted.",
    Kind.LABEL_WITHOUT_COORDINATE: "The severity in train.csv has no point; it is not converted.",
    Kind.MIXED_STACKS: (
        "The annotated slices of a series differ in acquisition, shape, spacing or orientation."
    ),
    Kind.NO_GEOMETRY: "Annotated slices don't say where they lie; sides and order go unchecked.",
    Kind.ODD_SPACING: "PixelSpacing is far from that of the series like it; if it is wrong, so is "
    "each crop's side in mm.",
    Kind.UNKNOWN_DESCRIPTION: "The series has a description that is none of the three known ones.",
    Kind.MISSING_SERIES: "The series CSV names a series that has no images.",
    Kind.INSTANCE_GAP: "The instance numbers of a series have gaps: images may be missing.",
    Kind.EXTRA_SERIES: "There are images of a series that the series CSV doesn't name.",
    Kind.EXTRA_FILE: "There are files that are no image of any series.",
}


Observation = tuple[Kind, annotations.Annotation, str]
"""What is wrong with a usable row, and a detail."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        kind: what.
        detail: numbers and names.
        place: what it concerns: a row's key, a study, a series, or a label's target.
        key: key of the row that should be left out; empty where none should.
        file: the image or folder, relative to the data set.
        row: the point, where there is one.
    """

    kind: Kind
    detail: str
    place: str
    key: str = ""
    file: str = ""
    row: annotations.Annotation | None = None


def of_row(kind: Kind, row: annotations.Annotation, detail: str, file: str) -> Finding:
    """Returns a finding about a usable row; errors carry its key."""
    key = row.key if kind.severity is Severity.ERROR else ""
    return Finding(kind=kind, detail=detail, place=row.key, key=key, file=file, row=row)


def of_reject(reject: reasons.Reject, usable_keys: frozenset[str]) -> Finding:
    """Returns a finding about a row that can't be used.

    Its key is empty where a usable row has the same: leaving that one out would be wrong.
    """
    if reject.reason is reasons.Reason.NO_LABEL:
        kind = Kind.COORDINATE_WITHOUT_LABEL
    else:
        kind = Kind.UNUSABLE_ROW
    has_key = kind.severity is Severity.ERROR and reject.key not in usable_keys
    return Finding(
        kind=kind,
        detail=f"{reject.reason}: {reject.detail}",
        place=reject.key,
        key=reject.key if has_key else "",
        file=reject.file,
    )


def of_fault(fault: tables.Fault) -> Finding:
    """Returns a finding about a line of train.csv or of the series CSV."""
    is_unreadable = fault.reason in (reasons.Reason.BAD_ID, reasons.Reason.BAD_ROW)
    ids = [str(each) for each in (fault.study, fault.series) if each is not None]
    return Finding(
        kind=Kind.UNREADABLE_LINE if is_unreadable else Kind.CONFLICTING_LINE,
        detail=f"{fault.reason}: {fault.in_words()}",
        # The id of a line that can't be read is no study's.
        place="" if is_unreadable else "/".join(ids),
    )


def to_csv(findings: Iterable[Finding]) -> str:
    """Returns a CSV, which `convert --exclude` takes, with one line a finding.

    The key is empty where no row is to be left out.
    """
    rows = (
        (item.key, item.kind.value, item.kind.severity.value, item.detail, item.file, item.place)
        for item in findings
    )
    return csv_text.to_text(_COLUMNS, rows)


def to_frame(findings: Iterable[Finding]) -> "pd.DataFrame":
    """Returns the findings as a table with the columns of `to_csv`, all of them text."""
    return frame.parse(to_csv(findings), _COLUMNS)


def read_findings(path: pathlib.Path | str) -> "pd.DataFrame":
    """Reads the CSV of an audit, as `to_frame` returns it.

    Raises:
        ValueError: there is none.
    """
    return frame.read_csv(pathlib.Path(path), _COLUMNS, writer="spine_tf.audit")


def by_kind(findings: Iterable[Finding]) -> dict[Kind, list[Finding]]:
    """Returns the findings of each kind that was found, in the order of the kinds."""
    groups = collections.defaultdict(list)
    for item in findings:
        groups[item.kind].append(item)
    return {kind: groups[kind] for kind in Kind if kind in groups}


def num_studies(findings: Iterable[Finding]) -> int:
    """Returns in how many studies the findings are."""
    return len({item.place.partition("/")[0] for item in findings})
