"""The CSVs of a data set as rows of text, whatever program saved them."""

import codecs
import csv
import dataclasses
import io
from collections.abc import Sequence

from spine_tf.rsna import sources


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table:
    """A CSV file.

    Attributes:
        name: of the file.
        columns: names in the header, stripped.
        rows: fields of each line that is not blank, stripped.
    """

    name: str
    columns: tuple[str, ...]
    rows: list[list[str]]

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


def read_table(source: sources.Source, name: str) -> Table:
    """Reads a CSV of a data set.

    Raises:
        ValueError: there is no such file, or it is not a CSV with a header.
    """
    try:
        return parse_table(name, source.read(name))
    except FileNotFoundError as err:
        raise ValueError(f"--data_dir has no {name}; expected it beside the images") from err


def parse_table(name: str, data: bytes) -> Table:
    """Parses a CSV with a header: UTF-8 or UTF-16, byte order mark or not, any line ends.

    Bytes that are no UTF-8 become U+FFFD: in a column that is read, they make that row a reject.

    Raises:
        ValueError: no header, or no CSV.
    """
    is_utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    text = data.decode("utf-16" if is_utf16 else "utf-8-sig", errors="replace")
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, skipinitialspace=True)
    try:
        lines = [list(map(str.strip, line)) for line in reader]
    except csv.Error as err:
        raise ValueError(f"{name}, line {reader.line_num}: {err}; expected a CSV file") from err
    lines = [line for line in lines if any(line)]
    if not lines:
        raise ValueError(f"{name} is empty; expected a header and rows")
    return Table(name=name, columns=tuple(lines[0]), rows=lines[1:])


def parse_id(text: str) -> int | None:
    """Returns a non-negative int64, or None: "3.0", "-3", "../3" and "+3" are not ids."""
    if not (text.isascii() and text.isdigit()) or len(text) > 19:
        return None
    value = int(text)
    return value if value < 2**63 else None
