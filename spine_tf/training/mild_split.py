"""mild_split.csv: the Moderate rows, the report's Mild, in two halves.

A row's score is P(Severe) / (P(Severe) + P(Normal/Mild)) by models that did not train on it, and
the half is its side of the median of the rows that the same models scored. So no row's own label
leaks into its half. The models did learn from the labels of other folds, the one that a later run
holds out among them; none did from the test split, so that is where figures are honest (or in a
fold that was `test` when these models were trained, see `reviewed_labels`).

| column | meaning |
|---|---|
| key | of the row |
| fold | the split that it lies in |
| score | 0, next to Normal/Mild, to 1, next to Severe |
| half | mild_normal or mild_severe |
"""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from spine_tf import labels
from spine_tf.scoring import operating, predictions as predictions_module
from tfrecords import atomic, csv_text

FILE_NAME = "mild_split.csv"
MODERATE = labels.SEVERITIES.index("Moderate")

_COLUMNS = ("key", "fold", "score", "half")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One Moderate row.

    Attributes:
        key: the row's key.
        fold: the split that it lies in.
        score: 0, next to Normal/Mild, to 1, next to Severe.
        half: index into labels.HALVES.
    """

    key: str
    fold: str
    score: float
    half: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class MildSplit:
    """A file that is read.

    Attributes:
        path: the CSV file.
        rows: its rows, by key.
    """

    path: str
    rows: Mapping[str, Row]

    def classes(
        self,
        keys: Sequence[str],
        severities: np.ndarray,
        task: labels.Task,
        splits: Sequence[str],
    ) -> np.ndarray:
        """Returns the class of each row.

        Args:
            keys: n of them.
            severities: int64 (n,), indices into labels.SEVERITIES.
            task: one that has halves.
            splits: that the rows lie in.

        Returns:
            int64 (n,).

        Raises:
            ValueError: a Moderate row is not in the file, or lies in another split there.
        """
        class_of = {severity: k for k, severity in enumerate(task.class_severities)}
        classes = np.array([class_of[severity] for severity in severities.tolist()], np.int64)
        for index in np.flatnonzero(severities == MODERATE).tolist():
            half = self._row(keys[index], splits).half
            classes[index] = task.classes.index(labels.HALVES[half])
        return classes

    def _row(self, key: str, splits: Sequence[str]) -> Row:
        row = self.rows.get(key)
        if row is None:
            raise ValueError(
                f"{self.path} has no line for the Moderate row {key}: write it with "
                "spine_tf.clean from a run on these records"
            )
        # No model of the run that scored it saw a row of its test split.
        if row.fold not in (*splits, "test"):
            raise ValueError(
                f"{self.path}: {key} lies in {row.fold}, in these records it lies in "
                f"{' or '.join(splits)}: write it with spine_tf.clean from a run on records with "
                "these folds"
            )
        return row


def split(
    predictions: predictions_module.Predictions, folds: Sequence[str], task: labels.Task
) -> list[Row]:
    """Halves the Moderate rows of predictions by models that did not see them.

    Args:
        predictions: probabilities of the three severities.
        folds: the split of each row; rows of one are scored by the same models.
        task: whose classes they are.
    """
    scores, _ = operating.severe_scores(predictions, task)
    is_moderate = predictions.labels == task.class_severities.index(MODERATE)
    rows = []
    for fold in dict.fromkeys(folds):
        inside = np.flatnonzero(is_moderate & (np.array(folds) == fold)).tolist()
        # Equal scores, as of a model that learned nothing, are told apart by their keys.
        inside.sort(key=lambda row: (scores[row], predictions.keys[row]))
        num_normal = len(inside) - len(inside) // 2
        rows += [
            Row(
                key=predictions.keys[row],
                fold=fold,
                score=float(scores[row]),
                half=int(place >= num_normal),
            )
            for place, row in enumerate(inside)
        ]
    return rows


def write_csv(path: pathlib.Path, rows: Sequence[Row]) -> None:
    """Writes the rows, by rename."""
    cells = ((row.key, row.fold, repr(row.score), labels.HALF_COLUMNS[row.half]) for row in rows)
    atomic.write_text(path, csv_text.to_text(_COLUMNS, cells))


def read_csv(path: pathlib.Path | str) -> list[Row]:
    """Reads what `write_csv` wrote.

    Raises:
        ValueError: the file is missing, or a line does not fit.
    """
    found = csv_text.read(path, _COLUMNS, expected=f"a {FILE_NAME} that spine_tf.clean wrote")
    return [_parse(row, place) for place, row in found]


def _parse(row: Mapping[str, str], where: str) -> Row:
    if row["half"] not in labels.HALF_COLUMNS:
        raise ValueError(
            f"{where}: half is {row['half']!r}, expected {' or '.join(labels.HALF_COLUMNS)}"
        )
    try:
        score = float(row["score"])
    except ValueError as err:
        raise ValueError(f"{where}: {err}") from err
    half = labels.HALF_COLUMNS.index(row["half"])
    return Row(key=row["key"], fold=row["fold"], score=score, half=half)
