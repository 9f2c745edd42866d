"""The history of a run, which epoch is best, and when to stop."""

import dataclasses
from typing import Any

import keras
import numpy as np

from spine_tf.configuration import training_config


@dataclasses.dataclass
class Progress:
    """What a run has seen so far; all that resuming needs beside the optimiser's state.

    Attributes:
        monitor: the figure that decides; without an inner fold nothing does, the last epoch counts.
        patience: epochs without a better one after which a phase ends; 0 never.
        phase: index of the present phase.
        epoch_in_phase: epochs of it that are done.
        history: one dict of figures an epoch.
        best_epoch: index into the history, -1 before the first.
        best_weights: the network's weights after the best epoch.
    """

    monitor: str | None
    patience: int
    phase: int = 0
    epoch_in_phase: int = 0
    history: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    best_epoch: int = -1
    best_weights: list[np.ndarray] = dataclasses.field(default_factory=list)

    @property
    def epoch(self) -> int:
        """Epochs done over all phases."""
        return len(self.history)

    @property
    def is_best(self) -> bool:
        """Whether the last epoch is the best so far."""
        return self.best_epoch == self.epoch - 1

    @property
    def is_out_of_patience(self) -> bool:
        """Whether the present phase has gone on long enough without a better epoch."""
        if not self.patience or self.monitor is None:
            return False
        since = min(self.epoch - 1 - self.best_epoch, self.epoch_in_phase)
        return since >= self.patience

    def add(self, figures: dict[str, Any], model: keras.Model) -> None:
        """Takes in the figures of one more epoch and, if it is the best, the model's weights."""
        self.history.append(figures)
        self.epoch_in_phase += 1
        if self._is_better(figures):
            self.best_epoch = self.epoch - 1
            self.best_weights = model.get_weights()

    def next_phase(self) -> None:
        """Begins the next phase."""
        self.phase += 1
        self.epoch_in_phase = 0

    def _is_better(self, figures: dict[str, Any]) -> bool:
        if self.monitor is None or self.best_epoch < 0:
            return True
        value, best = figures[self.monitor], self.history[self.best_epoch][self.monitor]
        # A figure is NaN where the inner fold lacks a class; anything is better than that.
        if np.isnan(best):
            return not np.isnan(value)
        return value > best if training_config.MONITORS[self.monitor] else value < best
