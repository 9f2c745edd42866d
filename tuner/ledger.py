"""What is known of a search's trials, and what is written when one more is finished."""

import pathlib
from typing import Any, Protocol

from tfrecords import json_object
from tuner import (
    adapter,
    leaderboard,
    oracles,
    search_directory,
    search_page,
    search_settings,
    trial as trial_module,
)


class Ledger(Protocol):
    """Where outcomes go."""

    def finished(self) -> list[trial_module.Outcome]:
        """Returns the outcomes so far, in the order of their trials."""

    def ranked(self) -> list[leaderboard.Entry]:
        """Returns the leaderboard as far as it is known here."""

    def finish(self, outcome: trial_module.Outcome) -> bool:
        """Records an outcome; returns whether the search is within its disk budget."""

    def publish(self) -> None:
        """Writes what people look at, if there is anything new: while the workers are busy."""

    def why_no_more(self) -> str:
        """Returns why the oracle has no more trials."""


class LocalLedger:
    """The ledger beside the oracle: it tells the oracle and writes what the search leaves."""

    def __init__(self, settings: search_settings.Settings, oracle: adapter.DurableOracle) -> None:
        """Opens the ledger of a search; trials that its last call cut short are to be run again."""
        self._settings = settings
        self._oracle = oracle
        self._outcomes = {}
        for trial_id in tuple(oracle.end_order):
            outcome = trial_module.read_outcome(settings.search_dir, trial_id)
            if outcome is not None and outcome.is_cut_short:
                oracle.begin_again(trial_id)
            elif outcome is not None:
                self._outcomes[trial_id] = outcome
        # A search that was killed may have told the oracle alone.
        self._unpublished = [
            trial_id
            for trial_id in self._outcomes
            if not leaderboard.events_dir(self._tensorboard_dir, trial_id).exists()
        ]

    @property
    def _tensorboard_dir(self) -> pathlib.Path:
        return self._settings.search_dir / search_directory.TENSORBOARD_DIR

    def finished(self) -> list[trial_module.Outcome]:
        return [self._outcomes[trial_id] for trial_id in sorted(self._outcomes)]

    def ranked(self) -> list[leaderboard.Entry]:
        entries = [self._entry(trial_id) for trial_id in self._oracle.start_order]
        return leaderboard.rank(entries, self._settings.objective)

    def finish(self, outcome: trial_module.Outcome) -> bool:
        settings = self._settings
        trial_module.write_outcome(settings.search_dir, outcome)
        self._outcomes[outcome.trial_id] = outcome
        self._tell_oracle(outcome)
        self._unpublished.append(outcome.trial_id)
        return self._remove_superfluous()

    def publish(self) -> None:
        if self._unpublished:
            self._write_events()
            self._write(ended_by=None)

    def close(self, ended_by: str) -> list[leaderboard.Entry]:
        """Writes what a search leaves at its end, and what ended it; returns the leaderboard."""
        self._remove_superfluous()
        self._write_events()
        return self._write(ended_by=ended_by)

    def why_no_more(self) -> str:
        is_full = len(self._oracle.trials) >= self._settings.max_trials
        return search_settings.TRIALS if is_full else search_settings.SPACE

    def _remove_superfluous(self) -> bool:
        """Removes what no trial goes on with and no ranking keeps; whether the budget is kept."""
        settings = self._settings
        search_directory.remove_states(settings.search_dir, oracles.continuable(self._oracle))
        return search_directory.keep_best_weights(
            settings.search_dir,
            [entry.trial_id for entry in self.ranked() if entry.score is not None],
            max_disk_mb=settings.max_disk_mb,
        )

    def _tell_oracle(self, outcome: trial_module.Outcome) -> None:
        trial = self._oracle.trials[outcome.trial_id]
        if outcome.score is not None:
            figures = {self._settings.objective.name: outcome.score.value}
            self._oracle.update_trial(trial.trial_id, figures)
            trial.status = adapter.TrialStatus.COMPLETED
        else:
            trial.status = adapter.TrialStatus.FAILED
            trial.message = outcome.reason
        self._oracle.end_trial(trial)

    def _write_events(self) -> None:
        for trial_id in self._unpublished:
            leaderboard.write_events(
                self._tensorboard_dir, self._entry(trial_id), self._settings.objective
            )
        self._unpublished.clear()

    def _write(self, *, ended_by: str | None) -> list[leaderboard.Entry]:
        settings, ranked = self._settings, self.ranked()
        leaderboard.write(
            settings.search_dir, ranked, num_folds=settings.folds, bases=settings.bases
        )
        search_page.write(settings, ranked, ended_by=ended_by)
        return ranked

    def _entry(self, trial_id: str) -> leaderboard.Entry:
        return leaderboard.Entry(
            trial_id=trial_id,
            values=self._oracle.trials[trial_id].hyperparameters.values,
            outcome=self._outcomes.get(trial_id),
        )


class RemoteLedger:
    """The ledger of a worker on another machine: the directory is shared, the oracle is not."""

    def __init__(self, settings: search_settings.Settings, oracle: adapter.OracleClient) -> None:
        self._settings = settings
        self._oracle = oracle

    def finished(self) -> list[trial_module.Outcome]:
        trials_dir = self._settings.search_dir / search_directory.TRIALS_DIR
        trial_ids = sorted(path.name.partition("_")[2] for path in trials_dir.glob("trial_*"))
        read = [trial_module.read_outcome(self._settings.search_dir, name) for name in trial_ids]
        return [outcome for outcome in read if outcome is not None]

    def ranked(self) -> list[leaderboard.Entry]:
        entries = [
            leaderboard.Entry(
                trial_id=outcome.trial_id,
                values=self._read_values(outcome.trial_id),
                outcome=outcome,
            )
            for outcome in self.finished()
        ]
        return leaderboard.rank(entries, self._settings.objective)

    def _read_values(self, trial_id: str) -> dict[str, Any]:
        """Reads the hyperparameters of a trial that the chief's oracle has started."""
        directory = search_directory.trial_dir(self._settings.search_dir, trial_id)
        return json_object.read_as(
            lambda state: dict(state["hyperparameters"]["values"]),
            directory / adapter.TRIAL_FILE,
            expected="a trial that the chief has begun",
            mend="begin the search anew with --overwrite",
        )

    def publish(self) -> None:
        """The chief does."""

    def why_no_more(self) -> str:
        return search_settings.CHIEF

    def finish(self, outcome: trial_module.Outcome) -> bool:
        # The chief reads the outcome from the directory: a message has no room for it.
        trial_module.write_outcome(self._settings.search_dir, outcome)
        trial = self._oracle.get_trial(outcome.trial_id)
        trial.status = adapter.TrialStatus.COMPLETED
        self._oracle.end_trial(trial)
        return True
