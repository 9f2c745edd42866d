"""What a run of levels says of levels that it was not trained on, row by row, with their views."""

import dataclasses
import functools
from collections.abc import Callable, Sequence

import numpy as np

from spine_tf import labels
from spine_tf.evaluation import analysis, held_out
from spine_tf.runs import run, run_directory
from spine_tf.scoring import calibration, comparison, predictions as predictions_module
from spine_tf.training import level_examples
from tfrecords import manifest, records, stored_images


def load(trained: run.Run, source: records.Records, split: str | None) -> held_out.HeldOut:
    """Returns what the run says of the rows of a split.

    Args:
        trained: a run of task levels.
        source: the level records it was trained on, or others for an external validation.
        split: as `held_out.load` takes it.

    Raises:
        ValueError: as `held_out.load`.
    """
    own = trained.provenance["records"]["manifest_sha256"]
    if manifest.sha256_of(source.directory) != own:
        if split in ("val", "oof"):
            raise ValueError(
                f"{source.directory} is not the directory that {trained.run_dir} was trained on, "
                f"so it has no split {split!r} of that run: leave out --split"
            )
        return _predicted(
            trained, source, source.splits if split is None else (split,), held_out.EXTERNAL
        )
    if split in (None, "test"):
        return _predicted(trained, source, ["test"], "test")
    return _stored(trained, source, split)


def _predicted(
    trained: run.Run, source: records.Records, splits: Sequence[str], name: str
) -> held_out.HeldOut:
    """The mean of all members on levels whose studies none of them saw."""
    held_out.require_splits(source, splits)
    examples = level_examples.load(source, splits)
    held_out.require_unseen(trained, source, examples.study_ids)
    raw = [level_examples.predict(member.model, examples) for member in trained.members]
    said = [member.calibrated(values) for member, values in zip(trained.members, raw, strict=True)]
    return _held_out(
        trained,
        name,
        examples,
        examples.predictions(np.mean(said, axis=0)),
        examples.predictions(np.mean(raw, axis=0)),
        lambda split: trained.members,
    )


def _stored(trained: run.Run, source: records.Records, split: str) -> held_out.HeldOut:
    """What training wrote of folds that were held out."""
    folds = trained.provenance.get("folds")
    if (split == "oof") != bool(folds):
        other = "val" if split == "oof" else "oof"
        raise ValueError(
            f"{trained.run_dir} has no predictions of split {split}: evaluate it with --split "
            f"{other}"
        )
    names = list(folds or [trained.provenance["val_split"]])
    file = run_directory.OUT_OF_FOLD_FILE if folds else run_directory.PREDICTIONS_FILE
    stored = predictions_module.read_csv(trained.run_dir / file, trained.config.task_spec)
    examples = level_examples.load(source, names)
    truth = np.eye(stored.num_classes)[np.maximum(examples.labels, 0)]
    said = comparison.align(stored, examples.predictions(truth))
    members = {
        fold: trained.without_fold(fold).members if folds else trained.members for fold in names
    }
    return _held_out(
        trained,
        "oof" if folds else names[0],
        examples,
        said,
        _uncalibrated(said, examples.splits_of_rows(), members),
        lambda fold: members[fold],
    )


def _uncalibrated(
    said: predictions_module.Predictions,
    folds: Sequence[str],
    members: dict[str, tuple[run.Member, ...]],
) -> predictions_module.Predictions | None:
    """What a fold's one model said before its temperature; of several nobody wrote it down."""
    if any(len(of_fold) > 1 for of_fold in members.values()):
        return None
    before = np.empty_like(said.probabilities)
    for fold, (member,) in members.items():
        inside = np.array(folds) == fold
        before[inside] = calibration.apply_temperature(
            said.probabilities[inside], 1.0 / member.temperature
        )
    return dataclasses.replace(said, probabilities=before)


def _held_out(
    trained: run.Run,
    name: str,
    examples: level_examples.LevelExamples,
    said: predictions_module.Predictions,
    uncalibrated: predictions_module.Predictions | None,
    members_of: Callable[[str], Sequence[run.Member]],
) -> held_out.HeldOut:
    lines, conditions = np.nonzero(examples.labels >= 0)
    splits = examples.splits_of_rows()

    def predict(row: int) -> Callable[[np.ndarray], np.ndarray]:
        return functools.partial(
            _ask, members_of(splits[row]), examples, int(lines[row]), int(conditions[row])
        )

    return held_out.HeldOut(
        evaluated=analysis.Evaluated(
            task=trained.config.task_spec,
            split=name,
            predictions=said,
            uncalibrated=uncalibrated,
            splits=splits,
            class_prior=trained.class_prior,
        ),
        images=stored_images.Windowed(
            pixels=_Views(examples),
            rows=lines * len(labels.CONDITIONS) + conditions,
            windows=examples.windows.reshape(len(examples), -1, 2)[lines, conditions],
        ),
        predict=predict,
    )


def _ask(
    members: Sequence[run.Member],
    examples: level_examples.LevelExamples,
    line: int,
    condition: int,
    pictures: np.ndarray,
) -> np.ndarray:
    """Answers for a condition where its own view is another picture, the others as they are."""
    inputs = examples.inputs(np.full(len(pictures), line))
    inputs["image"][:, condition] = pictures
    answers = [
        member.calibrated(member.model(inputs, training=False)["probabilities"].numpy())
        for member in members
    ]
    return np.mean(answers, axis=0)[:, condition]


class _Views:
    """The views of levels one after the other, read when they are asked for."""

    def __init__(self, examples: level_examples.LevelExamples) -> None:
        self._examples = examples

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the array: views, height, width, slices."""
        _, num_views, *rest = self._examples.pixels.shape
        return (len(self._examples) * num_views, *rest)

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        num_views = self._examples.pixels.shape[1]
        of_levels = self._examples.pixels[self._examples.rows[rows // num_views]]
        return of_levels[np.arange(len(rows)), rows % num_views]
