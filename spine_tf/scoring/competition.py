"""The RSNA 2024 competition's metric: the mean of four weighted log losses.

Three are over the rows of the canal, the foraminal and the subarticular conditions; a row weighs 1,
2 or 4 by its true severity, and is renormalised to sum 1. The fourth, `any_severe_spinal`, is a
binary log loss over studies: its probability is the largest `severe` of a study's canal rows, its
label whether any of them is Severe, its weight the largest of their weights.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from spine_tf import labels
from spine_tf.scoring import bootstrap, figure, metrics, predictions as predictions_module

_GROUPS = {"spinal": "spinal", "foraminal": "foraminal", "subarticular": "subarticular"}
_SMALLEST = np.finfo(np.float64).eps


@dataclasses.dataclass(frozen=True, kw_only=True)
class Score:
    """The metric and its terms.

    Attributes:
        terms: `spinal`, `foraminal`, `subarticular` and `any_severe_spinal`, those that have
            examples, and `mean`, of those there are.
        num_terms: that the mean is of.
    """

    terms: Mapping[str, figure.Figure]
    num_terms: int

    def to_json(self) -> dict[str, Any]:
        """Returns the terms by name, beside their number."""
        return {**figure.as_json(self.terms), "num_terms": self.num_terms}


def reweight(
    predictions: predictions_module.Predictions, task: labels.Task
) -> predictions_module.Predictions:
    """Returns the probabilities that make the expected metric smallest: p * (1, 2, 4), normalised.

    A row weighs by its true severity, so calibrated probabilities are not what the metric wants.
    Only for the metric: these are no longer probabilities of the severities.
    """
    products = predictions.probabilities * np.asarray(task.class_weights)
    return predictions_module.Predictions(
        keys=predictions.keys,
        labels=predictions.labels,
        probabilities=products / products.sum(axis=1, keepdims=True),
    )


def score(
    predictions: predictions_module.Predictions, task: labels.Task, weights: np.ndarray
) -> Score:
    """Returns the terms that the examples allow, and their mean, with intervals.

    Args:
        predictions: n of three classes.
        task: whose classes they are; all three severities.
        weights: how often each resample holds each example, float64 (num_resamples, n),
            alike within a study.
    """
    terms = _terms(predictions, task, weights)
    num_studies = len(np.unique(predictions.study_ids))
    return Score(
        terms={name: bootstrap.figure(values, num_studies) for name, values in terms.items()},
        num_terms=len(terms) - 1,
    )


def differences(
    first: predictions_module.Predictions,
    second: predictions_module.Predictions,
    task: labels.Task,
    weights: np.ndarray,
) -> dict[str, figure.Figure]:
    """Returns the first's terms minus the second's, with paired intervals.

    Args:
        first: n predictions of three classes.
        second: of the same examples in the same order.
        task: as `score` takes it.
        weights: likewise.
    """
    one, other = _terms(first, task, weights), _terms(second, task, weights)
    num_studies = len(np.unique(first.study_ids))
    return {name: bootstrap.figure(one[name] - other[name], num_studies) for name in one}


def _terms(
    predictions: predictions_module.Predictions, task: labels.Task, weights: np.ndarray
) -> dict[str, np.ndarray]:
    """Name -> float64 (1 + num_resamples,), the first of the examples themselves."""
    if task.severities != (0, 1, 2):
        raise ValueError(
            f"the competition's metric needs the three severities, task {task.name} has "
            f"{len(task.severities)}"
        )
    every = np.vstack([np.ones((1, len(predictions))), weights])
    losses = metrics.example_log_losses(_normalised(predictions))
    row_weights = np.asarray(task.class_weights)[predictions.labels]
    terms = {}
    for name, word in _GROUPS.items():
        inside = np.char.find(predictions.conditions.astype(str), word) >= 0
        if inside.any():
            shares = every[:, inside] * row_weights[inside]
            terms[name] = shares @ losses[inside] / _positive(shares.sum(axis=1))
    if "spinal" in terms:
        terms["any_severe_spinal"] = _any_severe(predictions, row_weights, every)
    terms["mean"] = np.mean(list(terms.values()), axis=0)
    return terms


def _any_severe(
    predictions: predictions_module.Predictions, row_weights: np.ndarray, every: np.ndarray
) -> np.ndarray:
    inside = np.flatnonzero(np.char.find(predictions.conditions.astype(str), "spinal") >= 0)
    studies, first, index = np.unique(
        predictions.study_ids[inside], return_index=True, return_inverse=True
    )
    probability = np.zeros(len(studies))
    is_severe = np.zeros(len(studies))
    weight = np.zeros(len(studies))
    np.maximum.at(probability, index, predictions.probabilities[inside, 2])
    np.maximum.at(is_severe, index, (predictions.labels[inside] == 2).astype(np.float64))
    np.maximum.at(weight, index, row_weights[inside])
    truth = np.where(is_severe > 0.0, probability, 1.0 - probability)
    losses = -np.log(np.clip(truth, _SMALLEST, 1.0))
    shares = every[:, inside[first]] * weight
    return shares @ losses / _positive(shares.sum(axis=1))


def _normalised(predictions: predictions_module.Predictions) -> predictions_module.Predictions:
    total = predictions.probabilities.sum(axis=1, keepdims=True)
    return predictions_module.Predictions(
        keys=predictions.keys,
        labels=predictions.labels,
        probabilities=predictions.probabilities / total,
    )


def _positive(total: np.ndarray) -> np.ndarray:
    return np.where(total > 0.0, total, np.nan)
