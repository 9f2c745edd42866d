"""search.html: the leaderboard and what led to it, in one file that needs nothing else."""

from collections.abc import Sequence

from tuner import leaderboard
from tuner import settings as settings_module


def write(
    settings: settings_module.Settings,
    ranked: Sequence[leaderboard.Entry],
    *,
    ended_by: str | None,
) -> None:
    """Writes the page."""
