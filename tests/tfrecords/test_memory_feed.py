import pathlib

import numpy as np
import pytest
import tensorflow as tf

from tfrecords import memory_feed, records


def _joined(source: memory_feed.MemoryFeed, elements: tf.data.Dataset, name: str) -> np.ndarray:
    return np.concatenate([source.complete(element)[name].numpy() for element in elements])


def test_shuffle_order_is_golden() -> None:
    source = memory_feed.MemoryFeed({"row": np.arange(10), "label": np.zeros(10, np.int64)})
    batches = source.shuffled(batch_size=5, seed=0, epoch=0)
    assert _joined(source, batches, "row").tolist() == [4, 6, 2, 7, 3, 5, 9, 0, 8, 1]


def test_feed_of_kept_images_shares_their_memory(records_dir: pathlib.Path) -> None:
    source = records.open_records(records_dir, keep_mb=1)
    examples = records.load_examples(source, ["fold_1"], (2,))
    made = memory_feed.make_feed(examples)
    pixels, rows = examples.decoded()
    pixels[rows[3]] = 7
    assert (_joined(made, made.ordered(batch_size=5), "image")[3] == 7).all()


def test_shuffle_order_does_not_depend_on_where_the_images_lie() -> None:
    pixels = np.arange(40, dtype=np.uint16).reshape(40, 1, 1, 1)
    rows = np.array([30, 2, 17, 5, 9, 39, 0, 12, 21, 8])
    labels = np.zeros(10, np.int64)
    shared = memory_feed.MemoryFeed({"image": pixels, "label": labels}, rows={"image": rows})
    own = memory_feed.MemoryFeed({"image": pixels[rows], "label": labels})
    one, other = (
        _joined(source, source.shuffled(batch_size=5, seed=0, epoch=0), "image").ravel()
        for source in (shared, own)
    )
    assert one.tolist() == other.tolist() == rows[[4, 6, 2, 7, 3, 5, 9, 0, 8, 1]].tolist()


def test_feed_of_no_example_is_made(records_dir: pathlib.Path) -> None:
    opened = records.open_records(records_dir)
    none = records.load_examples(opened, ["fold_0"], (2,)).take(np.zeros(8, bool))
    for examples in (none, records.load_examples(opened, [], (0,))):
        assert memory_feed.make_feed(examples).num_examples == 0


def test_all_bits_of_stored_values_survive_the_gather() -> None:
    # Among them those that are no number when read as float16.
    images = np.arange(2**16, dtype=np.uint16).reshape(16, 64, 64, 1)
    arrays: dict[str, np.ndarray] = {"image": images, "label": np.zeros(16, np.int64)}
    for source in (memory_feed.MemoryFeed(arrays), memory_feed.DeviceFeed(arrays)):
        gathered = _joined(source, source.ordered(batch_size=5), "image")
        assert gathered.dtype == np.uint16
        np.testing.assert_array_equal(gathered, images)


def test_balanced_epoch_has_as_many_of_each_class_and_uses_all_of_the_rare_one() -> None:
    labels = np.array([0] * 24 + [1] * 6 + [2] * 3)
    source = memory_feed.MemoryFeed({"row": np.arange(33), "label": labels}, balanced=True)
    rows = _joined(source, source.shuffled(batch_size=11, seed=0, epoch=0), "row")
    assert np.bincount(labels[rows]).tolist() == [11, 11, 11]
    assert {30, 31, 32} <= set(rows.tolist())
    assert len(set(rows[labels[rows] == 0])) == 11, "no repeat where there are enough"
    later = _joined(source, source.shuffled(batch_size=11, seed=0, epoch=1), "row")
    assert set(rows) != set(later)
    assert _joined(source, source.ordered(batch_size=4), "row").tolist() == list(range(33))


def test_memory_feed_needs_no_label_unless_it_balances() -> None:
    arrays = {"points": np.arange(6, dtype=np.float32).reshape(3, 2)}
    source = memory_feed.MemoryFeed(arrays)
    (batch,) = source.ordered(batch_size=3)
    assert source.num_examples == 3
    np.testing.assert_array_equal(batch["points"], arrays["points"])
    with pytest.raises(ValueError, match="balanced epochs need label"):
        memory_feed.MemoryFeed(arrays, balanced=True)
