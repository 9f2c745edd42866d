"""label_review.csv, and what training makes of it: labels corrected, rows left out or softened.

One line a row of the records, the most suspicious label first:

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

Only the rows that the weights are fitted to are treated. The inner fold, the fold held out and the
test split keep their given labels and weights, or a cure would be judged on labels of its choice.

The score of a training row comes from a model that did not train on that row. It did train on the
fold that is now held out, so what is left out of training depends a little on that fold's labels,
and the out-of-fold figures of a run with a review are too good by as much. Nothing of it touches
the test split. The honest way for one held-out fold is a review by models that never saw it:
convert the same data with that fold as `test` (`--folds_csv`), train there with `--val_fold all`
and clean; the other rows keep their folds, so the review fits.

Softening is the default: of the three it costs least where nothing is wrong. On phantom studies
with 20 % planted errors, these cost hardly any accuracy but much log loss; each of the three wins
back more than half of that, a reader's classes for the first 30 % of the rows nine tenths
(benchmarks/label_noise.py).
"""

import dataclasses
import functools
import hashlib
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from spine_tf import labels as labels_module
from spine_tf.configuration import config
from spine_tf.scoring import predictions as predictions_module
from tfrecords import atomic, csv_text, records, regular_file

FILE_NAME = "label_review.csv"
RIGHT, WRONG = "right", "wrong"
# The weight of a suspicious row beside 1 of others, and the share of its given label in its target.
DOWN_WEIGHT = 0.25
SOFT_SHARE = 0.5

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

    def corrected_labels(self, task: labels_module.Task) -> np.ndarray:
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


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Cured:
    """Training examples after the cure.

    Attributes:
        examples: those that stay.
        extra: what batches hold besides, one row an example: `weight` float32 (n,) or `target`
            float32 (n, classes), or nothing.
    """

    examples: records.Examples
    extra: Mapping[str, np.ndarray]


def cure(run_config: config.Config, examples: records.Examples, splits: Sequence[str]) -> Cured:
    """Treats training examples as `data.label_review` says.

    Args:
        run_config: the run's settings.
        examples: those of the training splits, with labels of the task.
        splits: the training splits.

    Raises:
        ValueError: the review does not fit: another task, other rows, labels or folds; or it would
            drop a whole class.
    """
    settings = run_config.data.label_review
    if not settings.path:
        return Cured(examples=examples, extra={})
    review = read_csv(settings.path, run_config.task_spec)
    rows = _rows(review, examples, splits, settings.path)
    corrected = review.corrected_labels(run_config.task_spec)[rows]
    examples = dataclasses.replace(examples, labels=corrected)
    is_treated = choose(review, rows, settings.budget)
    if settings.action == "drop":
        _require_some_of_each(run_config, examples.labels, ~is_treated)
        return Cured(examples=examples.take(~is_treated), extra={})
    if settings.action == "down_weight":
        return Cured(examples=examples, extra={"weight": _weights(is_treated)})
    probabilities = review.predictions.probabilities[rows]
    target = soft_targets(examples.labels, probabilities, is_treated)
    return Cured(examples=examples, extra={"target": target})


def choose(review: Review, rows: np.ndarray, budget: float) -> np.ndarray:
    """Says which examples are treated.

    Those confirmed as wrong come first, whatever the budget; those confirmed as right, or given
    another class by the reader, never.

    Args:
        review: the review.
        rows: the review's row of each training example, int64 (n,).
        budget: share of the training examples, the most suspicious first.

    Returns:
        bool (n,).
    """
    confirmed = np.array(review.confirmed)[rows]
    is_wrong = confirmed == WRONG
    # A review's rows are in order of suspicion.
    order = np.argsort(rows, kind="stable")
    order = np.concatenate([order[is_wrong[order]], order[confirmed[order] == ""]])
    is_treated = np.zeros(len(rows), bool)
    is_treated[order[: max(int(is_wrong.sum()), round(budget * len(rows)))]] = True
    return is_treated


def soft_targets(
    labels: np.ndarray, probabilities: np.ndarray, is_treated: np.ndarray
) -> np.ndarray:
    """Returns one-hot targets, softened where treated by what other rows taught of this one.

    A treated target is SOFT_SHARE of the given label and the rest of the out-of-fold probabilities
    (the soft bootstrapping of Reed et al., ICLR 2015 workshop).

    Args:
        labels: int64 (n,).
        probabilities: float64 (n, classes).
        is_treated: bool (n,).

    Returns:
        float32 (n, classes); each row sums to 1.
    """
    given = np.eye(probabilities.shape[1])[labels]
    soft = SOFT_SHARE * given + (1.0 - SOFT_SHARE) * probabilities
    return np.where(is_treated[:, None], soft, given).astype(np.float32)


def _rows(
    review: Review, examples: records.Examples, splits: Sequence[str], path: str
) -> np.ndarray:
    """The review's row of each example, int64 (n,)."""
    missing = [key for key in examples.keys if key not in review.row_of]
    if missing:
        raise ValueError(
            f"{path} has no line for {len(missing)} training rows, such as {missing[0]}: make the "
            "review from a run on these records"
        )
    rows = np.array([review.row_of[key] for key in examples.keys], np.int64)
    differs = np.flatnonzero(review.predictions.labels[rows] != examples.labels)
    if differs.size:
        raise ValueError(
            f"{path}: the label of {examples.keys[differs[0]]} is "
            f"{review.predictions.labels[rows[differs[0]]]}, the records say "
            f"{examples.labels[differs[0]]}: make the review anew"
        )
    folds = {review.folds[row] for row in rows.tolist()} - set(splits)
    if folds:
        raise ValueError(
            f"{path} is of other folds: rows that train here lie in {min(folds)} there, so models "
            "that saw them scored them: make the review from a run on records with these folds"
        )
    return rows


def _require_some_of_each(
    run_config: config.Config, labels: np.ndarray, is_kept: np.ndarray
) -> None:
    for label in np.unique(labels).tolist():
        if not is_kept[labels == label].any():
            raise ValueError(
                f"data.label_review drops every training row of class "
                f"{run_config.task_spec.classes[label]!r}: lower data.label_review.budget "
                f"({run_config.data.label_review.budget}) or set data.label_review.action=soften"
            )


def _weights(is_treated: np.ndarray) -> np.ndarray:
    return np.where(is_treated, DOWN_WEIGHT, 1.0).astype(np.float32)


def sha256_of(path: pathlib.Path | str) -> str:
    """Returns the sha256 of a file that a run was trained with.

    Raises:
        ValueError: it can't be read.
    """
    try:
        return hashlib.sha256(regular_file.read_bytes(path)).hexdigest()
    except OSError as err:
        raise ValueError(
            f"{path} can't be read ({err.strerror}): expected a file that spine_tf.clean wrote"
        ) from err


def write_csv(path: pathlib.Path, review: Review, task: labels_module.Task) -> None:
    """Writes what `read_csv` reads back to the same bits, by rename."""
    found = review.predictions
    rows = (
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
        for row, key in enumerate(found.keys)
    )
    atomic.write_text(path, csv_text.to_text([*_COLUMNS, *task.columns], rows))


def read_csv(path: pathlib.Path | str, task: labels_module.Task) -> Review:
    """Reads a review, in whatever order a reader left its lines.

    Raises:
        ValueError: the file is missing, of another task, or a line does not fit.
    """
    expected = f"a {FILE_NAME} that spine_tf.clean wrote of a run of task {task.name}"
    found = csv_text.read(path, [*_COLUMNS, *task.columns], expected=expected)
    rows = [_parse(row, place, task) for place, row in found]
    rows.sort(key=lambda row: row["rank"])
    try:
        return _review(rows)
    except ValueError as err:
        raise ValueError(f"{path}: {err}") from err


def _parse(row: Mapping[str, str], where: str, task: labels_module.Task) -> dict[str, Any]:
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
            "label": _class(row["label"], task),
            "quality": float(row["quality"]),
            "rank": int(row["rank"]),
            "is_flagged": bool(int(row["is_flagged"])),
            "confirmed": confirmed,
            "probabilities": [float(row[column]) for column in task.columns],
        }
    except (TypeError, ValueError) as err:
        raise ValueError(f"{where}: {err}") from err


def _class(text: str, task: labels_module.Task) -> int:
    if not 0 <= int(text) < len(task.columns):
        raise ValueError(f"label is {text}, expected 0 to {len(task.columns) - 1}")
    return int(text)


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
