"""A run of all folds, trained or read, and its out-of-fold predictions.

Reproductions and ablations call `train` in a process of its own, which alone imports TensorFlow.
"""

import dataclasses
import functools
import pathlib

from spine_tf import labels
from spine_tf.configuration import config
from spine_tf.scoring import predictions
from tfrecords import csv_text, json_object


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trained:
    """A run with all folds.

    Attributes:
        predictions_file: its out-of-fold predictions, in the run's directory.
        class_prior: share of each class in the training examples.
        seconds: how long training took, over all folds and interruptions.
    """

    predictions_file: str
    class_prior: tuple[float, ...]
    seconds: float

    def read_predictions(self, run_dir: pathlib.Path, task: labels.Task) -> predictions.Predictions:
        """Returns the out-of-fold predictions; ValueError where the file is not as expected."""
        return predictions.read_csv(run_dir / self.predictions_file, task)


def read(path: pathlib.Path) -> Trained:
    """Returns what `dataclasses.asdict` and JSON made of one; ValueError where it is none."""
    return json_object.read_as(
        functools.partial(json_object.build, Trained),
        path,
        expected="what a training of all folds left",
        mend="remove it, and the run is trained again",
    )


def train(run_config: config.Config, records_dir: pathlib.Path, run_dir: pathlib.Path) -> Trained:
    """Trains what is not finished; to be called by `isolated.call`.

    A finished run of the same configuration and records is taken as it is, whatever the versions
    of the packages are now.

    Raises:
        ValueError: it can't be trained, or another run lies there.
    """
    from spine_tf.runs import run_directory
    from spine_tf.training import trainer
    from tfrecords import manifest, records

    source = records.open_records(records_dir)
    origin = run_directory.read_provenance(run_dir) if run_directory.is_run(run_dir) else {}
    is_finished = (
        bool(origin)
        and config.read_config(run_dir / run_directory.CONFIG_FILE) == run_config
        and origin["records"]["manifest_sha256"] == manifest.sha256_of(source.directory)
    )
    if not is_finished:
        trainer.train_all_folds(run_config, source, run_dir, resume=run_dir.exists())
    seconds = 0.0
    for fold_dir in run_directory.fold_dirs(run_dir):
        history = csv_text.read(
            fold_dir / run_directory.HISTORY_FILE, expected="the history of a training"
        )
        seconds += sum(float(row["seconds"]) for _, row in history)
    return Trained(
        predictions_file=run_directory.OUT_OF_FOLD_FILE,
        class_prior=tuple(run_directory.read_provenance(run_dir)["class_prior"]),
        seconds=seconds,
    )
