"""The CSVs of the RSNA 2024 layout, written row by row and shown under their names at the end."""

import csv
import os
import pathlib
import types
from collections.abc import Iterable
from typing import Any, Self, TextIO

from spine_tf import labels
from spine_tf.phantom import study as studies

SERIES_COLUMNS = ("study_id", "series_id", "series_description")
COORDINATE_COLUMNS = (
    "study_id",
    "series_id",
    "instance_number",
    "condition",
    "level",
    "x",
    "y",
)
TRAIN_COLUMNS = (
    "study_id",
    *(f"{condition}_{level}" for condition in labels.CONDITIONS for level in labels.LEVELS),
)


class Table:
    """A CSV that grows under a temporary name and gets its own when `close` is called."""

    def __init__(self, path: pathlib.Path, columns: Iterable[str]) -> None:
        self._path = path
        self._temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        self._file: TextIO = self._temporary.open("w", newline="", encoding="utf-8")
        self._writer = csv.writer(self._file, lineterminator="\n")
        self._writer.writerow(columns)

    def add(self, row: Iterable[Any]) -> None:
        """Appends one row."""
        self._writer.writerow(row)

    def close(self) -> None:
        """Makes the file durable and gives it its name."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._temporary.rename(self._path)

    def discard(self) -> None:
        """Removes what was written so far."""
        self._file.close()
        self._temporary.unlink(missing_ok=True)


class Tables:
    """The tables of one side of the data set; `train.csv` gets its name last.

    A context manager: names are given when the block ends without an exception.
    """

    def __init__(self, output_dir: pathlib.Path, side: str) -> None:
        self._series = Table(output_dir / f"{side}_series_descriptions.csv", SERIES_COLUMNS)
        self._labelled: tuple[Table, Table] | None = None
        if side == "train":
            self._labelled = (
                Table(output_dir / "train_label_coordinates.csv", COORDINATE_COLUMNS),
                Table(output_dir / "train.csv", TRAIN_COLUMNS),
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: types.TracebackType | None,
    ) -> None:
        for table in (self._series, *(self._labelled or ())):
            table.close() if error is None else table.discard()

    def add(self, study: studies.Study) -> None:
        """Appends the rows of one study."""
        for series_id, description in study.series:
            self._series.add((study.study_id, series_id, description))
        if self._labelled is None:
            return
        coordinates, grades = self._labelled
        for mark in study.annotations:
            coordinates.add(
                (
                    study.study_id,
                    mark.series_id,
                    mark.instance_number,
                    _spelled_condition(mark.condition),
                    _spelled_level(mark.level),
                    repr(round(float(mark.x), 6)),
                    repr(round(float(mark.y), 6)),
                )
            )
        names = (labels.SEVERITIES[grade] for grade in study.grades.ravel())
        grades.add((study.study_id, *names))


def _spelled_condition(condition: str) -> str:
    return condition.replace("_", " ").title()


def _spelled_level(level: str) -> str:
    return level.replace("_", "/").upper()
