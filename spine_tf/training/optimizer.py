"""The optimiser of a phase, its learning rate schedule, and the average of the weights."""

import contextlib
from collections.abc import Iterator

import keras
import tensorflow as tf

from spine_tf.configuration import training_config


class Rate(keras.optimizers.schedules.LearningRateSchedule):
    """The learning rate of the present step, looked up in a schedule that may be exchanged.

    A schedule's numbers would be constants of the compiled step; so one step serves trainings of
    other lengths.
    """

    def __init__(self) -> None:
        """Stands at 0 until it follows a schedule."""
        self._value = tf.Variable(0.0, trainable=False)

    def follow(self, schedule: keras.optimizers.schedules.LearningRateSchedule) -> None:
        """Takes a schedule; `move` brings its first rate."""
        # As a graph of its own it gives the bits that it gives inside a step.
        self._scheduled = tf.function(schedule, autograph=False)

    def move(self, step: tf.Tensor) -> None:
        """Takes the rate of a step, int (), counted from 0."""
        self._value.assign(self._scheduled(step))

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """Returns the present rate, whatever the step."""
        del step
        return self._value

    def get_config(self) -> dict[str, float]:
        """What Keras writes of it."""
        return {"learning_rate": float(self._value)}


def make_optimizer(
    settings: training_config.TrainingConfig, rate: Rate
) -> keras.optimizers.Optimizer:
    """Returns the optimiser; biases and normalisation's weights are not decayed."""
    # Each replica hands over its part of the gradient: see train_step.TrainStep.
    num_replicas = tf.distribute.get_strategy().num_replicas_in_sync
    clip = settings.gradient_clip / num_replicas or None
    if settings.optimizer == "sgd":
        optimizer: keras.optimizers.Optimizer = keras.optimizers.SGD(
            rate,
            momentum=0.9,
            nesterov=True,
            weight_decay=settings.weight_decay or None,
            global_clipnorm=clip,
        )
    else:
        optimizer = keras.optimizers.AdamW(
            rate, weight_decay=settings.weight_decay, global_clipnorm=clip
        )
    if settings.weight_decay:
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta", "first", "steps"])
    if keras.mixed_precision.global_policy().name == "mixed_float16":
        return keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer


def updates(optimizer: keras.optimizers.Optimizer) -> tf.Tensor:
    """Returns how many updates were made, int (); a step whose float16 ran over makes none."""
    return getattr(optimizer, "inner_optimizer", optimizer).iterations.value


def make_schedule(
    settings: training_config.TrainingConfig,
    *,
    learning_rate: float,
    num_steps: int,
    steps_per_epoch: int,
) -> keras.optimizers.schedules.LearningRateSchedule:
    """Returns the schedule of a phase of `num_steps` steps whose peak is `learning_rate`."""
    warmup_steps = min(settings.warmup_epochs * steps_per_epoch, num_steps - 1)
    decay_steps = num_steps - warmup_steps
    if settings.schedule == "constant":
        return _ConstantAfterWarmup(learning_rate, warmup_steps)
    if not warmup_steps:
        return keras.optimizers.schedules.CosineDecay(learning_rate, decay_steps)
    return keras.optimizers.schedules.CosineDecay(
        0.0, decay_steps, warmup_target=learning_rate, warmup_steps=warmup_steps
    )


class _ConstantAfterWarmup(keras.optimizers.schedules.LearningRateSchedule):
    """A linear rise over the warm-up, then the peak."""

    def __init__(self, learning_rate: float, warmup_steps: int) -> None:
        self._learning_rate = learning_rate
        self._warmup_steps = warmup_steps

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        risen = tf.cast(step, tf.float32) / max(1, self._warmup_steps)
        return self._learning_rate * (tf.minimum(1.0, risen) if self._warmup_steps else 1.0)

    def get_config(self) -> dict[str, float]:
        return {"learning_rate": self._learning_rate, "warmup_steps": self._warmup_steps}


class WeightAverage:
    """Exponential moving average of a network's trainable weights."""

    def __init__(self, network: keras.Model, decay: float) -> None:
        """Starts from the present weights; a decay of 0 keeps no average."""
        self._weights = network.trainable_variables if decay else []
        self._decay = decay
        self.values = [tf.Variable(weight.value, trainable=False) for weight in self._weights]
        self._num_updates = tf.Variable(0, dtype=tf.int64, trainable=False)

    def restart(self) -> None:
        """Starts again, from the weights that are there now."""
        for value, weight in zip(self.values, self._weights, strict=True):
            value.assign(weight.value)
        self._num_updates.assign(0)

    @property
    def variables(self) -> list[tf.Variable]:
        """What a resumed run has to restore."""
        return [*self.values, self._num_updates] if self._weights else []

    @tf.function(autograph=False)
    def update(self) -> None:
        """Takes in the weights of one more step; early ones count less, so that short runs work."""
        count = tf.cast(self._num_updates, tf.float32)
        decay = tf.minimum(self._decay, (1.0 + count) / (10.0 + count))
        for value, weight in zip(self.values, self._weights, strict=True):
            value.assign(decay * value + (1.0 - decay) * weight.value)
        self._num_updates.assign_add(1)

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Puts the averages into the network for the time of the block."""
        kept = [weight.numpy() for weight in self._weights]
        for value, weight in zip(self.values, self._weights, strict=True):
            weight.assign(value)
        try:
            yield
        finally:
            for value, weight in zip(kept, self._weights, strict=True):
                weight.assign(value)
