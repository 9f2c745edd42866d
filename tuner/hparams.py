"""A trial for TensorBoard: its hyperparameters, objective and learning curves."""

import pathlib
import shutil
import time
from collections.abc import Iterator

from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.plugins.hparams import summary_v2
from tensorboard.summary.writer import event_file_writer

from tuner import leaderboard, objective


def write(
    tensorboard_dir: pathlib.Path, entry: leaderboard.Entry, goal: objective.Objective
) -> None:
    """Writes an event file of one trial; one that is there is replaced.

    Without TensorFlow's own writer: it would take the GPU's memory from the workers.

    Args:
        tensorboard_dir: `tensorboard --logdir` of the search.
        entry: the trial, with its outcome.
        goal: named in the run.
    """
    log_dir = tensorboard_dir / f"trial_{entry.trial_id}"
    shutil.rmtree(log_dir, ignore_errors=True)
    writer = event_file_writer.EventFileWriter(str(log_dir))
    try:
        for step, summary in _summaries(entry, goal):
            event = event_pb2.Event(wall_time=time.time(), step=step, summary=summary)
            writer.add_event(event)
    finally:
        writer.close()


def _summaries(
    entry: leaderboard.Entry, goal: objective.Objective
) -> Iterator[tuple[int, summary_pb2.Summary]]:
    values = {"family": entry.family, **entry.settings}
    yield 0, summary_v2.hparams_pb(values, trial_id=entry.trial_id)
    if entry.score is not None:
        yield 0, _scalar(f"objective/{goal.name}", entry.score.value)
    for fold, curve in enumerate(entry.outcome.curves if entry.outcome else ()):
        for epoch, figures in enumerate(curve):
            for name, value in figures.items():
                yield epoch, _scalar(f"fold_{fold}/{name}", value)


def _scalar(tag: str, value: float) -> summary_pb2.Summary:
    return summary_pb2.Summary(value=[summary_pb2.Summary.Value(tag=tag, simple_value=value)])
