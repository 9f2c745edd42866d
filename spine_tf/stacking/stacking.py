"""Stacks runs from end to end: their out-of-fold predictions give one answer to each row."""

import dataclasses
import itertools
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from absl import logging

from spine_tf import labels
from spine_tf.runs import run_directory
from spine_tf.scoring import (
    bootstrap,
    comparison,
    competition as competition_module,
    figure,
    predictions as predictions_module,
    summary,
)
from spine_tf.stacking import level_table, members as members_module, regression, stack_directory
from tfrecords import atomic, progress, words


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stacked:
    """What was written.

    Attributes:
        directory: the stack.
        summary: its out-of-fold figures.
        against_members: the stack against the mean of its members, on the same rows, in pairs.
    """

    directory: pathlib.Path
    summary: summary.Summary
    against_members: comparison.Comparison


def stack(run_dirs: Sequence[pathlib.Path], output_dir: pathlib.Path) -> Stacked:
    """Learns to answer from what runs said out of fold, and writes what that answers.

    The rows of a fold are answered by weights that the other folds gave, whose strength is chosen
    by those folds too, each held out in turn: nothing of a fold decides its answers but what models
    that had not seen it said of it.

    Example:
        >>> import pathlib
        >>> from spine_tf.stacking import stacking
        >>> found = stacking.stack([pathlib.Path("a"), pathlib.Path("b")], pathlib.Path("stack"))
        >>> found.summary.split
        'oof'

    Args:
        run_dirs: at least two runs with `--val_fold all` of one task on the same folds; each may
            grade other conditions, or the same on other crops.
        output_dir: must not exist.

    Raises:
        ValueError: `members.read` would raise it, or the place is taken.
    """
    if output_dir.exists():
        raise ValueError(f"{output_dir} exists: choose another --output_dir")
    members = members_module.read(run_dirs)
    table = level_table.make(members)
    task = members[0].task
    found = {name: _fit_group(table, name, task) for name in _groups(table)}
    said = _join(table, found)
    made = stack_directory.Stack(
        task=task,
        run_dirs=tuple(member.run_dir for member in members),
        regressions={name: group.final for name, group in found.items()},
        class_prior=_class_prior(members),
    )
    figures = summary.summarize(said, task, "oof", class_prior=made.class_prior)
    against = compare_with_members(members, said)
    output_dir.parent.mkdir(parents=True, exist_ok=True)
    with atomic.new_directory(output_dir) as directory:
        chosen = {
            "strengths": {name: dict(group.strengths) for name, group in found.items()},
            "folds": list(members[0].folds),
        }
        stack_directory.write(directory, made, members, beside=output_dir, more=chosen)
        predictions_module.write_csv(directory / run_directory.OUT_OF_FOLD_FILE, said, task)
        values = {**figures.to_json(), "against_members": figure.as_json(against)}
        values["competition"] = _competition(said, task)
        atomic.write_json(directory / run_directory.METRICS_FILE, values)
    logging.info(
        "%s of %s by %s: weighted log loss %s, against the mean of the runs %s",
        *(
            words.counted(figures.num_examples, "row"),
            words.counted(figures.num_studies, "study"),
            words.counted(len(members), "run"),
        ),
        figures.metrics["weighted_log_loss"].in_words(),
        against.differences["weighted_log_loss"].change_in_words(),
    )
    return Stacked(directory=output_dir, summary=figures, against_members=against)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class _Group:
    """Conditions that share their weights.

    Attributes:
        said: out of fold, condition -> float64 (lines of the table, classes), NaN without a label.
        strengths: fold -> what the others chose for it; "all" is of the final weights.
        final: weights of all folds.
    """

    said: Mapping[int, np.ndarray]
    strengths: Mapping[str, float]
    final: regression.Regression


def _groups(table: level_table.LevelTable) -> Iterator[str]:
    """The groups of which some condition has labels."""
    for name, conditions in level_table.GROUPS.items():
        if (table.labels[:, list(conditions)] >= 0).any():
            yield name


def _fit_group(table: level_table.LevelTable, name: str, task: labels.Task) -> _Group:
    conditions = level_table.GROUPS[name]
    columns = np.concatenate([table.columns(condition) for condition in conditions])
    truth = np.concatenate([table.labels[:, condition] for condition in conditions])
    folds = np.tile(table.folds, len(conditions))
    is_labelled = truth >= 0
    answers = np.full((len(truth), len(task.classes)), np.nan)
    names = np.unique(table.folds).tolist()
    num_fits = len(names) * len(names) * len(regression.STRENGTHS)
    strengths = {}
    with progress.counting(f"fitting {name}", total=num_fits, unit="fit") as count:

        def choose(rows: np.ndarray) -> regression.Regression:
            return regression.choose(
                *(columns[rows], truth[rows], folds[rows]),
                class_weights=task.class_weights,
                on_fit=lambda: count.add(1),
            )

        for fold in names:
            held_out = is_labelled & (folds == fold)
            others = is_labelled & (folds != fold)
            fitted = choose(others)
            strengths[fold] = fitted.strength
            answers[held_out] = fitted.predict(columns[held_out])
        final = choose(is_labelled)
    said = dict(zip(conditions, np.split(answers, len(conditions)), strict=True))
    return _Group(said=said, strengths={**strengths, "all": final.strength}, final=final)


def _join(
    table: level_table.LevelTable, found: Mapping[str, _Group]
) -> predictions_module.Predictions:
    """The answers to all rows that have a label, in the table's order."""
    keys, truth, said = [], [], []
    of_condition = {c: values for group in found.values() for c, values in group.said.items()}
    for line, condition in itertools.product(range(len(table.levels)), sorted(of_condition)):
        label = int(table.labels[line, condition])
        if label < 0:
            continue
        level = labels.LEVELS[int(table.levels[line])]
        study = int(table.study_ids[line])
        keys.append(predictions_module.row_key(study, labels.CONDITIONS[condition], level))
        truth.append(label)
        said.append(of_condition[condition][line])
    return predictions_module.Predictions(
        keys=tuple(keys), labels=np.array(truth), probabilities=np.stack(said)
    )


def _class_prior(members: Sequence[members_module.Member]) -> tuple[float, ...]:
    rows = [len(member.said) for member in members]
    prior = np.average([member.class_prior for member in members], axis=0, weights=rows)
    return tuple((prior / prior.sum()).tolist())


def compare_with_members(
    members: Sequence[members_module.Member], said: predictions_module.Predictions
) -> comparison.Comparison:
    """Returns a stack against the mean, row by row, of those of its members that grade the row."""
    mean = mean_of(members)
    return comparison.compare([("members", mean), ("stack", said)], members[0].task)[0]


def mean_of(members: Sequence[members_module.Member]) -> predictions_module.Predictions:
    """Returns what the members say together: the mean of those that grade a row."""
    return predictions_module.by_row(predictions_module.join([one.said for one in members]))


def _competition(said: predictions_module.Predictions, task: labels.Task) -> dict[str, Any] | None:
    """The competition's score of the answers reweighted to it; None without three severities."""
    if task.severities != (0, 1, 2):
        return None
    weights = bootstrap.resample_weights(said.study_ids, seed=0, num_resamples=1000)
    reweighted = competition_module.reweight(said, task)
    return competition_module.score(reweighted, task, weights).to_json()
