"""How severe each target of a patient is, what readers make of it, and the best that is possible.

Subarticular shares are counts of the RSNA 2024 training labels; canal and foraminal shares by level
are set so that all 25 targets together give that data set's 77.4 / 16.3 / 6.3 %.

A latent severity is standard normal and the sum of independent parts: the patient, the level, the
level's condition group (shared by left and right) and the target alone. Left and right at L4/L5
then agree in about 59 % of the grades, as in the RSNA 2024 labels.

A reader sees the latent severity plus normal noise of NOISE and cuts it at the thresholds; in a
fraction LAPSES of the grades the answer has nothing to do with this target (a wrong level, a wrong
side, a slip) and follows the shares. Given the latents, grades are independent: their probabilities
are known, and no model can be expected to do better than one that answers with them.
"""

import math
from typing import Any

import numpy as np
from scipy import special

from spine_tf import labels

NOISE = 0.33
LAPSES = 0.08

# Variance of each part of a latent; they sum to 1.
PATIENT, LEVEL, GROUP, TARGET = 0.30, 0.27, 0.26, 0.17
# The group of each condition of `labels.CONDITIONS`: canal, foraminal, subarticular.
_GROUPS = np.array([0, 1, 1, 2, 2])
_STEEPNESS = 1.6

# Shares of Normal/Mild, Moderate, Severe at L1/L2 to L5/S1.
_CANAL = (
    (0.957, 0.027, 0.016),
    (0.900, 0.060, 0.040),
    (0.830, 0.100, 0.070),
    (0.750, 0.145, 0.105),
    (0.950, 0.035, 0.015),
)
_FORAMINAL = (
    (0.960, 0.035, 0.005),
    (0.900, 0.085, 0.015),
    (0.800, 0.175, 0.025),
    (0.630, 0.300, 0.070),
    (0.600, 0.315, 0.085),
)
_SUBARTICULAR = (
    (0.930, 0.056, 0.014),
    (0.827, 0.132, 0.041),
    (0.671, 0.230, 0.099),
    (0.450, 0.316, 0.234),
    (0.714, 0.205, 0.081),
)

_TARGETS = tuple(
    f"{condition}_{level}" for condition in labels.CONDITIONS for level in labels.LEVELS
)


def severity_shares() -> np.ndarray:
    """Returns float64 (conditions, levels, severities), in the order of `spine_tf.labels`."""
    by_condition = (_CANAL, _FORAMINAL, _FORAMINAL, _SUBARTICULAR, _SUBARTICULAR)
    return np.array(by_condition, np.float64)


def thresholds() -> np.ndarray:
    """Returns where the perceived severity is cut, so that the grades have the shares.

    Returns:
        float64 (conditions, levels, 2): below the first cut Normal/Mild, above the second Severe.
    """
    cumulative = np.cumsum(severity_shares(), axis=-1)[..., :2]
    return special.ndtri(cumulative) * math.hypot(1.0, NOISE)


def draw_latents(rng: np.random.Generator) -> np.ndarray:
    """Returns the latent severities of one patient, float64 (conditions, levels)."""
    num_levels = len(labels.LEVELS)
    patient = rng.standard_normal()
    level = rng.standard_normal(num_levels)
    group = rng.standard_normal((3, num_levels))[_GROUPS]
    target = rng.standard_normal((len(labels.CONDITIONS), num_levels))
    return (
        math.sqrt(PATIENT) * patient
        + math.sqrt(LEVEL) * level
        + math.sqrt(GROUP) * group
        + math.sqrt(TARGET) * target
    )


def latent_covariance() -> np.ndarray:
    """Returns the covariance of the latents, float64 (targets, targets), conditions first."""
    condition, level = np.divmod(np.arange(len(_TARGETS)), len(labels.LEVELS))
    is_level = level[:, None] == level
    is_group = is_level & (_GROUPS[condition][:, None] == _GROUPS[condition])
    return PATIENT + LEVEL * is_level + GROUP * is_group + TARGET * np.eye(len(_TARGETS))


def narrowing(latents: np.ndarray) -> np.ndarray:
    """Returns how narrow each target is: 0 wide open, 1 closed, monotone in the latent.

    The same narrowing means the same grade at every level: the cut between Normal/Mild and
    Moderate lies at 0.31, that between Moderate and Severe at 0.69.
    """
    cuts = thresholds()
    position = (latents - cuts[..., 0]) / (cuts[..., 1] - cuts[..., 0])
    return 1 / (1 + np.exp(-_STEEPNESS * (position - 0.5)))


def latents_at(position: float) -> np.ndarray:
    """Returns latents that lie alike between the two cuts of every target.

    Args:
        position: 0 is the cut to Moderate, 1 the cut to Severe.

    Returns:
        float64 (conditions, levels).
    """
    cuts = thresholds()
    return cuts[..., 0] + position * (cuts[..., 1] - cuts[..., 0])


def grade_probabilities(latents: np.ndarray, spread: np.ndarray | float = 0.0) -> np.ndarray:
    """Returns the probability of each grade given the latent severity: the best there can be.

    Args:
        latents: float64 (..., conditions, levels), standard normal.
        spread: standard deviation of the latent around what is given, where it is not known;
            float64 (conditions, levels).

    Returns:
        float64 (..., conditions, levels, severities), rows sum to 1.
    """
    noise = np.hypot(NOISE, spread)[..., None]
    below = special.ndtr((thresholds() - latents[..., None]) / noise)
    careful = np.stack([below[..., 0], below[..., 1] - below[..., 0], 1 - below[..., 1]], axis=-1)
    return (1 - LAPSES) * careful + LAPSES * severity_shares()


def draw_grades(probabilities: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Returns one grade for each row of probabilities, int64 (...)."""
    cumulative = np.cumsum(probabilities, axis=-1)[..., :-1]
    return (rng.random(probabilities.shape[:-1])[..., None] > cumulative).sum(axis=-1)


class Ceiling:
    """Sums over the rows of one task, from which the figures of a perfect model follow.

    The figures are expected ones over the reader's noise. Rows whose grade is missing or not in the
    task don't count.
    """

    def __init__(self, task: labels.Task) -> None:
        self._task = task
        num_targets, num_classes = len(_TARGETS), len(task.severities)
        prior = _renormalized(severity_shares(), task).reshape(num_targets, num_classes)
        self._prior = prior
        self._sums = {
            name: np.zeros(num_targets)
            for name in ("count", "accuracy", "accuracy_var", "log_loss", "log_loss_var")
        }
        self._expected = np.zeros((num_targets, num_classes))
        self._recalled = np.zeros((num_targets, num_classes))

    def add(self, probabilities: np.ndarray, grades: np.ndarray) -> None:
        """Adds the rows of one study.

        Args:
            probabilities: of the grades, float64 (conditions, levels, severities).
            grades: int64 (conditions, levels); others than the task's are left out.
        """
        best = _renormalized(probabilities, self._task)
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
        "reader": {"noise": NOISE, "lapses": LAPSES},
        "ceilings": {name: ceiling.figures() for name, ceiling in ceilings.items()},
    }


def _renormalized(probabilities: np.ndarray, task: labels.Task) -> np.ndarray:
    chosen = probabilities[..., list(task.severities)]
    return chosen / chosen.sum(axis=-1, keepdims=True)


def _figure(value: float, standard_error: float) -> dict[str, float]:
    return {"value": round(value, 6), "standard_error": round(standard_error, 6)}
