"""The state of an interrupted run: one file, replaced as a whole after every epoch."""

import io
import json
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from spine_tf.training import progress as progress_module
from tfrecords import atomic

_FILE = "checkpoint.npz"


def save(
    work_dir: pathlib.Path, progress: progress_module.Progress, variables: Sequence[tf.Variable]
) -> None:
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


def restore_progress(work_dir: pathlib.Path, progress: progress_module.Progress) -> None:
    """Puts the saved progress into one that has just begun."""
    with np.load(work_dir / _FILE) as saved:
        summary = json.loads(str(saved["progress"]))
        num_best = sum(name.startswith("best_") for name in saved.files)
        progress.best_weights = [saved[f"best_{i}"] for i in range(num_best)]
    progress.phase = summary["phase"]
    progress.epoch_in_phase = summary["epoch_in_phase"]
    progress.history = summary["history"]
    progress.best_epoch = summary["best_epoch"]


def restore_variables(work_dir: pathlib.Path, variables: Sequence[tf.Variable]) -> None:
    """Puts the saved values into the variables; ValueError if there are others than were saved."""
    with np.load(work_dir / _FILE) as saved:
        num_saved = sum(name.startswith("variable_") for name in saved.files)
        if num_saved != len(variables):
            raise ValueError(
                f"{work_dir / _FILE} holds {num_saved} variables, the model has {len(variables)}: "
                "it was written by another version, start anew in another --run_dir"
            )
        for i, variable in enumerate(variables):
            variable.assign(saved[f"variable_{i}"])


def remove(work_dir: pathlib.Path) -> None:
    """Removes the state of a run that is finished."""
    (work_dir / _FILE).unlink(missing_ok=True)
