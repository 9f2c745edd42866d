"""Predictions: what a model says of each example, beside the truth; as arrays and as CSV."""

import dataclasses
import functools
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from spine_tf import labels as labels_module
from spine_tf.pages import frame
from tfrecords import atomic, csv_text

if TYPE_CHECKING:
    import pandas as pd

_KEY_FIELDS = ("study", "series", "instance", "condition", "level")


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Predictions:
    """Class probabilities of examples whose label is known.

    Attributes:
        keys: `study/series/instance/condition/level` of each example.
        labels: int64 (n,), class index of the task.
        probabilities: float64 (n, classes); each row sums to 1.
    """

    keys: tuple[str, ...]
    labels: np.ndarray
    probabilities: np.ndarray

    def __post_init__(self) -> None:
        object.__setattr__(self, "keys", tuple(self.keys))
        object.__setattr__(self, "labels", np.asarray(self.labels, np.int64))
        object.__setattr__(self, "probabilities", np.asarray(self.probabilities, np.float64))
        shape = self.probabilities.shape
        if len(shape) != 2 or self.labels.shape != shape[:1] or len(self.keys) != shape[0]:
            raise ValueError(
                f"{len(self.keys)} keys, labels of shape {self.labels.shape}, probabilities of "
                f"shape {shape}: expected n, (n,) and (n, classes)"
            )
        if not self.keys:
            raise ValueError("there are no predictions, expected at least one")
        if self.labels.min() < 0 or self.labels.max() >= shape[1]:
            raise ValueError(
                f"labels are {self.labels.min()} to {self.labels.max()}, "
                f"expected class indices 0 to {shape[1] - 1}"
            )
        self._check_probabilities()

    def _check_probabilities(self) -> None:
        is_wrong = (
            ~np.isfinite(self.probabilities).all(axis=1)
            | (self.probabilities < 0.0).any(axis=1)
            | (np.abs(self.probabilities.sum(axis=1) - 1.0) > 1e-3)
        )
        if is_wrong.any():
            row = int(np.argmax(is_wrong))
            raise ValueError(
                f"{self.keys[row]}: probabilities are {self.probabilities[row].tolist()}, "
                "expected numbers from 0 to 1 that sum to 1"
            )

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def num_classes(self) -> int:
        """Columns of `probabilities`."""
        return self.probabilities.shape[1]

    @functools.cached_property
    def predicted(self) -> np.ndarray:
        """The most probable class, the lower one of a tie; int64 (n,)."""
        return self.probabilities.argmax(axis=1)

    @functools.cached_property
    def study_ids(self) -> np.ndarray:
        """The study of each example; int64 (n,)."""
        return np.array([int(_key_field(key, 0)) for key in self.keys], np.int64)

    @functools.cached_property
    def conditions(self) -> np.ndarray:
        """The condition of each example; str (n,)."""
        return np.array([_key_field(key, 3) for key in self.keys])

    @functools.cached_property
    def levels(self) -> np.ndarray:
        """The level of each example; str (n,)."""
        return np.array([_key_field(key, 4) for key in self.keys])

    def select(self, is_selected: np.ndarray) -> "Predictions":
        """Returns the examples where a bool (n,) is True, in order."""
        return Predictions(
            keys=tuple(key for key, chosen in zip(self.keys, is_selected, strict=True) if chosen),
            labels=self.labels[is_selected],
            probabilities=self.probabilities[is_selected],
        )


def collapse(predictions: Predictions, task: labels_module.Task) -> Predictions:
    """Returns the predictions as those of `task.collapsed`; themselves where it is the task."""
    if not task.has_halves:
        return predictions
    return Predictions(
        keys=predictions.keys,
        labels=np.array(task.collapsed_classes)[predictions.labels],
        probabilities=collapse_probabilities(predictions.probabilities, task),
    )


def collapse_probabilities(probabilities: np.ndarray, task: labels_module.Task) -> np.ndarray:
    """Adds up the probabilities of the halves of a severity.

    Args:
        probabilities: float (..., classes).
        task: whose classes they are.

    Returns:
        float (..., classes of `task.collapsed`).
    """
    return probabilities @ np.eye(len(task.severities))[list(task.collapsed_classes)]


def by_row(predictions: Predictions) -> Predictions:
    """Returns one prediction a study, condition and level: the mean over the crops of that row.

    Runs on other crops of the same rows can be compared then. A key is `study/0/0/condition/level`.

    Raises:
        ValueError: crops of a row have different labels.
    """
    names = [row_key(*key.split("/")[:1], *key.split("/")[3:]) for key in predictions.keys]
    rows, first, index = np.unique(names, return_index=True, return_inverse=True)
    labels = predictions.labels[first]
    differs = np.flatnonzero(labels[index] != predictions.labels)
    if differs.size:
        raise ValueError(
            f"{predictions.keys[first[index[differs[0]]]]} and {predictions.keys[differs[0]]} are "
            "crops of one row with different labels"
        )
    sums = np.zeros((len(rows), predictions.num_classes))
    np.add.at(sums, index, predictions.probabilities)
    return Predictions(
        keys=tuple(rows.tolist()),
        labels=labels,
        probabilities=sums / np.bincount(index)[:, np.newaxis],
    )


def row_key(study_id: int | str, condition: str, level: str) -> str:
    """Returns the key of what is said of a row, whatever its images."""
    return f"{study_id}/0/0/{condition}/{level}"


def read_csv(path: pathlib.Path, task: labels_module.Task) -> Predictions:
    """Reads `key,label,<one probability a class>`.

    Raises:
        ValueError: the file is missing, has other columns, or a row that does not fit.
    """
    header = ["key", "label", *task.columns]
    expected = f"the predictions that train writes, of task {task.name}"
    rows = [_parse_row(*found) for found in csv_text.read(path, header, expected=expected)]
    try:
        return Predictions(
            keys=tuple(key for key, _, _ in rows),
            labels=np.array([label for _, label, _ in rows], np.int64),
            probabilities=np.array([values for _, _, values in rows]).reshape(-1, len(header) - 2),
        )
    except (ValueError, OverflowError) as err:
        raise ValueError(f"{path}: {err}") from err


def read_frame(path: pathlib.Path) -> "pd.DataFrame":
    """Reads the same as a table: key as text, label int64, one float64 column a class.

    Raises:
        ValueError: the file is missing.
    """
    return frame.read_csv(path, ["key"], writer="spine_tf.train")


def to_frame(predictions: Predictions, task: labels_module.Task) -> "pd.DataFrame":
    """Returns the predictions as the table that `read_frame` reads.

    Raises:
        ValueError: the task has other classes.
    """
    return frame.parse(_to_csv(predictions, task), ["key"])


def join(parts: Sequence[Predictions]) -> Predictions:
    """Returns the predictions of several sets of examples as one."""
    return Predictions(
        keys=tuple(key for part in parts for key in part.keys),
        labels=np.concatenate([part.labels for part in parts]),
        probabilities=np.concatenate([part.probabilities for part in parts]),
    )


def write_csv(path: pathlib.Path, predictions: Predictions, task: labels_module.Task) -> None:
    """Writes what `read_csv` reads back to the same bits, by rename."""
    atomic.write_text(path, _to_csv(predictions, task))


def _to_csv(predictions: Predictions, task: labels_module.Task) -> str:
    if predictions.num_classes != len(task.classes):
        raise ValueError(
            f"predictions have {predictions.num_classes} classes, "
            f"task {task.name} has {len(task.classes)}"
        )
    rows = zip(predictions.keys, predictions.labels, predictions.probabilities, strict=True)
    return csv_text.to_text(
        ["key", "label", *task.columns],
        (
            [key, int(label), *(repr(float(value)) for value in values)]
            for key, label, values in rows
        ),
    )


def _parse_row(where: str, row: dict[str, str]) -> tuple[str, int, list[float]]:
    key, label, *values = row.values()
    try:
        _key_field(key, 0)
        return key, int(label), [float(value) for value in values]
    except ValueError as err:
        raise ValueError(f"{where}: {err}") from err


def _key_field(key: str, index: int) -> str:
    fields = key.split("/")
    if len(fields) != len(_KEY_FIELDS) or not fields[0].isdecimal() or int(fields[0]) >= 2**63:
        raise ValueError(f"key is {key!r}, expected {'/'.join(_KEY_FIELDS)}")
    for name, known in ((fields[3], labels_module.CONDITIONS), (fields[4], labels_module.LEVELS)):
        if name not in known:
            raise ValueError(f"key is {key!r}: {name!r} is none of {', '.join(known)}")
    return fields[index]
