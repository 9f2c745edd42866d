"""Runs side by side: differences of their figures on the same resampled studies."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from spine_tf import labels
from spine_tf.scoring import (
    bootstrap,
    competition as competition_module,
    figure,
    metrics,
    predictions as predictions_module,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
    """A run against another, on the same examples.

    Attributes:
        run, against: their names.
        differences: name -> the run's figure minus the other's, paired.
        competition: likewise the terms of the competition's metric, both reweighted to it; None
            without the three severities.
        only_run_right, only_against_right, both_right, both_wrong: numbers of examples.
    """

    run: str
    against: str
    differences: Mapping[str, figure.Figure]
    only_run_right: int
    only_against_right: int
    both_right: int
    both_wrong: int
    competition: Mapping[str, figure.Figure] | None = None


def differences(
    first: predictions_module.Predictions,
    second: predictions_module.Predictions,
    task: labels.Task,
    weights: np.ndarray,
) -> dict[str, figure.Figure]:
    """Returns the first's figures minus the second's, with paired intervals.

    Both see the same resamples, so what makes a study easy or hard for both cancels out.

    Args:
        first: n predictions.
        second: predictions of the same examples in the same order.
        task: whose classes they are.
        weights: how often each resample holds each example, float64 (num_resamples, n).

    Returns:
        name -> difference, undefined where a figure is.
    """
    require_same_examples(first, second)
    every = np.vstack([np.ones((1, len(first))), weights])
    num_studies = len(np.unique(first.study_ids))
    one = metrics.compute(first, task, every).overall
    other = metrics.compute(second, task, every).overall
    return {name: bootstrap.figure(one[name] - other[name], num_studies) for name in one}


def compare(
    named: Sequence[tuple[str, predictions_module.Predictions]],
    task: labels.Task,
    *,
    seed: int = 0,
    num_resamples: int = 1000,
) -> list[Comparison]:
    """Returns each later run against the first: differences, and where only one of them is right.

    Args:
        named: name and predictions of at least two runs, of the same examples in any order.
        task: whose classes they are.
        seed: seed of the bootstrap's draws.
        num_resamples: how often the bootstrap draws, at least 1.
    """
    (base_name, base), *others = named
    weights = bootstrap.resample_weights(base.study_ids, seed=seed, num_resamples=num_resamples)
    is_right = base.predicted == base.labels
    result = []
    for name, predictions in others:
        predictions = align(predictions, base)
        also_right = predictions.predicted == predictions.labels
        result.append(
            Comparison(
                run=name,
                against=base_name,
                differences=differences(predictions, base, task, weights),
                only_run_right=int((also_right & ~is_right).sum()),
                only_against_right=int((~also_right & is_right).sum()),
                both_right=int((also_right & is_right).sum()),
                both_wrong=int((~also_right & ~is_right).sum()),
                competition=_competition(predictions, base, task, weights),
            )
        )
    return result


def _competition(
    first: predictions_module.Predictions,
    second: predictions_module.Predictions,
    task: labels.Task,
    weights: np.ndarray,
) -> Mapping[str, figure.Figure] | None:
    if task.collapsed.severities != (0, 1, 2):
        return None
    whole = [predictions_module.collapse(each, task) for each in (first, second)]
    one, other = (competition_module.reweight(each, task.collapsed) for each in whole)
    return competition_module.differences(one, other, task.collapsed, weights)


def align(
    predictions: predictions_module.Predictions, like: predictions_module.Predictions
) -> predictions_module.Predictions:
    """Returns the predictions in the order of others of the same examples.

    Raises:
        ValueError: the examples or their labels differ.
    """
    place = {key: index for index, key in enumerate(predictions.keys)}
    different = set(place) ^ set(like.keys)
    if different:
        raise ValueError(
            f"the runs have predictions of different examples ({len(different)} are in one only, "
            f"such as {min(different)}): compare runs of one task on one split of one records "
            "directory"
        )
    rows = np.array([place[key] for key in like.keys])
    aligned = predictions_module.Predictions(
        keys=like.keys,
        labels=predictions.labels[rows],
        probabilities=predictions.probabilities[rows],
    )
    require_same_examples(aligned, like)
    return aligned


def require_same_examples(
    first: predictions_module.Predictions, second: predictions_module.Predictions
) -> None:
    """Raises ValueError where keys, their order or the labels differ."""
    if first.keys != second.keys or not np.array_equal(first.labels, second.labels):
        raise ValueError("the runs have other examples, another order or other labels")
