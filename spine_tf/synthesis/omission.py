"""What annotators left out: labels and coordinates that are missing, as often as in the data."""

import numpy as np

from spine_tf import labels
from spine_tf.synthesis import annotation

MISSING = -1

# RSNA 2024: 572 labels of 185 of 1,975 studies are missing, 35 of them have a coordinate; 146
# labels have none; one study has no coordinates at all.
_STUDIES_WITH_GAPS = 185 / 1975
_LABELS_OF_SUCH_A_STUDY = 572 / 185
_COORDINATE_STAYS = 35 / 572
_COORDINATE_MISSING = 146 / (25 * 1975)
_ALL_COORDINATES_MISSING = 1 / 1975


def draw_missing_grades(rng: np.random.Generator) -> np.ndarray:
    """Returns which grades are missing, bool (conditions, levels)."""
    shape = (len(labels.CONDITIONS), len(labels.LEVELS))
    has_gaps = rng.random() < _STUDIES_WITH_GAPS
    count = min(int(rng.geometric(1 / _LABELS_OF_SUCH_A_STUDY)), shape[0] * shape[1])
    targets = rng.permutation(shape[0] * shape[1])[:count]
    missing = np.zeros(shape, bool)
    if has_gaps:
        missing.ravel()[targets] = True
    return missing


def without_missing(
    annotations: tuple[annotation.Annotation, ...],
    missing: np.ndarray,
    rng: np.random.Generator,
) -> tuple[annotation.Annotation, ...]:
    """Returns the annotations that were made, given which grades are missing."""
    has_none = rng.random() < _ALL_COORDINATES_MISSING
    draws = rng.random(len(annotations))
    return tuple(
        mark
        for mark, draw in zip(annotations, draws, strict=True)
        if not has_none
        and draw < (_COORDINATE_STAYS if missing[target(mark)] else 1 - _COORDINATE_MISSING)
    )


def target(mark: annotation.Annotation) -> tuple[int, int]:
    """Returns the indices of an annotation's condition and level."""
    return labels.CONDITIONS.index(mark.condition), labels.LEVELS.index(mark.level)
