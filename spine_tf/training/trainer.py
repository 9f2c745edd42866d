"""Trains runs and writes their directories: one fold held out, all of them, several seeds."""

import contextlib
import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import keras
from absl import logging

from spine_tf.configuration import config
from spine_tf.runs import provenance as provenance_module, run, run_directory
from spine_tf.training import (
    checkpoint,
    fit,
    fold_roles,
    history,
    keras_callbacks,
    shared_network,
    tasks,
    warm_start,
)
from tfrecords import records

Callbacks = Sequence[keras.callbacks.Callback] | keras_callbacks.MakeCallbacks


def train(
    run_config: config.Config,
    source: records.Records,
    run_dir: pathlib.Path,
    *,
    resume: bool,
    callbacks: Callbacks = (),
    task: tasks.Task | None = None,
    network: shared_network.SharedNetwork | None = None,
) -> None:
    """Trains with the fold `data.val_fold` held out and writes `run_dir`.

    Example:
        >>> import pathlib
        >>> import keras
        >>> from spine_tf.configuration import config, overrides
        >>> from spine_tf.training import trainer
        >>> from tfrecords import records
        >>> settings = overrides.apply(
        ...     config.default_config("binary", "simple"), ["training.epochs=2", "data.val_fold=1"]
        ... )
        >>> trainer.train(
        ...     settings,
        ...     records.open_records("records"),
        ...     pathlib.Path("runs/simple"),
        ...     resume=False,
        ...     callbacks=[keras.callbacks.CSVLogger("log.csv")],
        ... )
        >>> pathlib.Path("runs/simple/metrics.json").is_file()
        True

    Args:
        run_config: what to train and how.
        source: the records, as `tfrecords.records.open_records` opens them.
        run_dir: must not exist, unless the same run was interrupted there.
        resume: go on with an interrupted run, or with a finished one do nothing.
        callbacks: Keras callbacks, as of `fit.fit`, or what makes them of the configuration; not
            asked where nothing is left to train.
        task: what is learned; None: what the configuration names.
        network: a network to train instead of a new one, as `fit.fit` takes it.

    Raises:
        ValueError: the directory exists, holds another run, or training is not possible.
    """
    task = task or tasks.make_task(run_config, source)
    source = source.keeping(run_config.data.keep_mb)
    assignment = fold_roles.assign(source, run_config.data)
    _read_once(source)
    provenance = {
        **provenance_module.describe(source, **dataclasses.asdict(assignment)),
        **task.describe(source, assignment.train_splits),
        **warm_start.describe(task, run_config, source, assignment),
    }
    if not run_directory.begin(run_dir, run_config, provenance, resume=resume):
        return
    made = callbacks(run_config) if callable(callbacks) else callbacks
    fitted = _fit(task, run_config, source, run_dir, assignment, made, network)
    run.save_model(fitted.model, run_dir / run_directory.MODEL_FILE)
    history.write_csv(run_dir / run_directory.HISTORY_FILE, fitted.history)
    history.write_curves(run_dir / run_directory.CURVES_FILE, fitted.history, fitted.best_epoch)
    task.write_results(run_dir, fitted.model, source, assignment)
    checkpoint.remove(run_dir)


def _read_once(source: records.Records) -> None:
    """Finds out before the first epoch, not after the last, that a record is damaged."""
    source.index(fold_roles.fold_splits(source))


def _fit(
    task: tasks.Task,
    run_config: config.Config,
    source: records.Records,
    run_dir: pathlib.Path,
    assignment: fold_roles.Assignment,
    callbacks: Sequence[keras.callbacks.Callback],
    network: shared_network.SharedNetwork | None,
) -> fit.Fitted:
    board = history.Board(
        run_dir / run_directory.TENSORBOARD_DIR,
        epochs=run_config.training.epochs,
        name=f"{run_config.model.family}, {assignment.val_split} held out",
        watched=task.watched,
    )
    with contextlib.closing(board):
        return fit.fit(
            run_config,
            source,
            train_splits=assignment.train_splits,
            monitor_split=assignment.monitor_split,
            work_dir=run_dir,
            on_epoch_end=board.add,
            callbacks=callbacks,
            task=task,
            network=network,
        )


def train_all_folds(
    run_config: config.Config,
    source: records.Records,
    run_dir: pathlib.Path,
    *,
    resume: bool,
    callbacks: keras_callbacks.MakeCallbacks | None = None,
    task: tasks.Task | None = None,
) -> None:
    """Trains once with each fold held out, in `run_dir/fold_i`, and joins their results.

    Args:
        run_config: what to train; its `data.val_fold` is not looked at.
        source: open records, as `train` takes them.
        run_dir: where the run is written, as `train` has it.
        resume: goes on with the run that lies there, as `train` does.
        callbacks: makes each fold's own Keras callbacks of its configuration.
        task: what is learnt, as `train` takes it.

    Raises:
        ValueError: `train` would raise it.
    """
    task = task or tasks.make_task(run_config, source)
    source = source.keeping(run_config.data.keep_mb)
    _read_once(source)
    provenance = _describe_all(task, run_config, source)
    if not run_directory.begin(run_dir, run_config, provenance, resume=resume):
        return
    names, network = fold_roles.fold_splits(source), shared_network.SharedNetwork()
    for index, name in enumerate(names):
        logging.info("%s held out, %d of %d", name, index + 1, len(names))
        fold_dir = run_dir / name
        held_out = hold_out(run_config, name)
        train(
            held_out,
            source,
            fold_dir,
            resume=fold_dir.exists(),
            callbacks=callbacks or (),
            task=task,
            network=network,
        )
    task.join_folds(run_dir, [run_dir / name for name in names])


def train_all_seeds(
    run_config: config.Config,
    source: records.Records,
    run_dir: pathlib.Path,
    *,
    num_seeds: int,
    resume: bool,
    callbacks: keras_callbacks.MakeCallbacks | None = None,
) -> None:
    """Trains all folds with each of several seeds, in `run_dir/seed_s/fold_i`.

    The out-of-fold predictions on top are the mean over the seeds, each by models that did not see
    the example; `metrics.json` says how far the seeds lie apart.

    Args:
        run_config: the first seed is its own, the others are the next ones.
        source: the records.
        run_dir: where the run is written, as `train` has it.
        num_seeds: at least 1.
        resume: goes on with the run that lies there, as `train` does.
        callbacks: makes the Keras callbacks of each training, as for `train_all_folds`.

    Raises:
        ValueError: `train` would raise it.
    """
    task = tasks.make_task(run_config, source)
    source = source.keeping(run_config.data.keep_mb)
    seeds = range(run_config.seed, run_config.seed + num_seeds)
    provenance = {**_describe_all(task, run_config, source), "seeds": list(seeds)}
    if not run_directory.begin(run_dir, run_config, provenance, resume=resume):
        return
    seed_dirs = {seed: run_dir / run_directory.seed_dir_name(seed) for seed in seeds}
    for seed, seed_dir in seed_dirs.items():
        logging.info("seed %d of %d to %d", seed, seeds[0], seeds[-1])
        seed_config = dataclasses.replace(run_config, seed=seed)
        train_all_folds(
            seed_config, source, seed_dir, resume=seed_dir.exists(), callbacks=callbacks
        )
    task.join_seeds(run_dir, seed_dirs)


def _describe_all(
    task: tasks.Task, run_config: config.Config, source: records.Records
) -> dict[str, Any]:
    """Where a run of all folds comes from, after a check that each of them can be held out."""
    names = fold_roles.fold_splits(source)
    for name in names:
        assignment = fold_roles.assign(source, hold_out(run_config, name).data)
        task.describe(source, assignment.train_splits)
    return {
        **provenance_module.describe(
            source, train_splits=names, monitor_split=None, val_split=None
        ),
        **task.describe(source, names),
        "folds": list(names),
    }


def hold_out(run_config: config.Config, fold: str) -> config.Config:
    """Returns the configuration with another fold held out."""
    data = dataclasses.replace(run_config.data, val_fold=fold_roles.fold_index(fold))
    return dataclasses.replace(run_config, data=data)
