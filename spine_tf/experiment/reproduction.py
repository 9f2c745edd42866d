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
import subprocess
import sys
from typing import Any

import keras
from absl import logging

from spine_tf import run
from spine_tf.evaluation import session
from spine_tf.experiment import settings as settings_lib
from spine_tf.experiment import table
from spine_tf.training import trainer
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
        _compare(finished, source, work_dir / "reports" / task / "comparison", settings)
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
    run_dir = work_dir / "runs" / task / family
    run_config = settings.make_config(task, family, best)
    trainer.train_all_folds(run_config, source, run_dir, resume=run_dir.exists())
    return run_dir


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
    found = {}
    for split in ("oof", "test"):
        if split == "test" and "test" not in source.splits:
            continue
        directory = report_dir / split
        # The page is written last, so where it lies the figures are complete.
        if not (directory / "report.html").is_file():
            split_options = dataclasses.replace(options, split=split)
            session.evaluate(run_dir, source, directory, split_options)
            keras.backend.clear_session()
        found[split] = json.loads((directory / "metrics.json").read_text("utf-8"))
    return found


def _compare(
    run_dirs: list[pathlib.Path],
    source: records.Records,
    report_dir: pathlib.Path,
    settings: settings_lib.Settings,
) -> None:
    if len(run_dirs) < 2 or (report_dir / "report.html").is_file():
        return
    num_resamples = 200 if settings.is_fast else 1000
    options = session.Options(split="oof", seed=settings.seed, num_resamples=num_resamples)
    session.compare(run_dirs, source, report_dir, options)
    keras.backend.clear_session()


def _seconds(run_dir: pathlib.Path) -> float:
    """Seconds of training, over all folds and interruptions."""
    total = 0.0
    for fold_dir in run.fold_dirs(run_dir):
        with (fold_dir / run.HISTORY_FILE).open(newline="", encoding="utf-8") as file:
            total += sum(float(row["seconds"]) for row in csv.DictReader(file))
    return total
