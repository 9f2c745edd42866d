"""What images show of how severe targets are, and what follows from it for the grades.

In edition 1 the anatomy that is drawn is the latent severity itself: one view of a target says all
there is to know. In edition 2 it deviates from it by chance, target by target, as what is seen on
one slice does in people; and the canal is seen twice, by its depth in the sagittal view and by its
width in the axial one, each with a deviation of its own. Both views together, and the other targets
of the level, which are severe together, then say more of a target than its own view does. The
deviations are set so that the gains are those of the competition: both views of the canal are worth
about .02 of its weighted log loss, the level about .005 of the score, other levels nothing.
"""

import dataclasses
import functools
import math
from collections.abc import Callable

import numpy as np

from spine_tf import labels
from spine_tf.synthesis import grading

EDITIONS = (1, 2)
DEVIATION = 0.3
"""Standard deviation of what is seen from the latent, in edition 2."""

OWN_VIEW, BOTH_VIEWS, LEVEL, STUDY = "own view", "both views", "level", "study"
SCOPES = (OWN_VIEW, BOTH_VIEWS, LEVEL, STUDY)

_NUM_LEVELS = len(labels.LEVELS)
_NUM_TARGETS = len(labels.CONDITIONS) * _NUM_LEVELS
_CANAL = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evidence:
    """What the images of one patient or of many show; severities as the latents'.

    Attributes:
        targets: float64 (..., conditions, levels), of each target in its own view.
        width: float64 (..., levels), of the canal by its width.
        deviation: standard deviation of both from the latents; 0 where they are these.
    """

    targets: np.ndarray
    width: np.ndarray
    deviation: float


Show = Callable[[np.ndarray], Evidence]


def show_all(latents: np.ndarray) -> Evidence:
    """Returns the evidence of edition 1: the latents, float64 (..., conditions, levels)."""
    return Evidence(targets=latents, width=latents[..., _CANAL, :], deviation=0.0)


def show_in_part(latents: np.ndarray, rng: np.random.Generator) -> Evidence:
    """Returns the evidence of edition 2."""
    width = latents[..., _CANAL, :]
    return Evidence(
        targets=latents + rng.normal(0, DEVIATION, latents.shape),
        width=width + rng.normal(0, DEVIATION, width.shape),
        deviation=DEVIATION,
    )


def grade_probabilities(evidence: Evidence, scope: str = STUDY) -> np.ndarray:
    """Returns the probability of each grade given what a part of the images shows.

    Args:
        evidence: what all images show.
        scope: of SCOPES: OWN_VIEW of each target; BOTH_VIEWS of the canal; all of its LEVEL; all of
            the STUDY, which nothing can better.

    Returns:
        float64 (..., conditions, levels, severities), rows sum to 1.
    """
    if not evidence.deviation:
        return grading.grade_probabilities(evidence.targets)
    weights, spread = _regression(evidence.deviation, scope)
    seen = np.concatenate(
        [evidence.targets.reshape(*evidence.targets.shape[:-2], _NUM_TARGETS), evidence.width], -1
    )
    mean = (seen @ weights).reshape(evidence.targets.shape)
    return grading.grade_probabilities(mean, spread.reshape(evidence.targets.shape[-2:]))


@functools.cache
def _regression(deviation: float, scope: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns the normal distribution of the latents given what is seen.

    Returns:
        Weights, float64 (seen, targets), of what is seen, and standard deviations, (targets,): the
        conditional of a joint normal distribution, whose mean is 0.
    """
    latent = grading.latent_covariance()
    source = np.array([*range(_NUM_TARGETS), *range(_NUM_LEVELS)])  # the width is the canal's
    seen = latent[np.ix_(source, source)] + deviation**2 * np.eye(len(source))
    weights = np.zeros((len(source), _NUM_TARGETS))
    spread = np.zeros(_NUM_TARGETS)
    for target in range(_NUM_TARGETS):
        used = _used(target, scope)
        shared = latent[source[used], target]
        weights[used, target] = np.linalg.solve(seen[np.ix_(used, used)], shared)
        spread[target] = math.sqrt(latent[target, target] - weights[used, target] @ shared)
    return weights, spread


def _used(target: int, scope: str) -> list[int]:
    """Returns which of all that is seen a scope has for a target."""
    level = target % _NUM_LEVELS
    if scope == STUDY:
        return list(range(_NUM_TARGETS + _NUM_LEVELS))
    if scope == LEVEL:
        return list(range(level, _NUM_TARGETS + _NUM_LEVELS, _NUM_LEVELS))
    is_canal = target // _NUM_LEVELS == _CANAL
    return [target, _NUM_TARGETS + level] if scope == BOTH_VIEWS and is_canal else [target]
