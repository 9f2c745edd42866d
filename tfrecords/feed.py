"""Examples as tf.data: from memory by index, or streamed from the shards.

In file order all feeds give the same batches. A shuffled epoch is a function of (seed, epoch), so
an interrupted run goes on with the batches it would have seen, and has the same number of full
batches in each. Which examples meet in a batch is not the same: from memory the order is a
permutation of all of them; streamed, the shards are permuted and a record comes at most 1,024
places before its turn, so a run that streams does not end with the weights of one that doesn't. A
balanced epoch is made in memory alone.

Streaming holds the 1,024 serialised records of the shuffle, and a few batches of decoded ones.
"""

import dataclasses
import itertools
import math
import pathlib
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from tfrecords import records, schema, stored_images

Batch = dict[str, tf.Tensor]

_SHUFFLE_BUFFER = 1024
_PARSE_BATCH = 128
_PARALLEL_READS = 2
# Each holds a batch of _PARSE_BATCH: one a core would be gigabytes on some machines.
_PARALLEL_PARSES = 4
_PARALLEL_GATHERS = 2


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
        epoch: of the first pass.
        memory_budget_mb: MiB of decoded images that may be held in memory; where the splits need
            more, their shards are read in each pass.

    Returns:
        Elements (image float32 (b, height, width, slices) in [0, 1], label int64 (b,)), with a
        weight float32 (b,) as third if there are class weights.

    Raises:
        ValueError: it is no finished directory, or the splits have no example of the labels.
    """
    feed = _open_feed(directory, splits, label_values, memory_budget_mb)
    if not feed.num_examples:
        raise ValueError(
            f"{directory}: {', '.join(splits)} has no example of the labels "
            f"{', '.join(map(str, label_values))}"
        )
    if shuffle_seed is None:
        num_batches = math.ceil(feed.num_examples / batch_size)
        batches = feed.ordered(batch_size=batch_size)
    else:
        num_batches = steps_per_epoch(feed.num_examples, batch_size)
        batches = feed.reshuffled(batch_size=batch_size, seed=shuffle_seed, first_epoch=epoch)

    def to_element(batch: Batch) -> tuple[tf.Tensor, ...]:
        element = (normalize(batch["image"], batch["window"]), batch["label"])
        if class_weights is None:
            return element
        return (*element, tf.gather(tf.constant(class_weights, tf.float32), batch["label"]))

    elements = batches.map(to_element, num_parallel_calls=tf.data.AUTOTUNE).prefetch(2)
    # Keras shows how far an epoch has come only where it knows how long it is.
    return elements.apply(tf.data.experimental.assert_cardinality(num_batches))


def _open_feed(
    directory: pathlib.Path | str,
    splits: Sequence[str],
    label_values: Sequence[int],
    memory_budget_mb: float,
) -> Feed:
    """What the splits hold, in memory while it fits."""
    opened = records.open_records(directory)
    if opened.decoded_mb(splits) <= memory_budget_mb:
        opened = opened.keeping(math.inf)
        return memory_feed(records.load_examples(opened, splits, label_values))
    return StreamFeed(source=opened, splits=tuple(splits), label_values=tuple(label_values))


class MemoryFeed:
    """Batches gathered by index from arrays that are held decoded, on the host."""

    # A GPU would otherwise take the whole data set when the arrays become tensors.
    _device = "CPU:0"

    def __init__(
        self,
        arrays: Mapping[str, np.ndarray],
        *,
        rows: Mapping[str, np.ndarray] = types.MappingProxyType({}),
        balanced: bool = False,
    ) -> None:
        """Takes what a batch is gathered from.

        Args:
            arrays: n rows each. `seed` is added to every batch.
            rows: of an array with other rows, which of them are the examples', int64 (n,). Such
                an array is shared with others: it must stay as it is.
            balanced: a shuffled epoch has as many examples of each value of `label` that there is.

        Raises:
            ValueError: it is to be balanced and has no label.
        """
        if balanced and "label" not in arrays:
            raise ValueError(f"balanced epochs need label, the arrays are {', '.join(arrays)}")
        self._num_examples = next(len(rows.get(name, array)) for name, array in arrays.items())
        self._labels = np.asarray(arrays["label"]) if balanced else None
        with tf.device(self._device):
            self._arrays = {
                name: _gatherable(_shared(array) if name in rows else tf.constant(array))
                for name, array in arrays.items()
            }
            self._rows = {name: tf.constant(of_array) for name, of_array in rows.items()}
        self._dtypes = {name: array.dtype for name, array in arrays.items()}

    @property
    def num_examples(self) -> int:
        return self._num_examples

    def shuffled(self, *, batch_size: int, seed: int, epoch: int) -> tf.data.Dataset:
        elements = self._epoch(batch_size, seed, epoch)
        return self._prefetched(tf.data.Dataset.from_tensor_slices(elements))

    def reshuffled(self, *, batch_size: int, seed: int, first_epoch: int) -> tf.data.Dataset:

        def epoch_of(epoch: int) -> Iterable[Batch]:
            elements = self._epoch(batch_size, seed, epoch)
            return [
                dict(zip(elements, row, strict=True))
                for row in zip(*elements.values(), strict=True)
            ]

        spec = tf.data.Dataset.from_tensor_slices(self._epoch(batch_size, seed, 0)).element_spec
        return self._prefetched(_passes(epoch_of, first_epoch, spec))

    def _epoch(self, batch_size: int, seed: int, epoch: int) -> dict[str, np.ndarray]:
        """Which examples each step of an epoch takes, int64 (steps, b), and their seeds."""
        batch_size = min(batch_size, self.num_examples)
        steps = steps_per_epoch(self.num_examples, batch_size)
        order = self._order(np.random.default_rng([seed, epoch]))
        first = _first_seed(seed, epoch)
        second = np.arange(steps * batch_size)
        seeds = np.stack([np.full_like(second, first), second], axis=1).astype(np.int32)
        return {
            "index": order[: steps * batch_size].reshape(steps, batch_size),
            "seed": seeds.reshape(steps, batch_size, 2),
        }

    def ordered(self, *, batch_size: int) -> tf.data.Dataset:
        elements = {
            "index": np.arange(self.num_examples),
            "seed": np.zeros((self.num_examples, 2), np.int32),
        }
        return self._prefetched(tf.data.Dataset.from_tensor_slices(elements).batch(batch_size))

    def complete(self, batch: Batch) -> Batch:
        return batch

    def _prefetched(self, elements: tf.data.Dataset) -> tf.data.Dataset:
        batches = elements.map(self._gather, num_parallel_calls=_PARALLEL_GATHERS).prefetch(2)
        # There is nothing to optimise, and looking for it takes longer than an epoch of few crops.
        options = tf.data.Options()
        options.experimental_optimization.apply_default_optimizations = False
        options.autotune.enabled = False
        return _unsharded(batches.with_options(options))

    def _order(self, generator: np.random.Generator) -> np.ndarray:
        """The examples of an epoch, int64 (num_examples,)."""
        if self._labels is None:
            return generator.permutation(self.num_examples)
        classes = np.unique(self._labels)
        of_class = [np.flatnonzero(self._labels == label) for label in classes]
        share = -(-self.num_examples // len(classes))
        drawn = [_repeated(generator, members, share) for members in of_class]
        return generator.permutation(np.concatenate(drawn))[: self.num_examples]

    def _gather(self, element: Batch) -> Batch:
        batch = {"seed": element["seed"]}
        for name, array in self._arrays.items():
            index = element["index"]
            if name in self._rows:
                index = tf.gather(self._rows[name], index)
            batch[name] = _restored(tf.gather(array, index), self._dtypes[name])
        return batch


class DeviceFeed(MemoryFeed):
    """Batches gathered on the device that trains, which holds the arrays; only indices travel."""

    _device = ""

    def complete(self, batch: Batch) -> Batch:
        return self._gather(batch)

    def _prefetched(self, elements: tf.data.Dataset) -> tf.data.Dataset:
        return elements.prefetch(2)


def memory_feed(
    examples: records.Examples,
    *,
    on_device: bool = False,
    balanced: bool = False,
    extra: Mapping[str, np.ndarray] | None = None,
) -> MemoryFeed:
    """Returns a feed of decoded examples, which shares their images unless a device holds them.

    Args:
        examples: what it gives.
        on_device: they are held by the device that trains instead of the host.
        balanced: a shuffled epoch has as many examples of each class that there is.
        extra: what batches hold besides, one row an example.
    """
    arrays = {"window": examples.windows, "label": examples.labels, **(extra or {})}
    if on_device:
        return DeviceFeed({"image": examples.images, **arrays}, balanced=balanced)
    pixels, rows = examples.decoded()
    return MemoryFeed({"image": pixels, **arrays}, rows={"image": rows}, balanced=balanced)


@dataclasses.dataclass(frozen=True, kw_only=True)
class StreamFeed:
    """Batches parsed from the shards each epoch, for what does not fit in memory.

    Attributes:
        source: an open directory.
        splits: the splits that are read.
        label_values: the labels that take part; the position of one is its class. None: every
            record takes part, its label as it is stored.
        fields: of a record that a batch holds; `label` among them where there are label values.
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

    def reshuffled(self, *, batch_size: int, seed: int, first_epoch: int) -> tf.data.Dataset:
        def epoch_of(epoch: int) -> tf.data.Dataset:
            return self.shuffled(batch_size=batch_size, seed=seed, epoch=epoch)

        return _unsharded(_passes(epoch_of, first_epoch, epoch_of(first_epoch).element_spec))

    def ordered(self, *, batch_size: int) -> tf.data.Dataset:
        batches = self._parsed(tf.data.TFRecordDataset(self._paths())).rebatch(batch_size)
        batches = batches.map(
            lambda batch: {
                **batch,
                "seed": tf.zeros((tf.shape(batch[self.fields[0]])[0], 2), tf.int32),
            }
        )
        return _unsharded(batches).prefetch(2)

    def complete(self, batch: Batch) -> Batch:
        return batch

    def _paths(self) -> list[str]:
        return [
            str(self.source.directory / part.file) for part in self.source.shards_of(self.splits)
        ]

    def _parsed(self, serialized: tf.data.Dataset) -> tf.data.Dataset:

        def parse(serialized: tf.Tensor) -> Batch:
            parsed = parse_batch(self.source.schema, serialized, self.fields)
            if self.label_values is None:
                return parsed
            values = tf.constant(self.label_values, tf.int64)
            matches = parsed["label"][:, tf.newaxis] == values
            takes_part = tf.reduce_any(matches, axis=1)
            parsed["label"] = tf.argmax(tf.cast(matches, tf.int8), axis=1)
            return {name: tf.boolean_mask(value, takes_part) for name, value in parsed.items()}

        return serialized.batch(_PARSE_BATCH).map(
            parse, num_parallel_calls=_PARALLEL_PARSES, deterministic=True
        )


def _passes(
    epoch_of: Callable[[int], Iterable[Batch]], first_epoch: int, spec: Any
) -> tf.data.Dataset:
    """A data set whose passes are the epochs from the first one on."""
    epochs = itertools.count(first_epoch)
    return tf.data.Dataset.from_generator(
        lambda: iter(epoch_of(next(epochs))), output_signature=spec
    )


def parse_batch(record_schema: schema.Schema, serialized: tf.Tensor, names: Sequence[str]) -> Batch:
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


def _shared(array: np.ndarray) -> tf.Tensor:
    """The array as a tensor of the same memory, if it begins where TensorFlow's own would."""
    if array.ctypes.data % stored_images.ALIGNMENT:
        return tf.constant(array)
    return tf.experimental.dlpack.from_dlpack(array.__dlpack__())


def _gatherable(tensor: tf.Tensor) -> tf.Tensor:
    """The tensor; uint16, which no GPU gathers, as the same bits of a float16."""
    return tf.bitcast(tensor, tf.float16) if tensor.dtype == tf.uint16 else tensor


def _restored(gathered: tf.Tensor, dtype: np.dtype) -> tf.Tensor:
    return tf.bitcast(gathered, tf.uint16) if dtype == np.uint16 else gathered


def _repeated(generator: np.random.Generator, members: np.ndarray, count: int) -> np.ndarray:
    """Draws `count` of the members, each as often as the others, give or take one."""
    rounds = [generator.permutation(members) for _ in range(-(-count // len(members)))]
    return np.concatenate(rounds)[:count]


def _seeds(seed: int, epoch: int, step: tf.Tensor, batch_size: int) -> tf.Tensor:
    first = _first_seed(seed, epoch)
    second = tf.cast(step, tf.int32) * batch_size + tf.range(batch_size, dtype=tf.int32)
    return tf.stack([tf.fill([batch_size], first), second], axis=1)


def _first_seed(seed: int, epoch: int) -> int:
    return int(np.random.default_rng([seed, epoch]).integers(2**31))


def _unsharded(batches: tf.data.Dataset) -> tf.data.Dataset:
    # Replicas split each batch; splitting by file would give each of them other examples.
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return batches.with_options(options)
