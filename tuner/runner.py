"""Runs a trial: fits its configuration, scores it on each fold held out, keeps weights.

A fold that scores a trial has chosen nothing of it: the next one says which epoch is best and when
to stop, as in any training.
"""

import dataclasses
import math
import pathlib
import shutil
import statistics
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from spine_tf.configuration import config
from spine_tf.rsna import folds as folds_module
from spine_tf.runs import run
from spine_tf.training import fit, fold_roles, shared_network, tasks, trainer
from tfrecords import atomic, records
from tuner import search_directory, search_settings, trial


class TrialFailedError(ValueError):
    """A trial that has no score; the message is its reason."""


def _require_finite(value: float, name: str, split: str) -> None:
    if not math.isfinite(value):
        raise TrialFailedError(f"{name} is {value} on {split}")


@dataclasses.dataclass(kw_only=True)
class _Watch:
    """Stops one fit: by its curve, by the end of its share of epochs, or when the search ends."""

    objective: search_settings.Objective
    job: trial.Job
    is_first_fold: bool
    is_stopping: Callable[[], bool]
    on_epoch: Callable[..., None]
    fold: int
    watched_split: str
    curve: list[float] = dataclasses.field(default_factory=list)
    stopped_by: str = ""

    def __call__(self, epoch: int, figures: dict[str, Any]) -> None:
        value = figures[self.objective.monitor]
        _require_finite(value, f"{self.objective.monitor} of epoch {epoch + 1}", self.watched_split)
        self.curve.append(self.objective.sign * value)
        self.on_epoch(
            trial_id=self.job.trial_id,
            fold=self.fold,
            epoch=epoch,
            epochs=self.job.last_epoch or self.job.config["training"]["epochs"],
            value=value,
        )
        if self.is_stopping():
            self._stop(trial.OUT_OF_TIME)
        if self.job.last_epoch is not None and epoch + 1 >= self.job.last_epoch:
            raise fit.StopTraining
        if self.is_first_fold and trial.is_hopeless(
            self.curve, self.job.reference, self.job.first_reference_epoch
        ):
            self._stop(f"worse than the median of the finished trials at epoch {epoch + 1}")

    def _stop(self, reason: str) -> None:
        self.stopped_by = reason
        raise fit.StopTraining


@dataclasses.dataclass(frozen=True, kw_only=True)
class Runner:
    """Runs trials of one search in this process.

    Attributes:
        search_dir: where the trials' directories are.
        records_dir: a finished conversion.
        folds: how many folds, from 0, are held out in turn.
        max_parameters: models with more are refused; None refuses none.
        is_stopping: asked after each epoch.
        on_epoch: told after each epoch.
    """

    search_dir: pathlib.Path
    records_dir: pathlib.Path
    folds: int
    max_parameters: int | None
    is_stopping: Callable[[], bool]
    on_epoch: Callable[..., None]
    _opened: dict[float, records.Records] = dataclasses.field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def run(self, job: trial.Job, run_config: config.Config) -> trial.Outcome:
        """Runs one trial.

        Raises:
            ValueError: the trial has no score; says why.
        """
        started = time.monotonic()
        keras.backend.clear_session()
        source = self._open(run_config.data.keep_mb)
        self._check_size(run_config, source)
        task, network = tasks.make_task(run_config, source), shared_network.SharedNetwork()
        scores: list[float] = []
        curves: list[tuple[dict[str, float], ...]] = []
        weights: list[list[np.ndarray]] = []
        stopped_by, fit_seconds = "", 0.0
        for fold in range(self.folds):
            # As `trainer.train` has it, so that a winner's retraining repeats its folds bit by bit.
            held_out = trainer.hold_out(run_config, folds_module.fold_name(fold))
            assignment = fold_roles.assign(source, held_out.data)
            watch = self._watch(job, fold, assignment)
            fitted = fit.fit(
                held_out,
                source,
                train_splits=assignment.train_splits,
                monitor_split=assignment.monitor_split,
                score_split=assignment.val_split,
                work_dir=self._work_dir(job, fold),
                on_epoch_end=watch,
                task=task,
                network=network,
            )
            score = fitted.score[watch.objective.monitor]
            _require_finite(score, watch.objective.name, assignment.val_split)
            scores.append(score)
            curves.append(tuple(_numbers(figures) for figures in fitted.history))
            weights.append(fitted.model.get_weights())
            fit_seconds += fitted.seconds
            if watch.stopped_by:
                stopped_by = watch.stopped_by
                break
        self._keep(job, scores, fitted.model, weights)
        return trial.Outcome(
            trial_id=job.trial_id,
            status=trial.STOPPED if stopped_by else trial.COMPLETED,
            reason=stopped_by,
            fold_scores=tuple(scores),
            curves=tuple(curves),
            num_parameters=fitted.model.count_params(),
            seconds=time.monotonic() - started,
            fit_seconds=fit_seconds,
        )

    def _open(self, keep_mb: float) -> records.Records:
        """The same open directory for all trials, so that they share its decoded crops."""
        if keep_mb not in self._opened:
            # The search has compared the sha256 before the first trial.
            self._opened[keep_mb] = records.open_records(
                self.records_dir, keep_mb=keep_mb, verifies=False
            )
        return self._opened[keep_mb]

    def _watch(self, job: trial.Job, fold: int, assignment: fold_roles.Assignment) -> _Watch:
        return _Watch(
            objective=search_settings.Objective(name=job.objective),
            job=job,
            is_first_fold=fold == 0,
            is_stopping=self.is_stopping,
            on_epoch=self.on_epoch,
            fold=fold,
            watched_split=assignment.monitor_split or assignment.val_split,
        )

    def _check_size(self, run_config: config.Config, source: records.Records) -> None:
        if self.max_parameters is None:
            return
        model = tasks.make_task(run_config, source).build_network(source)
        if model.count_params() > self.max_parameters:
            raise TrialFailedError(
                f"the model has {model.count_params()} parameters, "
                f"--max_parameters is {self.max_parameters}"
            )
        keras.backend.clear_session()

    def _work_dir(self, job: trial.Job, fold: int) -> pathlib.Path | None:
        """Where Hyperband's rounds leave their state for the next; other trials keep none."""
        if job.last_epoch is None:
            return None
        work_dir = search_directory.state_dir(self.search_dir, job.trial_id, fold)
        if work_dir.exists():
            shutil.rmtree(work_dir)
        work_dir.mkdir(parents=True)
        if job.continue_from is not None:
            past = search_directory.state_dir(self.search_dir, job.continue_from, fold)
            if not past.is_dir():
                raise TrialFailedError(f"{past}, from which it goes on, is gone")
            # Without their permissions, which not every file system lets one set.
            for path in atomic.contents(past):
                shutil.copyfile(path, work_dir / path.name)
        return work_dir

    def _keep(
        self,
        job: trial.Job,
        scores: list[float],
        model: keras.Model,
        weights: list[list[np.ndarray]],
    ) -> None:
        value = search_settings.Objective(name=job.objective).sign * statistics.fmean(scores)
        if len(scores) < self.folds or (job.keep_below is not None and value > job.keep_below):
            return
        trial_dir = search_directory.trial_dir(self.search_dir, job.trial_id)
        trial_dir.mkdir(parents=True, exist_ok=True)
        for fold, of_fold in enumerate(weights):
            model.set_weights(of_fold)
            run.save_model(model, trial_dir / f"fold_{fold}.keras")


def _numbers(figures: dict[str, Any]) -> dict[str, float]:
    return {
        name: float(value)
        for name, value in figures.items()
        if isinstance(value, int | float) and math.isfinite(value)
    }
