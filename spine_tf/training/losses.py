"""Losses on probabilities, one value an example, and the weight of each class."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from spine_tf import labels
from spine_tf.configuration import training_config

_EPSILON = 1e-7
# Share of cross entropy beside the kappa, whose gradient alone dies out where all answers are alike
# and which does not care whether probabilities are calibrated.
_CROSS_ENTROPY_SHARE = 0.2

# (targets, outputs), each a tensor or a dict of tensors -> float32 (batch,), in Keras's order.
Loss = Callable[[Any, Any], tf.Tensor]


def make_loss(settings: training_config.TrainingConfig) -> Loss:
    """Returns the loss of the configuration.

    Returns:
        A function (targets, probabilities), both float32 (batch, classes), -> float32 (batch,).
        "focal" is -sum t (1 - p)^gamma log p (Lin et al., ICCV 2017); "quadratic_kappa" as
        `quadratic_kappa`, with 0.2 of cross entropy added.
    """

    def loss(targets: tf.Tensor, probabilities: tf.Tensor) -> tf.Tensor:
        targets = _soften(targets, settings)
        if settings.loss == "focal":
            return cross_entropy(targets, probabilities, gamma=settings.focal_gamma)
        if settings.loss == "quadratic_kappa":
            entropy = cross_entropy(targets, probabilities)
            return quadratic_kappa(targets, probabilities) + _CROSS_ENTROPY_SHARE * entropy
        return cross_entropy(targets, probabilities)

    return loss


def cross_entropy(targets: tf.Tensor, probabilities: tf.Tensor, *, gamma: float = 0.0) -> tf.Tensor:
    """Returns -sum t (1 - p)^gamma log p of each example, float32 (batch,)."""
    clipped = tf.clip_by_value(probabilities, _EPSILON, 1.0)
    terms = -targets * tf.math.log(clipped)
    if gamma:
        terms = terms * tf.pow(1.0 - tf.minimum(clipped, 1.0 - _EPSILON), gamma)
    return tf.reduce_sum(terms, axis=-1)


def quadratic_kappa(targets: tf.Tensor, probabilities: tf.Tensor) -> tf.Tensor:
    """Returns each example's share of 1 - kappa, whose mean over the batch is just that.

    With weights w_ij = (i - j)^2, 1 - kappa = sum_n sum_ij t_ni w_ij p_nj / (sum_ij w_ij T_i P_j
    / N), T and P being the sums of targets and probabilities over the N examples: de la Torre, Puig
    and Valls, Weighted kappa loss function for multi-class classification of ordinal data in deep
    learning, Pattern Recognition Letters 105 (2018), without its logarithm, which would not be a
    sum over examples that weights can act on.

    Returns:
        float32 (batch,).
    """
    grades = tf.range(tf.shape(targets)[-1], dtype=tf.float32)
    weights = tf.square(grades[:, tf.newaxis] - grades)
    observed = tf.reduce_sum(tf.matmul(targets, weights) * probabilities, axis=-1)
    by_target = tf.reduce_mean(targets, axis=0, keepdims=True)
    by_answer = tf.reduce_mean(probabilities, axis=0, keepdims=True)
    expected = tf.reduce_sum(tf.matmul(by_target, weights) * by_answer)
    return observed / tf.maximum(expected, _EPSILON)


def _soften(targets: tf.Tensor, settings: training_config.TrainingConfig) -> tf.Tensor:
    """Spreads each class over its neighbours, then a little over all."""
    if settings.label_softness:
        targets = tf.matmul(targets, _neighbours(tf.shape(targets)[-1], settings.label_softness))
    smoothing = settings.label_smoothing
    num_classes = tf.cast(tf.shape(targets)[-1], tf.float32)
    return targets * (1.0 - smoothing) + smoothing / num_classes


def _neighbours(num_classes: tf.Tensor, softness: float) -> tf.Tensor:
    """Row i: exp(-|i - j| / softness) over its sum.

    Diaz and Marathe, Soft Labels for Ordinal Regression, CVPR 2019.
    """
    grades = tf.range(num_classes, dtype=tf.float32)
    return tf.nn.softmax(-tf.abs(grades[:, tf.newaxis] - grades) / softness, axis=-1)


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
