"""Epoch after epoch, phase after phase: the training loop, its figures and its state on disk."""

import dataclasses
import math
import pathlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from spine_tf import labels
from spine_tf.configuration import config, training_config
from spine_tf.scoring import metrics, predictions
from spine_tf.training import (
    checkpoint,
    device,
    losses,
    optimizer as optimizer_module,
    phases,
    progress as progress_module,
    step,
)
from tfrecords import feed

EpochCallback = Callable[[int, dict[str, Any]], None]


class Loop:
    """Runs phases epoch after epoch, keeping progress and state."""

    def __init__(
        self,
        run_config: config.Config,
        model: keras.Model,
        progress: progress_module.Progress,
        class_counts: np.ndarray,
        work_dir: pathlib.Path | None,
        on_epoch_end: EpochCallback | None,
    ):
        self._config = run_config
        self._settings = run_config.training
        self._model = model
        self._progress = progress
        self._work_dir = work_dir
        self._on_epoch_end = on_epoch_end
        self._class_weights = losses.class_weights(
            self._settings.class_weights, run_config.task_spec, class_counts
        )
        self._use_xla = device.uses_xla(self._settings)

    def run(self, all_phases: list[Callable[[], phases.Phase]]) -> None:
        """Trains the model; what a callback raises passes through, the progress stays.

        Raises:
            ValueError: the loss is no longer finite.
        """
        resumes = self._work_dir is not None and checkpoint.exists(self._work_dir)
        if self._work_dir is not None and resumes:
            checkpoint.restore_progress(self._work_dir, self._progress)
            logging.info("resuming after epoch %d", self._progress.epoch)
        for index, make_phase in enumerate(all_phases):
            if index < self._progress.phase:
                continue
            self._run_phase(make_phase(), resumes)
            resumes = False
            self._progress.next_phase()
            # The next phase goes on from the best epoch of this one.
            self._model.set_weights(self._progress.best_weights)

    def _run_phase(self, phase: phases.Phase, resumes: bool) -> None:
        batch_size = min(self._settings.batch_size, phase.train_feed.num_examples)
        num_steps = feed.steps_per_epoch(phase.train_feed.num_examples, batch_size)
        tools = _PhaseTools.make(
            phase,
            self._settings,
            class_weights=self._class_weights,
            num_steps=num_steps,
            use_xla=self._use_xla,
        )
        variables = [
            *self._model.variables,
            *tools.optimizer.variables,
            *tools.average.variables,
        ]
        if resumes and self._work_dir is not None:
            checkpoint.restore_variables(self._work_dir, variables)
        while (
            self._progress.epoch_in_phase < phase.epochs and not self._progress.is_out_of_patience
        ):
            figures = self._run_epoch(phase, tools, batch_size)
            with tools.average.applied():
                figures |= tools.monitor(self._config.task_spec)
                self._progress.add(figures, self._model)
            if self._work_dir is not None:
                checkpoint.save(self._work_dir, self._progress, variables)
            if self._on_epoch_end is not None:
                self._on_epoch_end(self._progress.epoch - 1, figures)

    def _run_epoch(
        self, phase: phases.Phase, tools: "_PhaseTools", batch_size: int
    ) -> dict[str, Any]:
        epoch = self._progress.epoch
        _seed_dropout(self._model, self._config.seed, epoch)
        tools.train_step.reset()
        batches = phase.train_feed.shuffled(
            batch_size=batch_size, seed=self._config.seed, epoch=epoch
        )
        strategy = tf.distribute.get_strategy()
        started = time.monotonic()
        waited = 0.0
        iterator = iter(strategy.experimental_distribute_dataset(batches))
        while True:
            asked = time.monotonic()
            batch = next(iterator, None)
            waited += time.monotonic() - asked
            if batch is None:
                break
            tools.train_step(batch)
            tools.average.update()
        loss = float(tools.train_step.loss.result())
        seconds = time.monotonic() - started
        if not math.isfinite(loss):
            raise ValueError(
                f"the loss became {loss} in epoch {epoch + 1}: lower training.learning_rate "
                f"({self._settings.learning_rate}) or set training.gradient_clip"
            )
        return {
            "phase": phase.name,
            "loss": loss,
            "accuracy": float(tools.train_step.accuracy.result()),
            "learning_rate": float(keras.ops.convert_to_numpy(tools.optimizer.learning_rate)),
            "data_wait": waited / seconds,
            "seconds": seconds,
        }


@dataclasses.dataclass(frozen=True, kw_only=True)
class _PhaseTools:
    """What a phase compiles once and uses every epoch."""

    optimizer: keras.optimizers.Optimizer
    average: optimizer_module.WeightAverage
    train_step: step.TrainStep
    predictor: step.Predictor
    monitor_feed: feed.Feed | None

    @classmethod
    def make(
        cls,
        phase: phases.Phase,
        settings: training_config.TrainingConfig,
        *,
        class_weights: np.ndarray,
        num_steps: int,
        use_xla: bool,
    ) -> "_PhaseTools":
        phase_optimizer = optimizer_module.make_optimizer(
            settings,
            learning_rate=phase.learning_rate,
            num_steps=phase.epochs * num_steps,
            steps_per_epoch=num_steps,
        )
        return cls(
            optimizer=phase_optimizer,
            average=optimizer_module.WeightAverage(phase.network, settings.ema_decay),
            train_step=step.TrainStep(
                phase.network,
                phase_optimizer,
                phase.train_feed,
                phase.prepare_train,
                settings=settings,
                class_weights=class_weights,
                mixup=phase.mixup,
                cutmix=phase.cutmix,
                use_xla=use_xla,
            ),
            predictor=step.Predictor(phase.network, phase.prepare_monitor),
            monitor_feed=phase.monitor_feed,
        )

    def monitor(self, task: labels.Task) -> dict[str, float]:
        """Returns the figures of the monitored split."""
        if self.monitor_feed is None:
            return {}
        outputs, truth = self.predictor(self.monitor_feed)
        return monitor_figures(outputs, truth, task)


def monitor_figures(
    probabilities: np.ndarray, truth: np.ndarray, task: labels.Task
) -> dict[str, float]:
    """Returns every figure that training_config.MONITORS names, NaN where it is undefined.

    Args:
        probabilities: float (n, classes).
        truth: int64 (n,).
        task: whose classes they are.

    Raises:
        ValueError: a probability is not a finite number.
    """
    if not np.isfinite(probabilities).all():
        raise ValueError(
            "the model's answers are no longer finite numbers: lower training.learning_rate or set "
            "training.gradient_clip"
        )
    exact = probabilities.astype(np.float64)
    figures = metrics.compute(
        predictions.Predictions(
            keys=tuple(f"0/0/0/{i}" for i in range(len(truth))),
            labels=truth,
            probabilities=exact / exact.sum(axis=1, keepdims=True),
        ),
        task,
    )
    return {
        name: float(figures.overall[name.removeprefix("val_")][0])
        for name in training_config.MONITORS
    }


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
