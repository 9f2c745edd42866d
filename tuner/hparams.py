"""A trial for TensorBoard: its hyperparameters, objective and learning curves."""

import pathlib
import shutil

import tensorflow as tf
from tensorboard.plugins.hparams import api as hparams_api

from tuner import leaderboard, objective

_NAME_OBJECTIVE = "objective"


def write(
    tensorboard_dir: pathlib.Path, entry: leaderboard.Entry, goal: objective.Objective
) -> None:
    """Writes an event file of one trial; one that is there is replaced.

    Args:
        tensorboard_dir: `tensorboard --logdir` of the search.
        entry: the trial, with its outcome.
        goal: named in the run.
    """
    log_dir = tensorboard_dir / f"trial_{entry.trial_id}"
    shutil.rmtree(log_dir, ignore_errors=True)
    writer = tf.summary.create_file_writer(str(log_dir))
    with writer.as_default():
        values = {"family": entry.family, **entry.settings}
        hparams_api.hparams(values, trial_id=entry.trial_id)
        if entry.score is not None:
            tf.summary.scalar(f"{_NAME_OBJECTIVE}/{goal.name}", entry.score.value, step=0)
        for fold, curve in enumerate(entry.outcome.curves if entry.outcome else ()):
            for epoch, figures in enumerate(curve):
                for name, value in figures.items():
                    tf.summary.scalar(f"fold_{fold}/{name}", value, step=epoch)
    writer.close()
