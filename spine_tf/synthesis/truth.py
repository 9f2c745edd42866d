"""The best that any model can reach: known, because the latents and the reader are.

Given a row's latent, the reader's grades have known probabilities; a perfect model answers with
them. Its expected figures over the reader's noise are the ceiling. Rows whose grade is missing or
not in the task don't count.
"""

import math
from typing import Any

import numpy as np

from spine_tf import labels
from spine_tf.synthesis import reader, shares

_TARGETS = tuple(
    f"{condition}_{level}" for condition in labels.CONDITIONS for level in labels.LEVELS
)


class Ceiling:
    """Sums over the rows of one task, from which the best figures follow."""

    def __init__(self, task: labels.Task) -> None:
        self._task = task
        num_targets, num_classes = len(_TARGETS), len(task.severities)
        prior = _renormalized(shares.severity_shares(), task).reshape(num_targets, num_classes)
        self._prior = prior
        self._sums = {
            name: np.zeros(num_targets)
            for name in ("count", "accuracy", "accuracy_var", "log_loss", "log_loss_var")
        }
        self._expected = np.zeros((num_targets, num_classes))
        self._recalled = np.zeros((num_targets, num_classes))

    def add(self, latents: np.ndarray, grades: np.ndarray) -> None:
        """Adds the rows of one study.

        Args:
            latents: float64 (conditions, levels).
            grades: int64 (conditions, levels); others than the task's are left out.
        """
        best = _renormalized(reader.grade_probabilities(latents), self._task)
        best = best.reshape(len(_TARGETS), -1)
        counts = np.isin(grades, self._task.severities).ravel().astype(float)
        accuracy = best.max(axis=1)
        surprise = -np.log(best)
        log_loss = (best * surprise).sum(axis=1)
        rows = {
            "count": np.ones(len(best)),
            "accuracy": accuracy,
            "accuracy_var": accuracy * (1 - accuracy),
            "log_loss": log_loss,
            "log_loss_var": (best * surprise**2).sum(axis=1) - log_loss**2,
        }
        for name, values in rows.items():
            self._sums[name] += counts * values
        answer = np.eye(best.shape[1])[(best / self._prior).argmax(axis=1)]
        self._expected += counts[:, None] * best
        self._recalled += counts[:, None] * best * answer

    def figures(self) -> dict[str, Any]:
        """Returns the figures of each target, of L4/L5 subarticular, and of all together."""
        groups = {
            "subarticular_stenosis_l4_l5": [
                index
                for index, name in enumerate(_TARGETS)
                if name.endswith("subarticular_stenosis_l4_l5")
            ],
            "all": list(range(len(_TARGETS))),
        }
        groups |= {name: [index] for index, name in enumerate(_TARGETS)}
        return {name: self._group(indices) for name, indices in groups.items()}

    def _group(self, indices: list[int]) -> dict[str, Any]:
        sums = {name: float(values[indices].sum()) for name, values in self._sums.items()}
        count = sums["count"]
        if not count:
            return {"num_examples": 0}
        return {
            "num_examples": int(count),
            "accuracy": _figure(sums["accuracy"] / count, math.sqrt(sums["accuracy_var"]) / count),
            "balanced_accuracy": self._balanced_accuracy(indices),
            "log_loss": _figure(sums["log_loss"] / count, math.sqrt(sums["log_loss_var"]) / count),
        }

    def _balanced_accuracy(self, indices: list[int]) -> dict[str, float] | None:
        """None where less than one row of some class is expected."""
        expected, recalled = self._expected[indices].sum(0), self._recalled[indices].sum(0)
        if expected.min() < 1:
            return None
        recall = recalled / expected
        error = math.sqrt((recall * (1 - recall) / expected).sum()) / len(recall)
        return _figure(float(recall.mean()), error)


def describe(ceilings: dict[str, Ceiling]) -> dict[str, Any]:
    """Returns the content of truth.json but for the planted errors.

    Args:
        ceilings: by task name.
    """
    return {
        "about": "the best figures that any model can be expected to reach on this data set; "
        "standard_error is that of such a model's figure over the reader's noise",
        "reader": {"noise": reader.NOISE, "lapses": reader.LAPSES},
        "ceilings": {name: ceiling.figures() for name, ceiling in ceilings.items()},
    }


def _renormalized(probabilities: np.ndarray, task: labels.Task) -> np.ndarray:
    chosen = probabilities[..., list(task.severities)]
    return chosen / chosen.sum(axis=-1, keepdims=True)


def _figure(value: float, standard_error: float) -> dict[str, float]:
    return {"value": round(value, 6), "standard_error": round(standard_error, 6)}
