"""The report's experiment: both tasks, all families, out of fold and on the test split.

Every step leaves its result in the work directory and is passed over where that lies there:

    records/                 the conversion
    search/<task>-<family>/  searches, if any
    runs/<task>/<family>/    one run, all folds
    reports/<task>/<family>/{oof,test}/   run.json beside them, reports/<task>/comparison/
    table.csv, table.md, report.html      the report's table, written last
"""

import dataclasses
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Mapping

from absl import logging

from spine_tf import labels
from spine_tf.configuration import config as config_module, overrides
from spine_tf.conversion import finalize, job, plan
from spine_tf.evaluation import analysis, comparison_page
from spine_tf.processes import isolated
from spine_tf.reproduction import experiment as experiment_module, out_of_fold, reproduction_table
from spine_tf.rsna import sources
from spine_tf.scoring import summary
from tfrecords import atomic, output_place, records

_RECORDS_DIR = "records"
_PAGE_FILE = "report.html"
_DONE_FILE = "run.json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Step:
    """One model on one task: what is trained, evaluated, and where it is written.

    Attributes:
        task, family: names of the task and the model.
        config: the run's settings.
        run_dir, report_dir: as the module's docstring says.
        num_resamples: how often the bootstrap draws, at least 1.
        has_evidence: draws evidence maps.
        data_dir: what the records were converted from.
    """

    task: str
    family: str
    config: config_module.Config
    run_dir: pathlib.Path
    report_dir: pathlib.Path
    num_resamples: int
    has_evidence: bool
    data_dir: pathlib.Path


def convert_and_reproduce(
    experiment: experiment_module.Experiment,
    conversion: plan.Settings,
    data_dir: pathlib.Path,
    work_dir: pathlib.Path,
    *,
    num_workers: int,
) -> reproduction_table.Table:
    """Converts a data set and reproduces the experiment on it; goes on where it was interrupted.

    Args:
        experiment: what.
        conversion: settings that the records are made with.
        data_dir: the data set.
        work_dir: as the module's docstring says.
        num_workers: processes that convert.

    Returns:
        The table; its rows say what failed.

    Raises:
        ValueError: the directory holds something else, or a run of another configuration; the data
            set can't be converted.
    """
    experiment_module.begin(experiment, work_dir)
    output_place.require_inside(
        work_dir, "--work_dir", files=reproduction_table.FILES, directories=["figures"]
    )
    records_dir = work_dir / _RECORDS_DIR
    dataset = job.convert(
        sources.open_source(data_dir), records_dir, conversion, num_workers=num_workers
    )
    logging.info("%s", finalize.summarize(dataset))
    return reproduce(experiment, records.open_records(records_dir), work_dir, data_dir)


def reproduce(
    experiment: experiment_module.Experiment,
    source: records.Records,
    work_dir: pathlib.Path,
    data_dir: pathlib.Path,
) -> reproduction_table.Table:
    """Trains and evaluates everything, and writes the table.

    Each model has a process of its own, so that memory does not add up. A run that can't be trained
    (ImageNet's weights without a network) is a row with the reason.

    Args:
        experiment: what.
        source: the converted records.
        work_dir: as the module's docstring says; continued where it was interrupted.
        data_dir: what the records were converted from, for the baseline from other labels.

    Returns:
        The table; its rows say what failed.
    """
    rows = []
    for task in experiment.tasks:
        finished = {}
        for family in experiment.families:
            logging.info("%s, %s", task, family)
            run_dir = experiment_module.run_dir(work_dir, task, family)
            try:
                step = _make_step(experiment, source, work_dir, data_dir, task, family)
                trained = _run_or_read(step, source.directory)
            except (ValueError, ChildProcessError) as err:
                logging.warning("%s, %s is left out: %s", task, family, err)
                rows.append(reproduction_table.failed_row(task, family, str(err)))
                _discard_empty(run_dir)
                continue
            finished[family] = step, trained
            found = _read_figures(step.report_dir, source)
            rows.append(reproduction_table.make_row(task, family, found, trained.seconds))
        _compare(finished, task, work_dir / "reports" / task / "comparison", experiment)
    return reproduction_table.write(work_dir, rows, source.manifest.config)


def _make_step(
    experiment: experiment_module.Experiment,
    source: records.Records,
    work_dir: pathlib.Path,
    data_dir: pathlib.Path,
    task: str,
    family: str,
) -> _Step:
    best = None
    if experiment.num_trials:
        best = _search(experiment, source, work_dir / "search" / f"{task}-{family}", task, family)
    return _Step(
        task=task,
        family=family,
        config=experiment.make_config(task, family, best),
        run_dir=experiment_module.run_dir(work_dir, task, family),
        report_dir=work_dir / "reports" / task / family,
        num_resamples=experiment.num_resamples,
        has_evidence=not experiment.is_fast,
        data_dir=data_dir,
    )


def _search(
    experiment: experiment_module.Experiment,
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
        f"--max_trials={experiment.num_trials}",
        f"--seed={experiment.seed}",
        *(f"--set={change}" for change in overrides.of_family(family, experiment.changes)),
        *(["--resume"] if search_dir.exists() else []),
    ]
    done = subprocess.run(command, check=False)
    if done.returncode or not best.is_file():
        raise ValueError(f"the search in {search_dir} found nothing (exit {done.returncode})")
    return best


def _run_or_read(step: _Step, records_dir: pathlib.Path) -> out_of_fold.Trained:
    """Trains and evaluates in a process of its own, unless that is done."""
    path = step.report_dir / _DONE_FILE
    if path.is_file() and step.run_dir.is_dir():
        return out_of_fold.read(path)
    trained = isolated.call(_run, step, records_dir)
    atomic.write_json(path, dataclasses.asdict(trained))
    return trained


def _run(step: _Step, records_dir: pathlib.Path) -> out_of_fold.Trained:
    """Trains and evaluates; a report that lies there is taken as it is."""
    from spine_tf.evaluation import evaluation
    from spine_tf.runs import run

    trained = out_of_fold.train(step.config, records_dir, step.run_dir)
    source = records.open_records(records_dir, keep_mb=step.config.data.keep_mb)
    # The page is written last, so where it lies the figures are complete.
    missing = [
        split for split in _splits(source) if not (step.report_dir / split / _PAGE_FILE).is_file()
    ]
    if missing:
        loaded = run.load_run(step.run_dir)
        for split in missing:
            options = evaluation.Options(
                split=split,
                num_resamples=step.num_resamples,
                has_evidence=step.has_evidence,
                data_dir=step.data_dir,
            )
            evaluation.evaluate_run(loaded, source, step.report_dir / split, options)
    return trained


def _read_figures(report_dir: pathlib.Path, source: records.Records) -> dict[str, summary.Summary]:
    """Returns what metrics.json of each split holds."""
    return {split: summary.read(report_dir / split / "metrics.json") for split in _splits(source)}


def _splits(source: records.Records) -> list[str]:
    return ["oof", *(["test"] if "test" in source.splits else [])]


def _discard_empty(run_dir: pathlib.Path) -> None:
    """Removes a run without a trained fold, so that it can be started with other settings."""
    if run_dir.exists() and not list(run_dir.glob("fold_*/history.csv")):
        shutil.rmtree(run_dir)


def _compare(
    finished: Mapping[str, tuple[_Step, out_of_fold.Trained]],
    task_name: str,
    report_dir: pathlib.Path,
    experiment: experiment_module.Experiment,
) -> None:
    """Compares the runs by their out-of-fold predictions, which need no model to be loaded."""
    if len(finished) < 2:
        return
    task = labels.get_task(task_name)
    runs = [
        (
            family,
            analysis.Evaluated(
                task=task,
                split="oof",
                predictions=trained.read_predictions(step.run_dir, task),
                uncalibrated=None,
                splits=(),
                class_prior=trained.class_prior,
            ),
        )
        for family, (step, trained) in finished.items()
    ]
    compared = comparison_page.analyse(runs, num_resamples=experiment.num_resamples)
    comparison_page.write(report_dir, compared)
