"""A process that runs trials, one after another: `python -m tuner.worker FD`.

Jobs come as JSON lines on stdin, answers go as JSON lines to the file descriptor FD; stdout and
stderr are a log. When stdin ends, its parent is gone or done with it, and it ends at once.
"""

import gc
import json
import os
import pathlib
import queue
import signal
import sys
import threading
import time
import traceback
from typing import Any

from absl import logging

from spine_tf.configuration import config
from tuner import trial

_MIB = 2**20


class Channel:
    """The two pipes to the search: jobs in, answers out."""

    def __init__(self, descriptor: int):
        self._out = os.fdopen(descriptor, "w", buffering=1)
        self._jobs: queue.Queue[dict[str, Any]] = queue.Queue()
        self.setup: dict[str, Any] = json.loads(sys.stdin.readline())
        self.is_stopping = threading.Event()
        threading.Thread(target=self._listen, daemon=True).start()

    def next_job(self) -> trial.Job:
        """Waits for a job."""
        return trial.job_from_dict(self._jobs.get())

    def send(self, **message: Any) -> None:
        """Sends an answer."""
        self._out.write(json.dumps(message) + "\n")

    def _listen(self) -> None:
        for line in sys.stdin:
            message = json.loads(line)
            if "stop" in message:
                self.is_stopping.set()
            else:
                self.is_stopping.clear()
                self._jobs.put(message["run"])
        # The search has closed the pipe or was killed. Nothing of a running trial is worth keeping.
        os._exit(0)


def main() -> None:
    """Runs jobs until stdin ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the search, which ends us
    logging.set_verbosity(logging.INFO)
    logging.use_absl_handler()
    channel = Channel(int(sys.argv[1]))
    runner = _make_runner(channel)
    channel.send(ready=os.getpid())
    while True:
        job = channel.next_job()
        logging.info("trial %s: %s", job.trial_id, json.dumps(job.config))
        outcome, is_healthy = _run(runner, job)
        logging.info("trial %s %s %s", job.trial_id, outcome.status, outcome.reason)
        channel.send(
            outcome=trial.outcome_to_dict(outcome),
            memory_mb=_resident_bytes() / _MIB,
            is_healthy=is_healthy,
        )


def _make_runner(channel: Channel) -> Any:
    import tensorflow as tf

    from tuner import runner as runner_module

    threads = channel.setup["threads"]
    if threads:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    for gpu in tf.config.list_physical_devices("GPU"):
        # Several workers share a GPU; by default the first would take all of its memory.
        tf.config.experimental.set_memory_growth(gpu, True)
    # The 400,000 objects of the imports stay to the end: no collection need go through them, which
    # takes 0.2 s, twice a trial.
    gc.freeze()
    return runner_module.Runner(
        search_dir=pathlib.Path(channel.setup["search_dir"]),
        records_dir=pathlib.Path(channel.setup["records_dir"]),
        folds=channel.setup["folds"],
        max_parameters=channel.setup["max_parameters"],
        is_stopping=channel.is_stopping.is_set,
        on_epoch=lambda **figures: channel.send(epoch=figures),
    )


def _run(runner: Any, job: trial.Job) -> tuple[trial.Outcome, bool]:
    started = time.monotonic()
    is_healthy = True
    try:
        outcome = runner.run(job, config.from_dict(job.config))
    except Exception as err:
        # Whatever a trial raises, the search outlives it: the reason goes on the leaderboard, the
        # traceback into the log, and after anything but a ValueError the process is renewed.
        traceback.print_exc()
        is_healthy = isinstance(err, ValueError) and "memory" not in str(err)
        outcome = trial.Outcome(
            trial_id=job.trial_id,
            status=trial.FAILED,
            reason=_sentence(err),
            seconds=time.monotonic() - started,
        )
    gc.collect()
    return outcome, is_healthy


def _sentence(err: BaseException) -> str:
    text = " ".join(str(err).split())[:500]
    if isinstance(err, MemoryError):
        return f"out of memory: {text}".removesuffix(": ")
    return text if isinstance(err, ValueError) and text else f"{type(err).__name__}: {text}"


def _resident_bytes() -> int:
    pages = int(pathlib.Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
