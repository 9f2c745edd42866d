"""Repeats the report's experiment and fills in its table: `python -m spine_tf.reproduce`."""

import math
import pathlib
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from absl import flags, logging

from spine_tf import cli, conversion_flags, flags as flags_module, labels
from tfrecords import program, words

if TYPE_CHECKING:
    from spine_tf.reproduction import experiment, reproduction_table

_DATA_DIR = flags_module.data_dir()
_WORK_DIR = flags_module.work_dir("; the same command goes on where it stopped")
_ROWS = conversion_flags.Rows("to look at")
_TASKS = flags.DEFINE_list(
    "tasks", "binary,multiclass", f"Tasks, some of {', '.join(labels.TASKS)}."
)
_MODELS = flags_module.models(("simple", "dense", "densenet", "residual", "resnet50"), "to train")
_SEARCH = flags.DEFINE_integer(
    "search", 0, "Trials of a search for each task and model; 0 takes the families' defaults."
)
_SET = flags_module.changes(", for every family that has the field")
_FAST = flags.DEFINE_bool(
    "fast", False, "A look at the whole path in minutes: small crops, 3 folds, few epochs."
)
_NUM_FOLDS = flags.DEFINE_integer("num_folds", None, "Folds; 5, or 3 with --fast.")
_WORKERS = flags_module.Workers("Processes that convert; all cores if not given.")
_SEED = flags_module.seed("folds, models and bootstraps")


def main() -> None:
    """Converts, trains, evaluates and writes the table, as the flags say."""
    started = time.monotonic()
    data_dir = program.require_path(_DATA_DIR)
    work_dir = program.require_output_dir(_WORK_DIR)
    flags_module.require_kinds(data_dir=data_dir)

    from spine_tf.reproduction import experiment, reproduction

    wanted = experiment.Experiment(
        tasks=tuple(_TASKS.value),
        families=tuple(_MODELS.value),
        changes=tuple(_SET.value),
        num_trials=_SEARCH.value,
        is_fast=_FAST.value,
        seed=_SEED.value,
    )
    conversion = wanted.make_conversion(
        conditions=_ROWS.conditions, levels=_ROWS.levels, num_folds=_NUM_FOLDS.value
    )
    found = reproduction.convert_and_reproduce(
        wanted, conversion, data_dir, work_dir, num_workers=_WORKERS.number()
    )
    logging.info("done in %.0f s", time.monotonic() - started)
    print(found.text)
    print(found.page)
    _print_next(found.rows, wanted, work_dir)
    if found.failed:
        names = ", ".join(f"{row.task} {row.model}" for row in found.failed)
        raise ValueError(
            f"{words.counted(len(found.failed), 'model')} could not be trained ({names}): mend "
            "what the table says of it and run the same command again"
        )


def _print_next(
    rows: "Sequence[reproduction_table.Row]",
    wanted: "experiment.Experiment",
    work_dir: pathlib.Path,
) -> None:
    """The last task's run that is best out of fold is what to export."""
    from spine_tf.reproduction import experiment

    task = wanted.tasks[-1]
    losses = {
        row.model: row.oof["log_loss"].value or math.inf
        for row in rows
        if row.task == task and row.seconds is not None
    }
    if losses:
        best = min(losses, key=lambda family: losses[family])
        run_dir = experiment.run_dir(work_dir, task, best)
        cli.print_next("export", run_dir=run_dir, export_dir=cli.beside(work_dir, "export"))


if __name__ == "__main__":
    program.run(
        main,
        usage="Repeats the report's experiment: converts, trains every family on both tasks, "
        "evaluates, and fills in the report's table.\n\n"
        "%s --data_dir D --work_dir W [--fast]",
    )
