"""Worker processes: started, given jobs, renewed so that memory stays flat, restarted when dead."""

import contextlib
import dataclasses
import json
import os
import pathlib
import selectors
import signal
import subprocess
import sys
import time
from typing import Any

from absl import logging

from tuner import trial

# A process is renewed after so many trials: TensorFlow keeps about 9 MB of each (keras-tuner #395),
# and importing it takes 3-5 s.
TRIALS_PER_PROCESS = 20
_MEMORY_GROWTH_MB = 1024.0
_MAX_FAILED_STARTS = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finished:
    """A worker has run its job."""

    tuner_id: str
    outcome: trial.Outcome


@dataclasses.dataclass(frozen=True, kw_only=True)
class Died:
    """A worker's process has ended in the middle of a job; it has a new one."""

    worker: "Worker"
    job: trial.Job
    reason: str
    seconds: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Epoch:
    """A worker has trained one more epoch."""

    tuner_id: str
    trial_id: str
    fold: int
    epoch: int
    value: float


Event = Finished | Died | Epoch


class WorkersFailedError(OSError):
    """Worker processes end before they take a job."""


class Worker:
    """One worker: an id that stays, and a process that is renewed."""

    def __init__(
        self,
        tuner_id: str,
        setup: dict[str, Any],
        environment: dict[str, str],
        log_path: pathlib.Path,
    ):
        self.tuner_id = tuner_id
        self.job: trial.Job | None = None
        self.num_started = 0
        self._is_worn = False
        self._buffer = b""
        self._setup = setup
        self._environment = environment
        self._log_path = log_path
        self._failed_starts = 0
        self._start()

    @property
    def pid(self) -> int:
        """The present process."""
        return self._process.pid

    def fileno(self) -> int:
        """The pipe that its answers come from."""
        return self._answers

    def give(self, job: trial.Job) -> None:
        """Starts a job, in a new process if the present one has done enough or has died."""
        if self._is_worn or self._process.poll() is not None:
            self.close()
            self._start()
        self.job = job
        self._job_started = time.monotonic()
        self._say(run=trial.job_to_dict(job))

    def stop_trial(self) -> None:
        """Asks for the running trial to end after its present epoch."""
        self._say(stop=True)

    def read_events(self) -> list[Event]:
        """Reads what the process has answered; at its end, how it ended."""
        data = os.read(self._answers, 1 << 16)
        self._buffer += data
        *lines, self._buffer = self._buffer.split(b"\n")
        events = [event for line in lines for event in self._event(json.loads(line))]
        if not data:
            events += self._end()
        return events

    def close(self) -> None:
        """Ends the process, whatever it does."""
        with contextlib.suppress(OSError):
            self._process.kill()
        self._process.wait()
        for close in (self._jobs.close, lambda: os.close(self._answers)):
            with contextlib.suppress(OSError):
                close()

    def _start(self) -> None:
        self._answers, answers_end = os.pipe()
        with self._log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tuner.worker", str(answers_end)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                pass_fds=(answers_end,),
                env=self._environment,
            )
        os.close(answers_end)
        if self._process.stdin is None:
            raise OSError("the worker process has no stdin")
        self._jobs = self._process.stdin
        self._buffer = b""
        self._num_trials = 0
        self._first_memory_mb = 0.0
        self._is_worn = False
        self._is_ready = False
        self.num_started += 1
        self._say(**self._setup)

    def _say(self, **message: Any) -> None:
        # A dead process is seen by its closed answers, with the reason; not here.
        with contextlib.suppress(BrokenPipeError):
            self._jobs.write(json.dumps(message).encode() + b"\n")
            self._jobs.flush()

    def _event(self, message: dict[str, Any]) -> list[Event]:
        if "ready" in message:
            self._is_ready = True
            self._failed_starts = 0
            return []
        if "epoch" in message:
            return [Epoch(tuner_id=self.tuner_id, **message["epoch"])]
        self._wear(message["memory_mb"], message["is_healthy"])
        self.job = None
        outcome = trial.outcome_from_dict(message["outcome"])
        return [Finished(tuner_id=self.tuner_id, outcome=outcome)]

    def _wear(self, memory_mb: float, is_healthy: bool) -> None:
        self._num_trials += 1
        self._first_memory_mb = self._first_memory_mb or memory_mb
        has_grown = memory_mb - self._first_memory_mb > _MEMORY_GROWTH_MB
        self._is_worn = self._num_trials >= TRIALS_PER_PROCESS or has_grown or not is_healthy

    def _end(self) -> list[Event]:
        status = self._process.wait()
        reason = f"its worker process {_how_it_ended(status)} (see {self._log_path.name})"
        if not self._is_ready:
            self._failed_starts += 1
            if self._failed_starts >= _MAX_FAILED_STARTS:
                raise WorkersFailedError(
                    f"{self.tuner_id}: {reason} {self._failed_starts} times before it took a "
                    f"trial: {self._log_path} says why"
                )
        job, self.job = self.job, None
        was_ready = self._is_ready
        self.close()
        self._start()
        logging.warning("%s: %s; it was started again", self.tuner_id, reason)
        if job is None:
            return []
        if not was_ready:
            self.give(job)
            return []
        seconds = time.monotonic() - self._job_started
        return [Died(worker=self, job=job, reason=reason, seconds=seconds)]


class Pool:
    """The workers of one search on this machine."""

    def __init__(self, tuner_ids: list[str], setup: dict[str, Any], log_dir: pathlib.Path):
        log_dir.mkdir(parents=True, exist_ok=True)
        cores = os.cpu_count() or 1
        threads = max(1, cores // len(tuner_ids)) if len(tuner_ids) > 1 else 0
        self.workers = [
            Worker(
                tuner_id,
                {**setup, "threads": threads},
                _environment(index, threads),
                log_dir / f"{tuner_id}.log",
            )
            for index, tuner_id in enumerate(tuner_ids)
        ]

    def idle(self) -> list[Worker]:
        """Returns the workers without a job."""
        return [worker for worker in self.workers if worker.job is None]

    def busy(self) -> list[Worker]:
        """Returns the workers with a job."""
        return [worker for worker in self.workers if worker.job is not None]

    def wait(self, timeout: float) -> list[Event]:
        """Waits until something happens, at most `timeout` seconds."""
        with selectors.DefaultSelector() as selector:
            for worker in self.workers:
                selector.register(worker.fileno(), selectors.EVENT_READ, worker)
            ready = selector.select(timeout)
        return [event for key, _ in ready for event in key.data.read_events()]

    def close(self) -> None:
        """Ends all processes."""
        for worker in self.workers:
            worker.close()


def _environment(index: int, threads: int) -> dict[str, str]:
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", "PYTHONUNBUFFERED": "1"}
    if threads:
        environment["OMP_NUM_THREADS"] = str(threads)
    devices = [device for device in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if device]
    if len(devices) > 1 and threads:
        environment["CUDA_VISIBLE_DEVICES"] = devices[index % len(devices)]
    return environment


def _how_it_ended(status: int) -> str:
    if status < 0:
        name = signal.Signals(-status).name
        hint = ", as the kernel does when memory is short" if name == "SIGKILL" else ""
        return f"was killed by {name}{hint}"
    return f"ended with status {status}"
