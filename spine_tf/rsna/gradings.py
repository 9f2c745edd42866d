"""train.csv: the severities of each study, and what in it can't be read or contradicts itself."""

import collections
import dataclasses
from collections.abc import Iterable, Iterator, Sequence

from spine_tf import labels
from spine_tf.dicom import reasons
from spine_tf.rsna import layout, sources, tables

Target = tuple[int, int, int]
"""Study, and indices of a condition and a level."""

_SEVERITIES = {name: index for index, name in enumerate(labels.SEVERITIES)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Gradings:
    """What train.csv says of the targets that were asked for.

    Attributes:
        groups: study -> group that folds keep whole (patient_id where that column exists).
        severities: index into SEVERITIES, or the text that is no severity.
        conflicts: target or study -> the row that contradicts an earlier one there.
        faults: rows that can't be read or contradict an earlier one, in the order of the file.
        counts: `unreadable_rows`, `repeated_studies`, where there are any.
    """

    groups: dict[int, str]
    severities: dict[Target, int | str]
    conflicts: dict[Target | int, tables.Fault]
    faults: list[tables.Fault]
    counts: dict[str, int]

    def severity(self, target: Target) -> int:
        """Returns the severity of a target.

        Raises:
            reasons.Rejected: it has none, none that can be read, or two.
        """
        study = target[0]
        if study not in self.groups:
            raise missing(self.faults, layout.LABELS_CSV, "study", study)
        fault = self.conflicts.get(study) or self.conflicts.get(target)
        if fault is not None:
            raise reasons.Rejected(fault.reason, fault.in_words())
        severity = self.severities.get(target)
        if severity is None:
            raise reasons.Rejected(
                reasons.Reason.NO_LABEL, f"{layout.LABELS_CSV} has no severity there"
            )
        if isinstance(severity, str):
            raise reasons.Rejected(
                reasons.Reason.BAD_LABEL,
                f"{tables.shown(severity)} is none of {', '.join(labels.SEVERITIES)}",
            )
        return severity

    def usable(self) -> dict[Target, int]:
        """Returns the targets whose severity can be read and is the only one."""
        return {
            target: severity
            for target, severity in self.severities.items()
            if isinstance(severity, int) and not {target, target[0]} & self.conflicts.keys()
        }

    def unknown_words(self) -> Iterator[tables.Fault]:
        """Yields a fault for each target that has something else than a severity."""
        for (study, condition, level), severity in self.severities.items():
            if isinstance(severity, str):
                yield tables.Fault(
                    reason=reasons.Reason.BAD_LABEL,
                    place=layout.LABELS_CSV,
                    detail=f"{labels.CONDITIONS[condition]}_{labels.LEVELS[level]} of study "
                    f"{study} is {tables.shown(severity)}, expected one of "
                    f"{', '.join(labels.SEVERITIES)}",
                    study=study,
                )


def read_gradings(
    source: sources.Source, conditions: Sequence[str], levels: Sequence[str]
) -> Gradings:
    """Reads the severities of some conditions and levels.

    Equal rows of one study are one; where they differ, the targets that differ have no severity,
    and a study of two patients has none at all.

    Raises:
        ValueError: the file or a column is missing.
    """
    table = tables.read_table(source, layout.LABELS_CSV)
    reader = _Reader(table, conditions, levels)
    for line, row in zip(table.lines, table.rows, strict=True):
        reader.read(line, row)
    return reader.found


def missing(
    faults: Iterable[tables.Fault], file: str, what: str, study: int, series: int | None = None
) -> reasons.Rejected:
    """Returns why a CSV has no row of a study or series: of one that can't be read, just that."""
    unreadable = [fault for fault in faults if fault.reason in _UNREADABLE]
    for fault in unreadable:
        if fault.study == study and series in (None, fault.series):
            return reasons.Rejected(fault.reason, fault.in_words())
    reason = reasons.Reason.UNKNOWN_STUDY if series is None else reasons.Reason.UNKNOWN_SERIES
    if not unreadable:
        return reasons.Rejected(reason, f"{file} has no such {what}")
    return reasons.Rejected(
        reason,
        f"{file} has no such {what} that can be read; {len(unreadable)} of its rows can't be, "
        f"the first: {unreadable[0].in_words()}",
    )


_UNREADABLE = (reasons.Reason.BAD_ID, reasons.Reason.BAD_ROW)


class _Reader:
    """Reads one row after the other and remembers where each study stands."""

    def __init__(
        self, table: tables.Table, conditions: Sequence[str], levels: Sequence[str]
    ) -> None:
        self._table = table
        self._study_column = table.index("study_id")
        self._targets = {
            (labels.CONDITIONS.index(condition), labels.LEVELS.index(level)): table.index(
                f"{condition}_{level}"
            )
            for condition in conditions
            for level in levels
        }
        self._group_column = (
            table.index("patient_id") if "patient_id" in table.columns else self._study_column
        )
        self._first: dict[int, tuple[int, list[str]]] = {}
        self.found = Gradings(
            groups={}, severities={}, conflicts={}, faults=[], counts=collections.Counter()
        )

    def read(self, line: int, row: list[str]) -> None:
        study_text = row[self._study_column] if len(row) > self._study_column else ""
        study = tables.parse_id(study_text)
        if not self._table.is_whole(row):
            self._add_unreadable(
                line, study_text, reasons.Reason.BAD_ROW, self._table.why_broken(row)
            )
        elif study is None:
            detail = tables.why_no_id("study_id", study_text)
            self._add_unreadable(line, study_text, reasons.Reason.BAD_ID, detail)
        elif not row[self._group_column]:
            detail = "patient_id is empty, expected one, so that a patient's studies share a fold"
            self._add_unreadable(line, study_text, reasons.Reason.BAD_ID, detail)
        elif study in self._first:
            self.found.counts["repeated_studies"] += 1
            self._compare(study, line, row)
        else:
            self._first[study] = line, row
            self._add(study, row)

    def _add_unreadable(self, line: int, study: str, reason: reasons.Reason, detail: str) -> None:
        self.found.counts["unreadable_rows"] += 1
        self.found.faults.append(
            tables.Fault(
                reason=reason,
                place=self._table.place(line),
                detail=detail,
                study=tables.resembled_id(study),
            )
        )

    def _add(self, study: int, row: list[str]) -> None:
        self.found.groups[study] = row[self._group_column]
        for (condition, level), column in self._targets.items():
            if text := row[column]:
                self.found.severities[study, condition, level] = _SEVERITIES.get(text, text)

    def _compare(self, study: int, line: int, row: list[str]) -> None:
        """Notes where a study's later row says something else than its first one."""
        first_line, first = self._first[study]
        columns: dict[Target | int, int] = {
            (study, *target): column for target, column in self._targets.items()
        }
        columns[study] = self._group_column
        for place, column in columns.items():
            if row[column] != first[column]:
                fault = tables.Fault(
                    reason=(
                        reasons.Reason.CONFLICTING_PATIENT
                        if place == study
                        else reasons.Reason.CONFLICTING_LABELS
                    ),
                    place=self._table.place(line),
                    detail=f"{self._table.columns[column]} of study {study} is "
                    f"{tables.shown(row[column])}, but {tables.shown(first[column])} on line "
                    f"{first_line}; expected one row a study",
                    study=study,
                )
                self.found.conflicts.setdefault(place, fault)
                self.found.faults.append(fault)
