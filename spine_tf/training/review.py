"""label_review.csv: one line a row of the records, the most suspicious label first.

| column | meaning |
|---|---|
| key | of the row, as in predictions.csv |
| fold | the split that the row lies in; models that trained on it did not score it |
| label | the given class, as index |
| predicted | the most probable class |
| quality | 0, surely wrong, to 1 (`quality.Quality.scores`) |
| rank | 1 is the most suspicious |
| is_flagged | 1 where confident learning takes the label for wrong |
| confirmed | empty; a reader writes right, wrong or a class, which overrules quality and budget |
| one a class | its out-of-fold probability, under the task's column names |

A class in `confirmed` goes by its column's name too, such as normal_mild.
"""

import csv
import dataclasses
import functools
import hashlib
import io
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from spine_tf import labels
from spine_tf.scoring import predictions as predictions_module
from tfrecords import atomic

FILE_NAME = "label_review.csv"
RIGHT, WRONG = "right", "wrong"

_COLUMNS = (
    "key",
    "fold",
    "label",
    "predicted",
    "quality",
    "rank",
    "is_flagged",
    "confirmed",
)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Review:
    """The labels of n rows, the most suspicious first.

    Attributes:
        predictions: out of fold, with the given labels.
        folds: the split of each row.
        quality: float64 (n,).
        is_flagged: bool (n,).
        confirmed: "", RIGHT, WRONG, or the column name of the class that it is.
    """

    predictions: predictions_module.Predictions
    folds: tuple[str, ...]
    quality: np.ndarray
    is_flagged: np.ndarray
    confirmed: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.predictions)

    def corrected_labels(self, task: labels.Task) -> np.ndarray:
        """Returns the given labels with a reader's corrections, int64 (n,)."""
        corrected = self.predictions.labels.copy()
        for row, confirmed in enumerate(self.confirmed):
            if confirmed in task.columns:
                corrected[row] = task.columns.index(confirmed)
        return corrected

    @functools.cached_property
    def row_of(self) -> Mapping[str, int]:
        """Key -> row."""
        return {key: row for row, key in enumerate(self.predictions.keys)}


def sha256_of(path: pathlib.Path | str) -> str:
    """Returns the sha256 of a file that a run was trained with.

    Raises:
        ValueError: it can't be read.
    """
    try:
        return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()
    except OSError as err:
        raise ValueError(
            f"{path} can't be read ({err.strerror}): expected a file that spine_tf.clean wrote"
        ) from err


def write_csv(path: pathlib.Path, review: Review, task: labels.Task) -> None:
    """Writes what `read_csv` reads back to the same bits, by rename."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*_COLUMNS, *task.columns])
    found = review.predictions
    for row, key in enumerate(found.keys):
        writer.writerow(
            [
                key,
                review.folds[row],
                found.labels[row],
                found.predicted[row],
                repr(float(review.quality[row])),
                row + 1,
                int(review.is_flagged[row]),
                review.confirmed[row],
                *(repr(float(value)) for value in found.probabilities[row]),
            ]
        )
    atomic.write_text(path, text.getvalue())


def read_csv(path: pathlib.Path | str, task: labels.Task) -> Review:
    """Reads a review, in whatever order a reader left its lines.

    Raises:
        ValueError: the file is missing, of another task, or a line does not fit.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise ValueError(f"{path} does not exist; expected a {FILE_NAME} that spine_tf.clean wrote")
    header = [*_COLUMNS, *task.columns]
    # A spreadsheet may put a byte order mark first.
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        if reader.fieldnames != header:
            raise ValueError(
                f"{path} has the columns {','.join(reader.fieldnames or [])}, expected "
                f"{','.join(header)}: make the review from a run of task {task.name}"
            )
        rows = [_parse(row, f"{path} line {reader.line_num}", task) for row in reader]
    rows.sort(key=lambda row: row["rank"])
    try:
        return _review(rows)
    except ValueError as err:
        raise ValueError(f"{path}: {err}") from err


def _parse(row: Mapping[str, str], where: str, task: labels.Task) -> dict[str, Any]:
    confirmed = (row["confirmed"] or "").strip().lower()
    if confirmed not in ("", RIGHT, WRONG, *task.columns):
        raise ValueError(
            f"{where}: confirmed is {confirmed!r}, expected empty, right, wrong or one of "
            f"{', '.join(task.columns)}"
        )
    try:
        return {
            "key": row["key"],
            "fold": row["fold"],
            "label": int(row["label"]),
            "quality": float(row["quality"]),
            "rank": int(row["rank"]),
            "is_flagged": bool(int(row["is_flagged"])),
            "confirmed": confirmed,
            "probabilities": [float(row[column]) for column in task.columns],
        }
    except (TypeError, ValueError) as err:
        raise ValueError(f"{where}: {err}") from err


def _review(rows: list[dict[str, Any]]) -> Review:
    def column(name: str) -> list:
        return [row[name] for row in rows]

    keys = column("key")
    if len(set(keys)) != len(keys):
        raise ValueError("a key stands there twice, expected each once")
    return Review(
        predictions=predictions_module.Predictions(
            keys=tuple(keys),
            labels=np.array(column("label"), np.int64),
            probabilities=np.array(column("probabilities"), np.float64),
        ),
        folds=tuple(column("fold")),
        quality=np.array(column("quality"), np.float64),
        is_flagged=np.array(column("is_flagged"), bool),
        confirmed=tuple(column("confirmed")),
    )
