"""search.html: the leaderboard and what led to it, in one file that needs nothing else."""

import pathlib
import time
from collections.abc import Sequence

from spine_tf import labels
from spine_tf.pages import template
from tfrecords import atomic, manifest
from tuner import leaderboard, search_charts, search_directory, search_settings, trial

# Drawing 30 trials takes two thirds of a second, beside workers that may need all cores.
_REST_SECONDS = 15.0


def write(
    settings: search_settings.Settings,
    ranked: Sequence[leaderboard.Entry],
    *,
    ended_by: str | None,
) -> None:
    """Writes the page; while the search runs, one that is a few seconds old stays as it is.

    Args:
        settings: the search's settings.
        ranked: the leaderboard.
        ended_by: what ended the search; None while it runs.
    """
    path = settings.search_dir / search_directory.PAGE_FILE
    if ended_by is None and _is_fresh(path):
        return
    atomic.write_text(path, render(settings, ranked, ended_by=ended_by))


def _is_fresh(path: pathlib.Path) -> bool:
    return path.exists() and 0.0 <= time.time() - path.stat().st_mtime < _REST_SECONDS


def render(
    settings: search_settings.Settings,
    ranked: Sequence[leaderboard.Entry],
    *,
    ended_by: str | None,
) -> str:
    """Returns the page."""
    goal = settings.objective
    started = sorted(ranked, key=search_charts.number)
    statuses = [entry.status for entry in ranked]
    return template.load("tuner", "search.html.jinja", duration=_duration).render(
        name=settings.search_dir.resolve().name,
        settings=settings,
        graded=_graded(settings.records_dir),
        has_reasons=any(entry.outcome and entry.outcome.reason for entry in ranked),
        ended_by=ended_by,
        ranked=ranked,
        best=ranked[0] if ranked and ranked[0].score else None,
        counts={status: statuses.count(status) for status in _STATUSES},
        seconds=sum(entry.outcome.seconds for entry in ranked if entry.outcome),
        progress=search_charts.progress(started, goal) or "",
        curves=search_charts.learning_curves(ranked, goal) or "",
        hyperparameters=search_charts.hyperparameters(ranked, goal),
    )


def _graded(records_dir: pathlib.Path) -> str:
    """In words; nothing where the records have gone since."""
    if not (records_dir / manifest.FILE_NAME).is_file():
        return ""
    held = manifest.read_manifest(records_dir).config
    return labels.graded_in_words(held["conditions"], held["levels"])


_STATUSES = (
    trial.COMPLETED,
    trial.STOPPED,
    trial.FAILED,
    leaderboard.RUNNING,
)


def _duration(seconds: float) -> str:
    if seconds < 120.0:
        return f"{seconds:.0f} s"
    return f"{seconds / 60.0:.0f} min" if seconds < 7200.0 else f"{seconds / 3600.0:.1f} h"
