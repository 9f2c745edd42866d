"""Does cleaning find wrong labels, and does training after it win back what they cost?

Writes phantom studies, gives a share of the training rows the label of a neighbouring grade, trains
out of fold on them, and lets spine_tf.clean judge the labels. Then prints

1. precision and recall of the most suspicious rows, beside rows chosen at random: against the
   planted errors, and against all labels that are not the most probable grade (truth.csv), since
   the phantom's reader errs too, which no flag can be blamed for finding;
2. figures on the test split, whose labels nothing touched, of training on the labels as they were,
   on the spoilt ones, and on the spoilt ones with each cure: an action of `data.label_review` and
   its budget, or `reader` and the share of the rows, the most suspicious first, that somebody
   looks at, writing down the label before the error; nothing else is treated. `expected` is the
   mean true probability of the answers and `exp. loss` the cross entropy with the true
   probabilities: accuracy and log loss without the noise of the test labels. `won back` is the
   share of what the noise cost, of the expected accuracy (nan where it cost nothing). The interval
   is of the gain over the spoilt labels, a paired bootstrap over test studies; it says nothing of
   other trainings;
3. over all seeds, of the expected accuracy and the expected log loss: what the noise cost and what
   each cure gained over the spoilt labels, mean +- standard error, with the 95 % t interval over
   the seeds, which are other studies, noise and trainings; and the share won back, mean gain over
   mean cost. (A mean of the seeds' shares would hang on the seeds where the noise cost little.)

    python benchmarks/label_noise.py --work_dir DIR [--num_studies 240] [--noise 0.2] [--seeds 0,1]

The same command goes on where it was interrupted, and more seeds, budgets or actions train only
what is new: the answers lie in DIR/seed_i/answers_*, which to remove trains anew.
"""

import dataclasses
import os
import pathlib
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
import phantom_records
import references
import trainings
from absl import app, flags
from scipy import stats

from spine_tf import labels
from spine_tf.configuration import config
from spine_tf.scoring import bootstrap
from spine_tf.training import reviewed_labels
from tfrecords import atomic, records

TASK = labels.TASKS["multiclass"]
ACTIONS = ("drop", "down_weight", "soften")
FLAG_BUDGETS = (0.05, 0.1, 0.2, 0.3)
CLEAN, SPOILT = "clean labels", "spoilt labels"

_WORK_DIR = flags.DEFINE_string(
    "work_dir", None, "Where all of it lies, and goes on.", required=True
)
_NUM_STUDIES = flags.DEFINE_integer("num_studies", 240, "Synthetic studies.")
_NOISE = flags.DEFINE_float("noise", 0.2, "Share of training rows.")
_SEEDS = flags.DEFINE_list("seeds", ["0"], "Of studies, noise and models.")
_MODEL = flags.DEFINE_string("model", "simple", "Family.")
_EPOCHS = flags.DEFINE_integer("epochs", 20, "Of a training.")
_BUDGETS = flags.DEFINE_list(
    "budgets", ["0.1", "0.2"], "Shares of training rows that a cure may touch."
)
_ACTIONS = flags.DEFINE_list("actions", list(ACTIONS), "Cures.")
_READERS = flags.DEFINE_list("readers", ["0.2"], "Shares of the rows that are looked at.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answer:
    """A model's answers on the test split, float64 (n, classes)."""

    name: str
    probabilities: np.ndarray

    @property
    def predicted(self) -> np.ndarray:
        """The most probable class; int64 (n,)."""
        return self.probabilities.argmax(axis=1)

    def log_loss(self, truth: np.ndarray) -> float:
        """Mean cross entropy with probabilities, true ones or those of labels, (n, classes)."""
        return float(-(truth * np.log(np.maximum(self.probabilities, 1e-7))).sum(axis=1).mean())


@dataclasses.dataclass(frozen=True, kw_only=True)
class Expected:
    """What the answers of one training are worth without the noise of the test labels."""

    accuracy: float
    log_loss: float


def main(_: list[str]) -> None:
    """Runs every seed and prints its tables, then what all seeds say together."""
    seeds = [int(text) for text in _SEEDS.value]
    found = [_run_seed(seed) for seed in seeds]
    print(f"\nover {len(seeds)} seeds")
    _print_summary("expected accuracy", _values(found, lambda one: one.accuracy))
    # Less is better, so that a gain is what the log loss falls by.
    _print_summary("expected log loss", _values(found, lambda one: -one.log_loss))


def _run_seed(seed: int) -> dict[str, Expected]:
    work_dir = pathlib.Path(_WORK_DIR.value) / f"seed_{seed}"
    studies_dir = phantom_records.write_studies(
        work_dir / "studies", num_studies=_NUM_STUDIES.value, seed=seed
    )
    clean = phantom_records.convert(studies_dir, work_dir / "records")
    noisy_dir = work_dir / f"noisy_{_NOISE.value:g}"
    planted = _plant(clean, _NOISE.value, seed)
    if not noisy_dir.exists():
        phantom_records.with_labels(studies_dir, noisy_dir, planted)
    noisy = phantom_records.convert(noisy_dir, work_dir / f"records_noisy_{_NOISE.value:g}")
    name = f"{_MODEL.value}_{_EPOCHS.value}_{_NOISE.value:g}"
    training = trainings.Training(
        task=TASK.name,
        model=_MODEL.value,
        settings=(f"training.epochs={_EPOCHS.value}", "data.inner_fold=none", f"seed={seed}"),
        records_dir=noisy.directory,
        run_dir=work_dir / f"run_{name}",
    )
    review_path = _clean(training, work_dir / f"review_{name}")
    review = reviewed_labels.read_csv(review_path, TASK)
    truth = references.read_truth(studies_dir / "truth.csv")
    print(f"\nseed {seed}")
    _print_flags(review, planted, truth)
    cures = _cures(review_path)
    for share in _READERS.value:
        path = _read(review, clean, float(share), review_path.with_name(f"read_{share}.csv"))
        cures[f"reader {share}"] = _review_settings(path, "soften", "0")
    answers_dir = work_dir / f"answers_{name}"
    answers = [
        _fit(training.config, clean, CLEAN, answers_dir),
        _fit(training.config, noisy, SPOILT, answers_dir),
    ]
    for cure, settings in cures.items():
        cured = training.change(*settings).config
        answers.append(_fit(cured, noisy, cure, answers_dir))
    return _print_answers(answers, clean, truth)


def _cures(review_path: pathlib.Path) -> dict[str, list[str]]:
    """Name -> settings, of the cures that nobody has to look at rows for."""
    return {
        f"{action} {budget}": _review_settings(review_path, action, budget)
        for action in _ACTIONS.value
        for budget in _BUDGETS.value
    }


def _review_settings(path: pathlib.Path, action: str, budget: str) -> list[str]:
    return [
        f"data.label_review.path={path}",
        f"data.label_review.action={action}",
        f"data.label_review.budget={budget}",
    ]


def _read(
    review: reviewed_labels.Review, source: records.Records, share: float, path: pathlib.Path
) -> pathlib.Path:
    """Writes the review as a reader leaves it who gives the labels of these records again."""
    examples = phantom_records.load_train(source, TASK)
    label_of = dict(zip(examples.keys, examples.labels.tolist(), strict=True))
    confirmed = [""] * len(review)
    for row in range(round(share * len(review))):
        confirmed[row] = TASK.columns[label_of[review.predictions.keys[row]]]
    reviewed_labels.write_csv(path, dataclasses.replace(review, confirmed=tuple(confirmed)), TASK)
    return path


def _plant(source: records.Records, share: float, seed: int) -> dict[tuple[int, str], int]:
    """Chooses training rows and gives each the label of a neighbouring grade."""
    examples = phantom_records.load_train(source, TASK)
    generator = np.random.default_rng([seed, 7])
    chosen = generator.choice(len(examples), round(share * len(examples)), replace=False)
    step = generator.choice([-1, 1], len(chosen))
    moved = examples.labels[chosen] + step
    moved = np.where((moved < 0) | (moved > 2), examples.labels[chosen] - step, moved)
    return {
        phantom_records.target_of(examples.keys[row]): int(label)
        for row, label in zip(chosen.tolist(), moved, strict=True)
    }


def _clean(training: trainings.Training, output_dir: pathlib.Path) -> pathlib.Path:
    path = output_dir / reviewed_labels.FILE_NAME
    if not path.exists():
        start = time.monotonic()
        trainings.train_all_folds(training)
        trainings.clean(training, output_dir)
        print(f"out of fold and cleaning: {time.monotonic() - start:.0f} s")
    return path


def _print_flags(
    review: reviewed_labels.Review, planted: dict[tuple[int, str], int], truth: pd.DataFrame
) -> None:
    keys = review.predictions.keys
    is_planted = np.array([phantom_records.target_of(key) in planted for key in keys])
    best = references.best_probabilities(truth, TASK, keys)
    is_unlikely = best.argmax(axis=1) != review.predictions.labels
    print(f"{len(review)} training rows, {is_planted.sum()} planted, {is_unlikely.sum()} unlikely")
    print(
        f"{'rows taken':<16}{'precision':>10}{'recall':>8}{'random':>8}   "
        f"{'unlikely: precision':>19}{'recall':>8}{'random':>8}"
    )
    rows = {f"first {budget:.0%}": round(budget * len(review)) for budget in FLAG_BUDGETS}
    for name, count in rows.items():
        _print_row(name, np.arange(len(review)) < count, is_planted, is_unlikely)
    _print_row("is_flagged", review.is_flagged, is_planted, is_unlikely)


def _print_row(
    name: str, is_taken: np.ndarray, is_planted: np.ndarray, is_unlikely: np.ndarray
) -> None:
    figures = [
        (is_wrong[is_taken].mean(), is_wrong[is_taken].sum() / is_wrong.sum(), is_wrong.mean())
        for is_wrong in (is_planted, is_unlikely)
    ]
    text = [f"{figures[0][0]:>10.2f}{figures[0][1]:>8.2f}{figures[0][2]:>8.2f}   "]
    text.append(f"{figures[1][0]:>19.2f}{figures[1][1]:>8.2f}{figures[1][2]:>8.2f}")
    print(f"{name + f' ({is_taken.sum()})':<16}{''.join(text)}")


def _fit(
    run_config: config.Config, source: records.Records, name: str, answers_dir: pathlib.Path
) -> Answer:
    """Fits all folds for a fixed number of epochs and answers the test split, if not yet done."""
    path = answers_dir / f"{name.replace(' ', '_')}.npy"
    if path.exists():
        return Answer(name=name, probabilities=np.load(path))
    start = time.monotonic()
    probabilities = phantom_records.fit_and_answer(run_config, source).probabilities
    print(f"trained on {name}: {time.monotonic() - start:.0f} s", flush=True)
    answers_dir.mkdir(exist_ok=True)
    with atomic.open_binary(path) as file:
        np.save(file, probabilities)
    return Answer(name=name, probabilities=probabilities)


def _print_answers(
    answers: Sequence[Answer], source: records.Records, truth: pd.DataFrame
) -> dict[str, Expected]:
    test = phantom_records.load_test(source, TASK)
    best = references.best_probabilities(truth, TASK, test.keys)
    expected = {one.name: best[np.arange(len(test)), one.predicted] for one in answers}
    weights = bootstrap.resample_weights(test.columns["study_id"], seed=0, num_resamples=2000)
    clean, spoilt = (expected[one.name] for one in answers[:2])
    print(
        f"test: {len(test)} rows, ceiling {references.ceiling(best).accuracy:.3f}, the noise cost "
        f"{clean.mean() - spoilt.mean():.3f} of the expected accuracy"
    )
    print(
        f"{'trained on':<18}{'accuracy':>9}{'expected':>10}{'log loss':>10}{'exp. loss':>11}"
        f"{'won back':>10}{'95 % of cured - spoilt':>26}"
    )
    given = np.eye(best.shape[1])[test.labels]
    for one in answers:
        mine = expected[one.name]
        text = f"{one.name:<18}{(one.predicted == test.labels).mean():>9.3f}{mine.mean():>10.3f}"
        text += f"{one.log_loss(given):>10.3f}{one.log_loss(best):>11.3f}"
        if one.name not in (CLEAN, SPOILT):
            cost = clean.mean() - spoilt.mean()
            won = (mine - spoilt).mean() / cost if cost > 0 else float("nan")
            gains = (weights @ (mine - spoilt)) / weights.sum(axis=1)
            low, high = np.quantile(gains, [0.025, 0.975])
            text += f"{won:>10.2f}{f'{low:+.3f} to {high:+.3f}':>26}"
        print(text, flush=True)
    return {
        one.name: Expected(accuracy=float(expected[one.name].mean()), log_loss=one.log_loss(best))
        for one in answers
    }


def _values(
    found: Sequence[Mapping[str, Expected]], figure: Callable[[Expected], float]
) -> dict[str, np.ndarray]:
    """Training -> a figure, more of which is better, of each seed."""
    return {name: np.array([figure(seed[name]) for seed in found]) for name in found[0]}


def _print_summary(figure: str, values: Mapping[str, np.ndarray]) -> None:
    cost = values[CLEAN] - values[SPOILT]
    print(f"\n{figure}: the noise cost {_mean_and_error(cost)}")
    print(f"{'cure':<18}{'gain over spoilt':>20}{'95 % over seeds':>20}{'won back':>10}")
    for name, reached in values.items():
        if name in (CLEAN, SPOILT):
            continue
        gain = reached - values[SPOILT]
        won = gain.mean() / cost.mean() if cost.mean() > 0 else float("nan")
        print(f"{name:<18}{_mean_and_error(gain):>20}{_interval(gain):>20}{won:>10.2f}")


def _mean_and_error(values: np.ndarray) -> str:
    error = f" +- {stats.sem(values):.4f}" if len(values) > 1 else ""
    return f"{values.mean():+.4f}{error}"


def _interval(values: np.ndarray) -> str:
    """Student's t, of the mean over the seeds; one seed has none."""
    if len(values) < 2:
        return ""
    reach = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
    return f"{values.mean() - reach:+.3f} to {values.mean() + reach:+.3f}"


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    app.run(main)
