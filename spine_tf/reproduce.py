"""Repeats the report's experiment and fills in its table: `python -m spine_tf.reproduce`."""

import pathlib
import time

from absl import flags, logging

from spine_tf import flags as flags_module
from tfrecords import program

_DATA_DIR = flags_module.data_dir()
_WORK_DIR = flags_module.work_dir("; the same command goes on where it stopped")
_ROWS = flags_module.Rows("to look at")
_TASKS = flags.DEFINE_list("tasks", "binary,multiclass", "Tasks.")
_MODELS = flags_module.models(
    ("simple", "dense", "densenet", "residual", "resnet50"), "Model families."
)
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

_SETTINGS_FILE = "reproduce.json"


def main() -> None:
    """Converts, trains, evaluates and writes the table, as the flags say."""
    started = time.monotonic()
    data_dir = program.require_path(_DATA_DIR)
    work_dir = program.require_path(_WORK_DIR)

    from spine_tf.reproduction import experiment
    from tfrecords import atomic

    wanted = experiment.Experiment(
        tasks=tuple(_TASKS.value),
        families=tuple(_MODELS.value),
        changes=tuple(_SET.value),
        num_trials=_SEARCH.value,
        is_fast=_FAST.value,
        seed=_SEED.value,
    )
    _prepare(work_dir)
    experiment.require_same_runs(wanted, work_dir)
    atomic.write_json(work_dir / _SETTINGS_FILE, wanted.to_json())
    _convert(data_dir, work_dir / "records")

    from spine_tf.reproduction import reproduction
    from tfrecords import records

    source = records.open_records(work_dir / "records")
    found = reproduction.reproduce(wanted, source, work_dir, data_dir)
    logging.info("done in %.0f s", time.monotonic() - started)
    print(found.text)
    print(found.page)
    if found.failed:
        names = ", ".join(f"{row.task} {row.model}" for row in found.failed)
        raise ValueError(
            f"{len(found.failed)} model(s) could not be trained ({names}): mend what the "
            "table says of it and run the same command again"
        )


def _prepare(work_dir: pathlib.Path) -> None:
    """Makes the directory, or refuses one that holds something else."""
    is_ours = (work_dir / _SETTINGS_FILE).is_file()
    if work_dir.exists() and not is_ours and any(work_dir.iterdir()):
        raise ValueError(f"{work_dir} holds other files: choose another --work_dir")
    work_dir.mkdir(parents=True, exist_ok=True)


def _convert(data_dir: pathlib.Path, output_dir: pathlib.Path) -> None:
    from spine_tf.configuration import roi_config
    from spine_tf.conversion import finalize, job, plan
    from spine_tf.rsna import sources

    conversion = plan.Settings(
        conditions=_ROWS.conditions,
        levels=_ROWS.levels,
        roi=roi_config.RoiConfig(roi_px=64 if _FAST.value else 128),
        num_folds=_NUM_FOLDS.value or (3 if _FAST.value else 5),
        seed=_SEED.value,
    )
    dataset = job.convert(
        sources.open_source(data_dir),
        output_dir,
        conversion,
        num_workers=_WORKERS.number(),
    )
    logging.info("%s", finalize.summarize(dataset))


if __name__ == "__main__":
    program.run(
        main,
        usage="Repeats the report's experiment: converts, trains every family on both tasks, "
        "evaluates, and fills in the report's table.\n\n"
        "python -m spine_tf.reproduce --data_dir D --work_dir W [--fast]",
    )
