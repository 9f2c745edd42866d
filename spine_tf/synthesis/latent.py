"""The latent severity of a patient's 25 targets, and how much it narrows the anatomy.

A latent is standard normal and the sum of independent parts: the patient, the level, the level's
condition group (shared by left and right) and the target alone. Left and right at L4/L5 then agree
in about 59 % of the grades, as in the RSNA 2024 labels.
"""

import math

import numpy as np

from spine_tf import labels
from spine_tf.synthesis import reader

# Variance of each part; they sum to 1.
PATIENT, LEVEL, GROUP, TARGET = 0.30, 0.27, 0.26, 0.17

# The group of each condition of `labels.CONDITIONS`: canal, foraminal, subarticular.
_GROUPS = np.array([0, 1, 1, 2, 2])
_STEEPNESS = 1.6


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


def narrowing(latents: np.ndarray) -> np.ndarray:
    """Returns how narrow each target is: 0 wide open, 1 closed, monotone in the latent.

    The same narrowing means the same grade at every level: the cut between Normal/Mild and
    Moderate lies at 0.31, that between Moderate and Severe at 0.69.
    """
    cuts = reader.thresholds()
    position = (latents - cuts[..., 0]) / (cuts[..., 1] - cuts[..., 0])
    return 1 / (1 + np.exp(-_STEEPNESS * (position - 0.5)))
