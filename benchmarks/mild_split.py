"""Do the halves of Moderate follow the anatomy, and does telling them apart help?

Writes phantom studies, trains on three grades out of fold, and lets spine_tf.clean halve the
Moderate rows by the models' scores. Then prints

1. Spearman's correlation of score and true latent severity within the Moderate rows, out of fold
   and on the test split, with intervals of a bootstrap over studies; 1 would be the true order;
2. the figures of training on four classes, read as three, minus those of training on three: the
   same folds, models and seeds, paired intervals over studies. Out of fold the halves of the
   training rows come from models that saw the fold held out, which favours four classes a little;
   on the test split nothing does.

    python benchmarks/mild_split.py --work_dir DIR [--num_studies 240] [--seed 0] [--epochs 20]
"""

import os
import pathlib
import time
from collections.abc import Sequence

import numpy as np
import phantom_records
import references
import trainings
from absl import app, flags
from scipy import stats

from spine_tf import labels
from spine_tf.scoring import bootstrap, comparison, metrics, predictions
from spine_tf.training import mild_split
from tfrecords import records

_WORK_DIR = flags.DEFINE_string("work_dir", None, "Where all of it lies.", required=True)
_NUM_STUDIES = flags.DEFINE_integer("num_studies", 240, "Synthetic studies.")
_SEED = flags.DEFINE_integer("seed", 0, "Of studies and models.")
_MODEL = flags.DEFINE_string("model", "simple", "Family.")
_EPOCHS = flags.DEFINE_integer("epochs", 20, "Of a training.")

PLAIN, SPLIT = labels.TASKS["multiclass"], labels.TASKS["multiclass_split"]
FIGURES = ("accuracy", "balanced_accuracy", "log_loss", "quadratic_kappa")
NUM_RESAMPLES = 1000


def main(_: list[str]) -> None:
    """Trains both tasks and prints both tables."""
    work_dir = pathlib.Path(_WORK_DIR.value) / f"seed_{_SEED.value}"
    studies_dir = phantom_records.write_studies(
        work_dir / "studies", num_studies=_NUM_STUDIES.value, seed=_SEED.value
    )
    source = phantom_records.convert(studies_dir, work_dir / "records")
    name = f"{_MODEL.value}_{_EPOCHS.value}"
    plain = trainings.Training(
        task=PLAIN.name,
        model=_MODEL.value,
        settings=(
            f"training.epochs={_EPOCHS.value}",
            "data.inner_fold=none",
            f"seed={_SEED.value}",
        ),
        records_dir=source.directory,
        run_dir=work_dir / f"plain_{name}",
    )
    three = _train(plain)
    halves_dir = work_dir / f"halves_{name}"
    trainings.clean(plain, halves_dir)
    path = halves_dir / mild_split.FILE_NAME
    _print_correlations(mild_split.read_csv(path), studies_dir)
    split = plain.change(
        f"data.mild_split={path}", task=SPLIT.name, run_dir=work_dir / f"split_{name}"
    )
    _print_differences("out of fold", _train(split), three)
    _print_differences("test split", _on_test(split, source), _on_test(plain, source))


def _train(training: trainings.Training) -> predictions.Predictions:
    """Returns the answers out of fold, of whole severities."""
    start = time.monotonic()
    found = trainings.train_all_folds(training)
    print(f"{training.task}: {time.monotonic() - start:.0f} s", flush=True)
    return predictions.collapse(found, training.config.task_spec)


def _print_correlations(rows: Sequence[mild_split.Row], studies_dir: pathlib.Path) -> None:
    print(f"\n{'Moderate rows':<16}{'rows':>6}{'Spearman':>10}{'95 %':>18}{'latent of halves':>20}")
    truth = references.read_truth(studies_dir / "truth.csv")
    for name, is_test in (("out of fold", False), ("test split", True)):
        part = [row for row in rows if (row.fold == phantom_records.TEST_SPLIT) == is_test]
        latent = references.latents(truth, [row.key for row in part])
        scores = np.array([row.score for row in part])
        halves = np.array([row.half for row in part])
        low, high = _interval(scores, latent, [row.key for row in part])
        means = " / ".join(f"{latent[halves == half].mean():+.2f}" for half in (0, 1))
        correlation = stats.spearmanr(scores, latent).statistic
        interval = f"{low:.3f} to {high:.3f}"
        print(f"{name:<16}{len(part):>6}{correlation:>10.3f}{interval:>18}{means:>20}")


def _interval(scores: np.ndarray, latent: np.ndarray, keys: Sequence[str]) -> tuple[float, float]:
    studies = np.array([int(key.split("/")[0]) for key in keys])
    counts = bootstrap.resample_weights(studies, seed=0, num_resamples=NUM_RESAMPLES)
    found = []
    for drawn in counts.astype(int):
        rows = np.repeat(np.arange(len(scores)), drawn)
        found.append(stats.spearmanr(scores[rows], latent[rows]).statistic)
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)


def _on_test(training: trainings.Training, source: records.Records) -> predictions.Predictions:
    from spine_tf.runs import run

    trained = run.load_run(training.run_dir)
    test = phantom_records.load_test(source, PLAIN)
    return predictions.Predictions(
        keys=tuple(test.keys),
        labels=test.labels,
        probabilities=predictions.collapse_probabilities(
            trained.predict(test.normalized()), trained.config.task_spec
        ),
    )


def _print_differences(
    name: str, split: predictions.Predictions, plain: predictions.Predictions
) -> None:
    """Four classes read as three minus three classes."""
    split = comparison.align(split, plain)
    weights = bootstrap.resample_weights(plain.study_ids, seed=0, num_resamples=NUM_RESAMPLES)
    found = comparison.differences(split, plain, PLAIN, weights)
    values = {
        kind: metrics.compute(each, PLAIN).overall
        for kind, each in (("four", split), ("three", plain))
    }
    print(f"\n{name}: {len(plain)} rows")
    print(f"{'figure':<20}{'three':>8}{'four':>8}  four - three, 95 %")
    for figure in FIGURES:
        text = f"{values['three'][figure][0]:>8.3f}{values['four'][figure][0]:>8.3f}"
        print(f"{figure:<20}{text}  {found[figure].change_in_words()}", flush=True)


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    app.run(main)
