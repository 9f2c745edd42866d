"""How much of the phantom's ceiling do models reach, and does the task need a CNN?

Writes phantom studies, converts L4/L5 subarticular crops with the converter, and fits, for each
task: a logistic regression on crops of 16 x 16 pixels, the CNN families, and one CNN on labels that
were shuffled between studies. Each is scored on the test split, beside the best that any model can
be expected to reach on exactly these rows (truth.csv), the CNNs with what they are ahead of the
regression (paired, 95 % over studies). The last line is scored on its own shuffled labels.

    python benchmarks/phantom_ceiling.py --work_dir DIR [--num_studies 600] [--seed 0]
        [--set field=value]
"""

import argparse
import csv
import dataclasses
import os
import pathlib
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import references

from spine_tf import labels
from spine_tf.configuration import config, overrides, roi_config
from spine_tf.conversion import job, plan
from spine_tf.rsna import sources
from spine_tf.scoring import comparison, metrics, predictions
from spine_tf.synthesis import dataset, phantom_config
from tfrecords import records

ROI_PX = 64
CONDITIONS = ("left_subarticular_stenosis", "right_subarticular_stenosis")
TEST_SPLIT = "test"
_RECIPE = ("training.batch_size=16", "training.label_smoothing=0.05")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Score:
    """One model's figures on the test split."""

    model: str
    predicted: predictions.Predictions
    majority: float
    seconds: float

    @property
    def accuracy(self) -> float:
        """Share of right answers."""
        return float((self.predicted.predicted == self.predicted.labels).mean())

    @property
    def log_loss(self) -> float:
        """Mean negative logarithm of the right class's probability."""
        return float(metrics.example_log_losses(self.predicted).mean())


def main() -> None:
    """Runs everything and prints one table a task."""
    arguments = _arguments()
    work_dir = pathlib.Path(arguments.work_dir)
    studies_dir, shuffled_dir = work_dir / "studies", work_dir / "shuffled"
    if not (studies_dir / "train.csv").exists():
        phantom = _phantom_config(arguments.num_studies, arguments.seed)
        dataset.write_studies(phantom, studies_dir, num_workers=2)
    if not (shuffled_dir / "train.csv").exists():
        write_shuffled(studies_dir, shuffled_dir, seed=0)
    source = _convert(studies_dir, work_dir / "records")
    shuffled = _convert(shuffled_dir, work_dir / "records_shuffled")
    truth = references.read_truth(studies_dir / "truth.csv")
    recipe = [f"training.epochs={arguments.epochs}", *_RECIPE, *arguments.set]
    for task in (labels.TASKS[name] for name in arguments.tasks.split(",")):
        scores = _scores(source, shuffled, task, arguments.models.split(","), recipe)
        _print_scores(task, source, truth, scores)


def _scores(
    source: records.Records,
    shuffled: records.Records,
    task: labels.Task,
    families: Sequence[str],
    recipe: Sequence[str],
) -> Iterator[Score]:
    yield _logistic_regression(source, task)
    for family in families:
        yield _cnn(source, task, family, recipe)
    yield _cnn(shuffled, task, families[0], recipe, name=f"{families[0]}, shuffled")


def write_shuffled(studies_dir: pathlib.Path, output_dir: pathlib.Path, *, seed: int) -> None:
    """Writes the same data set with whole rows of labels given to other studies."""
    output_dir.mkdir(parents=True)
    for name in ("train_label_coordinates.csv", "train_series_descriptions.csv"):
        (output_dir / name).write_bytes((studies_dir / name).read_bytes())
    (output_dir / "train_images").symlink_to((studies_dir / "train_images").resolve())
    header, *rows = csv.reader((studies_dir / "train.csv").read_text().splitlines())
    order = np.random.default_rng(seed).permutation(len(rows))
    with (output_dir / "train.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows([row[0], *rows[other][1:]] for row, other in zip(rows, order, strict=True))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work_dir", required=True)
    parser.add_argument("--num_studies", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0, help="of the studies")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--models", default="dense,residual")
    parser.add_argument("--tasks", default="multiclass,binary")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE")
    return parser.parse_args()


def _phantom_config(num_studies: int, seed: int) -> phantom_config.PhantomConfig:
    """Two axial slices a disc; sagittal ones, which are not read, as small as can be."""
    return phantom_config.PhantomConfig(
        num_studies=num_studies,
        seed=seed,
        num_test_studies=0,
        axial_slices_per_level=2,
        sagittal_px=(64,),
        sagittal_slices=3,
    )


def _convert(studies_dir: pathlib.Path, records_dir: pathlib.Path) -> records.Records:
    wanted = plan.Settings(
        conditions=CONDITIONS,
        levels=("l4_l5",),
        roi=roi_config.RoiConfig(roi_px=ROI_PX),
        test_fraction=0.25,
    )
    job.convert(sources.open_source(studies_dir), records_dir, wanted, num_workers=2)
    return records.open_records(records_dir)


def _train_splits(source: records.Records) -> list[str]:
    return [split for split in source.splits if split != TEST_SPLIT]


def _logistic_regression(source: records.Records, task: labels.Task) -> Score:
    start = time.monotonic()
    train = records.load_examples(source, _train_splits(source), task.severities)
    model = references.fit_regression(train)
    examples = records.load_examples(source, [TEST_SPLIT], task.severities)
    answers = model.predict_proba(references.small(examples))
    return _score("logistic regression", answers, examples, train.labels, start)


def _cnn(
    source: records.Records,
    task: labels.Task,
    family: str,
    recipe: Sequence[str],
    name: str | None = None,
) -> Score:
    """Fits all training rows for a fixed number of epochs; the last one counts.

    A fold of 80 rows to choose the epoch by is too few: with a reader's lapses in it, it takes one
    of the first.
    """
    from spine_tf.runs import run
    from spine_tf.training import fit

    start = time.monotonic()
    run_config = overrides.apply(config.default_config(task.name, family), recipe)
    fitted = fit.fit(run_config, source, train_splits=_train_splits(source), monitor_split=None)
    examples = records.load_examples(source, [TEST_SPLIT], task.severities)
    answers = run.predict_probabilities(fitted.model, examples.normalized(), batch_size=64)
    train = records.load_examples(source, _train_splits(source), task.severities)
    return _score(name or family, answers, examples, train.labels, start)


def _score(
    model: str,
    answers: np.ndarray,
    examples: records.Examples,
    train_classes: np.ndarray,
    start: float,
) -> Score:
    return Score(
        model=model,
        predicted=predictions.Predictions(
            keys=tuple(examples.keys), labels=examples.labels, probabilities=answers
        ),
        majority=float((examples.labels == np.bincount(train_classes).argmax()).mean()),
        seconds=time.monotonic() - start,
    )


def _ceiling(
    truth: pd.DataFrame, task: labels.Task, keys: Sequence[str], classes: np.ndarray
) -> dict[str, Any]:
    """The expected figures of a perfect model on these rows, and its own on these labels."""
    best = references.best_probabilities(truth, task, keys)
    highest = best.max(axis=1)
    return {
        "accuracy": highest.mean(),
        "error": np.sqrt((highest * (1 - highest)).sum()) / len(highest),
        "log_loss": -(best * np.log(best)).sum(axis=1).mean(),
        "realised": (best.argmax(axis=1) == classes).mean(),
    }


def _print_scores(
    task: labels.Task, source: records.Records, truth: pd.DataFrame, scores: Iterable[Score]
) -> None:
    """Prints the ceiling, then each score as it comes; the way is that from majority to ceiling."""
    examples = records.load_examples(source, [TEST_SPLIT], task.severities)
    ceiling = _ceiling(truth, task, examples.keys, examples.labels)
    num_train = len(records.load_examples(source, _train_splits(source), task.severities))
    print(f"\n{task.name}: {num_train} training and {len(examples)} test examples")
    print(
        f"ceiling {ceiling['accuracy']:.3f} +- {ceiling['error']:.3f}, log loss "
        f"{ceiling['log_loss']:.3f}; a perfect model on these labels {ceiling['realised']:.3f}"
    )
    print(
        f"{'model':<22}{'accuracy':>9}{'majority':>10}{'of ceiling':>12}{'of the way':>12}"
        f"{'log loss':>10}  ahead of the regression"
    )
    regression: Score | None = None
    for score in scores:
        regression = regression or score
        part = score.accuracy / ceiling["accuracy"]
        way = (score.accuracy - score.majority) / (ceiling["accuracy"] - score.majority)
        figures = f"{score.accuracy:>9.3f}{score.majority:>10.3f}{part:>12.1%}{way:>12.1%}"
        lead = _lead(score, regression, task)
        print(f"{score.model:<22}{figures}{score.log_loss:>10.3f}  {lead}", flush=True)


def _lead(score: Score, regression: Score, task: labels.Task) -> str:
    """What a model is ahead of the regression, where both were scored on the same labels."""
    same = np.array_equal(score.predicted.labels, regression.predicted.labels)
    if score is regression or not same:
        return ""
    pair = [("regression", regression.predicted), (score.model, score.predicted)]
    (found,) = comparison.compare(pair, task, seed=0, num_resamples=1000)
    figure = found["differences"]["accuracy"]
    return f"{figure['value']:+.3f} ({figure['low']:+.3f} to {figure['high']:+.3f})"


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    main()
