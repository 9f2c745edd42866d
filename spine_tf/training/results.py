"""What a run of a classification task writes: calibration, predictions and figures."""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from absl import logging

from spine_tf.configuration import config
from spine_tf.runs import run, run_directory
from spine_tf.scoring import calibration, metrics, predictions, summary
from spine_tf.training import fold_roles, pooled_calibration, task_examples
from tfrecords import atomic, records, words

_SPREAD = ("accuracy", "balanced_accuracy", "log_loss")


def write(
    run_config: config.Config,
    run_dir: pathlib.Path,
    assignment: fold_roles.Assignment,
    predict: Callable[[str], predictions.Predictions],
) -> None:
    """Writes the results on the split held out; metrics.json last, since it marks the end.

    Args:
        run_config: of the run.
        run_dir: where.
        assignment: the part of each fold.
        predict: split -> what the model says of it, not calibrated.

    Raises:
        ValueError: `predict` would raise it.
    """
    temperature = _calibrate(run_config, run_dir, assignment.monitor_split, predict)
    held_out = predict(assignment.val_split)
    calibrated = _at_temperature(held_out, temperature)
    predictions.write_csv(
        run_dir / run_directory.PREDICTIONS_FILE, calibrated, run_config.task_spec
    )
    _write_metrics(run_config, run_dir, calibrated, assignment.val_split)


def _calibrate(
    run_config: config.Config,
    run_dir: pathlib.Path,
    monitor_split: str | None,
    predict: Callable[[str], predictions.Predictions],
) -> float:
    """Fits the temperature on the inner fold; without one it is 1 and says so."""
    values: dict[str, Any] = {"temperature": 1.0, "fitted_on": None, "num_examples": 0}
    if monitor_split is not None:
        inner = predict(monitor_split)
        predictions.write_csv(run_dir / run_directory.INNER_FILE, inner, run_config.task_spec)
        temperature = calibration.fit_temperature(inner.probabilities, inner.labels)
        calibrated = _at_temperature(inner, temperature)
        values = {
            "temperature": temperature,
            "fitted_on": monitor_split,
            "num_examples": len(inner),
            "log_loss_before": float(metrics.example_log_losses(inner).mean()),
            "log_loss_after": float(metrics.example_log_losses(calibrated).mean()),
        }
    atomic.write_json(run_dir / run_directory.CALIBRATION_FILE, values)
    return values["temperature"]


def predict(
    run_config: config.Config, model: keras.Model, source: records.Records, split: str
) -> predictions.Predictions:
    """Returns what a model of crops says of a split, not calibrated.

    Raises:
        ValueError: the split has no example of the task.
    """
    examples = task_examples.load_examples(run_config, source, [split])
    if not len(examples):
        raise ValueError(
            f"{source.directory}: {split} has no example of task {run_config.task}: "
            "convert with fewer --num_folds or more studies"
        )
    return predictions.Predictions(
        keys=tuple(examples.keys),
        labels=examples.labels,
        probabilities=run.predict_probabilities(model, examples.windowed),
    )


def _at_temperature(found: predictions.Predictions, temperature: float) -> predictions.Predictions:
    return dataclasses.replace(
        found, probabilities=calibration.apply_temperature(found.probabilities, temperature)
    )


def join_folds(
    run_config: config.Config, run_dir: pathlib.Path, fold_dirs: Sequence[pathlib.Path]
) -> None:
    """Writes oof.csv and its metrics.json from the predictions of each fold's run.

    They are at the temperatures that all inner folds together give, which are written too.
    """
    temperatures = pooled_calibration.fit(run_dir, fold_dirs, run_config.task_spec)
    parts = [_at_pooled(path, temperatures, run_config) for path in fold_dirs]
    _write_out_of_fold(run_config, run_dir, predictions.join(parts))


def _at_pooled(
    fold_dir: pathlib.Path, temperatures: Mapping[str, float], run_config: config.Config
) -> predictions.Predictions:
    """A fold's predictions, at another temperature than its run's own if there is one."""
    found = predictions.read_csv(fold_dir / run_directory.PREDICTIONS_FILE, run_config.task_spec)
    own = calibration.read_temperature(fold_dir / run_directory.CALIBRATION_FILE)
    return _at_temperature(found, temperatures.get(fold_dir.name, own) / own)


def join_seeds(
    run_config: config.Config, run_dir: pathlib.Path, seed_dirs: Mapping[int, pathlib.Path]
) -> None:
    """Writes the mean of the seeds' oof.csv, and a metrics.json that says how they differ."""
    task = run_config.task_spec
    parts = [
        predictions.read_csv(path / run_directory.OUT_OF_FOLD_FILE, task)
        for path in seed_dirs.values()
    ]
    mean = dataclasses.replace(
        parts[0], probabilities=np.mean([part.probabilities for part in parts], axis=0)
    )
    spread = _spread(run_config, [*seed_dirs], parts)
    for name, figures in spread["metrics"].items():
        logging.info(
            "%s of one seed: %.3f, standard deviation %.3f over %d seeds",
            name.replace("_", " "),
            figures["mean"],
            figures["standard_deviation"],
            len(seed_dirs),
        )
    _write_out_of_fold(run_config, run_dir, mean, {"seeds": spread})


def _spread(
    run_config: config.Config, seeds: Sequence[int], parts: Sequence[predictions.Predictions]
) -> dict[str, Any]:
    """Each seed's figures, and their mean and sample standard deviation (0 for one seed)."""
    found = [metrics.compute(part, run_config.task_spec).overall for part in parts]
    values = {name: [float(figures[name][0]) for figures in found] for name in _SPREAD}
    return {
        "values": list(seeds),
        "metrics": {
            name: {
                "values": of_seeds,
                "mean": float(np.mean(of_seeds)),
                "standard_deviation": float(np.std(of_seeds, ddof=min(1, len(of_seeds) - 1))),
            }
            for name, of_seeds in values.items()
        },
    }


def _write_out_of_fold(
    run_config: config.Config,
    run_dir: pathlib.Path,
    joined: predictions.Predictions,
    more: Mapping[str, Any] | None = None,
) -> None:
    predictions.write_csv(run_dir / run_directory.OUT_OF_FOLD_FILE, joined, run_config.task_spec)
    _write_metrics(run_config, run_dir, joined, "oof", more)


def _write_metrics(
    run_config: config.Config,
    run_dir: pathlib.Path,
    held_out: predictions.Predictions,
    split: str,
    more: Mapping[str, Any] | None = None,
) -> None:
    """Writes the figures of examples that the weights did not see, and logs what matters most."""
    # The seed of the training is not the bootstrap's: evaluate gives these figures their interval.
    found = summary.summarize(held_out, run_config.task_spec, split)
    atomic.write_json(run_dir / run_directory.METRICS_FILE, {**found.to_json(), **(more or {})})
    logging.info(
        "%s: accuracy %s, log loss %s, %s of %s",
        split,
        found.metrics["accuracy"].in_words(),
        found.metrics["log_loss"].in_words(),
        words.counted(found.num_examples, "example"),
        words.counted(found.num_studies, "study"),
    )
    _warn_of_unpredicted(held_out, run_config)


def _warn_of_unpredicted(held_out: predictions.Predictions, run_config: config.Config) -> None:
    predicted = set(held_out.predicted.tolist())
    for index, name in enumerate(run_config.task_spec.classes):
        if index not in predicted and (held_out.labels == index).any():
            logging.warning("no example was predicted as %s", name)
