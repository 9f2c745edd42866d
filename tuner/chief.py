"""The chief of a search on several machines: Keras Tuner's service, which doesn't hang.

Keras Tuner 1.4.8 waits for ever for a worker that died (#915). Here a worker asks for its running
trial every few seconds; one that is silent for long is lost, and its trial is run again.
"""

import contextlib
import io
import os
import threading
import time
from concurrent import futures
from typing import Any

import grpc
import keras_tuner
from absl import logging
from keras_tuner.engine import trial as kt_trial
from keras_tuner.src import protos
from keras_tuner.src.distribute import oracle_chief

from tuner import budget, ledger, settings as settings_module, trial as trial_module

BEAT_SECONDS = 5.0
LOST_SECONDS = 60.0


def address() -> str:
    """Returns where the chief listens, from Keras Tuner's variables."""
    return f"{os.environ['KERASTUNER_ORACLE_IP']}:{os.environ['KERASTUNER_ORACLE_PORT']}"


class Chief(oracle_chief.OracleServicer):
    """Answers workers until the search has ended and all of them know it."""

    def __init__(
        self,
        settings: settings_module.Settings,
        oracle: keras_tuner.Oracle,
        book: ledger.LocalLedger,
        clock: budget.Clock,
    ):
        super().__init__(oracle)
        self._settings = settings
        self._book = book
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: dict[str, float] = {}
        self._lost_once: set[str] = set()
        self._ended_by = ""
        self._error: BaseException | None = None

    def serve(self) -> str:
        """Serves workers; returns what ended the search.

        Raises:
            OSError: the address can't be had.
        """
        server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
        protos.get_service_grpc().add_OracleServicer_to_server(self, server)
        try:
            server.add_insecure_port(address())
        except RuntimeError as err:
            raise OSError(f"the chief can't listen at {address()}: {err}") from err
        server.start()
        logging.info("the chief listens at %s", address())
        try:
            # Keras Tuner prints a line for every condition that it sends.
            with contextlib.redirect_stdout(io.StringIO()):
                while not self._is_done():
                    time.sleep(0.5)
        finally:
            server.stop(grace=2.0).wait()
        if self._error is not None:
            raise self._error
        return self._ended_by

    def CreateTrial(self, request: Any, context: Any) -> Any:
        """Hands out a trial, or says that there are no more."""
        with self._guarded():
            self._seen[request.tuner_id] = time.monotonic()
            if self._clock.is_over:
                self._ended_by = self._ended_by or budget.MINUTES
            if self._ended_by:
                self.oracle.tuner_ids.discard(request.tuner_id)
                trial = self._no_trial(kt_trial.TrialStatus.STOPPED)
            else:
                trial = self.oracle.create_trial(request.tuner_id)
                if trial.status == kt_trial.TrialStatus.STOPPED:
                    trial = self._wait_or_stop(request.tuner_id, trial)
            return protos.get_service().CreateTrialResponse(trial=trial.to_proto())

    def _wait_or_stop(self, tuner_id: str, trial: kt_trial.Trial) -> kt_trial.Trial:
        """Keeps a worker waiting while others are at work: the trial of a lost one is run again."""
        if self.oracle.ongoing_trials:
            self.oracle.tuner_ids.add(tuner_id)
            return self._no_trial(kt_trial.TrialStatus.IDLE)
        self._ended_by = self._book.why_no_more()
        return trial

    def _no_trial(self, status: kt_trial.TrialStatus) -> kt_trial.Trial:
        return kt_trial.Trial(self.oracle.get_space(), trial_id="", status=status)

    def GetTrial(self, request: Any, context: Any) -> Any:
        """Shows a trial; the worker that runs it is alive."""
        with self._guarded():
            for tuner_id, trial in self.oracle.ongoing_trials.items():
                if trial.trial_id == request.trial_id:
                    self._seen[tuner_id] = time.monotonic()
            return super().GetTrial(request, context)

    def EndTrial(self, request: Any, context: Any) -> Any:
        """Takes in the outcome that the worker has written."""
        with self._guarded():
            trial_id = request.trial.trial_id
            # A worker that was given up may answer after all, when its trial is done elsewhere.
            if trial_id not in self.oracle.end_order:
                outcome = trial_module.read_outcome(self._settings.search_dir, trial_id)
                self._finish(outcome or _failed(trial_id, "its outcome can't be read here"))
            return protos.get_service().EndTrialResponse()

    def _finish(self, outcome: trial_module.Outcome) -> None:
        if outcome.trial_id in self.oracle._retry_queue:
            self.oracle._retry_queue.remove(outcome.trial_id)
        if not self._book.finish(outcome):
            self._ended_by = self._ended_by or budget.DISK
        logging.info("trial %s %s %s", outcome.trial_id, outcome.status, outcome.reason)

    def _is_done(self) -> bool:
        with self._lock:
            if self._error is not None:
                return True
            self._give_up_the_lost()
            self._book.publish()
            is_over = self._clock.is_over and not self.oracle.ongoing_trials
            if is_over and not self._ended_by:
                self._ended_by = budget.MINUTES
            return bool(self._ended_by) and not (
                self.oracle.ongoing_trials or self.oracle.tuner_ids
            )

    def _give_up_the_lost(self) -> None:
        now = time.monotonic()
        for tuner_id in list(self.oracle.tuner_ids):
            if now - self._seen.get(tuner_id, now) < LOST_SECONDS:
                self._seen.setdefault(tuner_id, now)
                continue
            self.oracle.tuner_ids.discard(tuner_id)
            trial = self.oracle.ongoing_trials.pop(tuner_id, None)
            logging.warning("%s has been silent for %.0f s: given up", tuner_id, LOST_SECONDS)
            if trial is None:
                continue
            reason = f"its worker {tuner_id} was silent for {LOST_SECONDS:.0f} s"
            if trial.trial_id in self._lost_once or self._ended_by:
                self._finish(_failed(trial.trial_id, reason))
            else:
                self._lost_once.add(trial.trial_id)
                self.oracle._retry_queue.append(trial.trial_id)

    def _guarded(self) -> "_Guard":
        return _Guard(self)


class _Guard:
    """Serialises the service; an error in it ends the search instead of leaving it hanging."""

    def __init__(self, chief: Chief):
        self._chief = chief

    def __enter__(self) -> None:
        self._chief._lock.acquire()

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        self._chief._error = self._chief._error or error
        self._chief._lock.release()


def _failed(trial_id: str, reason: str) -> trial_module.Outcome:
    return trial_module.Outcome(trial_id=trial_id, status=trial_module.FAILED, reason=reason)
