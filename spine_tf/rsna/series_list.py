"""The series CSV of a side: which series there are, and what they are called."""

import dataclasses

from spine_tf.dicom import reasons
from spine_tf.rsna import layout, sources, tables

_COLUMNS = ("study_id", "series_id", "series_description")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SeriesList:
    """The series CSV.

    Attributes:
        descriptions: (study, series) -> description.
        conflicts: (study, series) -> the row that describes it otherwise than an earlier one.
        faults: rows that can't be read or contradict an earlier one, in the order of the file.
    """

    descriptions: dict[tuple[int, int], str]
    conflicts: dict[tuple[int, int], tables.Fault]
    faults: list[tables.Fault]


def read(source: sources.Source, side: str) -> SeriesList:
    """Reads the series CSV of a side, which may be another than the source's.

    Raises:
        ValueError: it is missing, or has not the columns.
    """
    table = tables.read_table(source, layout.series_csv(side))
    columns = [table.index(name) for name in _COLUMNS]
    found = SeriesList(descriptions={}, conflicts={}, faults=[])
    for line, row in zip(table.lines, table.rows, strict=True):
        texts = [row[column] if column < len(row) else "" for column in columns]
        study, series = (tables.parse_id(text) for text in texts[:2])
        if study is None or series is None or not table.is_whole(row):
            found.faults.append(_unreadable_series(table, line, row, texts))
            continue
        first = found.descriptions.setdefault((study, series), texts[2])
        if first != texts[2]:
            fault = tables.Fault(
                reason=reasons.Reason.CONFLICTING_SERIES,
                place=table.place(line),
                detail=f"series {series} of study {study} is {tables.shown(texts[2])}, but "
                f"{tables.shown(first)} on an earlier line; expected one row a series",
                study=study,
                series=series,
            )
            found.conflicts.setdefault((study, series), fault)
            found.faults.append(fault)
    return found


def _unreadable_series(
    table: tables.Table, line: int, row: list[str], texts: list[str]
) -> tables.Fault:
    bad = [
        tables.why_no_id(name, text)
        for name, text in zip(_COLUMNS[:2], texts, strict=False)
        if tables.parse_id(text) is None
    ]
    is_whole = table.is_whole(row)
    return tables.Fault(
        reason=reasons.Reason.BAD_ID if is_whole else reasons.Reason.BAD_ROW,
        place=table.place(line),
        detail=bad[0] if is_whole else table.why_broken(row),
        study=tables.resembled_id(texts[0]),
        series=tables.resembled_id(texts[1]),
    )
