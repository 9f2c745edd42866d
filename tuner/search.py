"""The search: an oracle that proposes, workers that train, a budget that ends it, a leaderboard."""

import dataclasses
import os
import pathlib
import shutil
from collections.abc import Callable
from typing import Any

import keras_tuner
from absl import logging

import spine_tf
from spine_tf.configuration import config
from spine_tf.runs import run_directory
from spine_tf.training import fold_roles, task_examples, trainer
from tfrecords import manifest, records
from tuner import (
    adapter,
    chief,
    dispatch,
    gpus,
    leaderboard,
    ledger,
    oracles,
    search_directory,
    search_settings,
    space,
    workers,
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


def run(settings: search_settings.Settings, *, resume: bool, overwrite: bool) -> Result:
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
    source = records.open_records(settings.records_dir, verifies=settings.verifies)
    search_settings.check_folds(source, settings.folds, settings.task)
    settings = search_settings.of_folds(settings, source)
    hyperparameters = space.make_space(
        settings.declare, settings.bases, settings.fixed, source=source
    )
    identity = make_identity(settings, hyperparameters)
    tuner = SearchTuner(settings, hyperparameters)
    if adapter.is_worker():
        return tuner.join(identity)
    # Once a search: the trials' processes, here and elsewhere, read the same bytes.
    source.index(fold_roles.fold_splits(source))
    with search_directory.hold(settings.search_dir):
        search_directory.prepare(settings.search_dir, identity, resume=resume, overwrite=overwrite)
        return tuner.search()


def make_identity(
    settings: search_settings.Settings, hyperparameters: keras_tuner.HyperParameters
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
        "scored": "on a fold that chose no epoch",
        "prune": settings.prune,
        "max_parameters": settings.max_parameters,
        "base": {family: config.to_dict(base) for family, base in settings.bases.items()},
        "space": space.describe(hyperparameters),
        **task_examples.describe_files(next(iter(settings.bases.values()))),
    }


class SearchTuner:
    """An oracle, a ledger beside it, and workers whose trials run in processes of their own.

    Not a tuner of Keras Tuner: a trial that is run in the process of the oracle can kill it.
    """

    def __init__(
        self,
        settings: search_settings.Settings,
        hyperparameters: keras_tuner.HyperParameters,
    ) -> None:
        self._settings = settings
        self._clock = search_settings.Clock(max_minutes=settings.max_minutes)
        self._oracle = oracles.make_oracle(
            settings.oracle,
            hyperparameters=hyperparameters,
            objective=settings.objective,
            max_trials=settings.max_trials,
            max_epochs=settings.max_epochs,
            seed=settings.seed,
        )

    def search(self) -> Result:
        """Runs trials until the budget or the space is used up.

        Raises:
            OSError: worker processes can't be started.
        """
        self._oracle.open(self._settings.search_dir / search_directory.TRIALS_DIR)
        self._oracle.save()
        book = ledger.LocalLedger(self._settings, self._oracle)
        if adapter.is_chief():
            ended_by = chief.Chief(self._settings, self._oracle, book, self._clock).serve()
        else:
            tuner_ids = [f"tuner{index}" for index in range(self._settings.workers)]
            ended_by = self._dispatch(self._oracle, book, tuner_ids)
        return Result(ended_by=ended_by, ranked=book.close(ended_by))

    def join(self, identity: dict[str, Any]) -> Result:
        """Runs trials of a chief on another machine, which shares the search directory.

        Raises:
            ValueError: the chief runs another search.
            ChiefLostError: the chief does not answer.
        """
        line = chief.Client(self._oracle, self._settings.search_dir, identity)
        line.wait_for_chief()
        search_directory.check(self._settings.search_dir, identity)
        own = os.environ["KERASTUNER_TUNER_ID"]
        more = [f"{own}.{index}" for index in range(1, self._settings.workers)]
        book = ledger.RemoteLedger(self._settings, line)
        ended_by = self._dispatch(line, book, [own, *more], chief.make_beat(line))
        return Result(ended_by=ended_by, ranked=None)

    def _dispatch(
        self,
        oracle: adapter.DurableOracle | adapter.OracleClient,
        book: ledger.Ledger,
        tuner_ids: list[str],
        on_tick: Callable[[list[str]], None] = lambda trial_ids: None,
    ) -> str:
        settings = self._settings
        setup = workers.Setup(
            search_dir=settings.search_dir,
            records_dir=settings.records_dir,
            folds=settings.folds,
            max_parameters=settings.max_parameters,
        )
        log_dir = settings.search_dir / search_directory.LOGS_DIR
        pool = workers.Pool(tuner_ids, setup, log_dir, gpus.list_gpus())
        display = dispatch.Display(settings, book.ranked(), self._clock)
        try:
            return dispatch.Dispatcher(
                settings, oracle, book, pool, display, self._clock, on_tick
            ).run()
        finally:
            pool.close()
            display.close()


def retrain(
    search_dir: pathlib.Path, records_dir: pathlib.Path, *, verifies: bool = True
) -> pathlib.Path:
    """Trains the best configuration, with each fold held out in turn.

    A training of the same configuration is continued; one of an earlier best is removed.

    Args:
        search_dir: directory of a search that has a best configuration.
        records_dir: the records that were searched on.
        verifies: compares their sha256 with the manifest's.

    Returns:
        The run directory.

    Raises:
        ValueError: there is no best configuration, or training is not possible.
    """
    best = config.read_config(search_dir / search_directory.BEST_FILE)
    run_dir = search_dir / search_directory.RETRAINED_DIR
    config_path = run_dir / run_directory.CONFIG_FILE
    if config_path.exists() and config.read_config(config_path) != best:
        logging.info("the best configuration has changed: %s is trained anew", run_dir)
        shutil.rmtree(run_dir)
    source = records.open_records(records_dir, verifies=verifies)
    trainer.train_all_folds(best, source, run_dir, resume=run_dir.exists())
    return run_dir
