"""The search: an oracle that proposes, workers that train, a budget that ends it, a leaderboard."""

import dataclasses
import pathlib
from typing import Any

import keras_tuner
from absl import logging
from keras_tuner.engine import base_tuner
from keras_tuner.engine import trial as kt_trial

import spine_tf
from spine_tf import config as config_module
from tfrecords import manifest as manifest_module
from tfrecords import records as records_module
from tuner import (
    budget,
    directory,
    folds,
    leaderboard,
    objective,
    oracles,
    pool,
    products,
    progress,
    pruning,
    space,
)
from tuner import settings as settings_module
from tuner import trial as trial_module

_POLL_SECONDS = 1.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """How a search ended.

    Attributes:
        ended_by: what ended it.
        ranked: the leaderboard.
    """

    ended_by: str
    ranked: list[leaderboard.Entry]


def run(settings: settings_module.Settings, *, resume: bool, overwrite: bool) -> Result:
    """Runs a search, or what is left of it.

    Args:
        settings: what is searched, and how.
        resume: continue the search in the directory.
        overwrite: remove the search in the directory first.

    Raises:
        ValueError: settings that can't be, records that can't be read, a directory that holds
            another search.
    """
    records = records_module.open_records(settings.records_dir)
    folds.check_folds(records, settings.folds)
    hyperparameters = space.make_space(settings.declare, settings.bases, settings.fixed)
    identity = make_identity(settings, hyperparameters)
    with directory.lock(settings.search_dir):
        directory.prepare(settings.search_dir, identity, resume=resume, overwrite=overwrite)
        return SearchTuner(settings, hyperparameters).search()


def make_identity(
    settings: settings_module.Settings, hyperparameters: keras_tuner.HyperParameters
) -> dict[str, Any]:
    """Returns all that decides what the trials of a search are; budgets don't."""
    return {
        "version": spine_tf.__version__,
        "manifest_sha256": manifest_module.sha256_of(settings.records_dir),
        "task": settings.task,
        "models": list(settings.bases),
        "oracle": settings.oracle,
        "objective": settings.objective.name,
        "folds": settings.folds,
        "seed": settings.seed,
        "prune": settings.prune,
        "max_parameters": settings.max_parameters,
        "base": {family: config_module.to_dict(base) for family, base in settings.bases.items()},
        "space": space.describe(hyperparameters),
    }


class SearchTuner(base_tuner.BaseTuner):
    """A Keras Tuner whose trials run in processes of their own.

    One thread asks the oracle, gives jobs to idle workers and takes in what they answer, so with
    one worker the sequence of trials depends on nothing but their scores.
    """

    def __init__(
        self,
        settings: settings_module.Settings,
        hyperparameters: keras_tuner.HyperParameters,
    ):
        oracle = oracles.make_oracle(
            settings.oracle,
            hyperparameters=hyperparameters,
            objective=settings.objective,
            max_trials=settings.max_trials,
            max_epochs=settings.max_epochs,
            seed=settings.seed,
        )
        oracle.verbose = 0
        super().__init__(
            oracle, directory=str(settings.search_dir), project_name=directory.TRIALS_DIR
        )
        self.save()
        self._settings = settings
        self._outcomes = _read_outcomes(settings.search_dir, oracle.end_order)
        self._trials: dict[str, kt_trial.Trial] = {}
        self._lost_once: dict[str, str] = {}

    def search(self, *_: Any, **__: Any) -> Result:
        """Runs trials until the budget or the space is used up.

        Raises:
            OSError: worker processes can't be started.
        """
        settings = self._settings
        workers = pool.Pool(
            [f"tuner{index}" for index in range(settings.workers)],
            self._worker_setup(),
            settings.search_dir / directory.LOGS_DIR,
        )
        clock = budget.Clock(max_minutes=settings.max_minutes)
        display = progress.Display(settings, self._ranked(), clock)
        try:
            ended_by = self._run_trials(workers, clock, display)
        finally:
            workers.close()
            display.close()
        ranked = self._ranked()
        products.write(settings, ranked, ended_by=ended_by)
        return Result(ended_by=ended_by, ranked=ranked)

    def _run_trials(
        self, workers: pool.Pool, clock: budget.Clock, display: progress.Display
    ) -> str:
        ended_by = ""
        while True:
            if not ended_by and clock.is_over:
                ended_by = budget.MINUTES
                for worker in workers.busy():
                    worker.stop_trial()
            for worker in [] if ended_by else workers.idle():
                ended_by = self._start_trial(worker) or ended_by
            if ended_by and not workers.busy():
                return ended_by
            for event in workers.wait(min(_POLL_SECONDS, clock.seconds_left or _POLL_SECONDS)):
                if isinstance(event, pool.Epoch):
                    display.on_epoch(event)
                    continue
                outcome = self._outcome_of(event, workers)
                if outcome is not None:
                    is_within_disk = self._finish(outcome, display)
                    ended_by = ended_by or ("" if is_within_disk else budget.DISK)

    def _start_trial(self, worker: pool.Worker) -> str:
        """Gives the worker a trial; returns what ends the search, if there is none."""
        trial = self.oracle.create_trial(worker.tuner_id)
        if trial.status == kt_trial.TrialStatus.STOPPED:
            is_full = len(self.oracle.trials) >= self._settings.max_trials
            return budget.TRIALS if is_full else budget.SPACE
        if trial.status == kt_trial.TrialStatus.IDLE:
            return ""
        self._trials[trial.trial_id] = trial
        try:
            job = self._make_job(trial)
        except ValueError as err:
            self._finish(_failed(trial.trial_id, str(err)), None)
            return ""
        worker.give(job)
        return ""

    def _make_job(self, trial: kt_trial.Trial) -> trial_module.Job:
        values = trial.hyperparameters.values
        config = space.to_config(values, self._settings.bases)
        goal = self._settings.objective
        is_hyperband = "tuner/epochs" in values
        limits: tuple[float, ...] = ()
        if self._settings.prune and not is_hyperband:
            limits = pruning.reference([_curve(item, goal) for item in self._finished_outcomes()])
        kept = self._ranked()[: budget.KEPT_TRIALS]
        is_full = len(kept) == budget.KEPT_TRIALS and kept[-1].score is not None
        return trial_module.Job(
            trial_id=trial.trial_id,
            config=config_module.to_dict(config),
            objective=goal.name,
            last_epoch=values.get("tuner/epochs"),
            continue_from=values.get("tuner/trial_id"),
            reference=limits,
            first_reference_epoch=pruning.first_epoch(config.training.epochs),
            keep_below=goal.sign * kept[-1].score.value if is_full and kept[-1].score else None,
        )

    def _outcome_of(
        self, event: pool.Finished | pool.Died, workers: pool.Pool
    ) -> trial_module.Outcome | None:
        if isinstance(event, pool.Finished):
            return self._with_history(event.outcome)
        trial_id = event.job.trial_id
        if trial_id in self._lost_once:
            return _failed(trial_id, f"{event.reason}, twice", event.seconds)
        # Keras Tuner's rule: a worker that comes back under its id gets its trial again.
        self._lost_once[trial_id] = event.reason
        logging.warning("trial %s: %s; it begins again", trial_id, event.reason)
        worker = next(item for item in workers.workers if item.tuner_id == event.tuner_id)
        worker.give(event.job)
        return None

    def _with_history(self, outcome: trial_module.Outcome) -> trial_module.Outcome:
        if outcome.trial_id not in self._lost_once:
            return outcome
        parts = [outcome.reason, f"run again: {self._lost_once[outcome.trial_id]}"]
        return dataclasses.replace(outcome, reason="; ".join(part for part in parts if part))

    def _finish(self, outcome: trial_module.Outcome, display: progress.Display | None) -> bool:
        """Records an outcome; returns whether the search is within its disk budget."""
        search_dir = self._settings.search_dir
        trial_module.write_outcome(search_dir, outcome)
        self._outcomes[outcome.trial_id] = outcome
        self._tell_oracle(outcome)
        ranked = self._ranked()
        products.write(self._settings, ranked, ended_by=None)
        products.write_hparams(self._settings, self._entry(outcome.trial_id))
        if display is not None:
            display.on_outcome(outcome, ranked)
        budget.remove_states(search_dir, oracles.continuable(self.oracle))
        return budget.keep_best_weights(
            search_dir,
            [entry.trial_id for entry in ranked if entry.score is not None],
            max_disk_mb=self._settings.max_disk_mb,
        )

    def _tell_oracle(self, outcome: trial_module.Outcome) -> None:
        trial = self._trials.pop(outcome.trial_id)
        if outcome.fold_scores:
            score = objective.mean_score(outcome.fold_scores)
            self.oracle.update_trial(trial.trial_id, {self._settings.objective.name: score.value})
            trial.status = kt_trial.TrialStatus.COMPLETED
        else:
            trial.status = kt_trial.TrialStatus.FAILED
            trial.message = outcome.reason
        self.oracle.end_trial(trial)
        self.save()

    def _finished_outcomes(self) -> list[trial_module.Outcome]:
        return [self._outcomes[trial_id] for trial_id in sorted(self._outcomes)]

    def _entry(self, trial_id: str) -> leaderboard.Entry:
        return leaderboard.Entry(
            trial_id=trial_id,
            values=self.oracle.trials[trial_id].hyperparameters.values,
            outcome=self._outcomes.get(trial_id),
        )

    def _ranked(self) -> list[leaderboard.Entry]:
        entries = [self._entry(trial_id) for trial_id in self.oracle.start_order]
        return leaderboard.rank(entries, self._settings.objective)

    def _worker_setup(self) -> dict[str, Any]:
        return {
            "search_dir": str(self._settings.search_dir),
            "records_dir": str(self._settings.records_dir),
            "folds": self._settings.folds,
            "max_parameters": self._settings.max_parameters,
        }


def _read_outcomes(
    search_dir: pathlib.Path, trial_ids: list[str]
) -> dict[str, trial_module.Outcome]:
    outcomes = {}
    for trial_id in trial_ids:
        outcome = trial_module.read_outcome(search_dir, trial_id)
        if outcome is not None:
            outcomes[trial_id] = outcome
    return outcomes


def _failed(trial_id: str, reason: str, seconds: float = 0.0) -> trial_module.Outcome:
    return trial_module.Outcome(
        trial_id=trial_id, status=trial_module.FAILED, reason=reason, seconds=seconds
    )


def _curve(outcome: trial_module.Outcome, goal: objective.Objective) -> list[float]:
    """The first fold's figures, smaller is better."""
    if not outcome.curves:
        return []
    return [goal.sign * figures[goal.monitor] for figures in outcome.curves[0]]
