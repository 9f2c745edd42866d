"""The user's own grades, and points if there are any: a table in any of the usual forms."""

import dataclasses
import difflib
import math
import pathlib
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence

from absl import logging

from spine_tf import labels
from spine_tf.rsna import tables, zip_members
from tfrecords import errors, regular_file

XLSX_HINT = "pip install 'spine-tf[xlsx]', or save the table as CSV"

# What names a study, by the column's name without spaces and underscores; the first that a row has.
_STUDY_COLUMNS = {
    "studyinstanceuid": "StudyInstanceUID",
    "studyuid": "StudyInstanceUID",
    "studyid": "study_id",
    "accessionnumber": "AccessionNumber",
    "accession": "AccessionNumber",
    "folder": "folder",
    "directory": "folder",
}
_GRADE_COLUMNS = ("grade", "severity", "label")
_IMAGE_COLUMNS = ("sopinstanceuid", "seriesinstanceuid", "seriesid", "instancenumber")
_SEPARATORS = ",;\t"
_MAX_COLUMNS = 1024
# Excel's own way to say which it is, in a line before the header.
_SAID_SEPARATOR = re.compile(r"sep=([,;\t])", re.IGNORECASE)
# By condition and level without spaces and signs: hospitals write L5-S1 and L5S1 for L5/S1.
_TARGETS = {
    f"{condition}{level}".replace("_", ""): (c, v)
    for c, condition in enumerate(labels.CONDITIONS)
    for v, level in enumerate(labels.LEVELS)
}
# How alike two names are, 0 to 1, of which one is meant: letters changed, or a word left out.
_MISSPELT = 0.8
_READ = {*_STUDY_COLUMNS, *_GRADE_COLUMNS, *_IMAGE_COLUMNS, *_TARGETS, *"xy"} | {
    *("condition", "level")
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Point:
    """A point on an image.

    Attributes:
        x, y: column and row in pixels; integers are pixel centres; NaN for what is no number.
        image: what names the image, of _IMAGE_COLUMNS, by the column.
    """

    x: float
    y: float
    image: Mapping[str, str]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """What a row says.

    Attributes:
        line: number of the line in the file, from 1.
        study: the column that names it, as _STUDY_COLUMNS has it, and its text.
        grades: severity of each (condition, level), indices into `spine_tf.labels`.
        point: on an image, of a row with one target; None for none.
    """

    line: int
    study: tuple[str, str]
    grades: Mapping[tuple[int, int], int]
    point: Point | None = None
    target: tuple[int, int] | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class OwnLabels:
    """A table of grades.

    Attributes:
        name: the file's name.
        rows: in its order.
    """

    name: str
    rows: tuple[Row, ...]


def parse_grades(pairs: Sequence[str]) -> dict[str, int]:
    """Returns the severity that each word of the user's stands for, from word=severity.

    Raises:
        ValueError: a pair is none, or a word is given twice.
    """
    known = {name.casefold(): index for index, name in enumerate(labels.SEVERITIES)}
    found: dict[str, int] = {}
    for pair in pairs:
        word, equals, severity = pair.rpartition("=")
        if not equals or severity.strip().casefold() not in known:
            raise ValueError(
                f"--grades has {pair!r}, expected word=severity, a severity being one of "
                f"{', '.join(labels.SEVERITIES)}"
            )
        if (
            found.setdefault(_word(word), known[severity.strip().casefold()])
            != known[severity.strip().casefold()]
        ):
            raise ValueError(f"--grades gives {word!r} two severities")
    return known | found


def read_label_file(path: pathlib.Path, grades: Mapping[str, int]) -> OwnLabels:
    """Reads a CSV, with commas, semicolons or tabs, or the first sheet of an .xlsx file.

    Args:
        path: the CSV file or spreadsheet.
        grades: the severity of each word, as `parse_grades` has it.

    Raises:
        ValueError: no such file, no column that names studies or grades, or a word that is no
            grade.
    """
    table = _read_table(path)
    columns = _Columns(table)
    found: list[Row] = []
    unknown: dict[str, int] = {}
    for line, row in zip(table.lines, table.rows, strict=True):
        if not table.is_whole(row):
            raise ValueError(f"{table.place(line)}: {table.why_broken(row)}")
        texts = {target: row[index] for target, index in columns.targets(row, table.place(line))}
        for text in texts.values():
            if text and _word(text) not in grades:
                unknown.setdefault(text, line)
        found.append(columns.row(line, row, texts, grades))
    if unknown:
        word, line = next(iter(unknown.items()))
        words = ", ".join(tables.shown(text) for text in list(unknown)[:10])
        raise ValueError(
            f"{table.place(line)}: {tables.shown(word)} is no severity; map the words {words} by "
            f"--grades, such as --grades {word}={labels.SEVERITIES[0]}"
        )
    return OwnLabels(name=path.name, rows=tuple(found))


def _read_table(path: pathlib.Path) -> tables.Table:
    if not path.exists():
        raise ValueError(f"--labels_csv {path} does not exist; expected a CSV or .xlsx file")
    if path.suffix.lower() in (".xlsx", ".xlsm"):
        return _read_xlsx(path)
    text = tables.decode(regular_file.read_bytes(path))
    first, _, rest = text.lstrip().partition("\n")
    if said := _SAID_SEPARATOR.fullmatch(first.strip()):
        # The line stays as a blank one, so that the others keep their numbers.
        return tables.parse_table(path.name, f"\n{rest}".encode(), said[1])
    return tables.parse_table(path.name, text.encode(), max(_SEPARATORS, key=first.count))


def _read_xlsx(path: pathlib.Path) -> tables.Table:
    try:
        import openpyxl
    except ImportError as err:
        raise ValueError(f"--labels_csv {path} needs openpyxl: {XLSX_HINT}") from err
    with regular_file.open_file(path) as file:
        try:
            _require_small(path)
            book = openpyxl.load_workbook(file, read_only=True, data_only=True)
            # A cell in the last corner of a sheet makes it one of 2^34.
            sheet = book.worksheets[0].iter_rows(max_col=_MAX_COLUMNS, values_only=True)
            rows = [
                (line, list(map(_cell, row)))
                for line, row in enumerate(sheet, start=1)
                if any(cell is not None for cell in row)
            ]
        except (ValueError, KeyError, OSError, IndexError, zipfile.BadZipFile) as err:
            raise ValueError(
                f"--labels_csv {path} is no .xlsx file that can be read ({errors.reason(err)})"
            ) from err
    rows = [(line, row) for line, row in rows if any(row)]
    if not rows:
        raise ValueError(f"{path.name} is empty; expected a header and rows")
    (_, columns), *rows = rows
    width = max(index for index, name in enumerate(columns, start=1) if name)
    return tables.Table(
        name=path.name,
        columns=tuple(columns[:width]),
        rows=[row[:width] for _, row in rows],
        lines=[line for line, _ in rows],
    )


def _require_small(path: pathlib.Path) -> None:
    """Raises ValueError where the XML in the zip would inflate to more than a table may have."""
    num_bytes = sum(member.num_bytes for _, member, _ in zip_members.list_members(path))
    if num_bytes > regular_file.MAX_BYTES:
        raise ValueError(f"it inflates to {num_bytes} bytes, more than {regular_file.MAX_BYTES}")


def _cell(value: object) -> str:
    """A cell as its text in a CSV would be: on one line, whole numbers without a fraction."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return " ".join(str(value).split("\n")).strip()


class _Columns:
    """Which columns of a table say what."""

    def __init__(self, table: tables.Table) -> None:
        plain = [_plain(name) for name in table.columns]
        _require_once(table, plain)
        self._places = {name: index for index, name in reversed(list(enumerate(plain)))}
        self._studies = [
            (name, self._places[column])
            for column, name in _STUDY_COLUMNS.items()
            if column in self._places
        ]
        targets = {name: target for name, target in _TARGETS.items() if name in self._places}
        self._wide = {target: self._places[name] for name, target in targets.items()}
        grade = next((self._places[n] for n in _GRADE_COLUMNS if n in self._places), None)
        self._long = None
        if grade is not None and {"condition", "level"} <= self._places.keys():
            self._long = self._places["condition"], self._places["level"], grade
        self._require(table)
        if not self._long:
            _refuse_misspelt(table, plain)

    def _require(self, table: tables.Table) -> None:
        if not self._studies:
            names = ", ".join(dict.fromkeys(_STUDY_COLUMNS.values()))
            raise ValueError(
                f"{table.name} has no column that names studies, expected one of {names}; its "
                f"columns are {', '.join(table.columns)}"
            )
        if self._long is None and not self._wide:
            raise ValueError(
                f"{table.name} has no grades, expected the columns condition, level and grade, or "
                f"columns such as {labels.CONDITIONS[0]}_{labels.LEVELS[0]}; its columns are "
                f"{', '.join(table.columns)}"
            )
        if self._long and self._wide:
            raise ValueError(
                f"{table.name} has a grade a row and columns of targets too, such as "
                f"{table.columns[min(self._wide.values())]}; expected either"
            )

    def targets(self, row: Sequence[str], place: str) -> Iterator[tuple[tuple[int, int], int]]:
        """Yields the targets that a row grades, and the column of each grade."""
        if self._long is None:
            yield from self._wide.items()
            return
        condition, level, grade = self._long
        name = f"{_plain(row[condition])}{_plain(row[level])}"
        if name not in _TARGETS:
            raise ValueError(
                f"{place}: {tables.shown(row[condition])} at {tables.shown(row[level])} is no "
                f"target; conditions are {', '.join(labels.CONDITIONS)}, levels "
                f"{', '.join(labels.LEVELS)}"
            )
        yield _TARGETS[name], grade

    def row(
        self,
        line: int,
        row: Sequence[str],
        texts: Mapping[tuple[int, int], str],
        grades: Mapping[str, int],
    ) -> Row:
        """Returns what a row says."""
        named = [(name, row[index]) for name, index in self._studies if row[index]]
        return Row(
            line=line,
            study=named[0] if named else (self._studies[0][0], ""),
            grades={t: grades[_word(text)] for t, text in texts.items() if _word(text) in grades},
            point=self._point(row) if self._long else None,
            target=next(iter(texts)) if self._long else None,
        )

    def _point(self, row: Sequence[str]) -> Point | None:
        texts = [row[self._places[name]] if name in self._places else "" for name in ("x", "y")]
        if not any(texts):
            return None
        x, y = map(_number, texts)
        image = {name: row[self._places[name]] for name in _IMAGE_COLUMNS if name in self._places}
        return Point(x=x, y=y, image={name: text for name, text in image.items() if text})


def _require_once(table: tables.Table, plain: Sequence[str]) -> None:
    """Raises ValueError where two columns say the same, perhaps differently."""
    for name in filter(_READ.__contains__, plain):
        spelled = [c for c, other in zip(table.columns, plain, strict=True) if other == name]
        if len(spelled) > 1:
            raise ValueError(
                f"{table.name} has {len(spelled)} columns of one meaning, {', '.join(spelled)}; "
                "expected one"
            )


def _refuse_misspelt(table: tables.Table, plain: Sequence[str]) -> None:
    """Raises ValueError where a column is nearly a target's: its grades would be passed over."""
    unread = {n: c for c, n in zip(table.columns, plain, strict=True) if n and n not in _READ}
    for name, column in unread.items():
        nearest = difflib.get_close_matches(name, _TARGETS, n=1, cutoff=_MISSPELT)
        if nearest and nearest[0] not in name:  # such as a comment on a target
            condition, level = _TARGETS[nearest[0]]
            raise ValueError(
                f"{table.name} has a column {tables.shown(column)}, which is no target; did you "
                f"mean {labels.CONDITIONS[condition]}_{labels.LEVELS[level]}? Rename it, or take "
                "it out"
            )
    if unread:
        logging.info("%s: not read are %s", table.name, ", ".join(unread.values()))


def _number(text: str) -> float:
    """A decimal, with a point or, as spreadsheets write it in many countries, a comma; else NaN."""
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


def _plain(text: str) -> str:
    return re.sub(r"[\W_]", "", text).casefold()


def _word(text: str) -> str:
    return " ".join(text.split()).casefold()
