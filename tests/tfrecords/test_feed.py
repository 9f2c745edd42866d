import dataclasses
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from tfrecords import feed, memory_feed, records, stream_feed

_LABELS = (0, 2)


@pytest.fixture(scope="module")
def opened(records_dir: pathlib.Path) -> records.Records:
    return records.open_records(records_dir)


@pytest.fixture(scope="module", params=["memory", "kept", "device", "stream"])
def any_feed(request: pytest.FixtureRequest, opened: records.Records) -> feed.Feed:
    if request.param != "stream":
        source = dataclasses.replace(opened, keep_mb=1) if request.param == "kept" else opened
        examples = records.load_examples(source, ["fold_0", "fold_1"], _LABELS)
        return memory_feed.make_feed(examples, on_device=request.param == "device")
    return stream_feed.StreamFeed(source=opened, splits=("fold_0", "fold_1"), label_values=_LABELS)


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
