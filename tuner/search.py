"""The search: an oracle that proposes, workers that train, a budget that ends it, a leaderboard."""

import dataclasses
import os
import time
from collections.abc import Callable
from typing import Any

import keras_tuner
from keras_tuner.engine import base_tuner
from keras_tuner.src.distribute import utils as roles

import spine_tf
from spine_tf.configuration import config
from spine_tf.training import task_examples
from tfrecords import manifest, records as records_module
from tuner import (
    budget,
    chief,
    client,
    directory,
    dispatch,
    folds,
    leaderboard,
    ledger,
    oracles,
    pool,
    products,
    progress,
    settings as settings_module,
    space,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """How a search ended.

    Attributes:
        ended_by: what ended it.
        ranked: the leaderboard; a worker of a chief elsewhere has None.
    """

    ended_by: str
    ranked: list[leaderboard.Entry] | None


def run(settings: settings_module.Settings, *, resume: bool, overwrite: bool) -> Result:
    """Runs a search, or what is left of it.

    Args:
        settings: what is searched, and how. Keras Tuner's variables KERASTUNER_TUNER_ID,
            KERASTUNER_ORACLE_IP and KERASTUNER_ORACLE_PORT make this process the chief or a worker
            of a search on several machines; a worker joins whatever search the chief runs.
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
    if roles.has_chief_oracle() and not roles.is_chief_oracle():
        return SearchTuner(settings, hyperparameters).join(identity)
    with directory.lock(settings.search_dir):
        directory.prepare(settings.search_dir, identity, resume=resume, overwrite=overwrite)
        return SearchTuner(settings, hyperparameters).search()


def make_identity(
    settings: settings_module.Settings, hyperparameters: keras_tuner.HyperParameters
) -> dict[str, Any]:
    """Returns all that decides what the trials of a search are; budgets don't."""
    return {
        "version": spine_tf.__version__,
        "manifest_sha256": manifest.sha256_of(settings.records_dir),
        "task": settings.task,
        "models": list(settings.bases),
        "oracle": settings.oracle,
        "objective": settings.objective.name,
        "folds": settings.folds,
        "seed": settings.seed,
        "prune": settings.prune,
        "max_parameters": settings.max_parameters,
        "base": {family: config.to_dict(base) for family, base in settings.bases.items()},
        "space": space.describe(hyperparameters),
        **task_examples.describe_files(next(iter(settings.bases.values()))),
    }


class SearchTuner(base_tuner.BaseTuner):
    """A Keras Tuner whose trials run in processes of their own.

    `run_trial` is not used: a trial that is run in the process of the oracle can kill it.
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
        self._own_oracle = oracle
        self._settings = settings
        self._clock = budget.Clock(max_minutes=settings.max_minutes)

    def search(self, *_: Any, **__: Any) -> Result:
        """Runs trials until the budget or the space is used up.

        Raises:
            OSError: worker processes can't be started.
        """
        if oracles.state_path(self._own_oracle).exists():
            self._own_oracle.reload()
        self.save()
        book = ledger.LocalLedger(self._settings, self._own_oracle)
        if roles.is_chief_oracle():
            ended_by = chief.Chief(self._settings, self._own_oracle, book, self._clock).serve()
        else:
            tuner_ids = [f"tuner{index}" for index in range(self._settings.workers)]
            ended_by = self._dispatch(self._own_oracle, book, tuner_ids)
        book.publish()
        products.write(self._settings, book.ranked(), ended_by=ended_by)
        return Result(ended_by=ended_by, ranked=book.ranked())

    def save(self) -> None:
        """Saves the oracle, which has all the state.

        Keras Tuner writes a file for each TUNER_ID besides, in place, and reloads by it: killed at
        that moment, or begun by a chief and continued without one, a search would be lost.
        """
        self._own_oracle.save()

    def join(self, identity: dict[str, Any]) -> Result:
        """Runs trials of a chief on another machine, which shares the search directory.

        Raises:
            ValueError: the chief runs another search.
            ChiefLostError: the chief does not answer.
        """
        line = client.Client(self._own_oracle)
        line.wait_for_chief()
        directory.check(self._settings.search_dir, identity)
        own = os.environ["KERASTUNER_TUNER_ID"]
        more = [f"{own}.{index}" for index in range(1, self._settings.workers)]
        book = ledger.RemoteLedger(self._settings, line)
        ended_by = self._dispatch(line, book, [own, *more], _make_beat(line))
        return Result(ended_by=ended_by, ranked=None)

    def _dispatch(
        self,
        oracle: keras_tuner.Oracle,
        book: ledger.Ledger,
        tuner_ids: list[str],
        on_tick: Callable[[list[str]], None] = lambda trial_ids: None,
    ) -> str:
        settings = self._settings
        setup = {
            "search_dir": str(settings.search_dir),
            "records_dir": str(settings.records_dir),
            "folds": settings.folds,
            "max_parameters": settings.max_parameters,
        }
        workers = pool.Pool(tuner_ids, setup, settings.search_dir / directory.LOGS_DIR)
        display = progress.Display(settings, book.ranked(), self._clock)
        try:
            return dispatch.Dispatcher(
                settings, oracle, book, workers, display, self._clock, on_tick
            ).run()
        finally:
            workers.close()
            display.close()


def _make_beat(line: client.Client) -> Callable[[list[str]], None]:
    """Returns what tells the chief every few seconds that the running trials are alive."""
    last = time.monotonic()

    def beat(trial_ids: list[str]) -> None:
        nonlocal last
        if time.monotonic() - last >= chief.BEAT_SECONDS:
            last = time.monotonic()
            for trial_id in trial_ids:
                line.get_trial(trial_id)

    return beat
