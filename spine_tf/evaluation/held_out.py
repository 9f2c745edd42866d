"""A run's predictions of examples that it was not trained on, and the crops they are of."""

import dataclasses
import pathlib
from collections.abc import Callable, Sequence

import numpy as np

from spine_tf import config, labels, run
from spine_tf.evaluation import analysis, calibration, compare
from spine_tf.evaluation import predictions as predictions_lib
from spine_tf.label_review import task_examples
from tfrecords import manifest, records

SPLITS = ("test", "val", "oof")
EXTERNAL = "external"


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class HeldOut:
    """Examples, what the run says of them, and the models that said it.

    Attributes:
        evaluated: predictions, calibrated and not.
        images: float32 (n, height, width, slices), in [0, 1], in the predictions' order.
        predict: row -> the call that gives such images' probabilities.
    """

    evaluated: analysis.Evaluated
    images: np.ndarray
    predict: Callable[[int], Callable[[np.ndarray], np.ndarray]]


def load(trained: run.Run, source: records.Records, split: str | None) -> HeldOut:
    """Returns what the run says of a split.

    Args:
        trained: the run.
        source: the records it was trained on, or others for an external validation, which takes
            the whole directory, or its test split if that is asked for.
        split: "test" (the mean of all members), "val" (the fold held out of a run with one), "oof"
            (out of fold, each example by the member that did not see it); None is "test".

    Raises:
        ValueError: the split does not exist, was trained on, or the records do not fit the run.
    """
    if manifest.sha256_of(source.directory) != trained.provenance["records"]["manifest_sha256"]:
        return _external(trained, source, split)
    if split in (None, "test"):
        return _predicted(trained, source, ["test"], "test")
    if split == "oof":
        return _out_of_fold(trained, source)
    if split == "val":
        return _validation(trained, source)
    raise ValueError(f"split is {split!r}, expected one of {', '.join(SPLITS)}")


def _external(trained: run.Run, source: records.Records, split: str | None) -> HeldOut:
    if split in ("val", "oof"):
        raise ValueError(
            f"{source.directory} is not the directory that {trained.run_dir} was trained on, so it "
            f"has no split {split!r} of that run: leave out --split for an external validation"
        )
    _require_same_roi(trained, source)
    splits = source.splits if split is None else (split,)
    return _predicted(trained, source, splits, EXTERNAL)


def _require_same_roi(trained: run.Run, source: records.Records) -> None:
    own = config.roi_from_dict(trained.provenance["records"]["config"])
    other = config.roi_from_dict(source.manifest.config)
    for field in dataclasses.fields(config.RoiConfig):
        wanted, found = getattr(own, field.name), getattr(other, field.name)
        if found != wanted:
            raise ValueError(
                f"{source.directory} has {field.name} {found!r}, the run was trained with "
                f"{wanted!r}: convert with the same region of interest"
            )


def _predicted(
    trained: run.Run, source: records.Records, splits: Sequence[str], name: str
) -> HeldOut:
    examples, splits_of = load_examples(source, splits, trained.config.task_spec)
    examples = task_examples.relabel(trained.config, examples, splits)
    _require_unseen(trained, source, examples)
    images = examples.normalized()
    raw = [member.model.predict(images, batch_size=256, verbose=0) for member in trained.members]
    calibrated = [
        calibration.apply_temperature(answer, member.temperature)
        for answer, member in zip(raw, trained.members, strict=True)
    ]
    return _held_out(
        trained,
        name,
        _make_predictions(examples, np.mean(calibrated, axis=0)),
        _make_predictions(examples, np.mean(np.asarray(raw, np.float64), axis=0)),
        splits_of,
        images,
        lambda row: trained.predict,
    )


def _validation(trained: run.Run, source: records.Records) -> HeldOut:
    if len(trained.members) > 1:
        raise ValueError(
            f"{trained.run_dir} was trained with --val_fold all: its folds are evaluated together, "
            "with --split oof, or each as a run of its own"
        )
    path = trained.run_dir / run.PREDICTIONS_FILE
    stored = predictions_lib.read_csv(path, trained.config.task_spec)
    split = trained.provenance["val_split"]
    return _from_stored(trained, source, stored, split, {split: trained})


def _out_of_fold(trained: run.Run, source: records.Records) -> HeldOut:
    folds = trained.provenance.get("folds")
    if not folds:
        raise ValueError(
            f"{trained.run_dir} held one fold out: evaluate it with --split val, or train with "
            "--val_fold all"
        )
    path = trained.run_dir / run.OUT_OF_FOLD_FILE
    stored = predictions_lib.read_csv(path, trained.config.task_spec)
    runs = {fold: trained.without_fold(fold) for fold in folds}
    return _from_stored(trained, source, stored, "oof", runs)


def _from_stored(
    trained: run.Run,
    source: records.Records,
    stored: predictions_lib.Predictions,
    name: str,
    runs: dict[str, run.Run],
) -> HeldOut:
    """Predictions that training wrote, in the order of the records, each with its own model."""
    examples, splits_of = load_examples(source, list(runs), trained.config.task_spec)
    examples = task_examples.relabel(trained.config, examples, list(runs))
    truth = np.eye(stored.num_classes)[examples.labels]
    predictions = compare.align(stored, _make_predictions(examples, truth))
    images = examples.normalized()
    before = np.empty_like(predictions.probabilities)
    for split, part in runs.items():
        inside = np.array(splits_of) == split
        before[inside] = _uncalibrated(
            part.members, images[inside], predictions.probabilities[inside]
        )
    return _held_out(
        trained,
        name,
        predictions,
        _make_predictions(examples, before),
        splits_of,
        images,
        lambda row: runs[splits_of[row]].predict,
    )


def _uncalibrated(
    members: Sequence[run.Member], images: np.ndarray, calibrated: np.ndarray
) -> np.ndarray:
    """What one member said before its temperature, or the mean of what several did."""
    if len(members) == 1:
        return calibration.apply_temperature(calibrated, 1.0 / members[0].temperature)
    return np.mean([run.predict_probabilities(each.model, images) for each in members], axis=0)


def _held_out(
    trained: run.Run,
    name: str,
    predictions: predictions_lib.Predictions,
    uncalibrated: predictions_lib.Predictions,
    splits_of: Sequence[str],
    images: np.ndarray,
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
) -> tuple[records.Examples, list[str]]:
    """Returns the examples of the task, and the split that each of them lies in.

    Their labels are severities of the task, also where it tells halves of one apart.

    Raises:
        ValueError: a split does not exist, or none of its examples is of the task.
    """
    for split in splits:
        if split not in source.splits:
            raise ValueError(
                f"{source.directory} has no {split} split: it was converted without one "
                f"(it has {', '.join(source.splits)}); evaluate with --split val or --split oof"
            )
    examples = records.load_examples(source, splits, task.severities)
    if not len(examples):
        raise ValueError(
            f"{source.directory}: {', '.join(splits)} has no example of task {task.name}"
        )
    split_of = {}
    for split in splits:
        for values in records.iterate(source, [split]):
            split_of[values["key"].decode()] = split
    return examples, [split_of[key] for key in examples.keys]


def _require_unseen(trained: run.Run, source: records.Records, examples: records.Examples) -> None:
    """Stops where a study was seen in training: such figures would say nothing."""
    shared = set(examples.columns["study_id"].tolist()) & set(trained.provenance["train_studies"])
    if shared:
        raise ValueError(
            f"{len(shared)} studies of {source.directory}, such as {min(shared)}, were in the "
            f"training data of {trained.run_dir}: figures on them would say nothing of new studies"
        )


def _make_predictions(
    examples: records.Examples, probabilities: np.ndarray
) -> predictions_lib.Predictions:
    return predictions_lib.Predictions(
        keys=tuple(examples.keys), labels=examples.labels, probabilities=probabilities
    )


def histories(run_dir: pathlib.Path) -> dict[str, pathlib.Path]:
    """Returns the history files of a run by fold, or of its one model."""
    folds = run.fold_dirs(run_dir) or (run_dir,)
    names = [str(path.relative_to(run_dir)) if path != run_dir else path.name for path in folds]
    return {name: path / run.HISTORY_FILE for name, path in zip(names, folds, strict=True)}
