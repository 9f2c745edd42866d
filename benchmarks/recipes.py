"""Which recipe suits a few studies, chosen without the folds that are reported.

    python benchmarks/recipes.py --run_dirs A,B,...

Runs of all folds (`train --val_fold all`), alike but for their recipes. Prints what each scores on
its inner folds, whose examples its models did not learn from, the best log loss first; then what
choosing by that is worth: for each held-out fold the recipe is taken that is best on the inner
examples of all other folds, and its answers to the held-out fold are scored. Nothing of a fold
takes part in the choice of who answers it.
"""

import pathlib
from collections.abc import Container, Sequence

import numpy as np
from absl import app, flags

from spine_tf import labels
from spine_tf.configuration import config
from spine_tf.runs import run_directory
from spine_tf.scoring import metrics, predictions, summary

_RUN_DIRS = flags.DEFINE_list("run_dirs", None, "Runs of all folds.", required=True)

_FIGURES = ("accuracy", "balanced_accuracy", "log_loss")


def main(_: list[str]) -> None:
    """Prints a line a recipe, one a fold, and one for the choice."""
    runs = [pathlib.Path(path) for path in _RUN_DIRS.value]
    task = config.read_config(runs[0] / run_directory.CONFIG_FILE).task_spec
    inner = {run: _read_inner(run, task) for run in runs}
    for run in sorted(runs, key=lambda one: _log_loss(inner[one])):
        print(f"{run.name:<24}{_in_words(inner[run], task)}")
    answers = {
        run: predictions.read_csv(run / run_directory.OUT_OF_FOLD_FILE, task) for run in runs
    }
    parts = []
    for fold_dir in run_directory.fold_dirs(runs[0]):
        held_out = predictions.read_csv(fold_dir / run_directory.PREDICTIONS_FILE, task).keys
        losses = {run: _log_loss(_select(inner[run], held_out, wanted=False)) for run in runs}
        chosen = min(losses, key=losses.__getitem__)
        print(f"{fold_dir.name} is answered by {chosen.name}")
        parts.append(_select(answers[chosen], held_out, wanted=True))
    print(f"{'chosen, out of fold':<24}{_in_words(_join(parts), task)}")


def _read_inner(run_dir: pathlib.Path, task: labels.Task) -> predictions.Predictions:
    found = [
        predictions.read_csv(fold_dir / run_directory.INNER_FILE, task)
        for fold_dir in run_directory.fold_dirs(run_dir)
    ]
    return _join(found)


def _join(parts: Sequence[predictions.Predictions]) -> predictions.Predictions:
    return predictions.Predictions(
        keys=tuple(key for part in parts for key in part.keys),
        labels=np.concatenate([part.labels for part in parts]),
        probabilities=np.concatenate([part.probabilities for part in parts]),
    )


def _select(
    found: predictions.Predictions, keys: Container[str], *, wanted: bool
) -> predictions.Predictions:
    """Returns the examples that are, or that are not, among some."""
    at = [index for index, key in enumerate(found.keys) if (key in keys) == wanted]
    return predictions.Predictions(
        keys=tuple(found.keys[index] for index in at),
        labels=found.labels[at],
        probabilities=found.probabilities[at],
    )


def _log_loss(found: predictions.Predictions) -> float:
    return float(metrics.example_log_losses(found).mean())


def _in_words(found: predictions.Predictions, task: labels.Task) -> str:
    figures = summary.summarize(found, task, "oof").metrics
    return "  ".join(f"{name} {figures[name].in_words()}" for name in _FIGURES)


if __name__ == "__main__":
    app.run(main)
