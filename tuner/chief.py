"""A search on several machines: the chief, and a worker's line to it; neither ever hangs.

Keras Tuner 1.4.8 waits for ever for a worker that died (#915). Here a worker asks for its running
trial every few seconds; one that is silent for long is lost, and its trial is run again. A worker
of Keras Tuner waits an hour for a chief that is gone; here it says so soon. It may start before its
chief does, and writes nothing into the search directory until that has answered. For trusted
networks only: `admission` says why.
"""

import contextlib
import pathlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import grpc
import keras_tuner
from absl import logging

from tuner import (
    adapter,
    admission,
    ledger,
    search_directory,
    search_settings,
    trial as trial_module,
)

_T = TypeVar("_T")

BEAT_SECONDS = 5.0
LOST_SECONDS = 60.0

_FIRST_WAIT_SECONDS = 600.0
_WAIT_SECONDS = 60.0
_GREETING_SECONDS = 5.0
# A shared directory may show another machine's files that late.
_REFUSED_SECONDS = 60.0


class Chief(adapter.Service):
    """Answers workers until the search has ended and all of them know it."""

    def __init__(
        self,
        settings: search_settings.Settings,
        oracle: adapter.DurableOracle,
        book: ledger.LocalLedger,
        clock: search_settings.Clock,
    ) -> None:
        super().__init__(oracle)
        self._settings = settings
        self._book = book
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: dict[str, float] = {}
        self._lost_once: set[str] = set()
        self._ended_by = ""
        self._error: Exception | None = None

    def serve(self) -> str:
        """Serves workers; returns what ended the search.

        Raises:
            OSError: the address can't be had.
        """
        address = adapter.chief_address()
        search_dir = self._settings.search_dir
        gate = admission.Gate(
            admission.make_secret(search_dir), search_directory.read_digest(search_dir)
        )
        with self.listening(address, gate):
            logging.info("the chief listens at %s", address)
            while not self._is_done():
                time.sleep(0.5)
        if self._error is not None:
            raise self._error
        return self._ended_by

    @contextlib.contextmanager
    def guard(self) -> Iterator[None]:
        """Serialises the service; an error in it ends the search instead of leaving it hanging."""
        with self._lock:
            try:
                yield
            except Exception as err:
                self._error = self._error or err
                raise

    def create_trial(self, tuner_id: str) -> adapter.Trial:
        """Hands out a trial, or says that there are no more."""
        self._seen[tuner_id] = time.monotonic()
        if self._clock.is_over:
            self._ended_by = self._ended_by or search_settings.MINUTES
        if self._ended_by:
            self.oracle.tuner_ids.discard(tuner_id)
            return self._no_trial(adapter.TrialStatus.STOPPED)
        trial = self.oracle.create_trial(tuner_id)
        if trial.status == adapter.TrialStatus.STOPPED:
            return self._wait_or_stop(tuner_id, trial)
        return trial

    def _wait_or_stop(self, tuner_id: str, trial: adapter.Trial) -> adapter.Trial:
        """Keeps a worker waiting while others are at work: the trial of a lost one is run again."""
        if self.oracle.ongoing_trials:
            self.oracle.tuner_ids.add(tuner_id)
            return self._no_trial(adapter.TrialStatus.IDLE)
        self._ended_by = self._book.why_no_more()
        return trial

    def _no_trial(self, status: str) -> adapter.Trial:
        return adapter.Trial(self.oracle.get_space(), trial_id="", status=status)

    def see_trial(self, trial_id: str) -> None:
        """Notes that the worker of a trial is alive."""
        for tuner_id, trial in self.oracle.ongoing_trials.items():
            if trial.trial_id == trial_id:
                self._seen[tuner_id] = time.monotonic()

    def end_trial(self, trial_id: str) -> None:
        """Takes in the outcome that the worker has written."""
        # A worker that was given up may answer after all, when its trial is done elsewhere.
        if trial_id not in self.oracle.end_order:
            self._finish(self._read_outcome(trial_id))

    def _read_outcome(self, trial_id: str) -> trial_module.Outcome:
        try:
            outcome = trial_module.read_outcome(self._settings.search_dir, trial_id)
        except ValueError as err:
            return _failed(trial_id, str(err))
        return outcome or _failed(trial_id, "its outcome can't be read here")

    def _finish(self, outcome: trial_module.Outcome) -> None:
        self.oracle.forget_retry(outcome.trial_id)
        if not self._book.finish(outcome):
            self._ended_by = self._ended_by or search_settings.DISK
        logging.info("trial %s %s %s", outcome.trial_id, outcome.status, outcome.reason)

    def _is_done(self) -> bool:
        with self._lock:
            if self._error is not None:
                return True
            self._give_up_the_lost()
            self._book.publish()
            is_over = self._clock.is_over and not self.oracle.ongoing_trials
            if is_over and not self._ended_by:
                self._ended_by = search_settings.MINUTES
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
                self.oracle.retry(trial.trial_id)


def _failed(trial_id: str, reason: str) -> trial_module.Outcome:
    return trial_module.Outcome(trial_id=trial_id, status=trial_module.FAILED, reason=reason)


class ChiefLostError(OSError):
    """The chief does not answer."""


class Client(adapter.OracleClient):
    """A worker's line to the chief on another machine."""

    def __init__(
        self, oracle: keras_tuner.Oracle, search_dir: pathlib.Path, identity: Mapping[str, Any]
    ) -> None:
        """Takes the search that the worker is of.

        Args:
            oracle: like the chief's.
            search_dir: that the worker shares with the chief.
            identity: all that decides what the search's trials are.
        """
        self._address = adapter.chief_address()
        self._search_dir = search_dir
        self._identity = identity
        self._bearer = admission.Bearer(search_dir, search_directory.digest(identity))
        self._channel = grpc.insecure_channel(self._address)
        super().__init__(oracle, grpc.intercept_channel(self._channel, self._bearer))

    def wait_for_chief(self, seconds: float = _FIRST_WAIT_SECONDS) -> None:
        """Waits until the chief of this search answers.

        Raises:
            ChiefLostError: none does.
            ValueError: the chief that does is of another search.
        """
        ends, is_refused = time.monotonic() + seconds, False
        while time.monotonic() < ends:
            try:
                self._require_chief(self.greet(min(_GREETING_SECONDS, seconds)))
                return
            except FileNotFoundError:
                pass  # The secret is made by the chief, which is not there yet.
            except grpc.RpcError as err:
                self._require_same_search(err)
                if err.code() == grpc.StatusCode.UNAUTHENTICATED and not is_refused:
                    ends, is_refused = min(ends, time.monotonic() + _REFUSED_SECONDS), True
            time.sleep(min(0.5, seconds))
        if is_refused:
            raise ChiefLostError(
                f"the chief at {self._address} has another secret than {self._search_dir}: "
                "give chief and workers the same --search_dir, or this search another port"
            )
        raise ChiefLostError(
            f"the chief at {self._address} has not answered for {seconds:.0f} s: start it with "
            "KERASTUNER_TUNER_ID=chief, or check KERASTUNER_ORACLE_IP and _PORT"
        )

    def _require_chief(self, metadata: Mapping[str, Any]) -> None:
        if not self._bearer.is_chief(metadata):
            raise ValueError(
                f"what answers at {self._address} is not the chief of the search in "
                f"{self._search_dir}: check KERASTUNER_ORACLE_IP and _PORT"
            )

    def _require_same_search(self, err: grpc.RpcError) -> None:
        if err.code() == grpc.StatusCode.FAILED_PRECONDITION:
            search_directory.check(self._search_dir, self._identity)
            raise ValueError(f"the chief at {self._address} runs another search") from err

    def create_trial(self, tuner_id: str) -> adapter.Trial:
        """Asks for a trial."""
        return self._call(lambda: super(Client, self).create_trial(tuner_id))

    def get_trial(self, trial_id: str) -> adapter.Trial:
        """Asks about a trial, which also says that this worker is alive."""
        return self._call(lambda: super(Client, self).get_trial(trial_id))

    def end_trial(self, trial: adapter.Trial) -> None:
        """Says that a trial is over."""
        self._call(lambda: super(Client, self).end_trial(trial))

    def _call(self, method: Callable[[], _T]) -> _T:
        self._wait_for_channel()
        try:
            with adapter.silenced():
                return method()
        except grpc.RpcError as err:
            raise ChiefLostError(
                f"the chief at {self._address} has gone, or refuses the call: "
                f"{err.code().name}, {err.details()}"
            ) from err

    def _wait_for_channel(self) -> None:
        try:
            grpc.channel_ready_future(self._channel).result(timeout=_WAIT_SECONDS)
        except grpc.FutureTimeoutError as err:
            raise ChiefLostError(
                f"the chief at {self._address} has not answered for {_WAIT_SECONDS:.0f} s"
            ) from err


def make_beat(line: Client) -> Callable[[list[str]], None]:
    """Returns what tells the chief every few seconds that the running trials are alive."""
    last = time.monotonic()

    def beat(trial_ids: list[str]) -> None:
        nonlocal last
        if time.monotonic() - last >= BEAT_SECONDS:
            last = time.monotonic()
            for trial_id in trial_ids:
                line.get_trial(trial_id)

    return beat
