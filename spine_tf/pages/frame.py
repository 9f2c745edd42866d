"""Tables as pandas DataFrames, the same whether made or read back from the CSV that was written.

Text stays text, also where it is empty (dtype str); a number that is missing is NaN; floats are
those that were written to the last bit. pandas is imported where a frame is made: it takes longer
than --help may.
"""

import io
import pathlib
from collections.abc import Collection
from typing import TYPE_CHECKING

from tfrecords import csv_text, regular_file

if TYPE_CHECKING:
    import pandas as pd


def parse(text: str, text_columns: Collection[str]) -> "pd.DataFrame":
    """Returns the frame of a CSV.

    Args:
        text: what the CSV holds, with a header.
        text_columns: those that are text, where the CSV has them; the others are numbers.
    """
    import pandas as pd

    as_text = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)
    table = pd.read_csv(
        io.StringIO(text),
        dtype={name: str for name in as_text if name in text_columns},
        keep_default_na=False,
        na_values={name: [""] for name in as_text if name not in text_columns},
    )
    # pandas before 3 reads a float to its last bit but one.
    for name in table.select_dtypes("float64"):
        table[name] = [float(value or "nan") for value in as_text[name]]
    for name in table.select_dtypes(("object", "str")):
        table[name] = [csv_text.original(value) for value in as_text[name]]
    return table


def read_csv(path: pathlib.Path, text_columns: Collection[str], *, writer: str) -> "pd.DataFrame":
    """Reads a CSV that this package wrote.

    Args:
        path: the CSV file.
        text_columns: as `parse` takes them.
        writer: the program that writes it, for the message.

    Raises:
        ValueError: there is none, or another; names the file.
    """
    if not path.is_file():
        raise ValueError(f"{path} does not exist; expected the table that {writer} writes")
    text = regular_file.read_text(path)
    try:
        return parse(text, text_columns)
    except ValueError as err:
        raise ValueError(f"{path} is not the table that {writer} writes ({err})") from err
