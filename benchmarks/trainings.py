"""Calls of spine_tf.train as values: what benchmarks train, resumable, in processes of their own.

Each function prints the command that does the same, and adds what the training says to training.log
beside the run's directory. The process, which alone imports TensorFlow, gives back all memory.
"""

import csv
import dataclasses
import pathlib
import shlex
from collections.abc import Callable, Sequence
from typing import Any

from spine_tf.configuration import config as config_module, overrides
from spine_tf.processes import isolated
from spine_tf.reproduction import out_of_fold
from spine_tf.scoring import predictions
from spine_tf.training import reviewed_labels
from tfrecords import records


@dataclasses.dataclass(frozen=True, kw_only=True)
class Training:
    """One call of spine_tf.train, by its flags."""

    task: str
    model: str
    settings: tuple[str, ...]
    records_dir: pathlib.Path
    run_dir: pathlib.Path
    val_fold: str = "all"

    @property
    def config(self) -> config_module.Config:
        """What the flags say."""
        held_out = [] if self.val_fold == "all" else [f"data.val_fold={self.val_fold}"]
        default = config_module.default_config(self.task, self.model)
        return overrides.apply(default, [*self.settings, *held_out])

    @property
    def command(self) -> str:
        """The call."""
        names = ("task", "model", "records_dir", "run_dir", "val_fold")
        flags = [f"--{name}={getattr(self, name)}" for name in names]
        flags += [f"--set={text}" for text in self.settings]
        return shlex.join(["python", "-m", "spine_tf.train", *flags])

    @property
    def seconds(self) -> float:
        """Steps of all epochs of all folds."""
        return seconds_of(self.run_dir)

    def change(self, *settings: str, **fields: Any) -> "Training":
        """Returns it with settings added and fields replaced."""
        return dataclasses.replace(self, settings=(*self.settings, *settings), **fields)


def seconds_of(run_dir: pathlib.Path) -> float:
    """Returns the seconds of all epochs of all folds of a run."""
    total = 0.0
    for path in run_dir.rglob("history.csv"):
        with path.open(newline="", encoding="utf-8") as file:
            total += sum(float(row["seconds"]) for row in csv.DictReader(file))
    return total


def train_all_folds(training: Training) -> predictions.Predictions:
    """Trains with each fold held out and returns the predictions out of fold."""
    print(training.command, flush=True)
    written = _call(
        training, out_of_fold.train, training.config, training.records_dir, training.run_dir
    )
    path = training.run_dir / written.predictions_file
    return predictions.read_csv(path, training.config.task_spec)


def train_each(trainings: Sequence[Training]) -> predictions.Predictions:
    """Trains each with its own fold held out and joins the predictions, of whole severities."""
    print(trainings[0].command, flush=True)
    print(f"... and so each of {len(trainings)} folds with its own files", flush=True)
    return _call(trainings[0], _train_each, trainings)


def clean(training: Training, output_dir: pathlib.Path) -> None:
    """Judges the labels of a run of all folds, unless that is done."""
    flags = [f"--run_dir={training.run_dir}", f"--records_dir={training.records_dir}"]
    flags.append(f"--output_dir={output_dir}")
    print(shlex.join(["python", "-m", "spine_tf.clean", *flags]), flush=True)
    if not (output_dir / reviewed_labels.FILE_NAME).exists():
        _call(training, _clean, training, output_dir)


def answer_augmented(training: Training, num_augmented: int) -> predictions.Predictions:
    """Returns predictions of a run of all folds, averaged over copies of each crop."""
    return _call(training, _answer_augmented, training, num_augmented)


def _call(training: Training, function: Callable[..., Any], *values: Any) -> Any:
    training.run_dir.parent.mkdir(parents=True, exist_ok=True)
    return isolated.call(function, *values, log_path=training.run_dir.with_name("training.log"))


def _train_each(trainings: Sequence[Training]) -> predictions.Predictions:
    from spine_tf.runs import run_directory
    from spine_tf.training import trainer

    parts = []
    for training in trainings:
        source, run_dir = records.open_records(training.records_dir), training.run_dir
        trainer.train(training.config, source, run_dir, resume=run_dir.exists())
        task = training.config.task_spec
        found = predictions.read_csv(run_dir / run_directory.PREDICTIONS_FILE, task)
        parts.append(predictions.collapse(found, task))
    return predictions.join(parts)


def _clean(training: Training, output_dir: pathlib.Path) -> None:
    from spine_tf.label_review import cleaning

    cleaning.clean(training.run_dir, records.open_records(training.records_dir), output_dir)


def _answer_augmented(training: Training, num_augmented: int) -> predictions.Predictions:
    from spine_tf.evaluation import held_out as held_out_module
    from spine_tf.runs import run

    trained, source = run.load_run(training.run_dir), records.open_records(training.records_dir)
    found = held_out_module.load(trained, source, "oof", num_augmented=num_augmented)
    return found.evaluated.predictions
