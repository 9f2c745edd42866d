"""What calibrates a run of all folds best: no temperature, each fold's own, or all inner folds'?

From the files of finished runs alone (`train --val_fold all`; `--num_seeds 3` makes three of them):

    python benchmarks/temperatures.py --run_dirs runs/w/seed_0,runs/w/seed_1,runs/w/seed_2

Prints the log loss out of fold, the mean of the runs and their range, at 1, at the temperature that
each model's own inner fold gives, and at the one that all inner folds but the one held out give.
"""

import pathlib
from collections.abc import Callable

import numpy as np
from absl import app, flags

from spine_tf.configuration import config
from spine_tf.runs import run_directory
from spine_tf.scoring import calibration, metrics, predictions

_RUN_DIRS = flags.DEFINE_list("run_dirs", None, "Runs of all folds.", required=True)


def main(_: list[str]) -> None:
    """Prints one line a way."""
    ways: dict[str, Callable[[pathlib.Path, float], float]] = {
        "no temperature": lambda fold_dir, own: 1.0,
        "its own inner fold's": lambda fold_dir, own: own,
        "of all inner folds": lambda fold_dir, own: calibration.read_temperature(
            fold_dir.parent / run_directory.CALIBRATION_FILE, fold_dir.name
        ),
    }
    for name, temperature in ways.items():
        losses = [_log_loss(pathlib.Path(path), temperature) for path in _RUN_DIRS.value]
        spread = f"{min(losses):.3f} to {max(losses):.3f}"
        print(f"{name:<24}{np.mean(losses):>8.3f}   {spread}")


def _log_loss(run_dir: pathlib.Path, temperature: Callable[[pathlib.Path, float], float]) -> float:
    task = config.read_config(run_dir / run_directory.CONFIG_FILE).task_spec
    losses = []
    for fold_dir in run_directory.fold_dirs(run_dir):
        found = predictions.read_csv(fold_dir / run_directory.PREDICTIONS_FILE, task)
        own = calibration.read_temperature(fold_dir / run_directory.CALIBRATION_FILE)
        wanted = temperature(fold_dir, own)
        probabilities = calibration.apply_temperature(found.probabilities, wanted / own)
        losses.append(
            metrics.example_log_losses(
                predictions.Predictions(
                    keys=found.keys, labels=found.labels, probabilities=probabilities
                )
            )
        )
    return float(np.concatenate(losses).mean())


if __name__ == "__main__":
    app.run(main)
