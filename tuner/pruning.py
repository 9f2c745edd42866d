"""Stopping bad trials by their learning curve: the median rule (Golovin et al., Vizier, 2017).

A trial whose best figure so far is worse than the median of what the finished trials had reached
by the same epoch is stopped. It keeps its score, so the oracle learns from it.
"""

import math
import statistics
from collections.abc import Sequence

# Before this many trials are finished a median says little; the first ones are the families'
# base configurations, which are thus always trained to their end.
MIN_TRIALS = 5


def first_epoch(num_epochs: int) -> int:
    """Returns the first epoch, from 0, at which a trial may be stopped: a quarter of the way."""
    return max(3, math.ceil(num_epochs / 4) - 1)


def reference(curves: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """Returns, per epoch, the median of what finished trials had reached by then.

    Args:
        curves: one a finished trial, a figure an epoch, smaller is better.
    """
    curves = [curve for curve in curves if curve]
    if len(curves) < MIN_TRIALS:
        return ()
    reached = [running_best(curve) for curve in curves]
    longest = max(len(curve) for curve in reached)
    # A training that ended earlier stays where it ended.
    return tuple(
        statistics.median(curve[min(epoch, len(curve) - 1)] for curve in reached)
        for epoch in range(longest)
    )


def is_hopeless(curve: Sequence[float], limits: Sequence[float], first: int) -> bool:
    """Returns whether a running trial's figures, smaller is better, stay behind the reference."""
    epoch = len(curve) - 1
    if not limits or epoch < first:
        return False
    return min(curve) > limits[min(epoch, len(limits) - 1)]


def running_best(curve: Sequence[float]) -> list[float]:
    """Returns the smallest figure up to each epoch."""
    return [min(curve[: epoch + 1]) for epoch in range(len(curve))]
