import dataclasses
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from tfrecords import feed, records

_LABELS = (0, 2)


@pytest.fixture(scope="module")
def opened(records_dir: pathlib.Path) -> records.Records:
    return records.open_records(records_dir)


@pytest.fixture(scope="module", params=["memory", "kept", "device", "stream"])
def any_feed(request: pytest.FixtureRequest, opened: records.Records) -> feed.Feed:
    if request.param != "stream":
        source = dataclasses.replace(opened, keep_mb=1) if request.param == "kept" else opened
        examples = records.load_examples(source, ["fold_0", "fold_1"], _LABELS)
        return feed.memory_feed(examples, on_device=request.param == "device")
    return feed.StreamFeed(source=opened, splits=("fold_0", "fold_1"), label_values=_LABELS)


def _joined(source: feed.Feed, elements: tf.data.Dataset, name: str) -> np.ndarray:
    return np.concatenate([source.complete(element)[name].numpy() for element in elements])


def test_ordered_gives_every_example_once_in_file_order(
    any_feed: feed.Feed, opened: records.Records
) -> None:
    examples = records.load_examples(opened, ["fold_0", "fold_1"], _LABELS)
    batches = any_feed.ordered(batch_size=5)
    assert any_feed.num_examples == len(examples) == 32
    np.testing.assert_array_equal(_joined(any_feed, batches, "image"), examples.images)
    np.testing.assert_array_equal(_joined(any_feed, batches, "window"), examples.windows)
    np.testing.assert_array_equal(_joined(any_feed, batches, "label"), examples.labels)


def test_shuffled_gives_full_batches_without_repeats(
    any_feed: feed.Feed, opened: records.Records
) -> None:
    images = _joined(any_feed, any_feed.shuffled(batch_size=5, seed=1, epoch=0), "image")
    assert len(images) == 30
    known = {
        image.tobytes()
        for image in records.load_examples(opened, ["fold_0", "fold_1"], _LABELS).images
    }
    assert len({image.tobytes() for image in images} & known) == 30


def test_epoch_is_a_function_of_seed_and_epoch(any_feed: feed.Feed) -> None:
    def order(seed: int, epoch: int) -> bytes:
        elements = any_feed.shuffled(batch_size=8, seed=seed, epoch=epoch)
        batches = [any_feed.complete(element) for element in elements]
        return b"".join(b["image"].numpy().tobytes() + b["seed"].numpy().tobytes() for b in batches)

    assert order(3, 4) == order(3, 4)
    assert len({order(3, 4), order(3, 5), order(4, 4)}) == 3


def test_passes_over_a_reshuffled_feed_are_the_epochs(any_feed: feed.Feed) -> None:
    def seen(elements: tf.data.Dataset) -> bytes:
        batches = [any_feed.complete(element) for element in elements]
        return b"".join(b["image"].numpy().tobytes() + b["seed"].numpy().tobytes() for b in batches)

    passes = any_feed.reshuffled(batch_size=5, seed=3, first_epoch=4)
    for epoch in (4, 5, 6):
        assert seen(passes) == seen(any_feed.shuffled(batch_size=5, seed=3, epoch=epoch))


def test_seeds_differ_between_all_examples_of_an_epoch(any_feed: feed.Feed) -> None:
    seeds = _joined(any_feed, any_feed.shuffled(batch_size=8, seed=0, epoch=0), "seed")
    assert len(np.unique(seeds, axis=0)) == 32


def test_batch_is_cut_to_the_examples_there_are(any_feed: feed.Feed) -> None:
    elements = any_feed.shuffled(batch_size=1000, seed=0, epoch=0)
    batches = [any_feed.complete(element) for element in elements]
    assert [int(batch["label"].shape[0]) for batch in batches] == [32]


def test_shuffle_order_is_golden(opened: records.Records) -> None:
    source = feed.MemoryFeed({"row": np.arange(10), "label": np.zeros(10, np.int64)})
    batches = source.shuffled(batch_size=5, seed=0, epoch=0)
    assert _joined(source, batches, "row").tolist() == [4, 6, 2, 7, 3, 5, 9, 0, 8, 1]


def test_feed_of_kept_images_shares_their_memory(records_dir: pathlib.Path) -> None:
    source = records.open_records(records_dir, keep_mb=1)
    examples = records.load_examples(source, ["fold_1"], (2,))
    made = feed.memory_feed(examples)
    pixels, rows = examples.decoded()
    pixels[rows[3]] = 7
    assert (_joined(made, made.ordered(batch_size=5), "image")[3] == 7).all()


def test_shuffle_order_does_not_depend_on_where_the_images_lie() -> None:
    pixels = np.arange(40, dtype=np.uint16).reshape(40, 1, 1, 1)
    rows = np.array([30, 2, 17, 5, 9, 39, 0, 12, 21, 8])
    labels = np.zeros(10, np.int64)
    shared = feed.MemoryFeed({"image": pixels, "label": labels}, rows={"image": rows})
    own = feed.MemoryFeed({"image": pixels[rows], "label": labels})
    one, other = (
        _joined(source, source.shuffled(batch_size=5, seed=0, epoch=0), "image").ravel()
        for source in (shared, own)
    )
    assert one.tolist() == other.tolist() == rows[[4, 6, 2, 7, 3, 5, 9, 0, 8, 1]].tolist()


def test_feed_of_no_example_is_made(opened: records.Records) -> None:
    none = records.load_examples(opened, ["fold_0"], (2,)).take(np.zeros(8, bool))
    for examples in (none, records.load_examples(opened, [], (0,))):
        assert feed.memory_feed(examples).num_examples == 0


def test_all_bits_of_stored_values_survive_the_gather() -> None:
    # Among them those that are no number when read as float16.
    images = np.arange(2**16, dtype=np.uint16).reshape(16, 64, 64, 1)
    arrays: dict[str, np.ndarray] = {"image": images, "label": np.zeros(16, np.int64)}
    for source in (feed.MemoryFeed(arrays), feed.DeviceFeed(arrays)):
        gathered = _joined(source, source.ordered(batch_size=5), "image")
        assert gathered.dtype == np.uint16
        np.testing.assert_array_equal(gathered, images)


def test_balanced_epoch_has_as_many_of_each_class_and_uses_all_of_the_rare_one() -> None:
    labels = np.array([0] * 24 + [1] * 6 + [2] * 3)
    source = feed.MemoryFeed({"row": np.arange(33), "label": labels}, balanced=True)
    rows = _joined(source, source.shuffled(batch_size=11, seed=0, epoch=0), "row")
    assert np.bincount(labels[rows]).tolist() == [11, 11, 11]
    assert {30, 31, 32} <= set(rows.tolist())
    assert len(set(rows[labels[rows] == 0])) == 11, "no repeat where there are enough"
    later = _joined(source, source.shuffled(batch_size=11, seed=0, epoch=1), "row")
    assert set(rows) != set(later)
    assert _joined(source, source.ordered(batch_size=4), "row").tolist() == list(range(33))


def test_normalize_equals_numpy_and_works_in_a_map(opened: records.Records) -> None:
    examples = records.load_examples(opened, ["test"], _LABELS)
    eager = feed.normalize(tf.constant(examples.images), tf.constant(examples.windows))
    np.testing.assert_allclose(eager, examples.normalized(), atol=1e-6)
    mapped = tf.data.Dataset.from_tensors((examples.images, examples.windows)).map(feed.normalize)
    np.testing.assert_array_equal(next(iter(mapped)), eager)


def test_window_of_no_width_does_not_divide_by_zero() -> None:
    image = tf.constant([[[[5], [6], [7]]]], tf.uint16)
    result = feed.normalize(image, tf.constant([[6.0, 6.0]]))
    np.testing.assert_array_equal(tf.reshape(result, -1), [0.0, 0.0, 1.0])


def test_open_dataset_gives_images_labels_and_weights(records_dir: pathlib.Path) -> None:
    dataset = feed.open_dataset(
        str(records_dir),
        splits=["fold_0"],
        label_values=_LABELS,
        batch_size=6,
        class_weights=(1.0, 4.0),
    )
    image, label, weight = next(iter(dataset))
    assert image.shape == (6, 32, 32, 1)
    assert 0.0 <= float(tf.reduce_min(image)) <= float(tf.reduce_max(image)) <= 1.0
    np.testing.assert_array_equal(weight, np.where(label == 1, 4.0, 1.0))
    assert sum(int(label.shape[0]) for _, label, _ in dataset) == 16


def test_open_dataset_shuffles_by_seed(records_dir: pathlib.Path) -> None:
    def labels(seed: int | None) -> list[int]:
        dataset = feed.open_dataset(
            str(records_dir),
            splits=["fold_0"],
            label_values=(0, 1, 2),
            batch_size=24,
            shuffle_seed=seed,
        )
        return next(iter(dataset))[1].numpy().tolist()

    assert labels(None) == [0, 1, 2] * 8
    assert labels(1) == labels(1) != labels(2)


def test_stream_without_label_values_gives_every_record_and_the_fields_asked_for(
    opened: records.Records,
) -> None:
    fields = ("window", "study_id")
    stream = feed.StreamFeed(source=opened, splits=("fold_0",), label_values=None, fields=fields)

    assert stream.num_examples == 24
    batches = [*stream.ordered(batch_size=5)]
    assert set(batches[0]) == {"window", "study_id", "seed"}
    expected = [values["study_id"] for values in records.iterate(opened, ["fold_0"])]
    assert np.concatenate([batch["study_id"] for batch in batches]).tolist() == expected


def test_memory_feed_needs_no_label_unless_it_balances() -> None:
    arrays = {"points": np.arange(6, dtype=np.float32).reshape(3, 2)}
    source = feed.MemoryFeed(arrays)
    (batch,) = source.ordered(batch_size=3)
    assert source.num_examples == 3
    np.testing.assert_array_equal(batch["points"], arrays["points"])
    with pytest.raises(ValueError, match="balanced epochs need label"):
        feed.MemoryFeed(arrays, balanced=True)
