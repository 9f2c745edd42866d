"""The report's experiment: both tasks, all families, out of fold and on the test split.

Every step leaves its result in the work directory and is passed over where that lies there:

    records/                 the conversion
    search/<task>-<family>/  searches, if any
    runs/<task>/<family>/    one run, all folds
    reports/<task>/<family>/{oof,test}/   and reports/<task>/comparison/
    table.csv, table.md, report.html      the report's table, written last
"""

import csv
import dataclasses
import json
import pathlib
import shutil
import subprocess
import sys
from typing import Any

import keras
from absl import logging

from spine_tf import config, run
from spine_tf.evaluation import analysis, comparison, predictions, session
from spine_tf.experiment import settings as settings_lib
from spine_tf.experiment import table
from spine_tf.training import cross_validation
from tfrecords import records


def reproduce(
    settings: settings_lib.Settings,
    source: records.Records,
    work_dir: pathlib.Path,
    data_dir: pathlib.Path,
) -> table.Table:
    """Trains and evaluates everything, and writes the table.

    A run that can't be trained (ImageNet's weights without a network) is a row with the reason.

    Args:
        settings: what.
        source: the converted records.
        work_dir: as the module's docstring says; continued where it was interrupted.
        data_dir: what the records were converted from, for the baseline from other labels.

    Returns:
        The table; its rows say what failed.
    """
    rows = []
    for task in settings.tasks:
        finished = []
        for family in settings.families:
            logging.info("%s, %s", task, family)
            try:
                run_dir = _train(settings, source, work_dir, task, family)
            except ValueError as err:
                logging.warning("%s, %s is left out: %s", task, family, err)
                rows.append(table.failed_row(task, family, str(err)))
                _discard_empty(settings_lib.run_dir(work_dir, task, family))
                continue
            keras.backend.clear_session()
            finished.append(run_dir)
            options = session.Options(
                seed=settings.seed,
                num_resamples=200 if settings.is_fast else 1000,
                has_evidence=not settings.is_fast,
                data_dir=data_dir,
            )
            found = _evaluate(run_dir, source, work_dir / "reports" / task / family, options)
            rows.append(table.make_row(task, family, found, _seconds(run_dir)))
        _compare(finished, work_dir / "reports" / task / "comparison", settings)
    return table.write(work_dir, rows, source.manifest.config)


def _train(
    settings: settings_lib.Settings,
    source: records.Records,
    work_dir: pathlib.Path,
    task: str,
    family: str,
) -> pathlib.Path:
    best = None
    if settings.num_trials:
        best = _search(settings, source, work_dir / "search" / f"{task}-{family}", task, family)
    run_dir = settings_lib.run_dir(work_dir, task, family)
    run_config = settings.make_config(task, family, best)
    cross_validation.train_all_folds(run_config, source, run_dir, resume=run_dir.exists())
    return run_dir


def _discard_empty(run_dir: pathlib.Path) -> None:
    """Removes a run without a trained fold, so that it can be started with other settings."""
    if run_dir.exists() and not list(run_dir.glob(f"fold_*/{run.HISTORY_FILE}")):
        shutil.rmtree(run_dir)


def _search(
    settings: settings_lib.Settings,
    source: records.Records,
    search_dir: pathlib.Path,
    task: str,
    family: str,
) -> pathlib.Path:
    """Searches with the tuner's program, which nothing here imports; returns the best config."""
    best = search_dir / "best.json"
    if best.is_file():
        return best
    command = [
        *(sys.executable, "-m", "tuner"),
        f"--records_dir={source.directory}",
        f"--search_dir={search_dir}",
        f"--task={task}",
        f"--models={family}",
        f"--max_trials={settings.num_trials}",
        f"--seed={settings.seed}",
        *(f"--set={change}" for change in settings.changes),
        *(["--resume"] if search_dir.exists() else []),
    ]
    done = subprocess.run(command, check=False)
    if done.returncode or not best.is_file():
        raise ValueError(f"the search in {search_dir} found nothing (exit {done.returncode})")
    return best


def _evaluate(
    run_dir: pathlib.Path,
    source: records.Records,
    report_dir: pathlib.Path,
    options: session.Options,
) -> dict[str, dict[str, Any]]:
    """Returns metrics.json of each split; a report that lies there is taken as it is."""
    splits = [split for split in ("oof", "test") if split == "oof" or split in source.splits]
    # The page is written last, so where it lies the figures are complete.
    missing = [split for split in splits if not (report_dir / split / "report.html").is_file()]
    if missing:
        trained = run.load_run(run_dir)
        for split in missing:
            split_options = dataclasses.replace(options, split=split)
            session.evaluate_run(trained, source, report_dir / split, split_options)
        keras.backend.clear_session()
    return {
        split: json.loads((report_dir / split / "metrics.json").read_text("utf-8"))
        for split in splits
    }


def _compare(
    run_dirs: list[pathlib.Path], report_dir: pathlib.Path, settings: settings_lib.Settings
) -> None:
    """Compares the runs by their out-of-fold predictions, which need no model to be loaded."""
    if len(run_dirs) < 2:
        return
    runs = []
    for run_dir in run_dirs:
        task = config.read_config(run_dir / run.CONFIG_FILE).task_spec
        evaluated = analysis.Evaluated(
            task=task,
            split="oof",
            predictions=predictions.read_csv(run_dir / run.OUT_OF_FOLD_FILE, task),
            uncalibrated=None,
            splits=(),
            class_prior=run.read_provenance(run_dir)["class_prior"],
        )
        runs.append((run_dir.name, evaluated))
    num_resamples = 200 if settings.is_fast else 1000
    compared = comparison.analyse(runs, seed=settings.seed, num_resamples=num_resamples)
    comparison.write(report_dir, compared)


def _seconds(run_dir: pathlib.Path) -> float:
    """Seconds of training, over all folds and interruptions."""
    total = 0.0
    for fold_dir in run.fold_dirs(run_dir):
        with (fold_dir / run.HISTORY_FILE).open(newline="", encoding="utf-8") as file:
            total += sum(float(row["seconds"]) for row in csv.DictReader(file))
    return total
