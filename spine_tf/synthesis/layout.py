"""The CSVs of the RSNA 2024 layout, written row by row and shown under their names at the end."""

import csv
import os
import pathlib
import types
from collections.abc import Iterable
from typing import Any, Self, TextIO

from spine_tf import labels
from spine_tf.synthesis import annotation, reader, study as study_module

SERIES_COLUMNS = ("study_id", "series_id", "series_description")
COORDINATE_COLUMNS = ("study_id", "series_id", "instance_number", "condition", "level", "x", "y")
TRAIN_COLUMNS = (
    "study_id",
    *(f"{condition}_{level}" for condition in labels.CONDITIONS for level in labels.LEVELS),
)
TRUTH_COLUMNS = ("study_id", "condition", "level", "latent", *labels.SEVERITY_COLUMNS)


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
    """Tables that get their names together when a `with` block ends without an exception."""

    def __init__(self, tables: tuple[Table, ...]) -> None:
        self._tables = tables

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: types.TracebackType | None,
    ) -> None:
        for table in self._tables:
            table.close() if error is None else table.discard()


class TestTables(Tables):
    """The CSV of the test side, which has series but neither labels nor coordinates."""

    def __init__(self, output_dir: pathlib.Path) -> None:
        self._series = Table(output_dir / "test_series_descriptions.csv", SERIES_COLUMNS)
        super().__init__((self._series,))

    def add(self, study: study_module.Study) -> None:
        """Appends the rows of one study."""
        for series_id, description in study.series:
            self._series.add((study.study_id, series_id, description))


class TrainTables(Tables):
    """The CSVs of the train side and truth.csv; train.csv gets its name last."""

    def __init__(self, output_dir: pathlib.Path) -> None:
        self._series = Table(output_dir / "train_series_descriptions.csv", SERIES_COLUMNS)
        self._coordinates = Table(output_dir / "train_label_coordinates.csv", COORDINATE_COLUMNS)
        self._truth = Table(output_dir / "truth.csv", TRUTH_COLUMNS)
        self._grades = Table(output_dir / "train.csv", TRAIN_COLUMNS)
        super().__init__((self._series, self._coordinates, self._truth, self._grades))

    def add(self, study: study_module.Study) -> None:
        """Appends the rows of one study."""
        for series_id, description in study.series:
            self._series.add((study.study_id, series_id, description))
        for mark in study.annotations:
            self._coordinates.add((study.study_id, *_coordinate_row(mark)))
        grades = (labels.SEVERITIES[grade] if grade >= 0 else "" for grade in study.grades.ravel())
        self._grades.add((study.study_id, *grades))
        probabilities = reader.grade_probabilities(study.latents)
        for row, condition in enumerate(labels.CONDITIONS):
            for column, level in enumerate(labels.LEVELS):
                figures = (study.latents[row, column], *probabilities[row, column])
                rounded = (f"{figure:.6f}" for figure in figures)
                self._truth.add((study.study_id, condition, level, *rounded))


def _coordinate_row(mark: annotation.Annotation) -> tuple[Any, ...]:
    """The row as the real file spells it: `Left Subarticular Stenosis`, `L4/L5`."""
    return (
        mark.series_id,
        mark.instance_number,
        mark.condition.replace("_", " ").title(),
        mark.level.replace("_", "/").upper(),
        f"{mark.x:.6f}",
        f"{mark.y:.6f}",
    )
