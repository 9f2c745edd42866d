"""The leaderboard: every trial, ranked; as a table, as configurations, for TensorBoard."""

import dataclasses
import pathlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tensorboard.compat.proto import summary_pb2
from tensorboard.plugins.hparams import summary_v2

from spine_tf.configuration import config
from spine_tf.pages import frame
from tfrecords import atomic, csv_text, event_file
from tuner import search_directory, search_settings, space, trial

if TYPE_CHECKING:
    import pandas as pd

RUNNING = "running"

_COLUMNS = ("rank", "trial_id", "family", "status", "reason", "objective", "objective_std")
_TEXT_COLUMNS = ("trial_id", "family", "status", "reason")
_LAST_COLUMNS = ("num_parameters", "epochs", "seconds")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """A trial on the leaderboard.

    Attributes:
        trial_id: the oracle's name for it.
        values: the active hyperparameters.
        outcome: None while the trial runs.
    """

    trial_id: str
    values: Mapping[str, Any]
    outcome: trial.Outcome | None

    @property
    def family(self) -> str:
        """The model family."""
        return self.values[space.FAMILY]

    @property
    def status(self) -> str:
        """The outcome's, or "running"."""
        return self.outcome.status if self.outcome else RUNNING

    @property
    def score(self) -> trial.Score | None:
        """The objective; None for a trial that has none."""
        return self.outcome.score if self.outcome else None

    @property
    def settings(self) -> dict[str, Any]:
        """Configuration field -> value, as the trial chose it."""
        chosen = space.values_of(self.values, self.family)
        return {space.field_of(name): value for name, value in chosen.items()}


def rank(entries: Sequence[Entry], goal: search_settings.Objective) -> list[Entry]:
    """Returns the entries, the best first.

    Trials that ran to their end stand before those that were stopped early, whose score is on
    fewer epochs or folds; then come those that have none, in the order of their start.
    """

    def key(entry: Entry) -> tuple[int, float]:
        if entry.score is None:
            return (2, 0.0)
        return (int(entry.status != trial.COMPLETED), goal.sign * entry.score.value)

    return sorted(entries, key=key)


def to_csv(ranked: Sequence[Entry], num_folds: int) -> str:
    """Returns the leaderboard as a table."""
    folds = [f"fold_{fold}" for fold in range(num_folds)]
    fields = sorted({field for entry in ranked for field in entry.settings})
    columns = [*_COLUMNS, *folds, *_LAST_COLUMNS, *(f"hp.{field}" for field in fields)]
    rows = (_row(position, entry) for position, entry in enumerate(ranked, start=1))
    return csv_text.to_text(columns, ([row.get(name) for name in columns] for row in rows))


def read_leaderboard(search_dir: pathlib.Path | str) -> "pd.DataFrame":
    """Reads the leaderboard of a search, the best trial first.

    Example:
        >>> from tuner import leaderboard
        >>> table = leaderboard.read_leaderboard("search")
        >>> table.columns[:4].tolist()
        ['rank', 'trial_id', 'family', 'status']

    Returns:
        One row a trial: rank (NaN of a trial without a score), trial_id, family, status and reason
        as text, objective, objective_std, a column fold_i for each fold, num_parameters, epochs,
        seconds; and `hp.<field>` for what was searched, numbers where all are, else text, and NaN
        where a family lacks the field.

    Raises:
        ValueError: the directory has none.
    """
    path = pathlib.Path(search_dir) / search_directory.LEADERBOARD_FILE
    return frame.read_csv(path, _TEXT_COLUMNS, writer="tuner")


def write(
    search_dir: pathlib.Path,
    ranked: Sequence[Entry],
    *,
    num_folds: int,
    bases: Mapping[str, config.Config],
) -> None:
    """Writes leaderboard.csv, best.json and best/<family>.json."""
    atomic.write_text(search_dir / search_directory.LEADERBOARD_FILE, to_csv(ranked, num_folds))
    scored = [entry for entry in ranked if entry.score is not None]
    if not scored:
        return
    _write_config(search_dir / search_directory.BEST_FILE, scored[0], bases)
    (search_dir / search_directory.BEST_DIR).mkdir(exist_ok=True)
    for family in bases:
        of_family = [entry for entry in scored if entry.family == family]
        if of_family:
            path = search_dir / search_directory.BEST_DIR / f"{family}.json"
            _write_config(path, of_family[0], bases)


def events_dir(tensorboard_dir: pathlib.Path, trial_id: str) -> pathlib.Path:
    """Returns where a trial is written for TensorBoard."""
    return tensorboard_dir / f"trial_{trial_id}"


def write_events(
    tensorboard_dir: pathlib.Path, entry: Entry, goal: search_settings.Objective
) -> None:
    """Writes a trial for TensorBoard: hyperparameters, objective and learning curves.

    What is there of the trial is replaced.

    Args:
        tensorboard_dir: `tensorboard --logdir` of the search.
        entry: the trial, with its outcome.
        goal: named in the run.
    """
    log_dir = events_dir(tensorboard_dir, entry.trial_id)
    shutil.rmtree(log_dir, ignore_errors=True)
    with event_file.EventFile(log_dir) as events:
        for step, summary in _summaries(entry, goal):
            events.add(step, summary)


def _row(position: int, entry: Entry) -> dict[str, Any]:
    row: dict[str, Any] = {
        "rank": position if entry.score else "",
        "trial_id": entry.trial_id,
        "family": entry.family,
        "status": entry.status,
        **{f"hp.{field}": value for field, value in entry.settings.items()},
    }
    if entry.score:
        row["objective"] = f"{entry.score.value:.6g}"
        row["objective_std"] = "" if entry.score.error is None else f"{entry.score.error:.6g}"
    outcome = entry.outcome
    if outcome:
        row |= {f"fold_{i}": f"{value:.6g}" for i, value in enumerate(outcome.fold_scores)}
        row["reason"] = outcome.reason
        row["num_parameters"] = outcome.num_parameters
        row["epochs"] = outcome.num_epochs
        row["seconds"] = f"{outcome.seconds:.1f}"
    return row


def _write_config(path: pathlib.Path, entry: Entry, bases: Mapping[str, config.Config]) -> None:
    atomic.write_json(path, config.to_dict(space.to_config(entry.values, bases)))


def _summaries(
    entry: Entry, goal: search_settings.Objective
) -> Iterator[tuple[int, summary_pb2.Summary]]:
    values = {"family": entry.family, **entry.settings}
    yield 0, summary_v2.hparams_pb(values, trial_id=entry.trial_id)
    if entry.score is not None:
        yield 0, _scalar(f"objective/{goal.name}", entry.score.value)
    for fold, curve in enumerate(entry.outcome.curves if entry.outcome else ()):
        for epoch, figures in enumerate(curve):
            for name, value in figures.items():
                yield epoch, _scalar(f"fold_{fold}/{name}", value)


def _scalar(tag: str, value: float) -> summary_pb2.Summary:
    return summary_pb2.Summary(value=[summary_pb2.Summary.Value(tag=tag, simple_value=value)])
