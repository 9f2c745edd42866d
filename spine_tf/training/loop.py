"""The training loop: phase after phase, epoch after epoch, step after step.

It knows a task, phases and networks, not what they are about.
"""

import dataclasses
import itertools
import math
import pathlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from spine_tf.configuration import config as config_module
from spine_tf.training import (
    checkpoint,
    keras_callbacks,
    losses,
    optimizer as optimizer_module,
    phases,
    shared_network,
    tasks,
)
from tfrecords import feed, progress as progress_module

EpochCallback = Callable[[int, dict[str, Any]], None]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Loop:
    """Trains a model by phases, keeping progress and state.

    Attributes:
        task: what is learned.
        config: the run's settings.
        network: whose model comes out.
        loss: gives the loss of each example, float32 (batch,).
        progress: filled while the loop runs.
        work_dir: where the state is kept after every epoch; None keeps none.
        on_epoch_end: called with the epoch's index and its figures.
        caller: calls Keras callbacks.
    """

    task: tasks.Task
    config: config_module.Config
    model: keras.Model
    network: shared_network.SharedNetwork
    loss: losses.Loss
    progress: checkpoint.Progress
    work_dir: pathlib.Path | None
    on_epoch_end: EpochCallback | None
    caller: keras_callbacks.Caller

    def run(self, planned: Sequence[phases.Phase], feeds: phases.Feeds) -> None:
        """Trains the model; what a callback raises passes through, the progress stays.

        Raises:
            ValueError: the loss is no longer finite.
        """
        resumes = self.work_dir is not None and checkpoint.exists(self.work_dir)
        if self.work_dir is not None and resumes:
            checkpoint.restore_progress(self.work_dir, self.progress)
            logging.info("resuming after epoch %d", self.progress.epoch)
        for index, phase in enumerate(planned):
            if index < self.progress.phase:
                continue
            phase.begin()
            self._run_phase(phase, phase.open_feeds(feeds), resumes)
            resumes = False
            self.progress.next_phase()
            # The next phase goes on from the best epoch of this one.
            self.model.set_weights(self.progress.best_weights)
            if self.caller.is_stopped:
                return

    def _run_phase(self, phase: phases.Phase, feeds: phases.Feeds, resumes: bool) -> None:
        compiled = self.network.compiled(phase, self.task, self.config, self.loss)
        optimizer, average = compiled.optimizer, compiled.average
        variables = [*self.model.variables, *optimizer.variables, *average.variables]
        if resumes and self.work_dir is not None:
            checkpoint.restore_variables(self.work_dir, variables)
        self._follow_schedule(compiled, phase, feeds.train)
        with self.caller.phase(optimizer):
            while not self._is_over(phase):
                with progress_module.waiting(f"epoch {self.progress.epoch + 1}"):
                    figures = self._run_epoch(phase, compiled, feeds.train)
                with average.applied():
                    figures |= self._monitor(feeds.monitor, phase.answer)
                    self.progress.add(figures, self.model)
                if self.work_dir is not None:
                    checkpoint.save(self.work_dir, self.progress, variables)
                self._end_epoch(figures, average)

    def _follow_schedule(
        self, compiled: shared_network.Compiled, phase: phases.Phase, train_feed: feed.Feed
    ) -> None:
        num_steps = feed.steps_per_epoch(train_feed.num_examples, self._batch_size(train_feed))
        compiled.rate.follow(
            optimizer_module.make_schedule(
                self.config.training,
                learning_rate=phase.learning_rate,
                num_steps=phase.epochs * num_steps,
                steps_per_epoch=num_steps,
            )
        )
        compiled.rate.move(optimizer_module.updates(compiled.optimizer))

    def _batch_size(self, train_feed: feed.Feed) -> int:
        return min(self.config.training.batch_size, train_feed.num_examples)

    def _is_over(self, phase: phases.Phase) -> bool:
        return (
            self.progress.epoch_in_phase >= phase.epochs
            or self.progress.is_out_of_patience
            or self.caller.is_stopped
        )

    def _monitor(
        self, monitor_feed: feed.Feed | None, answer: phases.Predictor
    ) -> dict[str, float]:
        """The figures of the monitored split, if there is one."""
        if monitor_feed is None:
            return {}
        with self.caller.monitoring() as figures:
            figures |= self.task.monitor_figures(*answer(monitor_feed))
        return figures

    def _end_epoch(self, figures: dict[str, Any], average: optimizer_module.WeightAverage) -> None:
        epoch = self.progress.epoch - 1
        if self.on_epoch_end is not None:
            self.on_epoch_end(epoch, figures)
        # So that a callback that saves the model saves the weights that the figures are of.
        with average.applied():
            self.caller.end_epoch(epoch, figures)

    def _run_epoch(
        self, phase: phases.Phase, compiled: shared_network.Compiled, train_feed: feed.Feed
    ) -> dict[str, Any]:
        """Trains on one shuffled epoch and returns the figures of its batches."""
        step, epoch, seed = compiled.step, self.progress.epoch, self.config.seed
        _seed_dropout(self.model, seed, epoch)
        step.reset()
        self.caller.begin_epoch(epoch)
        batches = train_feed.shuffled(
            batch_size=self._batch_size(train_feed), seed=seed, epoch=epoch
        )
        started, waited = time.monotonic(), 0.0
        iterator = iter(tf.distribute.get_strategy().experimental_distribute_dataset(batches))
        for number in itertools.count():
            asked = time.monotonic()
            batch = next(iterator, None)
            waited += time.monotonic() - asked
            if batch is None:
                break
            self.caller.begin_batch(number)
            step(train_feed.complete(batch))
            compiled.average.update()
            compiled.rate.move(optimizer_module.updates(compiled.optimizer))
            self.caller.end_batch(number, step.figures)
            if self.caller.is_stopped:
                break
        figures = step.figures()
        seconds = time.monotonic() - started
        self._require_finite(figures["loss"])
        return {
            "phase": phase.name,
            **figures,
            "learning_rate": step.learning_rate,
            "data_wait": waited / seconds,
            "seconds": seconds,
        }

    def _require_finite(self, loss: float) -> None:
        if not math.isfinite(loss):
            raise ValueError(
                f"the loss became {loss} in epoch {self.progress.epoch + 1}: lower "
                f"training.learning_rate ({self.config.training.learning_rate}) or set "
                "training.gradient_clip"
            )


def _seed_dropout(model: keras.Model, seed: int, epoch: int) -> None:
    """Makes dropout a function of (seed, epoch), so that a resumed run drops the same units."""
    for index, layer in enumerate(_dropout_layers(model)):
        state = np.random.default_rng([seed, epoch, index]).integers(2**31, size=2)
        layer.seed_generator.state.assign(state.astype(np.uint32))


def _dropout_layers(model: keras.Model) -> Iterator[keras.layers.Dropout]:
    """Those of a backbone too, which is a model in the model."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _dropout_layers(layer)
        elif isinstance(layer, keras.layers.Dropout) and layer.rate:
            yield layer
