"""One optimisation step over a batch, and the probabilities of a whole feed."""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from spine_tf.augmentation import changes, mixing
from spine_tf.configuration import data_config, training_config
from spine_tf.training import losses
from tfrecords import feed

Batch = dict[str, tf.Tensor]
_PREDICT_BATCH = 128


class TrainStep:
    """A compiled step that updates a network, alike on one device and on replicas.

    Attributes:
        loss: mean of the weighted loss since `reset`.
        accuracy: share of right answers on the batches as they were trained on, since `reset`.
    """

    def __init__(
        self,
        network: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        source: feed.Feed,
        prepare: Callable[[Batch], tf.Tensor],
        *,
        settings: training_config.TrainingConfig,
        class_weights: np.ndarray,
        mixup: float,
        cutmix: float,
        use_xla: bool,
    ):
        self.loss = keras.metrics.Mean(name="loss")
        self.accuracy = keras.metrics.Mean(name="accuracy")
        self._network = network
        self._optimizer = optimizer
        self._complete = source.complete
        self._prepare = prepare
        self._loss_function = losses.make_loss(settings)
        self._class_weights = tf.constant(class_weights, tf.float32)
        self._mixup, self._cutmix = mixup, cutmix
        self._strategy = tf.distribute.get_strategy()
        # Replicas can't meet inside a nested tf.function, so there is one only where XLA needs it.
        self._replica_step = (
            tf.function(self._update, jit_compile=True) if use_xla else self._update
        )
        optimizer.build(network.trainable_variables)

    def reset(self) -> None:
        """Begins new means."""
        self.loss.reset_state()
        self.accuracy.reset_state()

    @tf.function
    def __call__(self, batch: Batch) -> None:
        self._strategy.run(self._take, args=(batch,))

    def _take(self, element: Batch) -> None:
        batch = self._complete(element)
        # Outside what XLA compiles: it knows no projective transform.
        inputs = self._prepare(batch)
        targets = _targets(batch, len(self._class_weights))
        inputs, targets = mixing.mix(
            inputs, targets, batch["seed"], mixup=self._mixup, cutmix=self._cutmix
        )
        per_example, is_right = self._replica_step(inputs, *self._apart(targets))
        self.loss.update_state(per_example)
        self.accuracy.update_state(is_right)

    def _apart(self, targets: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor | None]:
        """The targets of the classes, and the weights that were mixed along with them, if any."""
        num_classes = len(self._class_weights)
        if targets.shape[1] == num_classes:
            return targets, None
        return targets[:, :num_classes], targets[:, num_classes]

    def _update(
        self, inputs: tf.Tensor, targets: tf.Tensor, example_weights: tf.Tensor | None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        weights = tf.linalg.matvec(targets, self._class_weights)
        if example_weights is not None:
            weights *= example_weights
        with tf.GradientTape() as tape:
            probabilities = self._network(inputs, training=True)
            per_example = weights * self._loss_function(targets, probabilities)
            loss = tf.reduce_mean(per_example)
            if self._network.losses:
                loss += tf.add_n(self._network.losses)
            loss = self._optimizer.scale_loss(loss / self._strategy.num_replicas_in_sync)
        variables = self._network.trainable_variables
        self._optimizer.apply(self._shared(tape.gradient(loss, variables)), variables)
        is_right = tf.argmax(probabilities, axis=1) == tf.argmax(targets, axis=1)
        return per_example, tf.cast(is_right, tf.float32)

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


def _targets(batch: Batch, num_classes: int) -> tf.Tensor:
    """Returns the target of each example, and its weight in one more column if it has one."""
    targets = batch.get("target")
    if targets is None:
        targets = tf.one_hot(batch["label"], num_classes)
    if "weight" in batch:
        targets = tf.concat([targets, batch["weight"][:, None]], axis=1)
    return targets


def prepare_images(settings: data_config.AugmentationConfig | None) -> Callable[[Batch], tf.Tensor]:
    """Returns what makes a network's input of a batch: the window, then any augmentation."""

    def prepare(batch: Batch) -> tf.Tensor:
        images = feed.normalize(batch["image"], batch["window"])
        if settings is None:
            return images
        return changes.augment(images, batch["seed"], settings)

    return prepare


class Predictor:
    """A compiled inference call, kept so that it is traced once."""

    def __init__(self, network: keras.Model, prepare: Callable[[Batch], tf.Tensor]):
        self._call = tf.function(
            lambda batch: network(prepare(batch), training=False), reduce_retracing=True
        )

    def __call__(self, source: feed.Feed) -> tuple[np.ndarray, np.ndarray]:
        """Returns the outputs, float32 (n, ...), and the labels, int64 (n,), in file order."""
        outputs, labels = [], []
        for element in source.ordered(batch_size=_PREDICT_BATCH):
            batch = source.complete(element)
            outputs.append(self._call(batch).numpy())
            labels.append(batch["label"].numpy())
        return np.concatenate(outputs), np.concatenate(labels)
