"""The rows of the coordinates CSV: joined with labels and series, checked, or rejected."""

import dataclasses
import functools
import math
from collections.abc import Collection, Mapping, Sequence

from spine_tf import labels
from spine_tf.dicom import reasons
from spine_tf.rsna import gradings, layout, point_doubts, series_list, sources, tables

_COLUMNS = ("study_id", "series_id", "instance_number", "condition", "level", "x", "y")
_CONDITIONS = {name: index for index, name in enumerate(labels.CONDITIONS)}
_LEVELS = {name: index for index, name in enumerate(labels.LEVELS)}

# What may be wrong with a grade; the point is as good as it was.
_OF_LABEL = {
    reasons.Reason.NO_LABEL,
    reasons.Reason.BAD_LABEL,
    reasons.Reason.CONFLICTING_LABELS,
}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Annotation:
    """A point that someone marked on an image.

    Attributes:
        study_id, series_id, instance_number: the image.
        condition, level: indices into `spine_tf.labels`.
        x, y: column and row in pixels; integers are pixel centres.
        label: index into SEVERITIES; None where labels were not asked for.
        confidence: how sure a point is that was found, in [0, 1]; 1 where somebody marked it.
        numbering: probabilities that the level is in truth the one above, itself, the one below;
            they sum to 1.
        flag: why a reader should look at it; "" where nothing is odd.
    """

    study_id: int
    series_id: int
    instance_number: int
    condition: int
    level: int
    x: float
    y: float
    label: int | None
    confidence: float = 1.0
    numbering: tuple[float, float, float] = point_doubts.CERTAIN
    flag: str = ""

    @property
    def image(self) -> tuple[int, int, int]:
        """Study, series and instance."""
        return self.study_id, self.series_id, self.instance_number

    @property
    def key(self) -> str:
        """study/series/instance/condition/level."""
        return "/".join(
            (
                str(self.study_id),
                str(self.series_id),
                str(self.instance_number),
                labels.CONDITIONS[self.condition],
                labels.LEVELS[self.level],
            )
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Annotations:
    """What the CSVs of one side say.

    Attributes:
        rows: usable ones, in the order of the file.
        rejects: selected ones that can't be used, in the order of the file.
        groups: study -> group that folds keep whole (patient_id where that column exists); every
            study of train.csv, or of the series CSV where labels were not asked for.
        series: (study, series) -> description.
        counts: what else was seen: of train.csv `labels_without_coordinates`, `unreadable_rows`,
            `repeated_studies`; `repeated_points`, rows whose target has an earlier one.
        unplaced: (study, condition, level) of labels without a coordinate.
        faults: rows of train.csv and of the series CSV that can't be read or contradict others.
        unmatched: excluded keys that no row has.
        severities: target -> index into SEVERITIES, of all labels that can be used.
    """

    rows: list[Annotation]
    rejects: list[reasons.Reject]
    groups: dict[int, str]
    series: dict[tuple[int, int], str]
    counts: dict[str, int]
    unplaced: tuple[tuple[int, int, int], ...] = ()
    faults: tuple[tables.Fault, ...] = ()
    unmatched: tuple[str, ...] = ()
    severities: Mapping[gradings.Target, int] = dataclasses.field(default_factory=dict)


def read_annotations(
    source: sources.Source,
    *,
    conditions: Sequence[str] = labels.CONDITIONS,
    levels: Sequence[str] = labels.LEVELS,
    has_labels: bool = True,
    excluded_keys: frozenset[str] = frozenset(),
    points: tables.Table | None = None,
    requires_labels: bool = True,
) -> Annotations:
    """Reads and checks the CSVs.

    Args:
        source: one side of a data set.
        conditions, levels: which rows are selected.
        has_labels: read train.csv and reject rows without a label; otherwise labels are None, and
            a side may have no coordinates CSV.
        excluded_keys: keys of rows to leave out.
        points: those of `given_points`, instead of the data set's own; how sure a point is
            is read from these alone.
        requires_labels: with labels, a row without one is a reject. Else its label is None, and
            words that are no severity are among the faults.

    Raises:
        ValueError: a CSV or a column is missing, or an unknown condition or level is asked for.
    """
    check_names("conditions", conditions, labels.CONDITIONS)
    check_names("levels", levels, labels.LEVELS)
    series = series_list.read(source, source.side)
    graded = gradings.read_gradings(source, conditions, levels) if has_labels else None
    points_csv = layout.coordinates_csv(source.side)
    checker = _Checker(
        source=source,
        selected=frozenset((c, v) for c in conditions for v in levels),
        series=series,
        graded=graded,
        excluded_keys=excluded_keys,
        requires_labels=requires_labels,
    )
    if points is not None:
        checker.check_table(points, has_doubts=True)
    elif has_labels or tables.is_there(source, points_csv):
        checker.check_table(tables.read_table(source, points_csv))
    counts = dict(graded.counts) if graded else {}
    unplaced = sorted(graded.severities.keys() - checker.seen) if graded else []
    if graded:
        counts["labels_without_coordinates"] = len(unplaced)
    if checker.num_repeated:
        counts["repeated_points"] = checker.num_repeated
    return Annotations(
        rows=checker.rows,
        rejects=checker.rejects,
        groups=graded.groups if graded else {s: str(s) for s, _ in series.descriptions},
        series=series.descriptions,
        counts=counts,
        unplaced=tuple(unplaced),
        faults=(
            *(graded.faults if graded else ()),
            *(graded.unknown_words() if graded and not requires_labels else ()),
            *series.faults,
        ),
        unmatched=tuple(sorted(excluded_keys - checker.all_keys)),
        severities=graded.usable() if graded else {},
    )


def check_names(flag: str, names: Sequence[str], known: Sequence[str]) -> None:
    """Raises ValueError unless names are known, unique and at least one."""
    for name in names:
        if name not in known:
            raise ValueError(f"--{flag} has {name!r}, expected all or some of {', '.join(known)}")
    if not names or len(set(names)) != len(names):
        raise ValueError(f"--{flag} is {','.join(names)!r}, expected each name once")


class _Checker:
    """Checks one row after the other; the order of the checks decides which reason is named."""

    def __init__(
        self,
        *,
        source: sources.Source,
        selected: frozenset[tuple[str, str]],
        series: series_list.SeriesList,
        graded: gradings.Gradings | None,
        excluded_keys: frozenset[str],
        requires_labels: bool,
    ) -> None:
        self._source = source
        self._selected = selected
        self._series = series
        self._studies_of_series: dict[int, int] = {s: study for study, s in series.descriptions}
        self._graded = graded
        self._excluded_keys = excluded_keys
        self._requires_labels = requires_labels
        self._lines: dict[str, tuple[int, list[str]]] = {}
        self._targets: set[tuple[int, int, int]] = set()
        self.all_keys: set[str] = set()
        self.num_repeated = 0
        self.seen: set[tuple[int, int, int]] = set()
        self.rows: list[Annotation] = []
        self.rejects: list[reasons.Reject] = []

    def check_table(self, table: tables.Table, *, has_doubts: bool = False) -> None:
        columns = [table.index(name) for name in _COLUMNS]
        for line, row in zip(table.lines, table.rows, strict=True):
            if table.is_whole(row):
                doubted = row if has_doubts else None
                self._check_row(table, line, [row[column] for column in columns], doubted)
            else:
                detail = f"{table.place(line)}: {table.why_broken(row)}"
                self._reject("/".join(row[:5]), reasons.Reason.BAD_ROW, detail)

    def _check_row(
        self, table: tables.Table, line: int, fields: list[str], doubted: list[str] | None
    ) -> None:
        condition = fields[3].lower().replace(" ", "_")
        level = fields[4].lower().replace("/", "_")
        key = "/".join((*fields[:3], condition, level))
        self.all_keys.add(key)
        if condition not in _CONDITIONS:
            self._reject(key, reasons.Reason.UNKNOWN_CONDITION, f"condition is {fields[3]!r}")
        elif level not in _LEVELS:
            self._reject(key, reasons.Reason.UNKNOWN_LEVEL, f"level is {fields[4]!r}")
        elif (condition, level) in self._selected:
            try:
                target = _CONDITIONS[condition], _LEVELS[level]
                annotation = self._annotation(table, line, fields, *target)
                if doubted is not None:
                    doubts = point_doubts.parse(table, doubted)
                    annotation = dataclasses.replace(annotation, **doubts._asdict())
                self._require_first(annotation.key, line, fields)
                self._add(self._labelled(annotation))
            except reasons.Rejected as rejected:
                self._reject(
                    key, rejected.reason, rejected.detail, _file(self._source.side, fields)
                )

    def _reject(self, key: str, reason: reasons.Reason, detail: str, file: str = "") -> None:
        self.rejects.append(reasons.Reject(key=key, reason=reason, detail=detail, file=file))

    def _add(self, annotation: Annotation) -> None:
        target = annotation.study_id, annotation.condition, annotation.level
        self.num_repeated += target in self._targets
        self._targets.add(target)
        self.rows.append(annotation)

    def _annotation(
        self, table: tables.Table, line: int, fields: list[str], condition: int, level: int
    ) -> Annotation:
        ids = [tables.parse_id(text) for text in fields[:3]]
        for name, text, value in zip(_COLUMNS, fields, ids, strict=False):
            if value is None:
                detail = f"{table.place(line)}: {tables.why_no_id(name, text)}"
                raise reasons.Rejected(reasons.Reason.BAD_ID, detail)
        study, series, instance = (value for value in ids if value is not None)
        self.seen.add((study, condition, level))
        annotation = Annotation(
            study_id=study,
            series_id=series,
            instance_number=instance,
            condition=condition,
            level=level,
            x=_coordinate("x", fields[5]),
            y=_coordinate("y", fields[6]),
            label=None,
        )
        self._check_series(study, series)
        return annotation

    def _check_series(self, study: int, series: int) -> None:
        if (study, series) in self._series.conflicts:
            fault = self._series.conflicts[study, series]
            raise reasons.Rejected(fault.reason, fault.in_words())
        if (study, series) in self._series.descriptions:
            return
        file = layout.series_csv(self._source.side)
        rejected = gradings.missing(self._series.faults, file, "series", study, series)
        if rejected.reason is reasons.Reason.UNKNOWN_SERIES and series in self._studies_of_series:
            raise reasons.Rejected(
                reasons.Reason.WRONG_STUDY,
                f"the series belongs to study {self._studies_of_series[series]}",
            )
        if (study, series) in self._of_other_side:
            other = layout.series_csv(layout.other_side(self._source.side))
            raise reasons.Rejected(rejected.reason, f"{rejected.detail}: it is one of {other}")
        raise rejected

    @functools.cached_property
    def _of_other_side(self) -> Collection[tuple[int, int]]:
        """The series of the other side, as far as it has a CSV that says so."""
        other = layout.other_side(self._source.side)
        if not tables.is_there(self._source, layout.series_csv(other)):
            return ()
        try:
            return series_list.read(self._source, other).descriptions
        except ValueError:  # A damaged file of the other side is no fault of this one.
            return ()

    def _require_first(self, key: str, line: int, fields: list[str]) -> None:
        """Of rows with one key the first stands, whatever its label."""
        if key in self._lines:
            first_line, first = self._lines[key]
            point = "the same point" if first[5:] == fields[5:] else f"x, y {', '.join(first[5:])}"
            raise reasons.Rejected(
                reasons.Reason.DUPLICATE, f"line {first_line} has the same key, with {point}"
            )
        self._lines[key] = line, fields

    def _labelled(self, annotation: Annotation) -> Annotation:
        if annotation.key in self._excluded_keys:
            raise reasons.Rejected(reasons.Reason.EXCLUDED, "listed by --exclude")
        if self._graded is None:
            return annotation
        target = annotation.study_id, annotation.condition, annotation.level
        try:
            label = self._graded.severity(target)
        except reasons.Rejected as rejected:
            if self._requires_labels or rejected.reason not in _OF_LABEL:
                raise
            return annotation
        return dataclasses.replace(annotation, label=label)


def _coordinate(name: str, text: str) -> float:
    try:
        value = float(text) if "_" not in text else math.nan
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise reasons.Rejected(
            reasons.Reason.BAD_COORDINATE, f"{name} is {text!r}, expected a finite number"
        )
    return value


def _file(side: str, fields: list[str]) -> str:
    ids = [tables.parse_id(text) for text in fields[:3]]
    if None in ids:
        return ""
    study, series, instance = (value for value in ids if value is not None)
    return layout.image_name(side, study, series, instance)
