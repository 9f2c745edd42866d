"""The rows of the coordinates CSV: joined with labels and series, checked, or rejected."""

import collections
import dataclasses
import math
from collections.abc import Mapping, Sequence

from spine_tf import labels
from spine_tf.dicom import reasons
from spine_tf.rsna import layout, sources, tables

_COLUMNS = ("study_id", "series_id", "instance_number", "condition", "level", "x", "y")
_SEVERITIES = {name: index for index, name in enumerate(labels.SEVERITIES)}
_CONDITIONS = {name: index for index, name in enumerate(labels.CONDITIONS)}
_LEVELS = {name: index for index, name in enumerate(labels.LEVELS)}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Annotation:
    """A point that someone marked on an image.

    Attributes:
        study_id, series_id, instance_number: the image.
        condition, level: indices into `spine_tf.labels`.
        x, y: column and row in pixels; integers are pixel centres.
        label: index into SEVERITIES; None where labels were not asked for.
    """

    study_id: int
    series_id: int
    instance_number: int
    condition: int
    level: int
    x: float
    y: float
    label: int | None

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
        unplaced: (study, condition, level) of labels without a coordinate.
        counts: what else was seen in train.csv: `labels_without_coordinates`, `unreadable_rows`,
            `repeated_studies`.
    """

    rows: list[Annotation]
    rejects: list[reasons.Reject]
    groups: dict[int, str]
    series: dict[tuple[int, int], str]
    counts: dict[str, int]
    unplaced: tuple[tuple[int, int, int], ...] = ()


def read_annotations(
    source: sources.Source,
    *,
    conditions: Sequence[str] = labels.CONDITIONS,
    levels: Sequence[str] = labels.LEVELS,
    has_labels: bool = True,
    excluded_keys: frozenset[str] = frozenset(),
) -> Annotations:
    """Reads and checks the CSVs.

    Args:
        source: one side of a data set.
        conditions, levels: which rows are selected.
        has_labels: read train.csv and reject rows without a label; otherwise labels are None.
        excluded_keys: keys of rows to leave out.

    Raises:
        ValueError: a CSV or a column is missing, or an unknown condition or level is asked for.
    """
    check_names("conditions", conditions, labels.CONDITIONS)
    check_names("levels", levels, labels.LEVELS)
    series = _read_series(source)
    graded = _read_labels(source, conditions, levels) if has_labels else None
    table = tables.read_table(source, layout.coordinates_csv(source.side))
    checker = _Checker(
        side=source.side,
        selected=frozenset((c, v) for c in conditions for v in levels),
        series=series,
        graded=graded,
        excluded_keys=excluded_keys,
    )
    checker.check_table(table)
    counts = dict(graded.counts) if graded else {}
    unplaced = sorted(graded.severities.keys() - checker.seen) if graded else []
    if graded:
        counts["labels_without_coordinates"] = len(unplaced)
    return Annotations(
        rows=checker.rows,
        rejects=checker.rejects,
        groups=graded.groups if graded else {study: str(study) for study, _ in series},
        series=series,
        counts=counts,
        unplaced=tuple(unplaced),
    )


def check_names(flag: str, names: Sequence[str], known: Sequence[str]) -> None:
    """Raises ValueError unless names are known, unique and at least one."""
    for name in names:
        if name not in known:
            raise ValueError(f"--{flag} has {name!r}, expected all or some of {', '.join(known)}")
    if not names or len(set(names)) != len(names):
        raise ValueError(f"--{flag} is {','.join(names)!r}, expected each name once")


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Graded:
    """train.csv: severities by (study, condition, level); a string is what is no severity."""

    groups: dict[int, str]
    severities: dict[tuple[int, int, int], int | str]
    counts: dict[str, int]


def _read_labels(
    source: sources.Source, conditions: Sequence[str], levels: Sequence[str]
) -> _Graded:
    table = tables.read_table(source, layout.LABELS_CSV)
    study_column = table.index("study_id")
    targets = [
        (_CONDITIONS[condition], _LEVELS[level], table.index(f"{condition}_{level}"))
        for condition in conditions
        for level in levels
    ]
    group_column = table.index("patient_id") if "patient_id" in table.columns else study_column
    graded = _Graded(groups={}, severities={}, counts=collections.Counter())
    for row in table.rows:
        study = tables.parse_id(row[study_column]) if table.is_whole(row) else None
        if study is None or not row[group_column]:
            graded.counts["unreadable_rows"] += 1
        elif study in graded.groups:
            graded.counts["repeated_studies"] += 1
        else:
            graded.groups[study] = str(study) if group_column == study_column else row[group_column]
            for condition, level, column in targets:
                if text := row[column]:
                    graded.severities[study, condition, level] = _SEVERITIES.get(text, text)
    return graded


def _read_series(source: sources.Source) -> dict[tuple[int, int], str]:
    table = tables.read_table(source, layout.series_csv(source.side))
    columns = [table.index(n) for n in ("study_id", "series_id", "series_description")]
    result: dict[tuple[int, int], str] = {}
    for row in table.rows:
        if table.is_whole(row):
            study, series = (tables.parse_id(row[column]) for column in columns[:2])
            if study is not None and series is not None:
                result.setdefault((study, series), row[columns[2]])
    return result


class _Checker:
    """Checks one row after the other; the order of the checks decides which reason is named."""

    def __init__(
        self,
        *,
        side: str,
        selected: frozenset[tuple[str, str]],
        series: Mapping[tuple[int, int], str],
        graded: _Graded | None,
        excluded_keys: frozenset[str],
    ) -> None:
        self._side = side
        self._selected = selected
        self._series = series
        self._studies_of_series: dict[int, int] = {s: study for study, s in series}
        self._graded = graded
        self._excluded_keys = excluded_keys
        self._keys: set[str] = set()
        self.seen: set[tuple[int, int, int]] = set()
        self.rows: list[Annotation] = []
        self.rejects: list[reasons.Reject] = []

    def check_table(self, table: tables.Table) -> None:
        columns = [table.index(name) for name in _COLUMNS]
        for row in table.rows:
            if table.is_whole(row):
                self._check_row([row[column] for column in columns])
            else:
                detail = f"{len(row)} fields, expected {len(table.columns)} on one line"
                self._reject("/".join(row[:5]), reasons.Reason.BAD_ROW, detail)

    def _check_row(self, fields: list[str]) -> None:
        condition = fields[3].lower().replace(" ", "_")
        level = fields[4].lower().replace("/", "_")
        key = "/".join((*fields[:3], condition, level))
        if condition not in _CONDITIONS:
            self._reject(key, reasons.Reason.UNKNOWN_CONDITION, f"condition is {fields[3]!r}")
        elif level not in _LEVELS:
            self._reject(key, reasons.Reason.UNKNOWN_LEVEL, f"level is {fields[4]!r}")
        elif (condition, level) in self._selected:
            try:
                annotation = self._annotation(fields, _CONDITIONS[condition], _LEVELS[level])
                self.rows.append(self._labelled(annotation))
            except reasons.Rejected as rejected:
                self._reject(key, rejected.reason, rejected.detail, _file(self._side, fields))

    def _reject(self, key: str, reason: reasons.Reason, detail: str, file: str = "") -> None:
        self.rejects.append(reasons.Reject(key=key, reason=reason, detail=detail, file=file))

    def _annotation(self, fields: list[str], condition: int, level: int) -> Annotation:
        ids = [tables.parse_id(text) for text in fields[:3]]
        for name, text, value in zip(_COLUMNS, fields, ids, strict=False):
            if value is None:
                raise reasons.Rejected(
                    reasons.Reason.BAD_ID, f"{name} is {text!r}, expected an integer"
                )
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
        if (study, series) in self._series:
            return
        if series in self._studies_of_series:
            raise reasons.Rejected(
                reasons.Reason.WRONG_STUDY,
                f"the series belongs to study {self._studies_of_series[series]}",
            )
        raise reasons.Rejected(
            reasons.Reason.UNKNOWN_SERIES, f"{layout.series_csv(self._side)} has no such series"
        )

    def _labelled(self, annotation: Annotation) -> Annotation:
        key = annotation.key
        if key in self._keys:
            raise reasons.Rejected(reasons.Reason.DUPLICATE, "an earlier row has the same key")
        self._keys.add(key)
        if key in self._excluded_keys:
            raise reasons.Rejected(reasons.Reason.EXCLUDED, "listed by --exclude")
        if self._graded is None:
            return annotation
        if annotation.study_id not in self._graded.groups:
            raise reasons.Rejected(
                reasons.Reason.UNKNOWN_STUDY, f"{layout.LABELS_CSV} has no such study"
            )
        target = annotation.study_id, annotation.condition, annotation.level
        label = self._graded.severities.get(target)
        if label is None:
            raise reasons.Rejected(
                reasons.Reason.NO_LABEL, f"{layout.LABELS_CSV} has no severity there"
            )
        if isinstance(label, str):
            raise reasons.Rejected(
                reasons.Reason.BAD_LABEL,
                f"{label!r} is none of {', '.join(labels.SEVERITIES)}",
            )
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
