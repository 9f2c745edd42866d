"""What a search optimises: one figure of a fold, or its mean over folds with its standard error."""

import dataclasses
import math
import statistics
from collections.abc import Sequence

from spine_tf.configuration import training_config

_PREFIX = "val_"

NAMES = tuple(monitor.removeprefix(_PREFIX) for monitor in training_config.MONITORS)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Objective:
    """A figure of the validation fold that a search optimises.

    Attributes:
        name: one of NAMES; weighted_log_loss is the competition's loss.
    """

    name: str

    def __post_init__(self) -> None:
        if self.name not in NAMES:
            raise ValueError(f"objective is {self.name!r}, expected one of {', '.join(NAMES)}")

    @property
    def monitor(self) -> str:
        """The logged figure; early stopping and the choice of the epoch go by it, too."""
        return _PREFIX + self.name

    @property
    def direction(self) -> str:
        """Which way is better: "min" or "max"."""
        return "max" if training_config.MONITORS[self.monitor] else "min"

    @property
    def sign(self) -> int:
        """Multiplied with it, smaller is better."""
        return 1 if self.direction == "min" else -1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Score:
    """An objective over folds.

    Attributes:
        value: the mean.
        error: the standard error of that mean; None for a single fold.
    """

    value: float
    error: float | None


def mean_score(fold_scores: Sequence[float]) -> Score:
    """Returns the mean of one score a fold, and its standard error s / sqrt(n)."""
    if not fold_scores:
        raise ValueError("there is no score to take the mean of")
    error = None
    if len(fold_scores) > 1:
        error = statistics.stdev(fold_scores) / math.sqrt(len(fold_scores))
    return Score(value=statistics.fmean(fold_scores), error=error)
