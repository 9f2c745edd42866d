"""The bootstrap over studies: how far a figure would move with other studies of the same kind."""

import math

import numpy as np
from scipy import stats

CONFIDENCE = 0.95


def resample_weights(study_ids: np.ndarray, *, seed: int, num_resamples: int) -> np.ndarray:
    """Draws studies with replacement and returns how often each example then counts.

    The examples of a study come and go together, because they are not independent. The same
    studies, seed and number of resamples give the same draws, which makes runs comparable in pairs.

    Args:
        study_ids: int64 (n,).
        seed: of the draws.
        num_resamples: at least 1.

    Returns:
        float64 (num_resamples, n), whole numbers.
    """
    if num_resamples < 1:
        raise ValueError(f"num_resamples is {num_resamples}, expected at least 1")
    studies, index = np.unique(study_ids, return_inverse=True)
    generator = np.random.default_rng(seed)
    share = np.full(len(studies), 1.0 / len(studies))
    counts = generator.multinomial(len(studies), share, size=num_resamples)
    return counts.astype(np.float64)[:, index]


def interval(
    values: np.ndarray, num_studies: int, *, is_share: bool = False
) -> tuple[float, float] | None:
    """Returns the 95 % interval of resampled figures, or None where there can be none.

    The percentile interval is too narrow for few studies; its tails are moved out to what Student's
    t would give (the expanded percentile interval of Hesterberg, "What Teachers Should Know About
    the Bootstrap", The American Statistician 69, 2015).

    Args:
        values: float64 (num_resamples,); NaN where the figure is undefined, which leaves it out.
        num_studies: that the figure rests on.
        is_share: the figure is a share of examples. Where it is 0 or 1 in every resample, the
            bootstrap knows no doubt; the exact bound for that many independent studies stands in.
    """
    defined = values[np.isfinite(values)]
    if num_studies < 2 or not defined.size:
        return None
    if is_share and defined.min() == defined.max() and defined[0] in (0.0, 1.0):
        reach = 1.0 - (0.5 - CONFIDENCE / 2) ** (1.0 / num_studies)
        return (0.0, reach) if defined[0] == 0.0 else (1.0 - reach, 1.0)
    quantile = stats.t.ppf(0.5 - CONFIDENCE / 2, num_studies - 1)
    tail = stats.norm.cdf(math.sqrt(num_studies / (num_studies - 1)) * quantile)
    low, high = np.quantile(defined, [tail, 1.0 - tail])
    return float(low), float(high)


def figure(
    values: np.ndarray, num_studies: int, *, is_share: bool = False
) -> dict[str, float | None]:
    """Returns {value, low, high}, None where undefined.

    Args:
        values: float64 (1 + num_resamples,); the first is that of the data themselves.
        num_studies: that the figure rests on.
        is_share: as in `interval`.
    """
    if not np.isfinite(values[0]):
        return {"value": None, "low": None, "high": None}
    low, high = interval(values[1:], num_studies, is_share=is_share) or (None, None)
    return {"value": float(values[0]), "low": low, "high": high}
