"""What a search says while it runs: trials done, best so far, time left."""

import sys
import time
from collections.abc import Sequence

from absl import logging

from tuner import budget, leaderboard, objective, pool, settings as settings_module, trial


class Display:
    """One line that is renewed on a terminal, and one log line a trial."""

    def __init__(
        self,
        settings: settings_module.Settings,
        ranked: Sequence[leaderboard.Entry],
        clock: budget.Clock,
    ):
        self._settings = settings
        self._clock = clock
        self._is_terminal = sys.stderr.isatty()
        self._num_before = sum(entry.outcome is not None for entry in ranked)
        self._ranked = list(ranked)
        self._running: dict[str, str] = {}
        self._shown_at = 0.0

    def on_epoch(self, event: pool.Epoch) -> None:
        """Shows how far a trial is."""
        self._running[event.tuner_id] = (
            f"{event.trial_id}: epoch {event.epoch + 1} {event.value:.4g}"
        )
        if time.monotonic() - self._shown_at > 0.2:
            self._show()

    def on_outcome(self, outcome: trial.Outcome, ranked: Sequence[leaderboard.Entry]) -> None:
        """Shows what came of a trial."""
        self._ranked = list(ranked)
        self._clear()
        score, reason = "", f" ({outcome.reason})" if outcome.reason else ""
        if outcome.fold_scores:
            value = objective.mean_score(outcome.fold_scores).value
            score = f", {self._settings.objective.name} {value:.4g}"
        logging.info(
            "trial %s %s%s%s, %.1f s; %s",
            *(outcome.trial_id, outcome.status, score, reason, outcome.seconds, self.summary()),
        )

    def summary(self) -> str:
        """Returns trials done, best so far and time left, in words."""
        num_done = sum(entry.outcome is not None for entry in self._ranked)
        parts = [f"{num_done}/{self._settings.max_trials} trials"]
        best = self._ranked[0] if self._ranked else None
        if best and best.score:
            parts.append(f"best {best.score.value:.4g} ({best.family}, trial {best.trial_id})")
        seconds = self._seconds_left(num_done)
        if seconds is not None:
            parts.append(f"about {_duration(seconds)} left")
        return ", ".join(parts)

    def close(self) -> None:
        """Ends the line."""
        self._clear()

    def _seconds_left(self, num_done: int) -> float | None:
        num_run = num_done - self._num_before
        limit = self._clock.seconds_left
        if num_run < 1:
            return limit
        rest = self._clock.seconds / num_run * max(0, self._settings.max_trials - num_done)
        return rest if limit is None else min(rest, limit)

    def _show(self) -> None:
        if self._is_terminal:
            running = "; ".join(self._running[tuner_id] for tuner_id in sorted(self._running))
            sys.stderr.write(f"\r\x1b[K{self.summary()} | {running}"[:200])
            sys.stderr.flush()
            self._shown_at = time.monotonic()

    def _clear(self) -> None:
        if self._is_terminal:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
