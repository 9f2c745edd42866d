"""How often each severity is found, by condition and level.

Subarticular shares are counts of the RSNA 2024 training labels; canal and foraminal shares by level
are set so that all 25 targets together give that data set's 77.4 / 16.3 / 6.3 %.
"""

import numpy as np
from scipy import special

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


def severity_shares() -> np.ndarray:
    """Returns float64 (conditions, levels, severities), in the order of `spine_tf.labels`."""
    by_condition = (_CANAL, _FORAMINAL, _FORAMINAL, _SUBARTICULAR, _SUBARTICULAR)
    return np.array(by_condition, np.float64)


def thresholds(standard_deviation: float) -> np.ndarray:
    """Returns where a normal variable must be cut to give the shares.

    Returns:
        float64 (conditions, levels, 2): below the first cut Normal/Mild, above the second Severe.
    """
    cumulative = np.cumsum(severity_shares(), axis=-1)[..., :2]
    return special.ndtri(cumulative) * standard_deviation
