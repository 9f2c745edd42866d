"""Temperatures of a run of all folds, each fitted on the inner folds of its other models too.

One inner fold of few studies fits a temperature badly. Out of fold each model has said something of
its inner fold, so that together they have said it of every example. The temperature of the model
that holds a fold out is fitted on all of that but what was said of this fold.
"""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from absl import logging

from spine_tf import labels
from spine_tf.runs import run_directory
from spine_tf.scoring import calibration, metrics, predictions
from tfrecords import atomic


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Inner:
    """What a model said of its inner fold, before calibration."""

    split: str
    said: predictions.Predictions


def fit(
    run_dir: pathlib.Path, fold_dirs: Sequence[pathlib.Path], task: labels.Task
) -> Mapping[str, float]:
    """Fits a temperature for the model of each fold and writes calibration.json above them.

    Args:
        run_dir: directory of the run of all folds.
        fold_dirs: directories of its folds' runs, each named after the fold that it holds out.
        task: the run's task.

    Returns:
        Fold -> temperature; nothing where there are no inner folds, whose runs keep their own.
    """
    inner = {path.name: _read_inner(path, task) for path in fold_dirs}
    found = [each for each in inner.values() if each is not None]
    if len(found) < len(inner):
        return {}
    values: dict[str, Any] = {}
    for fold in inner:
        others = [each for each in found if each.split != fold]
        joined = predictions.join([each.said for each in others])
        temperature = calibration.fit_temperature(joined.probabilities, joined.labels)
        values[fold] = {
            "temperature": temperature,
            "fitted_on": sorted({each.split for each in others}),
            "num_examples": len(joined),
            "log_loss_before": _log_loss(joined, 1.0),
            "log_loss_after": _log_loss(joined, temperature),
        }
    atomic.write_json(run_dir / run_directory.CALIBRATION_FILE, values)
    logging.info(
        "temperatures, each fitted on %d inner folds: %s",
        len(found) - 1,
        ", ".join(f"{each['temperature']:.2f}" for each in values.values()),
    )
    return {fold: each["temperature"] for fold, each in values.items()}


def _read_inner(fold_dir: pathlib.Path, task: labels.Task) -> _Inner | None:
    path = fold_dir / run_directory.INNER_FILE
    if not path.is_file():
        return None
    provenance = run_directory.read_provenance(fold_dir)
    return _Inner(split=provenance["monitor_split"], said=predictions.read_csv(path, task))


def _log_loss(found: predictions.Predictions, temperature: float) -> float:
    probabilities = calibration.apply_temperature(found.probabilities, temperature)
    scaled = dataclasses.replace(found, probabilities=probabilities)
    return float(metrics.example_log_losses(scaled).mean())
