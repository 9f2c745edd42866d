"""Multinomial logistic regression of a grade on log odds, some of which are missing."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import threadpoolctl
from sklearn import linear_model

# How far the columns are believed, from hardly to nearly without a bound.
STRENGTHS = (0.001, 0.01, 0.1, 1.0)

# Half an example of each class at the middle of all columns: a class that no study has keeps a
# small probability.
_PSEUDO_WEIGHT = 0.5
_MOST_STEPS = 2000


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Regression:
    """Weights of the columns, fitted with classes weighed by `class_weights`.

    Attributes:
        strength: inverse of the penalty on the squared weights (scikit-learn's C).
        class_weights: of the loss.
        center, scale: float64 (columns,), mean and deviation of the known values of a column.
        weights: float64 (2 * columns, classes); the first half of the columns, standardised, a
            missing one being 0; the second half of their being missing.
        intercepts: float64 (classes,).
    """

    strength: float
    class_weights: tuple[float, ...]
    center: np.ndarray
    scale: np.ndarray
    weights: np.ndarray
    intercepts: np.ndarray

    def predict(self, columns: np.ndarray) -> np.ndarray:
        """Returns probabilities of the classes, float64 (n, classes), not weighed by class.

        A fit with weighed classes answers p * weight, normalised; divided by the weights it is p
        again, as every model here answers.
        """
        logits = _inputs(columns, self.center, self.scale) @ self.weights + self.intercepts
        logits = logits - np.log(self.class_weights)
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)

    def to_json(self) -> dict[str, Any]:
        """Returns the fields as JSON types."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: np.asarray(value).tolist() for name, value in values.items()}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Regression":
        """Returns what `to_json` was called of."""
        arrays = {name: np.array(values[name]) for name in ("center", "scale", "weights")}
        return cls(
            strength=float(values["strength"]),
            class_weights=tuple(values["class_weights"]),
            intercepts=np.array(values["intercepts"]),
            **arrays,
        )


def fit(
    columns: np.ndarray, truth: np.ndarray, *, class_weights: Sequence[float], strength: float
) -> Regression:
    """Fits the weights.

    Args:
        columns: float64 (n, columns), NaN where a value is missing.
        truth: int64 (n,), the class.
        class_weights: of an example in the loss, by its class.
        strength: as of `Regression`.
    """
    num_classes = len(class_weights)
    known = ~np.isnan(columns)
    count = np.maximum(known.sum(axis=0), 1)
    center = np.nansum(columns, axis=0) / count
    spread = np.sqrt(np.nansum((columns - center) ** 2, axis=0) / count)
    scale = np.where(spread > 1e-9, spread, 1.0)
    inputs = _inputs(columns, center, scale)
    pseudo = np.zeros((num_classes, inputs.shape[1]))
    weights = np.asarray(class_weights, np.float64)
    # Matrices so small take several threads longer than one.
    with threadpoolctl.threadpool_limits(limits=1):
        found = linear_model.LogisticRegression(C=strength, max_iter=_MOST_STEPS).fit(
            np.concatenate([inputs, pseudo]),
            np.concatenate([truth, np.arange(num_classes)]),
            np.concatenate([weights[truth], _PSEUDO_WEIGHT * weights]),
        )
    return Regression(
        strength=strength,
        class_weights=tuple(weights.tolist()),
        center=center,
        scale=scale,
        weights=_every_class(found.coef_, num_classes).T,
        intercepts=_every_class(found.intercept_[:, np.newaxis], num_classes)[:, 0],
    )


def _inputs(columns: np.ndarray, center: np.ndarray, scale: np.ndarray) -> np.ndarray:
    is_missing = np.isnan(columns)
    standard = np.where(is_missing, 0.0, (columns - center) / scale)
    return np.concatenate([standard, is_missing.astype(np.float64)], axis=1)


def _every_class(found: np.ndarray, num_classes: int) -> np.ndarray:
    """A row a class: of two scikit-learn gives the second's against the first."""
    if len(found) == num_classes:
        return found
    return np.concatenate([np.zeros_like(found), found])


def choose(
    columns: np.ndarray,
    truth: np.ndarray,
    folds: np.ndarray,
    *,
    class_weights: Sequence[float],
    strengths: Sequence[float] = STRENGTHS,
    on_fit: Callable[[], None] = lambda: None,
) -> Regression:
    """Fits with that strength which answers held-out folds best, each fold by the others.

    Args:
        columns, truth, class_weights: as of `fit`.
        folds: str (n,), of each example; at least two different ones.
        strengths: to choose from.
        on_fit: called after each fit.
    """
    losses = []
    for strength in strengths:
        total = 0.0
        for fold in np.unique(folds):
            inside = folds == fold
            fitted = fit(
                columns[~inside], truth[~inside], class_weights=class_weights, strength=strength
            )
            on_fit()
            total += _weighted_loss(fitted, columns[inside], truth[inside])
        losses.append(total)
    best = strengths[int(np.argmin(losses))]
    return fit(columns, truth, class_weights=class_weights, strength=best)


def _weighted_loss(fitted: Regression, columns: np.ndarray, truth: np.ndarray) -> float:
    """Sum of the weighed log losses of the answers as the competition wants them: p * weight."""
    weights = np.asarray(fitted.class_weights)
    weighed = fitted.predict(columns) * weights
    answers = weighed / weighed.sum(axis=1, keepdims=True)
    of_truth = answers[np.arange(len(truth)), truth]
    return float(-(weights[truth] * np.log(np.maximum(of_truth, 1e-15))).sum())
