"""What a search may use, and what ended it."""

import dataclasses
import pathlib
import shutil
import time
from collections.abc import Sequence

from tuner import directory

# Weights are kept of so many trials, fewer if the disk budget says so.
KEPT_TRIALS = 3

TRIALS = "all trials were run"
SPACE = "the search space is exhausted"
MINUTES = "the time was over"
CHIEF = "the chief has no more trials"
DISK = "the disk budget was used up"


@dataclasses.dataclass(kw_only=True)
class Clock:
    """The time that one call of the program may take.

    Attributes:
        max_minutes: None is no limit.
    """

    max_minutes: float | None
    started: float = dataclasses.field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self.started

    @property
    def seconds_left(self) -> float | None:
        """Until the limit, at least 0; None without one."""
        if self.max_minutes is None:
            return None
        return max(0.0, self.max_minutes * 60.0 - self.seconds)

    @property
    def is_over(self) -> bool:
        """Whether the limit is reached."""
        return self.seconds_left == 0.0


def keep_best_weights(
    search_dir: pathlib.Path, ranked: Sequence[str], *, max_disk_mb: float | None
) -> bool:
    """Removes all weights but those of the best trials, and of these as many as the disk allows.

    Args:
        search_dir: of the search.
        ranked: trial ids, the best first.
        max_disk_mb: of the whole directory; None is no limit.

    Returns:
        Whether the directory is within its limit.
    """
    kept = list(ranked[:KEPT_TRIALS])
    # Only of ranked trials: a worker may be writing the weights of a trial that is not yet ranked.
    for trial_id in ranked[KEPT_TRIALS:]:
        _remove_weights(search_dir, trial_id)
    if max_disk_mb is None:
        return True
    while not _is_within(search_dir, max_disk_mb) and len(kept) > 1:
        _remove_weights(search_dir, kept.pop())
    return _is_within(search_dir, max_disk_mb)


def remove_states(search_dir: pathlib.Path, needed: Sequence[str]) -> None:
    """Removes the training states of trials that will not be continued."""
    for path in (search_dir / directory.TRIALS_DIR).glob("trial_*/state_fold_*"):
        if path.parent.name.removeprefix("trial_") not in needed:
            shutil.rmtree(path)


def _remove_weights(search_dir: pathlib.Path, trial_id: str) -> None:
    for path in directory.trial_dir(search_dir, trial_id).glob("*.keras"):
        path.unlink()


def _is_within(search_dir: pathlib.Path, max_disk_mb: float) -> bool:
    return directory.size_bytes(search_dir) <= max_disk_mb * 2**20
