"""What the processes of test_workers.py do instead of training."""

import errno
import os
from typing import Any

from tuner import trial, workers

_work = workers._work  # before a test puts another in its place


def answer(search, tuner_id, setup):
    """Says in which process a job was; `config` says what else the process tells of itself."""
    search.send(workers._Ready())
    while True:
        job = search.recv()
        reason = str(os.getpid())
        if job.config.pop("tells_gpu", False):
            reason = os.environ["CUDA_VISIBLE_DEVICES"]
        outcome = trial.Outcome(trial_id=job.trial_id, status=trial.COMPLETED, reason=reason)
        told = {"memory_mb": 100.0, "is_healthy": True, **job.config}
        search.send(workers._Answer(outcome=outcome, **told))


def end_at_once(search, tuner_id, setup):
    os._exit(3)


class _Runner:
    """Finds no room."""

    def run(self, job, config):
        raise OSError(errno.ENOSPC, "No space left on device", "fold_0.keras")


def fill_the_disk(search, tuner_id, setup):
    """Works as a worker does whose trials find no room."""
    workers._make_runner = _make_runner
    _work(search, tuner_id, setup)


def _make_runner(setup: Any, is_stopping: Any, on_epoch: Any) -> Any:
    return _Runner()
