"""Trains a run with one fold held out and writes its directory."""

import contextlib
import dataclasses
import os
import pathlib
from typing import Any

import keras

from spine_tf.configuration import config
from spine_tf.runs import run
from spine_tf.scoring import calibration, metrics, predictions
from spine_tf.training import (
    board,
    checkpoint,
    curves,
    directory,
    fit,
    folds,
    provenance,
    task_examples,
)
from tfrecords import atomic, records


def train(
    run_config: config.Config, source: records.Records, run_dir: pathlib.Path, *, resume: bool
) -> None:
    """Trains with the fold `data.val_fold` held out and writes `run_dir`.

    Args:
        run_config: what to train and how.
        source: the records.
        run_dir: must not exist, unless the same run was interrupted there.
        resume: go on with an interrupted run, or with a finished one do nothing.

    Raises:
        ValueError: the directory exists, holds another run, or training is not possible.
    """
    assignment = folds.assign(source, run_config.data)
    origin = provenance.describe(run_config, source, assignment)
    if not directory.begin(run_dir, run_config, origin, resume=resume):
        return
    watcher = board.Board(
        run_dir / run.TENSORBOARD_DIR,
        epochs=run_config.training.epochs,
        name=f"{run_config.model.family}, {assignment.val_split} held out",
    )
    with contextlib.closing(watcher):
        fitted = fit.fit(
            run_config,
            source,
            train_splits=assignment.train_splits,
            monitor_split=assignment.monitor_split,
            work_dir=run_dir,
            on_epoch_end=watcher.add,
        )
    _write_results(run_config, source, run_dir, fitted, assignment)
    checkpoint.remove(run_dir)


def _write_results(
    run_config: config.Config,
    source: records.Records,
    run_dir: pathlib.Path,
    fitted: fit.Fitted,
    assignment: folds.Assignment,
) -> None:
    """Everything but the checkpoint; metrics.json last, since it marks the run as finished."""
    task = run_config.task_spec
    _save_model(fitted.model, run_dir / run.MODEL_FILE)
    curves.write_history(run_dir / run.HISTORY_FILE, fitted.history)
    curves.write_curves(run_dir / run.CURVES_FILE, fitted.history, fitted.best_epoch)
    temperature = _calibrate(run_config, source, run_dir, fitted, assignment.monitor_split)
    held_out = _predict(run_config, source, fitted.model, assignment.val_split)
    held_out = dataclasses.replace(
        held_out,
        probabilities=calibration.apply_temperature(held_out.probabilities, temperature),
    )
    predictions.write_csv(run_dir / run.PREDICTIONS_FILE, held_out, task)
    directory.write_metrics(run_dir, held_out, run_config, assignment.val_split)


def _calibrate(
    run_config: config.Config,
    source: records.Records,
    run_dir: pathlib.Path,
    fitted: fit.Fitted,
    monitor_split: str | None,
) -> float:
    """Fits the temperature on the inner fold; without one it is 1 and says so."""
    values: dict[str, Any] = {"temperature": 1.0, "fitted_on": None, "num_examples": 0}
    if monitor_split is not None:
        inner = _predict(run_config, source, fitted.model, monitor_split)
        temperature = calibration.fit_temperature(inner.probabilities, inner.labels)
        calibrated = dataclasses.replace(
            inner, probabilities=calibration.apply_temperature(inner.probabilities, temperature)
        )
        values = {
            "temperature": temperature,
            "fitted_on": monitor_split,
            "num_examples": len(inner),
            "log_loss_before": float(metrics.example_log_losses(inner).mean()),
            "log_loss_after": float(metrics.example_log_losses(calibrated).mean()),
        }
    atomic.write_json(run_dir / run.CALIBRATION_FILE, values)
    return values["temperature"]


def _predict(
    run_config: config.Config, source: records.Records, model: keras.Model, split: str
) -> predictions.Predictions:
    examples = task_examples.load_examples(run_config, source, [split])
    if not len(examples):
        raise ValueError(
            f"{source.directory}: {split} has no example of task {run_config.task}: "
            "convert with fewer --num_folds or more studies"
        )
    return predictions.Predictions(
        keys=tuple(examples.keys),
        labels=examples.labels,
        probabilities=run.predict_probabilities(model, examples.normalized()),
    )


def _save_model(model: keras.Model, path: pathlib.Path) -> None:
    temporary = path.with_name(f".{os.getpid()}-{path.name}")
    model.save(temporary)
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(path)
