"""What a search leaves: the leaderboard, the best configurations, the page, TensorBoard's files."""

from collections.abc import Sequence

from tuner import directory, hparams, leaderboard, page, settings as settings_module


def write(
    settings: settings_module.Settings,
    ranked: Sequence[leaderboard.Entry],
    *,
    ended_by: str | None,
) -> None:
    """Writes leaderboard.csv, best.json, best/<family>.json and search.html as they stand.

    Args:
        settings: of the search.
        ranked: the leaderboard.
        ended_by: what ended the search; None while it runs.
    """
    leaderboard.write(settings.search_dir, ranked, num_folds=settings.folds, bases=settings.bases)
    page.write(settings, ranked, ended_by=ended_by)


def write_hparams(settings: settings_module.Settings, entry: leaderboard.Entry) -> None:
    """Writes a trial's hyperparameters and curves for TensorBoard."""
    hparams.write(settings.search_dir / directory.TENSORBOARD_DIR, entry, settings.objective)
