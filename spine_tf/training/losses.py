"""Losses on probabilities, one value an example, and the weight of each class."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from spine_tf import config, labels

_EPSILON = 1e-7


def make_loss(settings: config.TrainingConfig) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """Returns the loss of the configuration.

    Returns:
        A function (targets, probabilities), both float32 (batch, classes), -> float32 (batch,).
        "focal" is -sum t (1 - p)^gamma log p (Lin et al., ICCV 2017).
    """
    gamma = settings.focal_gamma if settings.loss == "focal" else 0.0

    def loss(targets: tf.Tensor, probabilities: tf.Tensor) -> tf.Tensor:
        num_classes = tf.cast(tf.shape(targets)[-1], tf.float32)
        smoothing = settings.label_smoothing
        targets = targets * (1.0 - smoothing) + smoothing / num_classes
        clipped = tf.clip_by_value(probabilities, _EPSILON, 1.0)
        terms = -targets * tf.math.log(clipped)
        if gamma:
            terms = terms * tf.pow(1.0 - tf.minimum(clipped, 1.0 - _EPSILON), gamma)
        return tf.reduce_sum(terms, axis=-1)

    return loss


def class_weights(name: str, task: labels.Task, counts: np.ndarray) -> np.ndarray:
    """Returns the weight of each class, scaled so that the mean over the examples is 1.

    Args:
        name: "none", "balanced" (inverse frequency) or "competition" (1, 2, 4).
        task: the task.
        counts: int (classes,), training examples of each class, all positive.

    Returns:
        float32 (classes,).
    """
    if name == "competition":
        weights = np.asarray(task.class_weights)
    elif name == "balanced":
        weights = 1.0 / counts
    else:
        weights = np.ones(len(counts))
    return (weights * counts.sum() / (weights * counts).sum()).astype(np.float32)
