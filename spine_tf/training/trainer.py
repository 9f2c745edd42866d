"""Trains runs and writes their directories: one fold held out, or each in its turn."""

import contextlib
import dataclasses
import json
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from absl import logging

from spine_tf import config, run
from spine_tf.evaluation import calibration, metrics, predictions, summary
from spine_tf.label_review import task_examples
from spine_tf.training import board, checkpoint, curves, fit, folds, provenance
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
    if _is_done(run_dir, run_config, origin, resume=resume):
        return
    atomic.write_json(run_dir / run.CONFIG_FILE, provenance.config_json(run_config, origin))
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


def train_all_folds(
    run_config: config.Config, source: records.Records, run_dir: pathlib.Path, *, resume: bool
) -> None:
    """Trains once with each fold held out, in `run_dir/fold_i`, and joins their predictions.

    Raises:
        ValueError: as `train`.
    """
    names = folds.fold_splits(source)
    assignments = [
        folds.assign(source, dataclasses.replace(run_config.data, val_fold=index))
        for index in range(len(names))
    ]
    origin = {
        **provenance.describe(run_config, source, assignments[0]),
        "folds": list(names),
        "train_splits": list(names),
        "monitor_split": None,
        "val_split": None,
        "train_studies": provenance.studies(source, names),
        "class_prior": provenance.class_prior(run_config, source, names),
    }
    if _is_done(run_dir, run_config, origin, resume=resume):
        return
    atomic.write_json(run_dir / run.CONFIG_FILE, provenance.config_json(run_config, origin))
    for index, name in enumerate(names):
        logging.info("fold %d of %d", index + 1, len(names))
        fold_config = dataclasses.replace(
            run_config, data=dataclasses.replace(run_config.data, val_fold=index)
        )
        fold_dir = run_dir / name
        train(fold_config, source, fold_dir, resume=fold_dir.exists())
    _join_folds(run_config, run_dir, [run_dir / name for name in names])


def _join_folds(
    run_config: config.Config, run_dir: pathlib.Path, fold_dirs: Sequence[pathlib.Path]
) -> None:
    task = run_config.task_spec
    parts = [predictions.read_csv(path / run.PREDICTIONS_FILE, task) for path in fold_dirs]
    joined = predictions.Predictions(
        keys=tuple(key for part in parts for key in part.keys),
        labels=np.concatenate([part.labels for part in parts]),
        probabilities=np.concatenate([part.probabilities for part in parts]),
    )
    predictions.write_csv(run_dir / run.OUT_OF_FOLD_FILE, joined, task)
    _write_metrics(run_dir, joined, run_config, "oof")


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
    _write_metrics(run_dir, held_out, run_config, assignment.val_split)


def _write_metrics(
    run_dir: pathlib.Path,
    held_out: predictions.Predictions,
    run_config: config.Config,
    split: str,
) -> None:
    figures = summary.summarize(held_out, run_config.task_spec, split, seed=run_config.seed)
    atomic.write_json(run_dir / run.METRICS_FILE, figures)
    accuracy, loss = figures["metrics"]["accuracy"], figures["metrics"]["log_loss"]
    logging.info(
        "%s: accuracy %.3f (95 %% %s to %s), log loss %.3f, %d examples of %d studies",
        split,
        accuracy["value"],
        _rounded(accuracy["low"]),
        _rounded(accuracy["high"]),
        loss["value"],
        figures["num_examples"],
        figures["num_studies"],
    )
    _warn_of_unpredicted(held_out, run_config)


def _warn_of_unpredicted(held_out: predictions.Predictions, run_config: config.Config) -> None:
    predicted = set(held_out.predicted.tolist())
    for index, name in enumerate(run_config.task_spec.classes):
        if index not in predicted and (held_out.labels == index).any():
            logging.warning("no example was predicted as %s", name)


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


def _is_done(
    run_dir: pathlib.Path,
    run_config: config.Config,
    origin: dict[str, Any],
    *,
    resume: bool,
) -> bool:
    if not run_dir.exists():
        run_dir.mkdir(parents=True)
        return False
    if not resume:
        raise ValueError(
            f"{run_dir} exists: choose another --run_dir, or go on with it by --resume"
        )
    path = run_dir / run.CONFIG_FILE
    if path.is_file():
        provenance.require_same(
            json.loads(path.read_text("utf-8")), provenance.config_json(run_config, origin)
        )
    elif any(run_dir.iterdir()):
        raise ValueError(f"{run_dir} holds no run to resume: choose another --run_dir")
    if run.is_run(run_dir):
        logging.info("%s is finished, nothing to resume", run_dir)
        return True
    return False


def _save_model(model: keras.Model, path: pathlib.Path) -> None:
    temporary = path.with_name(f".{os.getpid()}-{path.name}")
    model.save(temporary)
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(path)


def _rounded(value: float | None) -> str:
    return "?" if value is None else f"{value:.3f}"
