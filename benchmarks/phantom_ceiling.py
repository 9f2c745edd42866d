"""How much of the phantom's ceiling do models reach, and does the task need a CNN?

Writes phantom studies, converts L4/L5 subarticular crops with the converter, and fits, for each
task: a logistic regression on crops of 16 x 16 pixels, the CNN families, and one CNN on labels that
were shuffled between studies. Each is scored on the test split, beside the best that any model can
be expected to reach on exactly these rows (truth.csv), the CNNs with what they are ahead of the
regression (paired, 95 % over studies). The last line is scored on its own shuffled labels.

    python benchmarks/phantom_ceiling.py --work_dir DIR [--num_studies 600] [--seed 0]
        [--roi_mm 50] [--roi_px 64] [--seeds 0,1,2] [--shares 0,0.5] [--set field=value]
        [--train_levels l1_l2,l2_l3,l3_l4,l4_l5,l5_s1]

With several seeds their probabilities' mean is scored too. --train_levels trains the CNNs on crops
of other levels beside; scored are those of L4/L5, of the same studies, alone.

--shares fits the first family for each share of unchanged images instead, and says what it makes
of the test crops as they are and of the same crops moved: where the two are of different kinds to a
model, its mean P(Severe) differs.
"""

import dataclasses
import os
import pathlib
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pandas as pd
import phantom_records
import references
from absl import app, flags

from spine_tf import labels
from spine_tf.configuration import config, overrides, roi_config
from spine_tf.scoring import comparison, metrics, predictions
from spine_tf.synthesis import phantom_config
from tfrecords import records

_WORK_DIR = flags.DEFINE_string("work_dir", None, "Where all of it lies.", required=True)
_NUM_STUDIES = flags.DEFINE_integer("num_studies", 600, "Synthetic studies.")
_SEED = flags.DEFINE_integer("seed", 0, "Of the studies.")
_ROI_MM = flags.DEFINE_float("roi_mm", 50.0, "Side of the records' crops.")
_ROI_PX = flags.DEFINE_integer("roi_px", phantom_records.ROI_PX, "Side of the records' crops.")
_SEEDS = flags.DEFINE_list("seeds", ["0"], "Of the trainings.")
_SHARES = flags.DEFINE_list("shares", [], "Of unchanged images.")
_EPOCHS = flags.DEFINE_integer("epochs", 40, "Of a training.")
_MODELS = flags.DEFINE_list("models", ["dense", "residual"], "Families.")
_TASKS = flags.DEFINE_list("tasks", ["multiclass", "binary"], "Which classes.")
_TRAIN_LEVELS = flags.DEFINE_list("train_levels", ["l4_l5"], "Whose crops the CNNs train on.")
_SET = flags.DEFINE_multi_string("set", [], "field=value of the configuration.")

_LEVELS = ("l4_l5",)
_TEST_FRACTION = 0.25
_RECIPE = ("training.batch_size=16", "training.label_smoothing=0.05")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Score:
    """One model's figures on the test split."""

    model: str
    predicted: predictions.Predictions
    majority: float

    @property
    def accuracy(self) -> float:
        """Share of right answers."""
        return float((self.predicted.predicted == self.predicted.labels).mean())

    @property
    def log_loss(self) -> float:
        """Mean negative logarithm of the right class's probability."""
        return float(metrics.example_log_losses(self.predicted).mean())


def main(_: list[str]) -> None:
    """Runs everything and prints one table a task."""
    work_dir = pathlib.Path(_WORK_DIR.value)
    roi = roi_config.RoiConfig(roi_mm=_ROI_MM.value, roi_px=_ROI_PX.value)
    records_name = f"records_{roi.roi_mm:g}mm_{roi.roi_px}px"
    studies_dir, shuffled_dir = work_dir / "studies", work_dir / "shuffled"
    phantom_records.write_studies(
        studies_dir,
        num_studies=_NUM_STUDIES.value,
        seed=_SEED.value,
        axial_px=phantom_config.PhantomConfig.axial_px,
    )
    if not (shuffled_dir / "train.csv").exists():
        phantom_records.with_shuffled_labels(studies_dir, shuffled_dir, seed=0)
    train_levels = tuple(_TRAIN_LEVELS.value)
    is_wider = train_levels != _LEVELS
    source, shuffled, training = (
        phantom_records.convert(
            data_dir, work_dir / name, levels=levels, test_fraction=_TEST_FRACTION, roi=roi
        )
        for data_dir, name, levels in (
            (studies_dir, records_name, _LEVELS),
            (shuffled_dir, f"{records_name}_shuffled", _LEVELS),
            (studies_dir, "_".join([records_name, *train_levels * is_wider]), train_levels),
        )
    )
    truth = references.read_truth(studies_dir / "truth.csv")
    recipe = [f"training.epochs={_EPOCHS.value}", *_RECIPE, *_SET.value]
    seeds, families = _SEEDS.value, _MODELS.value
    for task in (labels.TASKS[name] for name in _TASKS.value):
        if _SHARES.value:
            _print_shares(task, source, families[0], recipe, _SHARES.value, seeds)
            continue
        scores = _scores(source, shuffled, training, task, families, recipe, seeds)
        _print_scores(task, source, truth, scores)


def _scores(
    source: records.Records,
    shuffled: records.Records,
    training: records.Records,
    task: labels.Task,
    families: Sequence[str],
    recipe: Sequence[str],
    seeds: Sequence[str],
) -> Iterator[Score]:
    yield _logistic_regression(source, task)
    for family in families:
        found = []
        for seed in seeds:
            name = family if len(seeds) == 1 else f"{family}, seed {seed}"
            found.append(_cnn(training, source, task, family, [*recipe, f"seed={seed}"], name))
            yield found[-1]
        if len(seeds) > 1:
            yield _averaged(found, f"{family}, averaged")
    yield _cnn(shuffled, shuffled, task, families[0], recipe, name=f"{families[0]}, shuffled")


def _logistic_regression(source: records.Records, task: labels.Task) -> Score:
    model = references.fit_regression(phantom_records.load_train(source, task))
    test = phantom_records.load_test(source, task)
    answers = predictions.Predictions(
        keys=tuple(test.keys),
        labels=test.labels,
        probabilities=model.predict_proba(references.small(test)),
    )
    return _score("logistic regression", answers, source, task)


def _cnn(
    training: records.Records,
    source: records.Records,
    task: labels.Task,
    family: str,
    recipe: Sequence[str],
    name: str,
) -> Score:
    run_config = overrides.apply(config.default_config(task.name, family), recipe)
    model = phantom_records.fit_model(run_config, training)
    test = phantom_records.load_test(source, task)
    return _score(name, phantom_records.answer(model, test, test.windowed), source, task)


def _averaged(scores: Sequence[Score], name: str) -> Score:
    """The mean of the probabilities of several seeds, as one model."""
    probabilities = np.mean([score.predicted.probabilities for score in scores], axis=0)
    first = scores[0]
    return Score(
        model=name,
        predicted=dataclasses.replace(first.predicted, probabilities=probabilities),
        majority=first.majority,
    )


def _score(
    model: str,
    answers: predictions.Predictions,
    source: records.Records,
    task: labels.Task,
) -> Score:
    most_frequent = np.bincount(phantom_records.load_train(source, task).labels).argmax()
    return Score(
        model=model,
        predicted=answers,
        majority=float((answers.labels == most_frequent).mean()),
    )


def _print_shares(
    task: labels.Task,
    source: records.Records,
    family: str,
    recipe: Sequence[str],
    shares: Sequence[str],
    seeds: Sequence[str],
) -> None:
    """Prints what a model, the mean of the seeds, says of crops as they are, then of moved ones."""
    test = phantom_records.load_test(source, task)
    severe = len(task.classes) - 1
    print(f"\n{task.name}, {family}: {(test.labels == severe).mean():.3f} of the crops are Severe")
    print(
        f"{'unchanged':<11}{'P(Severe)':>10}{'moved':>7}{'accuracy':>10}{'moved':>7}"
        f"{'log loss':>10}{'moved':>7}"
    )
    for share in shares:
        settings = [*recipe, f"data.augmentation.unchanged={share}"]
        found = [_raw_and_moved(source, test, task, family, settings, seed) for seed in seeds]
        raw, moved = (np.mean(part, axis=0) for part in zip(*found, strict=True))
        figures = zip(raw, moved, strict=True)
        print(f"{share:<11}" + "".join(f"{a:>10.3f}{b:>7.3f}" for a, b in figures), flush=True)


def _raw_and_moved(
    source: records.Records,
    test: records.Examples,
    task: labels.Task,
    family: str,
    settings: Sequence[str],
    seed: str,
) -> list[tuple[float, float, float]]:
    """Mean P(Severe), accuracy and log loss on raw crops, and on the same ones moved."""
    from spine_tf.augmentation import copies, field_of_view
    from spine_tf.models import resampling

    default = config.default_config(task.name, family)
    run_config = overrides.apply(default, [*settings, f"seed={seed}"])
    model = phantom_records.fit_model(run_config, source)
    moving = dataclasses.replace(
        run_config.data.augmentation, contrast=0.0, brightness=0.0, unchanged=0.0
    )
    view = resampling.view_of(model, field_of_view.record_mm(source))
    both = copies.make_copies(test.windowed, moving, view, num=2, seed=1)
    answers = [phantom_records.answer(model, test, images) for images in both]
    return [
        (
            float(found.probabilities[:, -1].mean()),
            float((found.predicted == found.labels).mean()),
            float(metrics.example_log_losses(found).mean()),
        )
        for found in answers
    ]


def _print_scores(
    task: labels.Task, source: records.Records, truth: pd.DataFrame, scores: Iterable[Score]
) -> None:
    """Prints the ceiling, then each score as it comes; the way is that from majority to ceiling."""
    examples = phantom_records.load_test(source, task)
    best = references.best_probabilities(truth, task, examples.keys)
    ceiling = references.ceiling(best)
    realised = (best.argmax(axis=1) == examples.labels).mean()
    num_train = len(phantom_records.load_train(source, task))
    print(f"\n{task.name}: {num_train} training and {len(examples)} test examples")
    print(
        f"ceiling {ceiling.accuracy:.3f} +- {ceiling.error:.3f}, log loss "
        f"{ceiling.log_loss:.3f}; a perfect model on these labels {realised:.3f}"
    )
    print(
        f"{'model':<22}{'accuracy':>9}{'majority':>10}{'of ceiling':>12}{'of the way':>12}"
        f"{'log loss':>10}  ahead of the regression"
    )
    regression: Score | None = None
    for score in scores:
        regression = regression or score
        part = score.accuracy / ceiling.accuracy
        way = (score.accuracy - score.majority) / (ceiling.accuracy - score.majority)
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
    return found.differences["accuracy"].change_in_words()


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    app.run(main)
