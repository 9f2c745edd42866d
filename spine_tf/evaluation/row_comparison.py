"""Runs and stacks side by side, row by row, by what each said out of fold, whatever the crops."""

import pathlib
from collections.abc import Sequence

import numpy as np
from absl import logging

from spine_tf import labels
from spine_tf.evaluation import analysis, comparison_page, evaluation
from spine_tf.runs import run_directory
from spine_tf.scoring import predictions as predictions_module, summary

Named = tuple[str, analysis.Evaluated]


def read(directory: pathlib.Path) -> analysis.Evaluated:
    """Reads what a run of all folds, or a stack, said of each row, of whole severities.

    Raises:
        ValueError: it has no out-of-fold predictions, or they can't be read.
    """
    path = directory / run_directory.OUT_OF_FOLD_FILE
    if not path.is_file():
        raise ValueError(
            f"{directory} has no {path.name}: without --records_dir runs are compared out of fold, "
            "so train with --val_fold all, or give the records"
        )
    task = labels.get_task(summary.read(directory / run_directory.METRICS_FILE).task)
    found = predictions_module.read_csv(path, task)
    return evaluated(predictions_module.collapse(found, task), task.collapsed)


def evaluated(said: predictions_module.Predictions, task: labels.Task) -> analysis.Evaluated:
    """Returns predictions as out-of-fold ones of rows, whose own class shares are the prior."""
    rows = predictions_module.by_row(said)
    counts = np.bincount(rows.labels, minlength=len(task.classes))
    return analysis.Evaluated(
        task=task,
        split="oof",
        predictions=rows,
        uncalibrated=None,
        splits=(),
        class_prior=tuple((counts / counts.sum()).tolist()),
    )


def compare(
    named: Sequence[Named],
    run_dirs: Sequence[pathlib.Path],
    report_dir: pathlib.Path,
    options: evaluation.Options,
) -> evaluation.Compared:
    """Compares what `read` gave with the first of them, on the rows that all have an answer to.

    Args:
        named: name and predictions.
        run_dirs: whose report it is.
        report_dir: where the page is written, as `evaluation.evaluate` has it.
        options: how; of them those of the bootstrap.

    Raises:
        ValueError: there is no such row, tasks differ, or an option can't take effect.
    """
    _require_no_records(options)
    origin = evaluation.require_report_dir(report_dir, run_dirs)
    shared = _shared(named)
    analysed = comparison_page.analyse(
        shared, seed=options.seed, num_resamples=options.num_resamples
    )
    first = shared[0][1].predictions
    graded = labels.graded_in_words(
        [name for name in labels.CONDITIONS if name in set(first.conditions)],
        [name for name in labels.LEVELS if name in set(first.levels)],
    )
    page = comparison_page.write(report_dir, analysed, origin, graded)
    return evaluation.Compared(page=page, analysis=analysed)


def _require_no_records(options: evaluation.Options) -> None:
    if options.split not in (None, "oof"):
        raise ValueError(
            f"--split {options.split} needs --records_dir: without it runs are compared out of fold"
        )
    if options.has_controls or options.data_dir is not None or options.num_augmented > 1:
        raise ValueError(
            "--controls, --data_dir and --tta have no effect without --records_dir: leave them out"
        )


def _shared(named: Sequence[Named]) -> list[Named]:
    """Each with the rows alone that all of them answer."""
    keys = set.intersection(*(set(found.predictions.keys) for _, found in named))
    if not keys:
        raise ValueError(
            f"{', '.join(name for name, _ in named)} have no row in common: compare runs that "
            "grade the same conditions of the same studies"
        )
    shared = []
    for name, found in named:
        is_shared = np.array([key in keys for key in found.predictions.keys])
        if not is_shared.all():
            logging.info(
                "%s: %d of %d rows are left out, to which others have no answer",
                *(name, (~is_shared).sum(), len(is_shared)),
            )
        shared.append((name, evaluated(found.predictions.select(is_shared), found.task)))
    return shared
