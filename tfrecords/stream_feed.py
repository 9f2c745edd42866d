"""Batches parsed from the shards, for what does not fit in memory.

Streaming holds the 1,024 serialised records of the shuffle, and a few batches of decoded ones.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfrecords import feed, records, schema

_SHUFFLE_BUFFER = 1024
_PARSE_BATCH = 128
_PARALLEL_READS = 2
# Each holds a batch: one a core would be gigabytes on some machines.
_PARALLEL_PARSES = 4


@dataclasses.dataclass(frozen=True, kw_only=True)
class StreamFeed:
    """Batches parsed from the shards each epoch, for what does not fit in memory.

    Attributes:
        source: an open directory.
        splits: the splits that are read.
        label_values: the labels that take part; the position of one is its class. None: every
            record takes part, its label as it is stored.
        fields: the record's that a batch holds; `label` among them where there are label values.
    """

    source: records.Records
    splits: tuple[str, ...]
    label_values: tuple[int, ...] | None
    fields: tuple[str, ...] = ("image", "window", "label")

    def __post_init__(self) -> None:
        # Before TensorFlow reads the shards, which says of a damaged one what nobody can mend.
        self.source.index(self.splits)

    @property
    def num_examples(self) -> int:
        index = self.source.index(self.splits)
        if self.label_values is None:
            return len(index)
        return int(np.isin(index.columns["label"], self.label_values).sum())

    @property
    def _is_whole(self) -> bool:
        """Whether every record takes part."""
        return self.num_examples == len(self.source.index(self.splits))

    def shuffled(self, *, batch_size: int, seed: int, epoch: int) -> tf.data.Dataset:
        batch_size = min(batch_size, self.num_examples)
        generator = np.random.default_rng([seed, epoch])
        paths = generator.permutation(self._paths())
        # Serialized strings are shuffled, not images: a buffer of them costs no decoding.
        serialized = tf.data.TFRecordDataset(paths, num_parallel_reads=_PARALLEL_READS)
        serialized = serialized.shuffle(_SHUFFLE_BUFFER, seed=int(generator.integers(2**31)))
        batches = self._batches(serialized, batch_size, drop_remainder=True)
        batches = feed.mapped(
            batches.enumerate(),
            lambda step, batch: {**batch, "seed": _seeds(seed, epoch, step, batch_size)},
        )
        return feed.unsharded(batches).prefetch(2)

    def reshuffled(self, *, batch_size: int, seed: int, first_epoch: int) -> tf.data.Dataset:
        def epoch_of(epoch: int) -> tf.data.Dataset:
            return self.shuffled(batch_size=batch_size, seed=seed, epoch=epoch)

        return feed.unsharded(
            feed.passes(epoch_of, first_epoch, epoch_of(first_epoch).element_spec)
        )

    def ordered(self, *, batch_size: int) -> tf.data.Dataset:
        batches = self._batches(tf.data.TFRecordDataset(self._paths()), batch_size)
        batches = feed.mapped(
            batches,
            lambda batch: {
                **batch,
                "seed": tf.zeros((tf.shape(batch[self.fields[0]])[0], 2), tf.int32),
            },
        )
        return feed.unsharded(batches).prefetch(2)

    def complete(self, batch: feed.Batch) -> feed.Batch:
        return batch

    def _paths(self) -> list[str]:
        return [
            str(self.source.directory / part.file) for part in self.source.shards_of(self.splits)
        ]

    def _batches(
        self, serialized: tf.data.Dataset, batch_size: int, *, drop_remainder: bool = False
    ) -> tf.data.Dataset:
        """Returns parsed batches; without the rows of other tasks, which are gone only then."""
        if self._is_whole:
            return self._parsed(serialized.batch(batch_size, drop_remainder=drop_remainder))
        # Of any size, so of one that a vectorised parse is fast with.
        parsed = self._parsed(serialized.batch(_PARSE_BATCH))
        return parsed.rebatch(batch_size, drop_remainder=drop_remainder)

    def _parsed(self, serialized: tf.data.Dataset) -> tf.data.Dataset:
        is_whole = self._is_whole

        def parse(serialized: tf.Tensor) -> feed.Batch:
            parsed = _parse_batch(self.source.schema, serialized, self.fields)
            if self.label_values is None:
                return parsed
            values = tf.constant(self.label_values, tf.int64)
            matches = parsed["label"][:, tf.newaxis] == values
            parsed["label"] = tf.argmax(tf.cast(matches, tf.int8), axis=1)
            if is_whole:
                return parsed
            takes_part = tf.reduce_any(matches, axis=1)
            return {name: tf.boolean_mask(value, takes_part) for name, value in parsed.items()}

        return feed.mapped(
            serialized, parse, num_parallel_calls=_PARALLEL_PARSES, deterministic=True
        )


def _parse_batch(
    record_schema: schema.Schema, serialized: tf.Tensor, names: Sequence[str]
) -> feed.Batch:
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
    first = feed.first_seed(seed, epoch)
    second = tf.cast(step, tf.int32) * batch_size + tf.range(batch_size, dtype=tf.int32)
    return tf.stack([tf.fill([batch_size], first), second], axis=1)
