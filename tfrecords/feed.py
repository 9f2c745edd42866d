"""Examples as tf.data: from memory by index, or streamed from the shards.

Both feeds give the same elements. An epoch is a function of (seed, epoch), so an interrupted run
goes on with the batches it would have seen.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from tfrecords import records, schema

_SHUFFLE_BUFFER = 4096
_PARSE_BATCH = 256
_PARALLEL_READS = 4


class Feed(Protocol):
    """Where training batches come from.

    A batch is a dict. Of a records directory: image uint16 (b, height, width, slices); window
    float32 (b, 2); label int64 (b,), the class. Always: seed int32 (b, 2), different for every
    example of every step.
    """

    @property
    def num_examples(self) -> int:
        """Examples that take part in an epoch."""

    def shuffled(self, *, batch_size: int, seed: int, epoch: int) -> tf.data.Dataset:
        """One epoch in the order of (seed, epoch); `steps_per_epoch` full batches."""

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


def open_dataset(
    directory: str,
    *,
    splits: Sequence[str],
    label_values: Sequence[int],
    batch_size: int,
    class_weights: Sequence[float] | None = None,
    shuffle_seed: int | None = None,
    epoch: int = 0,
) -> tf.data.Dataset:
    """Opens a records directory as tf.data.

    Args:
        directory: a finished records directory.
        splits: such as ("fold_1", "fold_2").
        label_values: the stored labels that take part; the position of one is its class.
        batch_size: examples an element.
        class_weights: one weight a class, for elements with weights.
        shuffle_seed: None for file order, finite and complete; else full batches in the order of
            (shuffle_seed, epoch).
        epoch: which order.

    Returns:
        Elements (image float32 (b, height, width, slices) in [0, 1], label int64 (b,)), with a
        weight float32 (b,) as third if there are class weights.
    """
    opened = records.open_records(directory)
    feed = memory_feed(records.load_examples(opened, splits, label_values))
    if shuffle_seed is None:
        batches = feed.ordered(batch_size=batch_size)
    else:
        batches = feed.shuffled(batch_size=batch_size, seed=shuffle_seed, epoch=epoch)

    def to_element(batch: dict[str, tf.Tensor]) -> tuple[tf.Tensor, ...]:
        element = (normalize(batch["image"], batch["window"]), batch["label"])
        if class_weights is None:
            return element
        return (*element, tf.gather(tf.constant(class_weights, tf.float32), batch["label"]))

    return batches.map(to_element, num_parallel_calls=tf.data.AUTOTUNE).prefetch(2)


class MemoryFeed:
    """Batches gathered by index from arrays that are held decoded."""

    def __init__(self, arrays: Mapping[str, np.ndarray]):
        """Takes what a batch is gathered from.

        Args:
            arrays: n rows each; `label` int64 (n,) among them. `seed` is added to every batch.
        """
        # On the host: a GPU would otherwise take the whole data set at this conversion.
        with tf.device("CPU:0"):
            self._arrays = {name: tf.constant(array) for name, array in arrays.items()}

    @property
    def num_examples(self) -> int:
        return int(self._arrays["label"].shape[0])

    def shuffled(self, *, batch_size: int, seed: int, epoch: int) -> tf.data.Dataset:
        batch_size = min(batch_size, self.num_examples)
        steps = steps_per_epoch(self.num_examples, batch_size)
        order = np.random.default_rng([seed, epoch]).permutation(self.num_examples)
        batches = tf.data.Dataset.from_tensor_slices(
            order[: steps * batch_size].reshape(steps, batch_size)
        )
        batches = batches.enumerate().map(
            lambda step, index: self._gather(index, _seeds(seed, epoch, step, batch_size)),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
        return _unsharded(batches).prefetch(2)

    def ordered(self, *, batch_size: int) -> tf.data.Dataset:
        index = tf.data.Dataset.range(self.num_examples).batch(batch_size)
        batches = index.map(
            lambda index: self._gather(index, tf.zeros((tf.size(index), 2), tf.int32)),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
        return _unsharded(batches).prefetch(2)

    def _gather(self, index: tf.Tensor, seeds: tf.Tensor) -> dict[str, tf.Tensor]:
        batch = {name: tf.gather(array, index) for name, array in self._arrays.items()}
        return {**batch, "seed": seeds}


def memory_feed(examples: records.Examples) -> MemoryFeed:
    """Returns a feed of decoded examples."""
    return MemoryFeed(
        {"image": examples.images, "window": examples.windows, "label": examples.labels}
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class StreamFeed:
    """Batches parsed from the shards each epoch, for what does not fit in memory.

    Attributes:
        source: an open directory.
        splits: the splits that are read.
        label_values: the labels that take part; the position of one is its class.
    """

    source: records.Records
    splits: tuple[str, ...]
    label_values: tuple[int, ...]

    @property
    def num_examples(self) -> int:
        names = self.source.schema["label"].class_names or ()
        counts = self.source.manifest.class_counts
        return sum(
            counts[split].get(names[value], 0)
            for split in self.splits
            for value in self.label_values
        )

    def shuffled(self, *, batch_size: int, seed: int, epoch: int) -> tf.data.Dataset:
        batch_size = min(batch_size, self.num_examples)
        generator = np.random.default_rng([seed, epoch])
        paths = generator.permutation(self._paths())
        # Serialized strings are shuffled, not images: a buffer of them costs no decoding.
        serialized = tf.data.TFRecordDataset(paths, num_parallel_reads=_PARALLEL_READS)
        serialized = serialized.shuffle(_SHUFFLE_BUFFER, seed=int(generator.integers(2**31)))
        # Parsed in large batches, since one vectorised parse serves them all, and cut to size after
        # the rows of other tasks are gone.
        batches = self._parsed(serialized).rebatch(batch_size, drop_remainder=True)
        batches = batches.enumerate().map(
            lambda step, batch: {**batch, "seed": _seeds(seed, epoch, step, batch_size)}
        )
        return _unsharded(batches).prefetch(2)

    def ordered(self, *, batch_size: int) -> tf.data.Dataset:
        batches = self._parsed(tf.data.TFRecordDataset(self._paths())).rebatch(batch_size)
        batches = batches.map(
            lambda batch: {**batch, "seed": tf.zeros((tf.size(batch["label"]), 2), tf.int32)}
        )
        return _unsharded(batches).prefetch(2)

    def _paths(self) -> list[str]:
        return [
            str(self.source.directory / part.file) for part in self.source.shards_of(self.splits)
        ]

    def _parsed(self, serialized: tf.data.Dataset) -> tf.data.Dataset:
        values = tf.constant(self.label_values, tf.int64)

        def parse(batch: tf.Tensor) -> dict[str, tf.Tensor]:
            parsed = parse_batch(self.source.schema, batch, ("image", "window", "label"))
            matches = parsed["label"][:, tf.newaxis] == values
            takes_part = tf.reduce_any(matches, axis=1)
            parsed["label"] = tf.argmax(tf.cast(matches, tf.int8), axis=1)
            return {name: tf.boolean_mask(value, takes_part) for name, value in parsed.items()}

        return serialized.batch(_PARSE_BATCH).map(
            parse, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
        )


def parse_batch(
    record_schema: schema.Schema, serialized: tf.Tensor, names: Sequence[str]
) -> dict[str, tf.Tensor]:
    """Parses serialized records in one vectorised call.

    Args:
        record_schema: the fields of a record.
        serialized: string (b,).
        names: the fields that are wanted.

    Returns:
        One tensor a field, of the field's dtype, (b, *shape).
    """
    dtypes = {"int64": tf.int64, "float32": tf.float32}
    spec: dict[str, Any] = {}
    for name in names:
        feature = record_schema[name]
        is_numeric = feature.dtype in dtypes
        spec[name] = tf.io.FixedLenFeature(
            feature.shape if is_numeric else (), dtypes.get(feature.dtype, tf.string)
        )
    parsed = tf.io.parse_example(serialized, spec)
    for name in names:
        feature = record_schema[name]
        if feature.dtype == "uint16":
            raw = tf.io.decode_raw(parsed[name], tf.uint16, little_endian=True)
            parsed[name] = tf.reshape(raw, (-1, *feature.shape))
    return parsed


def _seeds(seed: int, epoch: int, step: tf.Tensor, batch_size: int) -> tf.Tensor:
    first = int(np.random.default_rng([seed, epoch]).integers(2**31))
    second = tf.cast(step, tf.int32) * batch_size + tf.range(batch_size, dtype=tf.int32)
    return tf.stack([tf.fill([batch_size], first), second], axis=1)


def _unsharded(batches: tf.data.Dataset) -> tf.data.Dataset:
    # Replicas split each batch; splitting by file would give each of them other examples.
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return batches.with_options(options)
