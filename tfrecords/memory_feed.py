"""Batches gathered by index from decoded examples, held by the host or by the device."""

import types
from collections.abc import Iterable, Mapping

import numpy as np
import tensorflow as tf

from tfrecords import feed, records, stored_images

_PARALLEL_GATHERS = 2


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
            rows: in an array with other rows, which of them are the examples', int64 (n,). Such
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

        def epoch_of(epoch: int) -> Iterable[feed.Batch]:
            elements = self._epoch(batch_size, seed, epoch)
            return [
                dict(zip(elements, row, strict=True))
                for row in zip(*elements.values(), strict=True)
            ]

        spec = tf.data.Dataset.from_tensor_slices(self._epoch(batch_size, seed, 0)).element_spec
        return self._prefetched(feed.passes(epoch_of, first_epoch, spec))

    def _epoch(self, batch_size: int, seed: int, epoch: int) -> dict[str, np.ndarray]:
        """Which examples each step of an epoch takes, int64 (steps, b), and their seeds."""
        batch_size = min(batch_size, self.num_examples)
        steps = feed.steps_per_epoch(self.num_examples, batch_size)
        order = self._order(np.random.default_rng([seed, epoch]))
        first = feed.first_seed(seed, epoch)
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

    def complete(self, batch: feed.Batch) -> feed.Batch:
        return batch

    def _prefetched(self, elements: tf.data.Dataset) -> tf.data.Dataset:
        gathered = feed.mapped(elements, self._gather, num_parallel_calls=_PARALLEL_GATHERS)
        batches = gathered.prefetch(2)
        # There is nothing to optimise, and looking for it takes longer than an epoch of few crops.
        options = tf.data.Options()
        options.experimental_optimization.apply_default_optimizations = False
        options.autotune.enabled = False
        return feed.unsharded(batches.with_options(options))

    def _order(self, generator: np.random.Generator) -> np.ndarray:
        """The examples of an epoch, int64 (num_examples,)."""
        if self._labels is None:
            return generator.permutation(self.num_examples)
        classes = np.unique(self._labels)
        of_class = [np.flatnonzero(self._labels == label) for label in classes]
        share = -(-self.num_examples // len(classes))
        drawn = [_repeated(generator, members, share) for members in of_class]
        return generator.permutation(np.concatenate(drawn))[: self.num_examples]

    def _gather(self, element: feed.Batch) -> feed.Batch:
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

    def complete(self, batch: feed.Batch) -> feed.Batch:
        return self._gather(batch)

    def _prefetched(self, elements: tf.data.Dataset) -> tf.data.Dataset:
        return elements.prefetch(2)


def make_feed(
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
