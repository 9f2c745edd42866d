"""Trains the best configuration of a search on all folds, as `spine_tf.train --val_fold all`."""

import pathlib
import shutil

from absl import logging

from spine_tf.configuration import config
from spine_tf.runs import run
from spine_tf.training import trainer
from tfrecords import records
from tuner import directory


def retrain(search_dir: pathlib.Path, records_dir: pathlib.Path) -> pathlib.Path:
    """Trains the best configuration, with each fold held out in turn.

    A training of the same configuration is continued; one of an earlier best is removed.

    Args:
        search_dir: of a search with a best configuration.
        records_dir: the records that were searched on.

    Returns:
        The run directory.

    Raises:
        ValueError: there is no best configuration, or training is not possible.
    """
    best = config.read_config(search_dir / directory.BEST_FILE)
    run_dir = search_dir / directory.RETRAINED_DIR
    config_path = run_dir / run.CONFIG_FILE
    if config_path.exists() and config.read_config(config_path) != best:
        logging.info("the best configuration has changed: %s is trained anew", run_dir)
        shutil.rmtree(run_dir)
    trainer.train_all_folds(
        best, records.open_records(records_dir), run_dir, resume=run_dir.exists()
    )
    return run_dir
