"""The loop of a search: ask the oracle, give jobs to idle workers, take in what they answer."""

import dataclasses
from collections.abc import Callable

import keras_tuner
from absl import logging
from keras_tuner.engine import trial as kt_trial

from tuner import (
    budget,
    jobs,
    ledger,
    pool,
    progress,
    settings as settings_module,
    space,
    trial as trial_module,
)

_POLL_SECONDS = 1.0


class Dispatcher:
    """Runs trials in a pool of workers.

    One thread does it all, so with one worker the sequence of trials depends on nothing but their
    scores.
    """

    def __init__(
        self,
        settings: settings_module.Settings,
        oracle: keras_tuner.Oracle,
        book: ledger.Ledger,
        workers: pool.Pool,
        display: progress.Display,
        clock: budget.Clock,
        on_tick: Callable[[list[str]], None] = lambda trial_ids: None,
    ):
        """Takes what it runs with.

        Args:
            settings: of the search.
            oracle: proposes trials; Keras Tuner's client of one on another machine will do.
            book: takes the outcomes.
            workers: run the trials.
            display: told of epochs and outcomes.
            clock: ends the search.
            on_tick: called about once a second with the running trials.
        """
        self._settings = settings
        self._oracle = oracle
        self._book = book
        self._workers = workers
        self._display = display
        self._clock = clock
        self._on_tick = on_tick
        self._lost_once: dict[str, str] = {}
        self._told: set[str] = set()

    def run(self) -> str:
        """Runs trials until the budget or the space is used up; returns which it was."""
        ended_by = ""
        while True:
            if not ended_by and self._clock.is_over:
                ended_by = budget.MINUTES
                for worker in self._workers.busy():
                    worker.stop_trial()
            for worker in self._askers(ended_by):
                ended_by = self._start_trial(worker) or ended_by
            busy = self._workers.busy()
            if ended_by and not busy:
                return ended_by
            # Now that all workers have something to do: they don't wait for tables and pages.
            self._book.publish()
            self._on_tick([worker.job.trial_id for worker in busy if worker.job])
            for event in self._workers.wait(self._timeout()):
                ended_by = self._take(event) or ended_by

    def _askers(self, ended_by: str) -> list[pool.Worker]:
        """The idle workers that ask for a trial; each does until it is told that there is none."""
        if ended_by not in ("", budget.TRIALS, budget.SPACE, budget.CHIEF):
            return []
        return [item for item in self._workers.idle() if item.tuner_id not in self._told]

    def _timeout(self) -> float:
        return min(_POLL_SECONDS, self._clock.seconds_left or _POLL_SECONDS)

    def _start_trial(self, worker: pool.Worker) -> str:
        """Gives the worker a trial; returns what ends the search, if there is none."""
        trial = self._oracle.create_trial(worker.tuner_id)
        if trial.status == kt_trial.TrialStatus.STOPPED:
            self._told.add(worker.tuner_id)
            return self._book.why_no_more()
        if trial.status == kt_trial.TrialStatus.IDLE:
            return ""
        values = space.active_values(trial.hyperparameters)
        try:
            job = jobs.make_job(self._settings, trial.trial_id, values, self._book.finished())
        except ValueError as err:
            return self._finish(_failed(trial.trial_id, str(err)))
        worker.give(job)
        return ""

    def _take(self, event: pool.Event) -> str:
        """Takes in an event; returns what ends the search, if it does."""
        if isinstance(event, pool.Epoch):
            self._display.on_epoch(event)
            return ""
        if isinstance(event, pool.Finished):
            return self._finish(self._with_history(event.outcome))
        trial_id = event.job.trial_id
        if trial_id in self._lost_once:
            return self._finish(_failed(trial_id, f"{event.reason}, twice", event.seconds))
        # Keras Tuner's rule: a worker that comes back under its id gets its trial again.
        self._lost_once[trial_id] = event.reason
        logging.warning("trial %s: %s; it begins again", trial_id, event.reason)
        event.worker.give(event.job)
        return ""

    def _with_history(self, outcome: trial_module.Outcome) -> trial_module.Outcome:
        if outcome.trial_id not in self._lost_once:
            return outcome
        parts = [outcome.reason, f"run again: {self._lost_once[outcome.trial_id]}"]
        return dataclasses.replace(outcome, reason="; ".join(part for part in parts if part))

    def _finish(self, outcome: trial_module.Outcome) -> str:
        is_within_disk = self._book.finish(outcome)
        self._display.on_outcome(outcome, self._book.ranked())
        return "" if is_within_disk else budget.DISK


def _failed(trial_id: str, reason: str, seconds: float = 0.0) -> trial_module.Outcome:
    return trial_module.Outcome(
        trial_id=trial_id, status=trial_module.FAILED, reason=reason, seconds=seconds
    )
