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
    tasks,
)
from tfrecords import feed

EpochCallback = Callable[[int, dict[str, Any]], None]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Loop:
    """Trains a model by phases, keeping progress and state.

    Attributes:
        task: what is learned.
        config: of the run.
        model: what comes out; the phases' networks share its layers.
        loss: of each example.
        progress: filled while the loop runs.
        use_xla: compile the steps.
        work_dir: where the state is kept after every epoch; None keeps none.
        on_epoch_end: called with the epoch's index and its figures.
        caller: calls Keras callbacks.
    """

    task: tasks.Task
    config: config_module.Config
    model: keras.Model
    loss: losses.Loss
    progress: checkpoint.Progress
    use_xla: bool
    work_dir: pathlib.Path | None
    on_epoch_end: EpochCallback | None
    caller: keras_callbacks.Caller

    def run(self, make_phases: Sequence[Callable[[], phases.Phase]]) -> None:
        """Trains the model; what a callback raises passes through, the progress stays.

        Raises:
            ValueError: the loss is no longer finite.
        """
        resumes = self.work_dir is not None and checkpoint.exists(self.work_dir)
        if self.work_dir is not None and resumes:
            checkpoint.restore_progress(self.work_dir, self.progress)
            logging.info("resuming after epoch %d", self.progress.epoch)
        for index, make_phase in enumerate(make_phases):
            if index < self.progress.phase:
                continue
            self._run_phase(make_phase(), resumes)
            resumes = False
            self.progress.next_phase()
            # The next phase goes on from the best epoch of this one.
            self.model.set_weights(self.progress.best_weights)
            if self.caller.is_stopped:
                return

    def _run_phase(self, phase: phases.Phase, resumes: bool) -> None:
        batch_size = min(self.config.training.batch_size, phase.train_feed.num_examples)
        num_steps = feed.steps_per_epoch(phase.train_feed.num_examples, batch_size)
        optimizer = optimizer_module.make_optimizer(
            self.config.training,
            learning_rate=phase.learning_rate,
            num_steps=phase.epochs * num_steps,
            steps_per_epoch=num_steps,
        )
        average = optimizer_module.WeightAverage(phase.network, self.config.training.ema_decay)
        step = TrainStep(
            phase, optimizer, loss=self.loss, running=self.task.running, use_xla=self.use_xla
        )
        answer = phases.Predictor(phase.network, phase.prepare_monitor)
        variables = [*self.model.variables, *optimizer.variables, *average.variables]
        if resumes and self.work_dir is not None:
            checkpoint.restore_variables(self.work_dir, variables)
        with self.caller.phase(optimizer):
            while not self._is_over(phase):
                figures = self._run_epoch(phase, step, average, batch_size)
                with average.applied():
                    figures |= self._monitor(phase, answer)
                    self.progress.add(figures, self.model)
                if self.work_dir is not None:
                    checkpoint.save(self.work_dir, self.progress, variables)
                self._end_epoch(figures, average)

    def _is_over(self, phase: phases.Phase) -> bool:
        return (
            self.progress.epoch_in_phase >= phase.epochs
            or self.progress.is_out_of_patience
            or self.caller.is_stopped
        )

    def _monitor(self, phase: phases.Phase, answer: phases.Predictor) -> dict[str, float]:
        """The figures of the monitored split, if there is one."""
        if phase.monitor_feed is None:
            return {}
        with self.caller.monitoring() as figures:
            figures |= self.task.monitor_figures(*answer(phase.monitor_feed))
        return figures

    def _end_epoch(self, figures: dict[str, Any], average: optimizer_module.WeightAverage) -> None:
        epoch = self.progress.epoch - 1
        if self.on_epoch_end is not None:
            self.on_epoch_end(epoch, figures)
        # So that a callback that saves the model saves the weights that the figures are of.
        with average.applied():
            self.caller.end_epoch(epoch, figures)

    def _run_epoch(
        self,
        phase: phases.Phase,
        step: "TrainStep",
        average: optimizer_module.WeightAverage,
        batch_size: int,
    ) -> dict[str, Any]:
        """Trains on one shuffled epoch and returns the figures of its batches."""
        epoch, seed = self.progress.epoch, self.config.seed
        _seed_dropout(self.model, seed, epoch)
        step.reset()
        self.caller.begin_epoch(epoch)
        batches = phase.train_feed.shuffled(batch_size=batch_size, seed=seed, epoch=epoch)
        started, waited = time.monotonic(), 0.0
        iterator = iter(tf.distribute.get_strategy().experimental_distribute_dataset(batches))
        for number in itertools.count():
            asked = time.monotonic()
            batch = next(iterator, None)
            waited += time.monotonic() - asked
            if batch is None:
                break
            self.caller.begin_batch(number)
            step(batch)
            average.update()
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


class TrainStep:
    """A compiled step that updates a phase's network, alike on one device and on replicas."""

    def __init__(
        self,
        phase: phases.Phase,
        optimizer: keras.optimizers.Optimizer,
        *,
        loss: losses.Loss,
        running: tasks.Running,
        use_xla: bool,
    ) -> None:
        """Takes what a step needs.

        Args:
            phase: whose network is trained on whose batches.
            optimizer: that updates it.
            loss: of each example.
            running: the figures beside the loss, as `tasks.Task.running`.
            use_xla: compile what comes after augmentation.
        """
        self._network = phase.network
        self._optimizer = optimizer
        self._complete, self._prepare = phase.train_feed.complete, phase.prepare_train
        self._loss, self._running = loss, running
        self._means = {name: keras.metrics.Mean(name=name) for name in ("loss", *running)}
        self._strategy = tf.distribute.get_strategy()
        # Replicas can't meet inside a nested tf.function, so there is one only where XLA needs it.
        self._replica_step = (
            tf.function(self._update, jit_compile=True) if use_xla else self._update
        )
        optimizer.build(phase.network.trainable_variables)

    @property
    def learning_rate(self) -> float:
        """At the present step."""
        return float(keras.ops.convert_to_numpy(self._optimizer.learning_rate))

    def reset(self) -> None:
        """Begins new means."""
        for mean in self._means.values():
            mean.reset_state()

    def figures(self) -> dict[str, float]:
        """Returns the means since `reset`: the weighted loss, then the running figures."""
        return {name: float(mean.result()) for name, mean in self._means.items()}

    @tf.function
    def __call__(self, batch: feed.Batch) -> None:
        """Takes one element of the phase's training feed."""
        self._strategy.run(self._take, args=(batch,))

    def _take(self, element: feed.Batch) -> None:
        # Outside what XLA compiles: it knows no projective transform.
        inputs, targets = self._prepare(self._complete(element))
        per_example, outputs = self._replica_step(inputs, targets)
        self._means["loss"].update_state(per_example)
        for name, values in self._running.items():
            self._means[name].update_state(values(targets, outputs))

    def _update(self, inputs: Any, targets: Any) -> tuple[tf.Tensor, Any]:
        with tf.GradientTape() as tape:
            outputs = self._network(inputs, training=True)
            per_example = self._loss(targets, outputs)
            loss = tf.reduce_mean(per_example)
            if self._network.losses:
                loss += tf.add_n(self._network.losses)
            loss = self._optimizer.scale_loss(loss / self._strategy.num_replicas_in_sync)
        variables = self._network.trainable_variables
        self._optimizer.apply(self._shared(tape.gradient(loss, variables)), variables)
        return per_example, outputs

    def _shared(self, gradients: list[tf.Tensor]) -> list[tf.Tensor]:
        """Each replica's equal part of the gradients' sum.

        The optimiser clips what it is given and adds up the replicas' parts after that, so parts
        that differ would each be clipped in another way.
        """
        count = self._strategy.num_replicas_in_sync
        if count == 1:
            return gradients
        context = tf.distribute.get_replica_context()
        summed = context.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
        return [gradient / count for gradient in summed]


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
