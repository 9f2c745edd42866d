"""The table of families and tasks: out of fold, beside a regression and the phantom's ceiling.

    python -m spine_tf.reproduce --data_dir D --work_dir W
    python benchmarks/families.py --work_dir W [--truth D/truth.csv]

Reads the runs of a reproduction and prints, for each task, every family's accuracy, balanced
accuracy and log loss with 95 % intervals over studies, what it is ahead of a logistic regression on
crops of 16 x 16 pixels that was fitted on the same folds (paired), its share of the ceiling, and
the seconds that its training took.
"""

import pathlib

import numpy as np
import pandas as pd
import references
import trainings
from absl import app, flags

from spine_tf import labels
from spine_tf.scoring import comparison, predictions, summary
from tfrecords import records

_WORK_DIR = flags.DEFINE_string("work_dir", None, "Of the reproduction.", required=True)
_TRUTH = flags.DEFINE_string("truth", None, "truth.csv of phantom studies.")

_FIGURES = ("accuracy", "balanced_accuracy", "log_loss")


def main(_: list[str]) -> None:
    """Prints one Markdown table a task."""
    work_dir = pathlib.Path(_WORK_DIR.value)
    source = records.open_records(work_dir / "records")
    truth = references.read_truth(pathlib.Path(_TRUTH.value)) if _TRUTH.value else None
    for task_dir in sorted((work_dir / "runs").iterdir()):
        _print_task(source, labels.get_task(task_dir.name), task_dir, truth)


def _print_task(
    source: records.Records, task: labels.Task, task_dir: pathlib.Path, truth: pd.DataFrame | None
) -> None:
    folds = [split for split in source.splits if split != "test"]
    regression = references.out_of_fold_regression(source, folds, task)
    rows: list[tuple[str, predictions.Predictions, float | None]] = [
        ("logistic regression", regression, None)
    ]
    for run_dir in sorted(task_dir.iterdir()):
        if (run_dir / "oof.csv").is_file():
            found = comparison.align(predictions.read_csv(run_dir / "oof.csv", task), regression)
            rows.append((run_dir.name, found, trainings.seconds_of(run_dir)))
    majority = np.bincount(regression.labels).max() / len(regression)
    print(f"\n{task.name}: {len(regression)} crops out of fold, majority {majority:.3f}", end="")
    ceiling = None
    if truth is not None:
        best = references.best_probabilities(truth, task, regression.keys)
        ceiling = references.ceiling(best)
        print(f", ceiling {ceiling.accuracy:.3f} (log loss {ceiling.log_loss:.3f})", end="")
    print(
        "\n\n| model | accuracy | balanced accuracy | log loss | ahead of the regression |"
        " of the ceiling | seconds |\n|---|---|---|---|---|---|---|"
    )
    for name, found, seconds in rows:
        print(_row(name, found, seconds, regression, task, ceiling), flush=True)


def _row(
    name: str,
    found: predictions.Predictions,
    seconds: float | None,
    regression: predictions.Predictions,
    task: labels.Task,
    ceiling: references.Ceiling | None,
) -> str:
    figures = summary.summarize(found, task, "oof").metrics
    cells = [name, *(figures[figure].in_words() for figure in _FIGURES)]
    ahead, share = "", ""
    if found is not regression:
        pair = [("regression", regression), (name, found)]
        (difference,) = comparison.compare(pair, task, seed=0, num_resamples=1000)
        ahead = difference.differences["accuracy"].change_in_words()
    if ceiling is not None:
        right = (found.predicted == found.labels).mean()
        share = f"{right / ceiling.accuracy:.1%}"
    cells += [ahead, share, "" if seconds is None else f"{seconds:.0f}"]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    app.run(main)
