"""A records directory as tf.data, from memory or streamed: `open_dataset`."""

import math
import pathlib
from collections.abc import Sequence

import tensorflow as tf

from tfrecords import feed, memory_feed, records, stream_feed


def open_dataset(
    directory: pathlib.Path | str,
    *,
    splits: Sequence[str],
    label_values: Sequence[int],
    batch_size: int,
    class_weights: Sequence[float] | None = None,
    shuffle_seed: int | None = None,
    epoch: int = 0,
    memory_budget_mb: float = math.inf,
) -> tf.data.Dataset:
    """Opens a records directory as tf.data.

    Args:
        directory: a finished records directory.
        splits: such as ("fold_1", "fold_2").
        label_values: the stored labels that take part; the position of one is its class.
        batch_size: examples an element.
        class_weights: one weight a class, for elements with weights.
        shuffle_seed: None for file order, finite and complete; else full batches in the order of
            (shuffle_seed, epoch), and each later pass over them is the next epoch.
        epoch: number of the first pass, from 0.
        memory_budget_mb: MiB of decoded images that may be held in memory; where the splits need
            more, their shards are read in each pass.

    Returns:
        Elements (image float32 (b, height, width, slices) in [0, 1], label int64 (b,)), with a
        weight float32 (b,) as third if there are class weights.

    Raises:
        ValueError: it is no finished directory, or the splits have no example of the labels.
    """
    source = _open_feed(directory, splits, label_values, memory_budget_mb)
    if not source.num_examples:
        raise ValueError(
            f"{directory}: {', '.join(splits)} has no example of the labels "
            f"{', '.join(map(str, label_values))}"
        )
    if shuffle_seed is None:
        num_batches = math.ceil(source.num_examples / batch_size)
        batches = source.ordered(batch_size=batch_size)
    else:
        num_batches = feed.steps_per_epoch(source.num_examples, batch_size)
        batches = source.reshuffled(batch_size=batch_size, seed=shuffle_seed, first_epoch=epoch)

    def to_element(batch: feed.Batch) -> tuple[tf.Tensor, ...]:
        element = (feed.normalize(batch["image"], batch["window"]), batch["label"])
        if class_weights is None:
            return element
        return (*element, tf.gather(tf.constant(class_weights, tf.float32), batch["label"]))

    mapped = feed.mapped(batches, to_element, num_parallel_calls=tf.data.AUTOTUNE)
    elements = mapped.prefetch(2)
    # Keras shows how far an epoch has come only where it knows how long it is.
    return elements.apply(tf.data.experimental.assert_cardinality(num_batches))


def _open_feed(
    directory: pathlib.Path | str,
    splits: Sequence[str],
    label_values: Sequence[int],
    memory_budget_mb: float,
) -> feed.Feed:
    """What the splits hold, in memory while it fits."""
    opened = records.open_records(directory)
    if opened.decoded_mb(splits) <= memory_budget_mb:
        opened = opened.keeping(math.inf)
        return memory_feed.make_feed(records.load_examples(opened, splits, label_values))
    return stream_feed.StreamFeed(
        source=opened, splits=tuple(splits), label_values=tuple(label_values)
    )
