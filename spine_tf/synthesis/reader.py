"""A reader grades what the anatomy shows, with noise: the reason why no model reaches 100 %.

A reader sees the latent severity plus normal noise of NOISE and cuts it at the thresholds; in a
fraction LAPSES of the grades the answer has nothing to do with this target (a wrong level, a wrong
side, a slip) and follows the shares. Given the latents, grades are independent.
"""

import math

import numpy as np
from scipy import special

from spine_tf.synthesis import shares

NOISE = 0.33
LAPSES = 0.08


def thresholds() -> np.ndarray:
    """Returns the cuts of the perceived severity, float64 (conditions, levels, 2)."""
    return shares.thresholds(math.hypot(1.0, NOISE))


def grade_probabilities(latents: np.ndarray) -> np.ndarray:
    """Returns the probability of each grade given the latent severity: the best there can be.

    Args:
        latents: float64 (..., conditions, levels), standard normal.

    Returns:
        float64 (..., conditions, levels, severities), rows sum to 1.
    """
    below = special.ndtr((thresholds() - latents[..., None]) / NOISE)
    careful = np.stack([below[..., 0], below[..., 1] - below[..., 0], 1 - below[..., 1]], axis=-1)
    return (1 - LAPSES) * careful + LAPSES * shares.severity_shares()


def draw_grades(probabilities: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Returns one grade for each row of probabilities, int64 (...)."""
    cumulative = np.cumsum(probabilities, axis=-1)[..., :-1]
    return (rng.random(probabilities.shape[:-1])[..., None] > cumulative).sum(axis=-1)
