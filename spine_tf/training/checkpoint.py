"""What a run has seen so far, and the file from which an interrupted one goes on.

The file is replaced as a whole after every epoch.
"""

import contextlib
import dataclasses
import io
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfrecords import array_file, atomic

_FILE = "checkpoint.npz"


@dataclasses.dataclass
class Progress:
    """What a run has seen so far; all that resuming needs beside the optimiser's state.

    Attributes:
        monitor: the figure that decides; without an inner fold nothing does, the last epoch counts.
        more_is_better: whether the higher of two such figures is the better one.
        patience: epochs without a better one after which a phase ends; 0 never.
        phase: index of the present phase.
        epoch_in_phase: epochs of it that are done.
        history: one dict of figures an epoch.
        best_epoch: index into the history, -1 before the first.
        best_weights: the network's weights after the best epoch.
    """

    monitor: str | None
    more_is_better: bool
    patience: int
    phase: int = 0
    epoch_in_phase: int = 0
    history: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    best_epoch: int = -1
    best_weights: list[np.ndarray] = dataclasses.field(default_factory=list)

    @property
    def epoch(self) -> int:
        """Epochs done over all phases."""
        return len(self.history)

    @property
    def is_best(self) -> bool:
        """Whether the last epoch is the best so far."""
        return self.best_epoch == self.epoch - 1

    @property
    def is_out_of_patience(self) -> bool:
        """Whether the present phase has gone on long enough without a better epoch."""
        if not self.patience or self.monitor is None:
            return False
        since = min(self.epoch - 1 - self.best_epoch, self.epoch_in_phase)
        return since >= self.patience

    def add(self, figures: dict[str, Any], model: keras.Model) -> None:
        """Takes in the figures of one more epoch and, if it is the best, the model's weights."""
        self.history.append(figures)
        self.epoch_in_phase += 1
        if self._is_better(figures):
            self.best_epoch = self.epoch - 1
            self.best_weights = model.get_weights()

    def next_phase(self) -> None:
        """Begins the next phase."""
        self.phase += 1
        self.epoch_in_phase = 0

    def _is_better(self, figures: dict[str, Any]) -> bool:
        if self.monitor is None or self.best_epoch < 0:
            return True
        value, best = figures[self.monitor], self.history[self.best_epoch][self.monitor]
        # A figure is NaN where the inner fold lacks a class; anything is better than that.
        if np.isnan(best):
            return not np.isnan(value)
        return value > best if self.more_is_better else value < best


def save(work_dir: pathlib.Path, progress: Progress, variables: Sequence[tf.Variable]) -> None:
    """Writes the progress and the values of the variables, in their order."""
    summary = {
        "phase": progress.phase,
        "epoch_in_phase": progress.epoch_in_phase,
        "history": progress.history,
        "best_epoch": progress.best_epoch,
    }
    arrays: dict[str, Any] = {"progress": np.array(json.dumps(summary))}
    arrays |= {f"variable_{i}": np.asarray(variable) for i, variable in enumerate(variables)}
    arrays |= {f"best_{i}": weight for i, weight in enumerate(progress.best_weights)}
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    atomic.write_bytes(work_dir / _FILE, buffer.getvalue())


def exists(work_dir: pathlib.Path) -> bool:
    """Says whether a run has left its state there."""
    return (work_dir / _FILE).is_file()


def restore_progress(work_dir: pathlib.Path, progress: Progress) -> None:
    """Puts the saved progress into one that has just begun."""
    with _opened(work_dir) as saved:
        summary = json.loads(str(saved["progress"]))
        num_best = sum(name.startswith("best_") for name in saved)
        progress.best_weights = [saved[f"best_{i}"] for i in range(num_best)]
        progress.phase = summary["phase"]
        progress.epoch_in_phase = summary["epoch_in_phase"]
        progress.history = summary["history"]
        progress.best_epoch = summary["best_epoch"]


def _opened(work_dir: pathlib.Path) -> contextlib.AbstractContextManager[Mapping[str, np.ndarray]]:
    return array_file.opened(
        work_dir / _FILE,
        expected="the state of a training",
        mend="remove it, and this training begins anew",
    )


def restore_variables(work_dir: pathlib.Path, variables: Sequence[tf.Variable]) -> None:
    """Puts the saved values into the variables; ValueError if there are others than were saved."""
    with _opened(work_dir) as saved:
        num_saved = sum(name.startswith("variable_") for name in saved)
    if num_saved != len(variables):
        raise ValueError(
            f"{work_dir / _FILE} holds {num_saved} variables, the model has {len(variables)}: "
            "it was written by another version, start anew in another --run_dir"
        )
    with _opened(work_dir) as saved:
        for i, variable in enumerate(variables):
            variable.assign(saved[f"variable_{i}"])


def remove(work_dir: pathlib.Path) -> None:
    """Removes the state of a run that is finished."""
    (work_dir / _FILE).unlink(missing_ok=True)
