"""The loop of a search: ask the oracle, give jobs to idle workers, take in what they answer."""

import dataclasses
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from absl import logging

from spine_tf.configuration import config as config_module
from tfrecords import progress
from tuner import (
    adapter,
    leaderboard,
    ledger,
    search_directory,
    search_settings,
    space,
    trial as trial_module,
    workers as workers_module,
)

_POLL_SECONDS = 1.0


class Dispatcher:
    """Runs trials in a pool of workers.

    One thread does it all, so with one worker the sequence of trials depends on nothing but their
    scores.
    """

    def __init__(
        self,
        settings: search_settings.Settings,
        oracle: adapter.DurableOracle | adapter.OracleClient,
        book: ledger.Ledger,
        workers: workers_module.Pool,
        display: "Display",
        clock: search_settings.Clock,
        on_tick: Callable[[list[str]], None] = lambda trial_ids: None,
    ) -> None:
        """Takes what it runs with.

        Args:
            settings: the search's settings.
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
                ended_by = search_settings.MINUTES
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

    def _askers(self, ended_by: str) -> list[workers_module.Worker]:
        """The idle workers that ask for a trial; each does until it is told that there is none."""
        if ended_by not in (
            "",
            search_settings.TRIALS,
            search_settings.SPACE,
            search_settings.CHIEF,
        ):
            return []
        return [item for item in self._workers.idle() if item.tuner_id not in self._told]

    def _timeout(self) -> float:
        return min(_POLL_SECONDS, self._clock.seconds_left or _POLL_SECONDS)

    def _start_trial(self, worker: workers_module.Worker) -> str:
        """Gives the worker a trial; returns what ends the search, if there is none."""
        trial = self._oracle.create_trial(worker.tuner_id)
        if trial.status == adapter.TrialStatus.STOPPED:
            self._told.add(worker.tuner_id)
            return self._book.why_no_more()
        if trial.status == adapter.TrialStatus.IDLE:
            return ""
        values = space.active_values(trial.hyperparameters)
        try:
            job = _make_job(self._settings, trial.trial_id, values, self._book.finished())
        except ValueError as err:
            return self._finish(_failed(trial.trial_id, str(err)))
        worker.give(job)
        return ""

    def _take(self, event: workers_module.Event) -> str:
        """Takes in an event; returns what ends the search, if it does."""
        if isinstance(event, workers_module.Epoch):
            self._display.on_epoch(event)
            return ""
        if isinstance(event, workers_module.Finished):
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
        return "" if is_within_disk else search_settings.DISK


def _make_job(
    settings: search_settings.Settings,
    trial_id: str,
    values: Mapping[str, Any],
    finished: Sequence[trial_module.Outcome],
) -> trial_module.Job:
    """Returns the job of a trial.

    Args:
        settings: the search's settings.
        trial_id: the oracle's name for it.
        values: the active hyperparameters, and Hyperband's own.
        finished: what came of earlier trials, in the order of their names.

    Raises:
        ValueError: the values are no configuration.
    """
    config = space.to_config(values, settings.bases)
    goal = settings.objective
    limits: tuple[float, ...] = ()
    if settings.prune and "tuner/epochs" not in values:
        limits = trial_module.median_reached([_first_curve(outcome, goal) for outcome in finished])
    return trial_module.Job(
        trial_id=trial_id,
        config=config_module.to_dict(config),
        objective=goal.name,
        last_epoch=values.get("tuner/epochs"),
        continue_from=values.get("tuner/trial_id"),
        reference=limits,
        first_reference_epoch=trial_module.first_stop(config.training.epochs),
        keep_below=_worst_kept(finished, goal),
    )


def _first_curve(outcome: trial_module.Outcome, goal: search_settings.Objective) -> list[float]:
    """The first fold's figures, smaller is better."""
    if not outcome.curves:
        return []
    return [goal.sign * figures[goal.monitor] for figures in outcome.curves[0]]


def _worst_kept(
    finished: Sequence[trial_module.Outcome], goal: search_settings.Objective
) -> float | None:
    scores = sorted(
        goal.sign * outcome.score.value
        for outcome in finished
        if outcome.score is not None and outcome.status == trial_module.COMPLETED
    )
    return (
        scores[search_directory.KEPT_TRIALS - 1]
        if len(scores) >= search_directory.KEPT_TRIALS
        else None
    )


def _failed(trial_id: str, reason: str, seconds: float = 0.0) -> trial_module.Outcome:
    return trial_module.Outcome(
        trial_id=trial_id, status=trial_module.FAILED, reason=reason, seconds=seconds
    )


class Display:
    """A line that is renewed on a terminal, else one a minute, and one log line a trial."""

    def __init__(
        self,
        settings: search_settings.Settings,
        ranked: Sequence[leaderboard.Entry],
        clock: search_settings.Clock,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._is_terminal = sys.stderr.isatty()
        self._num_before = sum(entry.outcome is not None for entry in ranked)
        self._ranked = list(ranked)
        self._running: dict[str, str] = {}
        self._shown_at = 0.0 if self._is_terminal else time.monotonic()

    def on_epoch(self, event: workers_module.Epoch) -> None:
        """Shows how far a trial is."""
        where = f"fold_{event.fold}, epoch {event.epoch + 1} of {event.epochs}"
        self._running[event.trial_id] = f"trial {event.trial_id}: {where}, {event.value:.4g}"
        if time.monotonic() - self._shown_at > (
            0.2 if self._is_terminal else progress.LINE_SECONDS
        ):
            self._show()

    def on_outcome(
        self, outcome: trial_module.Outcome, ranked: Sequence[leaderboard.Entry]
    ) -> None:
        """Shows what came of a trial."""
        self._ranked = list(ranked)
        self._running.pop(outcome.trial_id, None)
        self._clear()
        score, reason = "", f" ({outcome.reason})" if outcome.reason else ""
        if outcome.score is not None:
            score = f", {self._settings.objective.name} {outcome.score.value:.4g}"
        logging.info(
            "trial %s %s%s%s, %.1f s; %s",
            *(outcome.trial_id, outcome.status, score, reason, outcome.seconds, self.summary()),
        )

    def summary(self) -> str:
        """Returns trials done, best so far and time left, in words."""
        num_done = sum(entry.outcome is not None for entry in self._ranked)
        parts = [f"{num_done}/{self._settings.max_trials} trials"]
        best = self._ranked[0] if self._ranked else None
        if best and best.score:
            parts.append(f"best {best.score.value:.4g} ({best.family}, trial {best.trial_id})")
        seconds = self._seconds_left(num_done)
        if seconds is not None:
            parts.append(f"about {progress.duration(seconds)} left")
        return ", ".join(parts)

    def close(self) -> None:
        """Ends the line."""
        self._clear()

    def _seconds_left(self, num_done: int) -> float | None:
        num_run = num_done - self._num_before
        limit = self._clock.seconds_left
        if num_run < 1:
            return limit
        rest = self._clock.seconds / num_run * max(0, self._settings.max_trials - num_done)
        return rest if limit is None else min(rest, limit)

    def _show(self) -> None:
        self._shown_at = time.monotonic()
        running = "; ".join(self._running[trial_id] for trial_id in sorted(self._running))
        if self._is_terminal:
            sys.stderr.write(f"\r\x1b[K{self.summary()} | {running}"[:200])
            sys.stderr.flush()
        else:
            logging.info("%s | %s", self.summary(), running)

    def _clear(self) -> None:
        if self._is_terminal:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
