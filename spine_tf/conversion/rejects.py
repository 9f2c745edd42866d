"""rejects.csv: the rows that gave no record, and why."""

import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from spine_tf.conversion import output_directory
from spine_tf.dicom import reasons
from spine_tf.pages import frame
from tfrecords import atomic, csv_text

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS = ("key", "reason", "detail", "file")


def write(output_dir: pathlib.Path, rejects: Sequence[reasons.Reject]) -> None:
    """Writes the rows, by rename."""
    rows = ((each.key, each.reason.value, each.detail, each.file) for each in rejects)
    atomic.write_text(output_dir / output_directory.REJECTS_FILE, csv_text.to_text(_COLUMNS, rows))


def read_rejects(records_dir: pathlib.Path | str) -> "pd.DataFrame":
    """Reads which rows of a conversion gave no record.

    Example:
        >>> from spine_tf.conversion import rejects
        >>> table = rejects.read_rejects("records")
        >>> table.columns.tolist()
        ['key', 'reason', 'detail', 'file']

    Returns:
        One row a row of the coordinates CSV, all columns text: key, reason (a code of
        `dicom.reasons`), detail, and the file where one is to blame.

    Raises:
        ValueError: the directory has none.
    """
    path = pathlib.Path(records_dir) / output_directory.REJECTS_FILE
    return frame.read_csv(path, _COLUMNS, writer="spine_tf.convert")
