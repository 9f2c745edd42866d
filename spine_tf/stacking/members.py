"""The runs of a stack: what each said out of fold, row by row, and whether they fit together."""

import dataclasses
import pathlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from spine_tf import labels
from spine_tf.configuration import config, directory_kind
from spine_tf.runs import run_directory
from spine_tf.scoring import predictions as predictions_module
from tfrecords import json_object

# What decides the fold of a study in a conversion.
_FOLD_FIELDS = ("num_folds", "test_fraction", "seed", "folds_csv")
_LEAST_FOLDS = 3
_LEAST_SHARE = 0.5


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Member:
    """A run with all folds.

    Attributes:
        run_dir: where it lies.
        task: of whole severities.
        said: out of fold, one prediction a row (`predictions.by_row`), of whole severities.
        fold_of: study -> the fold that it was held out with.
        folds: their names, in order.
        conversion: `config` of the records' manifest.
        class_prior: share of each class of `task` in the training examples.
        series: condition -> (study, series) that its rows lie on.
    """

    run_dir: pathlib.Path
    task: labels.Task
    said: predictions_module.Predictions
    fold_of: Mapping[int, str]
    folds: tuple[str, ...]
    conversion: Mapping[str, object]
    class_prior: tuple[float, ...]
    series: Mapping[int, set[tuple[int, int]]]

    @property
    def conditions(self) -> tuple[str, ...]:
        """Those that it grades, in the order of labels.CONDITIONS."""
        return tuple(labels.CONDITIONS[condition] for condition in sorted(self.series))


def read(run_dirs: Sequence[pathlib.Path]) -> tuple[Member, ...]:
    """Reads runs and holds them against each other.

    Raises:
        ValueError: fewer than two, one twice, one without out-of-fold predictions, or runs of other
            tasks, folds, studies or labels.
    """
    if len({path.resolve() for path in run_dirs}) < max(2, len(run_dirs)):
        raise ValueError(
            f"--run_dirs names {', '.join(map(str, run_dirs))}, expected at least two different "
            "runs: A,B,..."
        )
    members = tuple(_read(path) for path in run_dirs)
    first, *others = members
    if len(first.folds) < _LEAST_FOLDS:
        raise ValueError(
            f"{first.run_dir} has {len(first.folds)} folds, expected at least {_LEAST_FOLDS}: one "
            "is held out, one chooses how far the others are believed; convert with --num_folds 5"
        )
    for other in others:
        _require_alike(first, other)
    _require_studies(members)
    _require_labels(members)
    return members


def _read(run_dir: pathlib.Path) -> Member:
    directory_kind.require(run_dir, directory_kind.Kind.RUN, "--run_dirs")
    provenance = run_directory.read_provenance(run_dir)
    path = run_dir / run_directory.OUT_OF_FOLD_FILE
    if not provenance.get("folds") or not path.is_file():
        raise ValueError(
            f"{run_dir} has no {run_directory.OUT_OF_FOLD_FILE}: a stack learns from out-of-fold "
            "predictions, so train it with --val_fold all, to its end"
        )
    run_config = config.read_config(run_dir / run_directory.CONFIG_FILE)
    run_directory.require_grades(run_dir, run_config)
    task = run_config.task_spec
    found = predictions_module.read_csv(path, task)
    prior = np.array(provenance["class_prior"])
    return Member(
        run_dir=run_dir,
        task=task.collapsed,
        said=predictions_module.by_row(predictions_module.collapse(found, task)),
        fold_of=dict(_folds_of_studies(run_dir, task)),
        folds=tuple(provenance["folds"]),
        conversion=provenance["records"]["config"],
        class_prior=tuple(predictions_module.collapse_probabilities(prior, task).tolist()),
        series=_series(found),
    )


def _series(found: predictions_module.Predictions) -> dict[int, set[tuple[int, int]]]:
    series: dict[int, set[tuple[int, int]]] = {}
    for key in found.keys:
        study, number, _, condition, _ = key.split("/")
        of_condition = series.setdefault(labels.CONDITIONS.index(condition), set())
        of_condition.add((int(study), int(number)))
    return series


def _folds_of_studies(run_dir: pathlib.Path, task: labels.Task) -> Iterator[tuple[int, str]]:
    for fold_dir in run_directory.fold_dirs(run_dir):
        held_out = predictions_module.read_csv(fold_dir / run_directory.PREDICTIONS_FILE, task)
        yield from ((study, fold_dir.name) for study in set(held_out.study_ids.tolist()))


def _require_alike(first: Member, other: Member) -> None:
    """Raises ValueError where two runs differ in what all of a stack have to share."""
    if other.task != first.task:
        raise ValueError(
            f"{first.run_dir} is of task {first.task.name}, {other.run_dir} of {other.task.name}: "
            "a stack is of runs of one task"
        )
    for name in _FOLD_FIELDS:
        one, another = first.conversion.get(name), other.conversion.get(name)
        if one != another:
            raise ValueError(
                f"the records of {other.run_dir} have {name} {json_object.in_words(another)}, "
                f"those of {first.run_dir} {json_object.in_words(one)}: other folds, in which a "
                "study that is held out of one run trains the other; convert alike"
            )
    for study, fold in other.fold_of.items():
        if first.fold_of.get(study, fold) != fold:
            raise ValueError(
                f"study {study} lies in {fold} of {other.run_dir}, in {first.fold_of[study]} of "
                f"{first.run_dir}: a stack is of runs with the same folds"
            )
    if other.folds != first.folds:
        raise ValueError(
            f"{other.run_dir} has the folds {', '.join(other.folds)}, {first.run_dir} "
            f"{', '.join(first.folds)}: a stack is of runs with the same folds"
        )


def _require_studies(members: Sequence[Member]) -> None:
    every = set().union(*(member.fold_of for member in members))
    for member in members:
        if len(member.fold_of) < _LEAST_SHARE * len(every):
            raise ValueError(
                f"{member.run_dir} knows {len(member.fold_of)} of the {len(every)} studies of the "
                "runs, expected at least half: stack runs of one data set"
            )


def _require_labels(members: Sequence[Member]) -> None:
    known: dict[str, tuple[int, Member]] = {}
    for member in members:
        for key, label in zip(member.said.keys, member.said.labels.tolist(), strict=True):
            other_label, other = known.setdefault(key, (label, member))
            if label != other_label:
                names = [member.task.classes[each] for each in (label, other_label)]
                raise ValueError(
                    f"{key} is {names[0]} in {member.run_dir}, {names[1]} in {other.run_dir}: "
                    "stack runs of one data set"
                )
