"""A trial as it travels: what a worker is asked to do, what came of it, and when it is stopped.

It is stopped by its learning curve, by the median rule (Golovin et al., Vizier, 2017): a trial
whose best figure so far is worse than the median of what the finished trials had reached by the
same epoch. It keeps its score, so the oracle learns from it.
"""

import dataclasses
import functools
import math
import pathlib
import statistics
from collections.abc import Sequence
from typing import Any

from tfrecords import atomic, json_object
from tuner import search_directory

COMPLETED = "completed"
STOPPED = "stopped"
FAILED = "failed"

OUT_OF_TIME = "the search's time was over"

_OUTCOME_FILE = "result.json"

# Before this many trials are finished a median says little; the first ones are the families'
# base configurations, which are thus always trained to their end.
MIN_CURVES = 5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """One trial to run.

    Attributes:
        trial_id: the oracle's name for it.
        config: the configuration, as JSON types.
        objective: the name of the figure that is its score.
        last_epoch: epochs after which to pause, counted from the start; None runs to the end.
        continue_from: trial whose training is continued; None begins anew.
        reference: per epoch, the figure that the trial must not stay behind; smaller is better.
        first_reference_epoch: the epoch at which that is first asked.
        keep_below: weights are kept if the score, smaller is better, is below it; None keeps them.
    """

    trial_id: str
    config: dict[str, Any]
    objective: str
    last_epoch: int | None = None
    continue_from: str | None = None
    reference: tuple[float, ...] = ()
    first_reference_epoch: int = 0
    keep_below: float | None = None


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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of a trial.

    Attributes:
        trial_id: the oracle's name for it.
        status: "completed", "stopped" (early, with the score it had) or "failed".
        reason: why it was stopped or failed, or what else happened to it.
        fold_scores: the objective on each fold that was run.
        curves: for each fold, one dict of logged figures an epoch.
        num_parameters: how many parameters the model has; 0 when it could not be built.
        seconds: from the start of the trial to its end.
        fit_seconds: the part of it that was spent in `fit`.
    """

    trial_id: str
    status: str
    reason: str = ""
    fold_scores: tuple[float, ...] = ()
    curves: tuple[tuple[dict[str, float], ...], ...] = ()
    num_parameters: int = 0
    seconds: float = 0.0
    fit_seconds: float = 0.0

    @property
    def score(self) -> Score | None:
        """The objective; None for a trial that has none."""
        return mean_score(self.fold_scores) if self.fold_scores else None

    @property
    def is_cut_short(self) -> bool:
        """Whether the search's time was over before the trial was."""
        return self.status == STOPPED and OUT_OF_TIME in self.reason

    @property
    def num_epochs(self) -> int:
        """Epochs of the longest training."""
        return max((len(curve) for curve in self.curves), default=0)


def write_outcome(search_dir: pathlib.Path, outcome: Outcome) -> None:
    """Writes the outcome into the trial's directory."""
    path = search_directory.trial_dir(search_dir, outcome.trial_id) / _OUTCOME_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic.write_json(path, dataclasses.asdict(outcome), indent=None)


def read_outcome(search_dir: pathlib.Path, trial_id: str) -> Outcome | None:
    """Reads a trial's outcome; None while there is none.

    Raises:
        ValueError: the file is no outcome of that trial.
    """
    path = search_directory.trial_dir(search_dir, trial_id) / _OUTCOME_FILE
    if not path.exists():
        return None
    outcome = json_object.read_as(
        functools.partial(json_object.build, Outcome),
        path,
        expected="the outcome of a trial",
        mend="remove the folder of this trial",
    )
    if outcome.trial_id != trial_id or outcome.status not in (COMPLETED, STOPPED, FAILED):
        raise ValueError(
            f"{path} is of trial {outcome.trial_id!r}, {outcome.status!r}: expected {trial_id}"
        )
    return outcome


def first_stop(num_epochs: int) -> int:
    """Returns the first epoch, from 0, at which a trial may be stopped: a quarter of the way."""
    return max(3, math.ceil(num_epochs / 4) - 1)


def median_reached(curves: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """Returns, per epoch, the median of what finished trials had reached by then.

    Args:
        curves: one a finished trial, a figure an epoch, smaller is better.
    """
    curves = [curve for curve in curves if curve]
    if len(curves) < MIN_CURVES:
        return ()
    reached = [_running_best(curve) for curve in curves]
    longest = max(len(curve) for curve in reached)
    # A training that ended earlier stays where it ended.
    return tuple(
        statistics.median(curve[min(epoch, len(curve) - 1)] for curve in reached)
        for epoch in range(longest)
    )


def _running_best(curve: Sequence[float]) -> list[float]:
    """The smallest figure up to each epoch."""
    return [min(curve[: epoch + 1]) for epoch in range(len(curve))]


def is_hopeless(curve: Sequence[float], limits: Sequence[float], first: int) -> bool:
    """Returns whether a running trial's figures, smaller is better, stay behind the reference."""
    epoch = len(curve) - 1
    if not limits or epoch < first:
        return False
    return min(curve) > limits[min(epoch, len(limits) - 1)]
