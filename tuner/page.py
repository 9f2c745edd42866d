"""search.html: the leaderboard and what led to it, in one file that needs nothing else."""

from collections.abc import Sequence

import markupsafe

from spine_tf.pages import template
from tfrecords import atomic
from tuner import charts, directory, leaderboard, settings as settings_module, trial


def write(
    settings: settings_module.Settings,
    ranked: Sequence[leaderboard.Entry],
    *,
    ended_by: str | None,
) -> None:
    """Writes the page.

    Args:
        settings: of the search.
        ranked: the leaderboard.
        ended_by: what ended the search; None while it runs.
    """
    page = render(settings, ranked, ended_by=ended_by)
    atomic.write_text(settings.search_dir / directory.PAGE_FILE, page)


def render(
    settings: settings_module.Settings,
    ranked: Sequence[leaderboard.Entry],
    *,
    ended_by: str | None,
) -> str:
    """Returns the page."""
    goal = settings.objective
    started = sorted(ranked, key=lambda entry: entry.trial_id)
    statuses = [entry.status for entry in ranked]
    pictures = {
        "progress": charts.progress(started, goal),
        "curves": charts.learning_curves(ranked, goal),
    }
    return template.load("tuner", "search.html.jinja", duration=_duration).render(
        name=settings.search_dir.resolve().name,
        settings=settings,
        ended_by=ended_by,
        ranked=ranked,
        best=ranked[0] if ranked and ranked[0].score else None,
        counts={status: statuses.count(status) for status in _STATUSES},
        seconds=sum(entry.outcome.seconds for entry in ranked if entry.outcome),
        pictures={name: markupsafe.Markup(picture) for name, picture in pictures.items()},
        hyperparameters={
            field: markupsafe.Markup(picture)
            for field, picture in charts.hyperparameters(ranked, goal).items()
        },
    )


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
