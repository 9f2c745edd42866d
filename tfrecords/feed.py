"""Where training batches come from: what all feeds have in common.

In file order all feeds give the same batches. A shuffled epoch is a function of (seed, epoch), so
an interrupted run goes on with the batches it would have seen, and has the same number of full
batches in each. Which examples meet in a batch is not the same: from memory the order is a
permutation of all of them; streamed, the shards are permuted and a record comes at most 1,024
places before its turn, so a run that streams does not end with the weights of one that doesn't. A
balanced epoch is made in memory alone.
"""

import itertools
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

Batch = dict[str, tf.Tensor]


class Feed(Protocol):
    """Where training batches come from.

    A batch is a dict of tensors with a row an example, such as image uint16 (b, height, width,
    slices), window float32 (b, 2) and label int64 (b,), the class. Always: seed int32 (b, 2),
    different for every example of every step.
    """

    def complete(self, batch: Batch) -> Batch:
        """Turns an element of `shuffled` or `ordered` into a batch, on the device that asks."""

    @property
    def num_examples(self) -> int:
        """Examples that take part in an epoch."""

    def shuffled(self, *, batch_size: int, seed: int, epoch: int) -> tf.data.Dataset:
        """One epoch in the order of (seed, epoch); `steps_per_epoch` full batches."""

    def reshuffled(self, *, batch_size: int, seed: int, first_epoch: int) -> tf.data.Dataset:
        """As `shuffled`, but each pass over it gives the next epoch."""

    def ordered(self, *, batch_size: int) -> tf.data.Dataset:
        """Every example once, in file order; the last batch may be smaller."""


def steps_per_epoch(num_examples: int, batch_size: int) -> int:
    """Full batches of a shuffled epoch; what is left over is another part of the data each time."""
    return max(1, num_examples // batch_size)


def normalize(image: tf.Tensor, window: tf.Tensor) -> tf.Tensor:
    """Maps stored values to the window: `clip((x - lo) / max(hi - lo, 1), 0, 1)`.

    Args:
        image: any real dtype (b, height, width, slices).
        window: float32 (b, 2).

    Returns:
        float32 (b, height, width, slices) in [0, 1].
    """
    low = window[:, 0][:, tf.newaxis, tf.newaxis, tf.newaxis]
    high = window[:, 1][:, tf.newaxis, tf.newaxis, tf.newaxis]
    scale = 1.0 / tf.maximum(high - low, 1.0)
    return tf.clip_by_value((tf.cast(image, tf.float32) - low) * scale, 0.0, 1.0)


def passes(
    epoch_of: Callable[[int], Iterable[Batch]], first_epoch: int, spec: Any
) -> tf.data.Dataset:
    """A data set whose passes are the epochs from the first one on.

    Args:
        epoch_of: gives the batches of an epoch.
        first_epoch: epoch of the first pass.
        spec: what a batch consists of, as tf.TensorSpec.
    """
    epochs = itertools.count(first_epoch)
    return tf.data.Dataset.from_generator(
        lambda: iter(epoch_of(next(epochs))), output_signature=spec
    )


def first_seed(seed: int, epoch: int) -> int:
    """What the seeds of an epoch's examples have in common, in [0, 2^31)."""
    return int(np.random.default_rng([seed, epoch]).integers(2**31))


def unsharded(batches: tf.data.Dataset) -> tf.data.Dataset:
    """The batches, of which each replica of a distributed training takes its part."""
    # Replicas split each batch; splitting by file would give each of them other examples.
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return batches.with_options(options)


def mapped(
    elements: tf.data.Dataset, function: Callable[..., Any], **options: Any
) -> tf.data.Dataset:
    """`Dataset.map` with its options, for a function without control flow that hangs on a value.

    AutoGraph would read and rewrite all that it calls, which takes a second of every process.
    """
    return elements.map(tf.autograph.experimental.do_not_convert(function), **options)
