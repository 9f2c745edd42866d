"""Worker processes: started, given jobs, renewed so that memory stays flat, restarted when dead.

The search's half stands first, what a worker's process does after it. Only that imports TensorFlow.
"""

import dataclasses
import errno
import gc
import json
import os
import pathlib
import queue
import resource
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from multiprocessing import connection as connection_module
from typing import TYPE_CHECKING

from absl import logging

from spine_tf.configuration import config
from spine_tf.processes import child, pool
from tfrecords import errors
from tuner import gpus as gpus_module, trial

if TYPE_CHECKING:
    from tuner import runner

# A process is renewed after so many trials: TensorFlow keeps about 9 MB of each (keras-tuner #395),
# and importing it takes 3-5 s.
TRIALS_PER_PROCESS = 20
_MEMORY_GROWTH_MB = 1024.0
_MAX_FAILED_STARTS = 3
_MIB = 2**20
# The place takes no more, whoever writes.
_NO_PLACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Setup:
    """What all trials of a worker have in common.

    Attributes:
        search_dir, records_dir, folds, max_parameters: as `runner.Runner` has them.
        threads: that TensorFlow may use; 0 leaves that to it.
    """

    search_dir: pathlib.Path
    records_dir: pathlib.Path
    folds: int
    max_parameters: int | None
    threads: int = 0


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
    """A worker has trained one more epoch, the first is 0, of the most that there will be."""

    tuner_id: str
    trial_id: str
    fold: int
    epoch: int
    epochs: int
    value: float


Event = Finished | Died | Epoch


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Ready:
    """The process has imported what it needs."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Stop:
    """The running trial is to end after its present epoch."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Answer:
    """What came of a job, and whether the process is fit for another."""

    outcome: trial.Outcome
    memory_mb: float
    is_healthy: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class _NoPlace:
    """A trial found no place for what it writes, as the next one would: what an OSError says."""

    number: int
    text: str
    path: str


class WorkersFailedError(OSError):
    """Worker processes end before they take a job."""


class Worker:
    """One worker: an id that stays, and a process that is renewed."""

    def __init__(
        self,
        tuner_id: str,
        setup: Setup,
        environment: Mapping[str, str],
        log_path: pathlib.Path,
    ) -> None:
        self.tuner_id = tuner_id
        self.job: trial.Job | None = None
        self._setup = setup
        self._environment = environment
        self._log_path = log_path
        self._failed_starts = 0
        self._start()

    @property
    def connection(self) -> child.Connection:
        """The pipe that its answers come from."""
        return self._process.connection

    def give(self, job: trial.Job) -> None:
        """Starts a job, in a new process if the present one has done enough or has died."""
        if self._is_worn or not self._process.is_alive:
            self.close()
            self._start()
        self.job = job
        self._job_started = time.monotonic()
        self._process.send(job)

    def stop_trial(self) -> None:
        """Asks for the running trial to end after its present epoch."""
        self._process.send(_Stop())

    def read_events(self) -> list[Event]:
        """Reads what the process has answered; at its end, how it ended."""
        try:
            message = self._process.receive()
        except ChildProcessError as err:
            return self._end(f"its worker process {err} (see {self._log_path.name})")
        if isinstance(message, _Ready):
            self._is_ready = True
            self._failed_starts = 0
            return []
        if isinstance(message, Epoch):
            return [message]
        if isinstance(message, _NoPlace):
            raise OSError(message.number, message.text, message.path)
        self._wear(message)
        self.job = None
        return [Finished(tuner_id=self.tuner_id, outcome=message.outcome)]

    def close(self) -> None:
        """Ends the process, whatever it does."""
        self._process.end()

    def _start(self) -> None:
        self._process = child.Child(
            *(_work, self.tuner_id, self._setup),
            log_path=self._log_path,
            environment=self._environment,
        )
        self._num_trials = 0
        self._first_memory_mb = 0.0
        self._is_worn = False
        self._is_ready = False

    def _wear(self, answer: _Answer) -> None:
        self._num_trials += 1
        self._first_memory_mb = self._first_memory_mb or answer.memory_mb
        has_grown = answer.memory_mb - self._first_memory_mb > _MEMORY_GROWTH_MB
        is_old = self._num_trials >= TRIALS_PER_PROCESS
        self._is_worn = is_old or has_grown or not answer.is_healthy

    def _end(self, reason: str) -> list[Event]:
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

    def __init__(
        self, tuner_ids: list[str], setup: Setup, log_dir: pathlib.Path, gpus: Sequence[str] = ()
    ) -> None:
        """Starts the workers.

        Args:
            tuner_ids: one a worker.
            setup: what their trials have in common.
            log_dir: where each writes a log.
            gpus: as `gpus.list_gpus` has them; each worker sees one, in turn.
        """
        log_dir.mkdir(parents=True, exist_ok=True)
        if gpus:
            logging.info(gpus_module.describe_shares(tuner_ids, gpus))
        threads = max(1, pool.num_cpus() // len(tuner_ids)) if len(tuner_ids) > 1 else 0
        self.workers = [
            Worker(
                tuner_id,
                dataclasses.replace(setup, threads=threads),
                _environment(threads, gpus[index % len(gpus)] if gpus else None),
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
        ready = connection_module.wait([worker.connection for worker in self.workers], timeout)
        heard = [worker for worker in self.workers if worker.connection in ready]
        return [event for worker in heard for event in worker.read_events()]

    def close(self) -> None:
        """Ends all processes."""
        for worker in self.workers:
            worker.close()


def _environment(threads: int, gpu: str | None) -> dict[str, str]:
    environment = {"TF_CPP_MIN_LOG_LEVEL": "2"}
    if threads:
        environment["OMP_NUM_THREADS"] = str(threads)
    if gpu is not None:
        environment["CUDA_VISIBLE_DEVICES"] = gpu
    return environment


class _Inbox:
    """Jobs from the search, heard while a trial runs."""

    def __init__(self, search: child.Connection) -> None:
        self._search = search
        self._jobs: queue.Queue[trial.Job] = queue.Queue()
        self._is_stopping = threading.Event()
        threading.Thread(target=self._listen, daemon=True).start()

    def next_job(self) -> trial.Job:
        """Waits for a job."""
        return self._jobs.get()

    def is_stopping(self) -> bool:
        """Whether the running trial is to end after its present epoch."""
        return self._is_stopping.is_set()

    def _listen(self) -> None:
        while True:
            try:
                message = self._search.recv()
            except EOFError:
                # The search is done with us. Nothing of a running trial is worth keeping.
                os._exit(0)
            if isinstance(message, _Stop):
                self._is_stopping.set()
            else:
                self._is_stopping.clear()
                self._jobs.put(message)


def _work(search: child.Connection, tuner_id: str, setup: Setup) -> None:
    """Runs jobs for ever."""
    inbox = _Inbox(search)
    runs = _make_runner(
        setup,
        inbox.is_stopping,
        lambda **figures: search.send(Epoch(tuner_id=tuner_id, **figures)),
    )
    search.send(_Ready())
    while True:
        job = inbox.next_job()
        logging.info("trial %s: %s", job.trial_id, json.dumps(job.config))
        try:
            outcome, is_healthy = _run(runs, job)
        except OSError as err:
            number, text = err.errno or 0, err.strerror or str(err)
            search.send(_NoPlace(number=number, text=text, path=str(err.filename)))
            continue
        logging.info("trial %s %s %s", job.trial_id, outcome.status, outcome.reason)
        search.send(
            _Answer(outcome=outcome, memory_mb=_resident_bytes() / _MIB, is_healthy=is_healthy)
        )


def _make_runner(
    setup: Setup, is_stopping: Callable[[], bool], on_epoch: Callable[..., None]
) -> "runner.Runner":
    import tensorflow as tf

    from tuner import runner

    if setup.threads:
        tf.config.threading.set_intra_op_parallelism_threads(setup.threads)
        tf.config.threading.set_inter_op_parallelism_threads(setup.threads)
    for gpu in tf.config.list_physical_devices("GPU"):
        # Several workers share a GPU; by default the first would take all of its memory.
        tf.config.experimental.set_memory_growth(gpu, True)
    # The 400,000 objects of the imports stay to the end: no collection need go through them, which
    # takes 0.2 s, twice a trial.
    gc.freeze()
    return runner.Runner(
        search_dir=setup.search_dir,
        records_dir=setup.records_dir,
        folds=setup.folds,
        max_parameters=setup.max_parameters,
        is_stopping=is_stopping,
        on_epoch=on_epoch,
    )


def _run(runs: "runner.Runner", job: trial.Job) -> tuple[trial.Outcome, bool]:
    """Returns what came of it, and whether the process is fit for more.

    Raises:
        OSError: the search's place takes no more; that is nothing that a trial is to blame for.
    """
    started = time.monotonic()
    is_healthy = True
    try:
        outcome = runs.run(job, config.from_dict(job.config))
    except Exception as err:
        # Whatever a trial raises, the search outlives it: the reason goes on the leaderboard, the
        # traceback into the log, and after anything but a ValueError the process is renewed.
        traceback.print_exc()
        if isinstance(err, OSError) and err.errno in _NO_PLACE:
            raise
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
    text, kind = errors.reason(err)[:500], type(err).__name__
    if isinstance(err, MemoryError):
        return f"out of memory: {text}".removesuffix(f": {kind}")
    return text if isinstance(err, ValueError) or text == kind else f"{kind}: {text}"


def _resident_bytes() -> int:
    try:
        statm = pathlib.Path("/proc/self/statm").read_text("ascii")
    except OSError:
        # macOS has no /proc: the most that it ever was, in bytes there, in KiB elsewhere.
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
    return int(statm.split()[1]) * os.sysconf("SC_PAGE_SIZE")
