"""The CSVs of a data set as rows of text, whatever program saved them."""

import codecs
import csv
import dataclasses
import io
import math
import unicodedata
from collections.abc import Sequence

from spine_tf.dicom import reasons
from spine_tf.rsna import sources
from tfrecords import csv_text

# Of a value that can't be read, how much is shown.
_SHOWN_CHARACTERS = 60


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table:
    """A CSV file.

    Attributes:
        name: the file's name.
        columns: names in the header, stripped.
        rows: fields of each line that is not blank, stripped.
        lines: the line of the file that each row begins on, from 1.
    """

    name: str
    columns: tuple[str, ...]
    rows: list[list[str]]
    lines: list[int]

    def index(self, column: str) -> int:
        """Returns a column's position.

        Raises:
            ValueError: there is none of that name, or more than one.
        """
        count = self.columns.count(column)
        if count != 1:
            raise ValueError(
                f"{self.name} has {count or 'no'} column{'s' * (count > 1)} {column!r}; its "
                f"columns are {', '.join(self.columns)}"
            )
        return self.columns.index(column)

    def is_whole(self, row: Sequence[str]) -> bool:
        """Returns whether a row has one field a column, none of them with a line break.

        A quote that is never closed swallows the lines behind it: its field has line breaks.
        """
        return len(row) == len(self.columns) and not any("\n" in field for field in row)

    def place(self, line: int) -> str:
        """Returns where a row is, in words."""
        return f"{self.name}, line {line}"

    def why_broken(self, row: Sequence[str]) -> str:
        """Returns in words why a row is not whole."""
        return f"{len(row)} fields, expected {len(self.columns)} on one line"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fault:
    """A row of train.csv or of the series CSV that can't be used, or contradicts another.

    Attributes:
        reason: the code for what depends on the row.
        place: file and line.
        detail: what came and what was expected.
        study: whose row it is, or seems to be; None where nothing can be told.
        series: likewise, in the series CSV.
    """

    reason: reasons.Reason
    place: str
    detail: str
    study: int | None
    series: int | None = None

    def in_words(self) -> str:
        """Returns where it is and what it is."""
        return f"{self.place}: {self.detail}"


def read_table(source: sources.Source, name: str) -> Table:
    """Reads a CSV of a data set.

    Raises:
        ValueError: there is no such file, or it is not a CSV with a header.
    """
    try:
        return parse_table(name, source.read(name))
    except FileNotFoundError as err:
        place = str(err.filename or "").removesuffix(name).rstrip("/")
        raise ValueError(
            f"--data_dir {place} has no {name}; expected it beside the images: {err.strerror}; "
            "spine_tf.organize makes it where there are images alone"
        ) from err


def is_there(source: sources.Source, name: str) -> bool:
    """Returns whether a data set has a CSV."""
    try:
        source.read(name, 0)
    except FileNotFoundError:
        return False
    return True


def decode(data: bytes) -> str:
    """Returns the text of a CSV: UTF-8 or UTF-16, byte order mark or not."""
    is_utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return data.decode("utf-16" if is_utf16 else "utf-8-sig", errors="replace")


def parse_table(name: str, data: bytes, separator: str = ",") -> Table:
    """Parses a CSV with a header: UTF-8 or UTF-16, byte order mark or not, any line ends.

    Bytes that are no UTF-8 become U+FFFD: in a column that is read, they make that row a reject.

    Raises:
        ValueError: no header, or no CSV.
    """
    reader = csv.reader(
        io.StringIO(decode(data), newline=""),
        delimiter=separator,
        strict=True,
        skipinitialspace=True,
    )
    found: list[tuple[int, list[str]]] = []
    before = 0
    try:
        for line in reader:
            if any(row := list(map(str.strip, line))):
                found.append((before + 1, row))
            if reader.line_num > csv_text.MAX_ROWS:
                raise ValueError(f"{name} has more than {csv_text.MAX_ROWS} lines")
            before = reader.line_num
    except csv.Error as err:
        raise ValueError(f"{name}, line {reader.line_num}: {err}; expected a CSV file") from err
    if not found:
        raise ValueError(f"{name} is empty; expected a header and rows")
    (_, columns), *rows = found
    return Table(
        name=name,
        columns=tuple(columns),
        rows=[row for _, row in rows],
        lines=[line for line, _ in rows],
    )


def parse_id(text: str) -> int | None:
    """Returns a non-negative int64, or None where the text is no id.

    An id has one spelling, so that two ids never become one: "3.0", "-3", "../3", "+3" and "03"
    are none. Hospitals have 012 beside 12.
    """
    if not (text.isascii() and text.isdigit()) or len(text) > 19:
        return None
    value = int(text)
    return value if value < 2**63 and str(value) == text else None


def why_no_id(column: str, text: str) -> str:
    """Returns in words what a text is that `parse_id` takes for no id."""
    if text.isascii() and text.isdigit() and text.startswith("0"):
        expected = "an integer without leading zeros, in every file and folder name"
    elif "." in text or "e" in text.lower():
        expected = "an integer in plain digits, no decimal, exponent or UID"
    else:
        expected = "an integer from 0 to 2^63 - 1, in plain digits"
    return f"{column} is {shown(text)}, expected {expected}"


def shown(text: str) -> str:
    """Returns a value of a file in quotes, shortened where it is long."""
    is_long = len(text) > _SHOWN_CHARACTERS
    return repr(text[:_SHOWN_CHARACTERS] + "..." if is_long else text)


def resembled_id(text: str) -> int | None:
    """Returns the id that a reader may take a text for, such as 12 for "012" or "12.0".

    For messages alone: rows are never joined by it.
    """
    plain = unicodedata.normalize("NFKC", text)
    try:
        number = float(plain)
    except ValueError:
        return None
    if not math.isfinite(number) or number < 0 or number != int(number):
        return None
    return int(plain) if plain.isdigit() else int(number)
