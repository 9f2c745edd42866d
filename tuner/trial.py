"""A trial as it travels: what a worker is asked to do, and what came of it."""

import dataclasses
import json
import pathlib
from collections.abc import Mapping
from typing import Any

from tfrecords import atomic
from tuner import directory

COMPLETED = "completed"
STOPPED = "stopped"
FAILED = "failed"

_OUTCOME_FILE = "result.json"


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
class Outcome:
    """What came of a trial.

    Attributes:
        trial_id: the oracle's name for it.
        status: "completed", "stopped" (early, with the score it had) or "failed".
        reason: why it was stopped or failed, or what else happened to it.
        fold_scores: the objective on each fold that was run.
        curves: for each fold, one dict of logged figures an epoch.
        num_parameters: of the model; 0 when it could not be built.
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
    def num_epochs(self) -> int:
        """Epochs of the longest training."""
        return max((len(curve) for curve in self.curves), default=0)


def job_to_dict(job: Job) -> dict[str, Any]:
    """Returns a job as JSON types."""
    return dataclasses.asdict(job)


def job_from_dict(values: Mapping[str, Any]) -> Job:
    """Builds a job from JSON types."""
    return Job(**{**values, "reference": tuple(values["reference"])})


def outcome_to_dict(outcome: Outcome) -> dict[str, Any]:
    """Returns an outcome as JSON types."""
    return dataclasses.asdict(outcome)


def outcome_from_dict(values: Mapping[str, Any]) -> Outcome:
    """Builds an outcome from JSON types."""
    fields = dict(values)
    fields["fold_scores"] = tuple(fields["fold_scores"])
    fields["curves"] = tuple(tuple(curve) for curve in fields["curves"])
    return Outcome(**fields)


def write_outcome(search_dir: pathlib.Path, outcome: Outcome) -> None:
    """Writes the outcome into the trial's directory."""
    path = directory.trial_dir(search_dir, outcome.trial_id) / _OUTCOME_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic.write_json(path, outcome_to_dict(outcome), indent=None)


def read_outcome(search_dir: pathlib.Path, trial_id: str) -> Outcome | None:
    """Reads a trial's outcome; None while there is none."""
    path = directory.trial_dir(search_dir, trial_id) / _OUTCOME_FILE
    if not path.exists():
        return None
    return outcome_from_dict(json.loads(path.read_text("utf-8")))
