"""CSVs as we write and read them: no cell is a formula, and every cell comes back as it was.

A spreadsheet runs what begins with = + - @ as a formula, and the text of a cell may be anybody's.
Such a cell gets an apostrophe before it (OWASP, CSV injection), and so does one that would lose an
apostrophe by that when it is read; numbers stay as they are.
"""

import csv
import io
import itertools
import os
import re
from collections.abc import Iterable, Sequence
from typing import TextIO

from tfrecords import regular_file

MAX_ROWS = 2**21
"""Of a table: forty times the competition's largest. 64 MiB could be 2^25 short ones."""

# A spreadsheet skips white space before it, and takes the full-width forms too.
_FORMULA = re.compile(r"'*\s*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)


def to_text(columns: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    """Returns a CSV: a header and rows; None is an empty cell."""
    text = io.StringIO(newline="")
    write(text, (columns, *rows))
    return text.getvalue()


def beginning(columns: Sequence[str]) -> bytes:
    """Returns how a file with these columns begins, and others of the same columns before more."""
    return ",".join(columns).encode()


def write(file: TextIO, rows: Iterable[Iterable[object]]) -> None:
    """Writes rows, one by one, to a file that leaves line ends as they are."""
    writer = csv.writer(file, lineterminator="\n")
    # Python before 3.13 leaves a lone \r without the quotes that it needs to be read.
    quoting = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
    for row in rows:
        cells = [plain(cell) if isinstance(cell, str) else cell for cell in row]
        has_return = any(isinstance(cell, str) and "\r" in cell for cell in cells)
        (quoting if has_return else writer).writerow(cells)


def plain(cell: str) -> str:
    """Returns a cell that a spreadsheet takes for text, or for the number that it is."""
    is_formula = _FORMULA.match(cell) and not _NUMBER.fullmatch(cell)
    return f"'{cell}" if is_formula else cell


def original(cell: str) -> str:
    """Returns what `plain` was given."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def read(
    path: str | os.PathLike[str], columns: Sequence[str] | None = None, *, expected: str
) -> list[tuple[str, dict[str, str]]]:
    """Reads a CSV that `to_text` made, whatever a spreadsheet has put before it.

    Args:
        path: the CSV file.
        columns: it has to have; None is any.
        expected: what it is, for messages, such as "the predictions that train writes".

    Returns:
        Place and cells by column of each row; blank lines are none.

    Raises:
        ValueError: there is no such file, it is no CSV, or has other columns; says the line.
    """
    try:
        text = regular_file.read_text(path)
        reader = csv.reader(io.StringIO(text, newline=""))
        found = next(reader, [])
        rows = itertools.islice(reader, MAX_ROWS + 1)
        lines = [(f"{path} line {reader.line_num}", row) for row in rows if row]
    except FileNotFoundError as err:
        raise ValueError(f"{path} does not exist; expected {expected}") from err
    except OSError as err:
        raise ValueError(f"{path} can't be read ({err.strerror}); expected {expected}") from err
    except (csv.Error, UnicodeDecodeError) as err:
        raise ValueError(f"{path} is no CSV in UTF-8 ({err}); expected {expected}") from err
    if len(lines) > MAX_ROWS:
        raise ValueError(f"{path} has more than {MAX_ROWS} rows; expected {expected}")
    if columns is not None and found != list(columns):
        raise ValueError(
            f"{path} has the columns {','.join(found)}, expected {','.join(columns)} of {expected}"
        )
    return [(place, _by_column(place, found, row)) for place, row in lines]


def _by_column(place: str, columns: Sequence[str], row: Sequence[str]) -> dict[str, str]:
    if len(row) != len(columns):
        raise ValueError(f"{place} has {len(row)} fields, expected {len(columns)}")
    return dict(zip(columns, map(original, row), strict=True))
