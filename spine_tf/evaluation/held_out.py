"""A run's predictions of examples that it was not trained on, and the crops they are of."""

import dataclasses
import pathlib
from collections.abc import Callable, Sequence

import numpy as np
from absl import logging

from spine_tf import labels
from spine_tf.configuration import roi_config
from spine_tf.crops import record
from spine_tf.evaluation import analysis, unseen
from spine_tf.runs import familiarity, run, run_directory
from spine_tf.scoring import calibration, comparison, predictions as predictions_module
from spine_tf.training import task_examples
from tfrecords import manifest, records, stored_images

SPLITS = ("test", "val", "oof")
EXTERNAL = "external"


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class HeldOut:
    """Examples, what the run says of them, and the models that said it.

    Attributes:
        evaluated: predictions, calibrated and not.
        images: float32 (n, height, width, slices), in [0, 1], in the predictions' order, made when
            they are asked for.
        predict: row -> the call that gives such images' probabilities.
        answers: what each run of an ensemble said, None of a single run as it was stored.
    """

    evaluated: analysis.Evaluated
    images: stored_images.Windowed
    predict: Callable[[int], Callable[[np.ndarray], np.ndarray]]
    answers: unseen.Answers | None = None


def load(
    trained: run.Run, source: records.Records, split: str | None, *, num_augmented: int = 1
) -> HeldOut:
    """Returns what the run says of a split.

    Args:
        trained: the run.
        source: the records it was trained on, or others for an external validation, which takes
            the whole directory, or its test split if that is asked for.
        split: "test" (the mean of all members), "val" (the fold held out of a run with one), "oof"
            (out of fold, each example by the member that did not see it); None is "test".
        num_augmented: copies of each image that are averaged over; 1 is the image alone, of which
            "val" and "oof" take what training wrote.

    Raises:
        ValueError: the split does not exist, was trained on, or the records do not fit the run.
    """
    _require_crops([trained])
    if _is_external(trained, source):
        return _external([trained], source, split, num_augmented)
    if split in (None, "test"):
        return _predicted_test([trained], source, num_augmented)
    held_out = {"oof": _out_of_fold, "val": _validation}
    if split not in held_out:
        raise ValueError(f"split is {split!r}, expected one of {', '.join(SPLITS)}")
    stored = held_out[split](trained, source)
    if num_augmented == 1:
        return stored
    return _predicted(
        [trained], source, _held_out_splits(trained), stored.evaluated.split, num_augmented
    )


def load_ensemble(
    runs: Sequence[run.Run], source: records.Records, split: str | None, *, num_augmented: int = 1
) -> HeldOut:
    """Returns what several runs say of a split together: the mean over all their models.

    Args:
        runs: all of one task; each example is answered by those of their models alone that did
            not see its study.
        source: as in `load`.
        split: as in `load`; "oof" takes every fold that any of the runs held out.
        num_augmented: as in `load`.

    Raises:
        ValueError: as `load`, or the runs can't answer together.
    """
    _require_crops(runs)
    _require_alike(runs)
    if any(_is_external(one, source) for one in runs):
        return _external(runs, source, split, num_augmented)
    if split in (None, "test"):
        return _predicted_test(runs, source, num_augmented)
    splits = list(dict.fromkeys(name for one in runs for name in _held_out_splits(one)))
    if split == "val" and len(splits) > 1:
        raise ValueError(
            f"the runs held out {', '.join(splits)}, expected one fold: evaluate them with "
            "--split oof"
        )
    name = "oof" if split == "oof" else splits[0]
    return _predicted(runs, source, splits, name, num_augmented)


def _require_crops(runs: Sequence[run.Run]) -> None:
    for one in runs:
        if one.config.task not in labels.TASKS:
            raise ValueError(
                f"{one.run_dir} is of task {one.config.task}, which grades no single crops: "
                f"expected a run of one of {', '.join(labels.TASKS)}"
            )


def _require_alike(runs: Sequence[run.Run]) -> None:
    first, *others = runs
    for other in others:
        if other.config.task != first.config.task:
            raise ValueError(
                f"{first.run_dir} is of task {first.config.task}, {other.run_dir} of "
                f"{other.config.task}: an ensemble is of runs of one task"
            )


def _is_external(trained: run.Run, source: records.Records) -> bool:
    own = trained.provenance["records"]["manifest_sha256"]
    return manifest.sha256_of(source.directory) != own


def _held_out_splits(trained: run.Run) -> list[str]:
    return list(trained.provenance.get("folds") or [trained.provenance["val_split"]])


def _external(
    runs: Sequence[run.Run], source: records.Records, split: str | None, num_augmented: int
) -> HeldOut:
    for one in runs:
        if split in ("val", "oof") and _is_external(one, source):
            raise ValueError(
                f"{source.directory} is not the directory that {one.run_dir} was trained on, so it "
                f"has no split {split!r} of that run: leave out --split for an external validation"
            )
        _require_same_roi(one, source)
    splits = source.splits if split is None else (split,)
    found = _predicted(runs, source, splits, EXTERNAL, num_augmented)
    _warn_of_what_is_new(runs, source, splits)
    return found


def _warn_of_what_is_new(
    runs: Sequence[run.Run], source: records.Records, splits: Sequence[str]
) -> None:
    columns = source.index(splits).columns
    asked = [*zip(columns["condition"].tolist(), columns["level"].tolist(), strict=True)]
    for one in runs:
        trained = one.provenance["records"]["config"]
        for sentence in familiarity.describe(
            asked, conditions=trained["conditions"], levels=trained["levels"]
        ):
            logging.warning("%s: %s", one.run_dir, sentence)


def _predicted_test(
    runs: Sequence[run.Run], source: records.Records, num_augmented: int
) -> HeldOut:
    return _predicted(runs, source, ["test"], "test", num_augmented)


def _require_same_roi(trained: run.Run, source: records.Records) -> None:
    own = record.check_conversion(trained.provenance["records"]["config"])
    other = record.require_conversion(source)
    for field in dataclasses.fields(roi_config.RoiConfig):
        wanted, found = getattr(own, field.name), getattr(other, field.name)
        if found != wanted:
            raise ValueError(
                f"{source.directory} has {field.name} {found!r}, the run was trained with "
                f"{wanted!r}: convert with the same region of interest"
            )


def _predicted(
    runs: Sequence[run.Run],
    source: records.Records,
    splits: Sequence[str],
    name: str,
    num_augmented: int,
) -> HeldOut:
    """Each example by the models that did not see its study; all of them, if it is a new one."""
    first = runs[0]
    examples = load_examples(source, splits, first.config.task_spec)
    examples = _relabel_alike(runs, examples, splits)
    if name in ("test", EXTERNAL):
        for one in runs:
            require_unseen(one, source, examples.columns["study_id"])
    images, study_ids = examples.windowed, examples.columns["study_id"]
    answers = unseen.predict(runs, images, study_ids, num_augmented=num_augmented)
    weights = [len(one.members) for one in runs]
    prior = np.average([one.class_prior for one in runs], axis=0, weights=weights)
    found = _held_out(
        dataclasses.replace(first, class_prior=tuple(prior.tolist())),
        name,
        _make_predictions(examples, answers.calibrated),
        _make_predictions(examples, answers.uncalibrated),
        examples.splits,
        images,
        lambda row: _told(unseen.predictor(runs, study_ids[row]), images, row),
    )
    return dataclasses.replace(found, answers=answers)


def _relabel_alike(
    runs: Sequence[run.Run], examples: records.Examples, splits: Sequence[str]
) -> records.Examples:
    first, *others = (task_examples.relabel(one.config, examples, splits) for one in runs)
    for one, relabelled in zip(runs[1:], others, strict=True):
        if not np.array_equal(first.labels, relabelled.labels):
            raise ValueError(
                f"{one.run_dir} and {runs[0].run_dir} split a severity by different files: an "
                "ensemble is of runs with the same data.mild_split"
            )
    return first


def _validation(trained: run.Run, source: records.Records) -> HeldOut:
    if len(trained.members) > 1:
        raise ValueError(
            f"{trained.run_dir} was trained with --val_fold all: its folds are evaluated together, "
            "with --split oof, or each as a run of its own"
        )
    path = trained.run_dir / run_directory.PREDICTIONS_FILE
    stored = predictions_module.read_csv(path, trained.config.task_spec)
    split = trained.provenance["val_split"]
    return _from_stored(trained, source, stored, split, {split: trained})


def _out_of_fold(trained: run.Run, source: records.Records) -> HeldOut:
    folds = trained.provenance.get("folds")
    if not folds:
        raise ValueError(
            f"{trained.run_dir} held one fold out: evaluate it with --split val, or train with "
            "--val_fold all"
        )
    path = trained.run_dir / run_directory.OUT_OF_FOLD_FILE
    stored = predictions_module.read_csv(path, trained.config.task_spec)
    runs = {fold: trained.without_fold(fold) for fold in folds}
    return _from_stored(trained, source, stored, "oof", runs)


def _from_stored(
    trained: run.Run,
    source: records.Records,
    stored: predictions_module.Predictions,
    name: str,
    runs: dict[str, run.Run],
) -> HeldOut:
    """Predictions that training wrote, in the order of the records, each with its own model."""
    examples = load_examples(source, list(runs), trained.config.task_spec)
    examples = task_examples.relabel(trained.config, examples, list(runs))
    truth = np.eye(stored.num_classes)[examples.labels]
    predictions = comparison.align(stored, _make_predictions(examples, truth))
    images = examples.windowed
    before = np.empty_like(predictions.probabilities)
    for split, part in runs.items():
        inside = np.array(examples.splits) == split
        before[inside] = _uncalibrated(
            part.members, images.take(inside), predictions.probabilities[inside]
        )
    return _held_out(
        trained,
        name,
        predictions,
        _make_predictions(examples, before),
        examples.splits,
        images,
        lambda row: _told(runs[examples.splits[row]].predict, images, row),
    )


def _told(
    predict: Callable[[stored_images.Images], np.ndarray],
    images: stored_images.Windowed,
    row: int,
) -> Callable[[np.ndarray], np.ndarray]:
    """The call that answers for changed pictures of an example, known to be of what it is of."""

    def ask(pictures: np.ndarray) -> np.ndarray:
        columns = {
            name: np.repeat(values[row : row + 1], len(pictures), axis=0)
            for name, values in images.columns.items()
        }
        return predict(stored_images.as_windowed(pictures, columns))

    return ask


def _uncalibrated(
    members: Sequence[run.Member], images: stored_images.Windowed, calibrated: np.ndarray
) -> np.ndarray:
    """What one member said before its temperature, or the mean of what several did."""
    if len(members) == 1:
        return calibration.apply_temperature(calibrated, 1.0 / members[0].temperature)
    return np.mean([run.predict_probabilities(each.model, images) for each in members], axis=0)


def _held_out(
    trained: run.Run,
    name: str,
    predictions: predictions_module.Predictions,
    uncalibrated: predictions_module.Predictions,
    splits_of: Sequence[str],
    images: stored_images.Windowed,
    predict: Callable[[int], Callable[[np.ndarray], np.ndarray]],
) -> HeldOut:
    evaluated = analysis.Evaluated(
        task=trained.config.task_spec,
        split=name,
        predictions=predictions,
        uncalibrated=uncalibrated,
        splits=splits_of,
        class_prior=trained.class_prior,
    )
    return HeldOut(evaluated=evaluated, images=images, predict=predict)


def load_examples(
    source: records.Records, splits: Sequence[str], task: labels.Task
) -> records.Examples:
    """Returns the examples of the task.

    Their labels are severities of the task, also where it tells halves of one apart.

    Raises:
        ValueError: a split does not exist, or none of its examples is of the task.
    """
    require_splits(source, splits)
    examples = records.load_examples(source, splits, task.severities)
    if not len(examples):
        raise ValueError(
            f"{source.directory}: {', '.join(splits)} has no example of task {task.name}"
        )
    return examples


def require_splits(source: records.Records, splits: Sequence[str]) -> None:
    """Raises ValueError where a split does not exist."""
    for split in splits:
        if split not in source.splits:
            raise ValueError(
                f"{source.directory} has no {split} split: it was converted without one "
                f"(it has {', '.join(source.splits)}); evaluate with --split "
                "oof what was trained with --val_fold all, with --split val another run"
            )


def require_unseen(trained: run.Run, source: records.Records, study_ids: np.ndarray) -> None:
    """Raises ValueError where a study was seen in training: such figures would say nothing."""
    seen = set(trained.provenance["train_studies"]).union(
        *(member.train_studies for member in trained.members)
    )
    shared = set(study_ids.tolist()) & seen
    if shared:
        raise ValueError(
            f"{len(shared)} studies of {source.directory}, such as {min(shared)}, were in the "
            f"training data of {trained.run_dir}: figures on them would say nothing of new studies"
        )


def _make_predictions(
    examples: records.Examples, probabilities: np.ndarray
) -> predictions_module.Predictions:
    return predictions_module.Predictions(
        keys=tuple(examples.keys), labels=examples.labels, probabilities=probabilities
    )


def histories(run_dir: pathlib.Path) -> dict[str, pathlib.Path]:
    """Returns the history files of a run by fold, or of its one model."""
    folds = run_directory.fold_dirs(run_dir) or (run_dir,)
    names = [str(path.relative_to(run_dir)) if path != run_dir else path.name for path in folds]
    return {
        name: path / run_directory.HISTORY_FILE for name, path in zip(names, folds, strict=True)
    }
