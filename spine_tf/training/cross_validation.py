"""Trains once with each fold held out, with one seed or several, and joins the predictions."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from absl import logging

from spine_tf.configuration import config
from spine_tf.runs import run
from spine_tf.scoring import metrics, predictions
from spine_tf.training import directory, folds, provenance, trainer
from tfrecords import records

_SPREAD = ("accuracy", "balanced_accuracy", "log_loss")


def train_all_folds(
    run_config: config.Config, source: records.Records, run_dir: pathlib.Path, *, resume: bool
) -> None:
    """Trains once with each fold held out, in `run_dir/fold_i`, and joins their predictions.

    Raises:
        ValueError: as `trainer.train`.
    """
    if not directory.begin(run_dir, run_config, _describe(run_config, source), resume=resume):
        return
    names = folds.fold_splits(source)
    for index, name in enumerate(names):
        logging.info("fold %d of %d", index + 1, len(names))
        fold_dir = run_dir / name
        trainer.train(_hold_out(run_config, index), source, fold_dir, resume=fold_dir.exists())
    task = run_config.task_spec
    parts = [predictions.read_csv(run_dir / name / run.PREDICTIONS_FILE, task) for name in names]
    _write_out_of_fold(run_config, run_dir, _join(parts))


def train_all_seeds(
    run_config: config.Config,
    source: records.Records,
    run_dir: pathlib.Path,
    *,
    num_seeds: int,
    resume: bool,
) -> None:
    """Trains all folds with each of several seeds, in `run_dir/seed_s/fold_i`.

    The out-of-fold predictions on top are the mean over the seeds, each by models that did not see
    the example; `metrics.json` says how far the seeds lie apart.

    Args:
        run_config: the first seed is its own, the others are the next ones.
        source: the records.
        run_dir: as in `trainer.train`.
        num_seeds: at least 1.
        resume: as in `trainer.train`.

    Raises:
        ValueError: as `trainer.train`.
    """
    seeds = range(run_config.seed, run_config.seed + num_seeds)
    origin = {**_describe(run_config, source), "seeds": list(seeds)}
    if not directory.begin(run_dir, run_config, origin, resume=resume):
        return
    task = run_config.task_spec
    parts = []
    for seed in seeds:
        logging.info("seed %d of %d to %d", seed, seeds[0], seeds[-1])
        seed_dir = run_dir / run.seed_dir_name(seed)
        seed_config = dataclasses.replace(run_config, seed=seed)
        train_all_folds(seed_config, source, seed_dir, resume=seed_dir.exists())
        parts.append(predictions.read_csv(seed_dir / run.OUT_OF_FOLD_FILE, task))
    mean = dataclasses.replace(
        parts[0], probabilities=np.mean([part.probabilities for part in parts], axis=0)
    )
    spread = _spread(run_config, list(seeds), parts)
    for name, figures in spread["metrics"].items():
        logging.info(
            "%s of one seed: %.3f, standard deviation %.3f over %d seeds",
            name.replace("_", " "),
            figures["mean"],
            figures["standard_deviation"],
            num_seeds,
        )
    _write_out_of_fold(run_config, run_dir, mean, {"seeds": spread})


def _describe(run_config: config.Config, source: records.Records) -> dict[str, Any]:
    names = folds.fold_splits(source)
    for index in range(len(names)):
        folds.assign(source, _hold_out(run_config, index).data)
    first = folds.assign(source, _hold_out(run_config, 0).data)
    return {
        **provenance.describe(run_config, source, first),
        "folds": list(names),
        "train_splits": list(names),
        "monitor_split": None,
        "val_split": None,
        "train_studies": provenance.studies(source, names),
        "class_prior": provenance.class_prior(run_config, source, names),
    }


def _hold_out(run_config: config.Config, fold: int) -> config.Config:
    return dataclasses.replace(run_config, data=dataclasses.replace(run_config.data, val_fold=fold))


def _join(parts: Sequence[predictions.Predictions]) -> predictions.Predictions:
    return predictions.Predictions(
        keys=tuple(key for part in parts for key in part.keys),
        labels=np.concatenate([part.labels for part in parts]),
        probabilities=np.concatenate([part.probabilities for part in parts]),
    )


def _write_out_of_fold(
    run_config: config.Config,
    run_dir: pathlib.Path,
    joined: predictions.Predictions,
    more: Mapping[str, Any] | None = None,
) -> None:
    predictions.write_csv(run_dir / run.OUT_OF_FOLD_FILE, joined, run_config.task_spec)
    directory.write_metrics(run_dir, joined, run_config, "oof", more)


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
