"""One network and its compiled steps, for fits that differ in their data alone.

Compiling takes longer than many epochs do. The folds of one configuration ask for the same graphs,
so they share them, and each begins as if the network had been built anew for it: its weights,
random states and optimisers are set back, bit by bit.
"""

import contextlib
import dataclasses
import random
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from spine_tf.configuration import config, pretrained_configs
from spine_tf.models import pretrained, resampling
from spine_tf.training import (
    device,
    losses,
    optimizer as optimizer_module,
    phases,
    tasks,
    train_step,
)
from tfrecords import progress, records


@dataclasses.dataclass(frozen=True, kw_only=True)
class Compiled:
    """What is compiled of a phase.

    Attributes:
        step: takes a batch.
        optimizer: that it updates the network with.
        rate: sets the optimiser's learning rate.
        average: keeps the moving average of the network's weights.
        loss: the loss that the step was compiled with.
        trained: the variables that it updates.
        initial: the optimiser's values before the first step.
    """

    step: train_step.TrainStep
    optimizer: keras.optimizers.Optimizer
    rate: optimizer_module.Rate
    average: optimizer_module.WeightAverage
    loss: losses.Loss
    trained: list[keras.Variable]
    initial: list[np.ndarray]

    def restart(self) -> None:
        """Forgets every step but what it has taught the network."""
        for variable, value in zip(self.optimizer.variables, self.initial, strict=True):
            variable.assign(value)
        self.average.restart()


class SharedNetwork:
    """The network of one configuration at a time, built when it is first asked for.

    What a fit gives it is the same network for each: whoever keeps one has to keep its weights.
    """

    def __init__(self) -> None:
        """Has nothing built yet."""
        self._of: tuple[tasks.Task, config.Config, tuple[int, ...]] | None = None
        self._strategy: tf.distribute.Strategy | None = None
        self._compiled: dict[str, Compiled] = {}

    @contextlib.contextmanager
    def scope(self, run_config: config.Config) -> Iterator[None]:
        """Stands around all that a fit does with the network: that of its devices."""
        if self._strategy is None:
            self._strategy = device.make_strategy(run_config.data)
        with self._strategy.scope():
            yield

    def begin(
        self, task: tasks.Task, run_config: config.Config, source: records.Records
    ) -> tuple[keras.Model, list[phases.Phase]]:
        """Returns the network at the start of a training, and the phases of one.

        Raises:
            ValueError: it can't be built of that configuration, or weights can't be read.
        """
        wanted = (task, _without_fold(run_config), source.image_shape)
        if self._of != wanted:
            self._compiled.clear()
            with progress.waiting(f"building the network {run_config.model.family}"):
                self._model = _build(task, run_config, source)
            self._answer = phases.Predictor(resampling.behind(self._model), task.inputs)
            self._phases = phases.plan_phases(task, run_config, self._model, self._answer)
            self._start = _State.of(self._model)
            self._of = wanted
        else:
            self._start.restore(self._model)
        return self._model, self._phases

    def figures(self, task: tasks.Task, source: records.Records, split: str) -> dict[str, float]:
        """Returns the task's figures of a split, by the network as it now is."""
        return task.monitor_figures(*self._answer(task.open_feed(source, [split])))

    def compiled(
        self,
        phase: phases.Phase,
        task: tasks.Task,
        run_config: config.Config,
        loss: losses.Loss,
    ) -> Compiled:
        """Returns what is compiled of a phase that has begun, set back to its start."""
        found = self._compiled.get(phase.name)
        # A layer that a callback has frozen, or another loss, needs another graph.
        if found is None or found.loss != loss or not _are(found.trained, phase.network):
            found = _compile(phase, task, run_config, loss)
            self._compiled[phase.name] = found
        else:
            found.restart()
        return found


def _without_fold(run_config: config.Config) -> config.Config:
    data = dataclasses.replace(run_config.data, val_fold=0)
    return dataclasses.replace(run_config, data=data)


def _build(task: tasks.Task, run_config: config.Config, source: records.Records) -> keras.Model:
    model = task.build_network(source)
    model_config = run_config.model
    if isinstance(model_config, pretrained_configs.PretrainedConfig) and model_config.is_pretrained:
        pretrained.load_weights(model, model_config)
    return model


@dataclasses.dataclass(frozen=True, kw_only=True)
class _State:
    """All that a training changes of a model, and of this process's randomness."""

    values: list[np.ndarray]
    trainable: list[bool]
    python_random: Any
    numpy_random: Any

    @classmethod
    def of(cls, model: keras.Model) -> "_State":
        return cls(
            values=_values(model.variables),
            trainable=[layer.trainable for layer in _layers(model)],
            python_random=random.getstate(),
            numpy_random=np.random.get_state(),
        )

    def restore(self, model: keras.Model) -> None:
        for variable, value in zip(model.variables, self.values, strict=True):
            variable.assign(value)
        # From outside inwards: a model hands its own on to the layers in it.
        for layer, is_trainable in zip(_layers(model), self.trainable, strict=True):
            layer.trainable = is_trainable
        random.setstate(self.python_random)
        np.random.set_state(self.numpy_random)


def _values(variables: Sequence[keras.Variable]) -> list[np.ndarray]:
    # What numpy is shown of a variable is overwritten with it.
    return [keras.ops.convert_to_numpy(variable).copy() for variable in variables]


def _layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """Every layer, a model before those in it."""
    for layer in model.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from _layers(layer)


def _compile(
    phase: phases.Phase,
    task: tasks.Task,
    run_config: config.Config,
    loss: losses.Loss,
) -> Compiled:
    rate = optimizer_module.Rate()
    optimizer = optimizer_module.make_optimizer(run_config.training, rate)
    average = optimizer_module.WeightAverage(phase.network, run_config.training.ema_decay)
    step = train_step.TrainStep(
        phase,
        optimizer,
        loss=loss,
        running=task.running,
        use_xla=device.uses_xla(run_config.training),
    )
    return Compiled(
        step=step,
        optimizer=optimizer,
        rate=rate,
        average=average,
        loss=loss,
        trained=[*phase.network.trainable_variables],
        initial=_values(optimizer.variables),
    )


def _are(trained: list[keras.Variable], network: keras.Model) -> bool:
    own = network.trainable_variables
    return len(own) == len(trained) and all(map(lambda a, b: a is b, own, trained))
