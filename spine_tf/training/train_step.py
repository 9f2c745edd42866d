"""One step of a training, compiled: forward, loss, backward, update."""

from typing import Any

import keras
import tensorflow as tf

from spine_tf.training import losses, phases, tasks
from tfrecords import feed


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
            loss: gives the loss of each example, float32 (batch,).
            running: the figures beside the loss, as `tasks.Task.running`.
            use_xla: compile what comes after augmentation.
        """
        self._network = phase.network
        self._optimizer = optimizer
        self._prepare = phase.prepare_train
        self._loss, self._running = loss, running
        self._means = {name: keras.metrics.Mean(name=name) for name in ("loss", *running)}
        self._strategy = tf.distribute.get_strategy()
        # Replicas can't meet inside a nested tf.function, so there is one only where XLA needs it.
        self._replica_step = (
            tf.function(self._update, jit_compile=True, autograph=False)
            if use_xla
            else self._update
        )
        optimizer.build(phase.network.trainable_variables)

    @property
    def learning_rate(self) -> float:
        """At the present step."""
        # Of replicas' copies NumPy makes no array.
        return float(tf.convert_to_tensor(self._optimizer.learning_rate))

    def reset(self) -> None:
        """Begins new means."""
        for mean in self._means.values():
            mean.reset_state()

    def figures(self) -> dict[str, float]:
        """Returns the means since `reset`: the weighted loss, then the running figures."""
        return {name: float(mean.result()) for name, mean in self._means.items()}

    # No control flow depends on a value, and to convert it takes seconds of each process.
    @tf.function(autograph=False)
    def __call__(self, batch: feed.Batch) -> None:
        """Takes one batch."""
        self._strategy.run(self._take, args=(batch,))

    def _take(self, batch: feed.Batch) -> None:
        # Outside what XLA compiles: it knows no projective transform.
        inputs, targets = self._prepare(batch)
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
