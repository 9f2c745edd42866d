"""What helps the middle class? Cures that spine_tf.ablate can't express, measured out of fold.

Trains the same folds with and without each cure and prints the rows of an ablation: figures with
95 % intervals and their paired changes to the base, by bootstrap over studies.

    base            train --val_fold all with data.inner_fold=none and one seed
    tta             the base's models, answers averaged over the crop and changed copies of it
    mean of seeds   figures of single runs with each of --num_seeds seeds, averaged; its change says
                    how lucky the base's seed was
    ensemble        the mean of those runs' probabilities; its change is that to `mean of seeds`
    drop, down_weight, soften    label review, which treats --budget of the training rows
    split           Moderate in two halves (task multiclass_split), read as three classes

Reviews and halves are nested, since models that saw the held-out fold know its labels: for each
fold the data are converted once more with that fold as `test` (--folds_csv; other rows keep their
folds), trained there out of fold and cleaned; then the base's records are trained with that fold
held out and this review. So a review's models saw one fold less than those of a user's review.
`seconds` are of a row's own trainings; those of the nested runs, which the last four rows share,
are printed.

Without an inner fold no row has a temperature: all log losses are uncalibrated alike. Intervals
speak of other studies, not of other trainings: the cured models have the base's seed only.

    python benchmarks/cures.py --data_dir D --work_dir W [--levels all] [--task multiclass]
        [--model dense] [--set training.epochs=40 ...] [--budget 0.1] [--num_seeds 3] [--tta 5]

The same command goes on where it was interrupted. W/cures.csv has the rows (columns in
spine_tf/ablation/ablation_table.py), each training.log what the trainings say.
"""

import collections
import dataclasses
import os
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import trainings
from absl import app, flags

from spine_tf import labels
from spine_tf.ablation import ablation_table, scores, variant
from spine_tf.configuration import model_configs, roi_config
from spine_tf.conversion import job, plan
from spine_tf.processes import pool
from spine_tf.rsna import annotations, folds, sources
from spine_tf.scoring import predictions
from spine_tf.training import mild_split, reviewed_labels
from tfrecords import atomic

_DATA_DIR = flags.DEFINE_string("data_dir", None, "Data set in the RSNA layout.", required=True)
_WORK_DIR = flags.DEFINE_string(
    "work_dir", None, "Where all of it lies, and goes on.", required=True
)
_CONDITIONS = flags.DEFINE_string(
    "conditions", "left_subarticular_stenosis,right_subarticular_stenosis", "Conditions, or all."
)
_LEVELS = flags.DEFINE_string("levels", "all", "Levels, or all.")
_ROI_PX = flags.DEFINE_integer("roi_px", 64, "Side of a crop.")
_TEST_FRACTION = flags.DEFINE_float(
    "test_fraction", 0.15, "Part of the studies that no figure is of."
)
_TASK = flags.DEFINE_enum("task", "multiclass", labels.WHOLE_TASKS, "Which classes.")
_MODEL = flags.DEFINE_enum("model", "dense", list(model_configs.MODEL_CONFIGS), "Family.")
_SET = flags.DEFINE_multi_string("set", [], "field=value of the configuration.")
_BUDGET = flags.DEFINE_float("budget", 0.1, "Share of training rows that a cure may touch.")
_NUM_SEEDS = flags.DEFINE_integer("num_seeds", 3, "Seeds of the ensemble.")
_TTA = flags.DEFINE_integer("tta", 5, "Copies of a crop, itself among them.")

ACTIONS = ("drop", "down_weight", "soften")
SPLIT_TASK = labels.TASKS["multiclass_split"]


def main(_: list[str]) -> None:
    """Makes the rows one after the other, then prints the table."""
    path = _work_dir() / "cures.csv"
    rows: list[ablation_table.Row] = []
    for row in _rows():
        rows.append(row)
        atomic.write_text(path, ablation_table.to_csv(rows))
        print(ablation_table.to_markdown([row]).splitlines()[2], flush=True)
    print(f"\n{ablation_table.to_markdown(rows)}\n{path}")


def _work_dir() -> pathlib.Path:
    # A review's path stands in a run's configuration, which must be the same when it goes on.
    return pathlib.Path(_WORK_DIR.value).resolve()


def _rows() -> Iterator[ablation_table.Row]:
    """The cheap ones first."""
    of_seeds = _base_trainings()
    base = of_seeds[0]
    _convert(_conversion(), base.records_dir)
    singles = [trainings.train_all_folds(base)]
    yield _row(variant.BASE, [base], singles, None)
    name = f"tta {_TTA.value}"
    yield _attempt(name, [base], singles, trainings.answer_augmented, base, _TTA.value)
    singles += [trainings.train_all_folds(other) for other in of_seeds[1:]]
    yield _row(f"mean of {len(singles)} seeds", of_seeds, singles, singles[:1])
    mean = np.mean([single.probabilities for single in singles], axis=0)
    ensemble = dataclasses.replace(singles[0], probabilities=mean)
    name = f"ensemble of {len(singles)} seeds, change to their mean"
    yield _row(name, of_seeds, [ensemble], singles)
    reviews = _make_reviews(base)
    for name, cured in _cured_trainings(base, reviews).items():
        yield _attempt(name, cured, singles[:1], trainings.train_each, cured)


def _base_trainings() -> list[trainings.Training]:
    """One a seed, the base's first."""
    base = trainings.Training(
        task=_TASK.value,
        model=_MODEL.value,
        settings=("data.inner_fold=none", *_SET.value),
        records_dir=_work_dir() / "records",
        run_dir=_work_dir() / "base",
    )
    first = base.config.seed
    return [
        base.change(f"seed={seed}", run_dir=base.run_dir / f"seed_{seed}")
        for seed in range(first, first + _NUM_SEEDS.value)
    ]


def _make_reviews(base: trainings.Training) -> dict[str, pathlib.Path]:
    """Fold -> what was cleaned by models that never saw it."""
    conversion, found = _conversion(), {}
    splits = _splits(conversion)
    for fold in map(folds.fold_name, range(conversion.num_folds)):
        work_dir = _work_dir() / "nested" / fold
        folds_csv = work_dir / "folds.csv"
        lines = [f"{study},{folds.TEST if own == fold else own}" for study, own in splits.items()]
        work_dir.mkdir(parents=True, exist_ok=True)
        atomic.write_text(folds_csv, "\n".join(["study_id,fold", *lines, ""]))
        nested = base.change(records_dir=work_dir / "records", run_dir=work_dir / "run")
        nested_conversion = dataclasses.replace(conversion, folds_csv=folds_csv)
        _convert(nested_conversion, nested.records_dir)
        trainings.train_all_folds(nested)
        trainings.clean(nested, work_dir / "review")
        print(f"review without {fold}: {nested.seconds:.0f} s", flush=True)
        found[fold] = work_dir / "review"
    return found


def _splits(conversion: plan.Settings) -> dict[int, str]:
    """The split of every study of train.csv, as the base's conversion deals them."""
    rows = annotations.read_annotations(
        sources.open_source(pathlib.Path(_DATA_DIR.value)),
        conditions=conversion.conditions,
        levels=conversion.levels,
        excluded_keys=frozenset(),
    )
    return folds.assign_folds(
        rows.groups,
        num_folds=conversion.num_folds,
        test_fraction=conversion.test_fraction,
        seed=conversion.seed,
    )


def _cured_trainings(
    base: trainings.Training, reviews: Mapping[str, pathlib.Path]
) -> dict[str, list[trainings.Training]]:
    """Row -> one training a fold: on the base's records, that fold held out, with its review."""
    budget, found = _BUDGET.value, collections.defaultdict(list)
    for index, (fold, review_dir) in enumerate(reviews.items()):
        run_dirs = _work_dir() / "cured"
        for action in ACTIONS:
            name = f"{action} {budget:g}"
            cured = base.change(
                f"data.label_review.path={review_dir / reviewed_labels.FILE_NAME}",
                f"data.label_review.action={action}",
                f"data.label_review.budget={budget}",
                val_fold=str(index),
                run_dir=run_dirs / f"{action}_{budget:g}" / fold,
            )
            found[name].append(cured)
        if base.config.task_spec == SPLIT_TASK.collapsed:
            split = base.change(
                f"data.mild_split={review_dir / mild_split.FILE_NAME}",
                task=SPLIT_TASK.name,
                val_fold=str(index),
                run_dir=run_dirs / "split" / fold,
            )
            found["split"].append(split)
    return found


def _conversion() -> plan.Settings:
    """The base's."""
    given, levels = _CONDITIONS.value, _LEVELS.value
    return plan.Settings(
        conditions=labels.CONDITIONS if given == "all" else tuple(given.split(",")),
        levels=labels.LEVELS if levels == "all" else tuple(levels.split(",")),
        roi=roi_config.RoiConfig(roi_px=_ROI_PX.value),
        test_fraction=_TEST_FRACTION.value,
    )


def _convert(
    conversion: plan.Settings,
    records_dir: pathlib.Path,
) -> None:
    job.convert(
        sources.open_source(pathlib.Path(_DATA_DIR.value)),
        records_dir,
        conversion,
        num_workers=pool.num_cpus(),
    )
    folds_csv = conversion.folds_csv
    print(f"converted {records_dir}" + (f" by {folds_csv}" if folds_csv else ""), flush=True)


def _attempt(
    name: str,
    trained: Sequence[trainings.Training],
    base: Sequence[predictions.Predictions],
    function: Callable[..., predictions.Predictions],
    *values: Any,
) -> ablation_table.Row:
    """What can't be trained is a row with the reason, as in an ablation."""
    try:
        return _row(name, trained, [function(*values)], base)
    except (ValueError, OSError) as err:
        reason = " ".join(str(err).split())
        return ablation_table.Row(
            name=name, group=name, status=ablation_table.FAILED, reason=reason
        )


def _row(
    name: str,
    trained: Sequence[trainings.Training],
    found: Sequence[predictions.Predictions],
    base: Sequence[predictions.Predictions] | None,
) -> ablation_table.Row:
    first = trained[0].config
    return ablation_table.Row(
        name=name,
        group=name,
        status=ablation_table.FINISHED,
        num_seeds=len(found),
        score=scores.score(found, base, first.task_spec.collapsed, seed=first.seed),
        seconds=sum(training.seconds for training in trained),
    )


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    app.run(main)
