"""A frozen backbone's features of every image: computed once, of the image or of copies of it."""

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from spine_tf.augmentation import changes, copies as copies_module
from spine_tf.configuration import data_config
from spine_tf.training import step
from tfrecords import feed

_BATCH = 128
# Folded into the run's seed, so that the copies are not what a later phase draws.
_COPIES = 30


def plain_feed(extractor: keras.Model, source: feed.Feed, *, balanced: bool) -> feed.MemoryFeed:
    """Returns a feed of `feature`, float32 (batch, features), of the images as they are."""
    found, labels = step.Predictor(extractor, step.prepare_images(None))(source)
    arrays = {"feature": np.asarray(found, np.float32), "label": labels, **source.extra}
    return feed.MemoryFeed(arrays, balanced=balanced)


def augmented_feed(
    extractor: keras.Model,
    source: feed.Feed,
    settings: data_config.AugmentationConfig,
    *,
    num_copies: int,
    seed: int,
    balanced: bool,
) -> feed.MemoryFeed:
    """Returns a feed of `feature`, float32 (batch, copies, features), of augmented images.

    Args:
        extractor: images -> features.
        source: of the images.
        settings: how a copy differs from its image.
        num_copies: of each image, at least 1.
        seed: of the copies.
        balanced: as that of MemoryFeed.

    Raises:
        ValueError: the augmentation changes nothing, so the copies would be alike.
    """
    if not copies_module.is_change(settings):
        raise ValueError(
            f"model.feature_copies is {num_copies}, but data.augmentation changes no image: set a "
            "strength there, or model.feature_copies=0"
        )
    prepare = step.prepare_images(settings)
    call = tf.function(
        lambda batch: extractor(prepare(batch), training=False), reduce_retracing=True
    )
    copies, labels = [], np.zeros(0, np.int64)
    for copy in range(num_copies):
        first = int(np.random.default_rng([seed, _COPIES, copy]).integers(2**31))
        answers = []
        for number, batch in enumerate(map(source.complete, source.ordered(batch_size=_BATCH))):
            seeds = tf.tile([[first, number]], [tf.size(batch["label"]), 1])
            answers.append((call({**batch, "seed": seeds}).numpy(), batch["label"].numpy()))
        copies.append(np.concatenate([found for found, _ in answers]).astype(np.float32))
        labels = np.concatenate([truth for _, truth in answers])
    stacked = np.stack(copies, axis=1)
    logging.info(
        "%d features of %d augmented copies of each of %d images: %.0f MiB",
        stacked.shape[-1],
        num_copies,
        len(labels),
        stacked.nbytes / 2**20,
    )
    arrays: dict[str, np.ndarray] = {"feature": stacked, "label": labels, **source.extra}
    return feed.MemoryFeed(arrays, balanced=balanced)


def take(batch: step.Batch) -> tf.Tensor:
    """Returns the features of a batch of a plain feed."""
    return batch["feature"]


def take_copy(batch: step.Batch) -> tf.Tensor:
    """Returns those of one copy an example, drawn from the batch's seeds: by (seed, epoch)."""
    features, seeds = batch["feature"], batch["seed"]
    size, num_copies = tf.shape(features)[0], tf.shape(features)[1]
    seed = changes.fold_in(seeds[0], _COPIES)
    chosen = tf.random.stateless_uniform([size], seed, 0, num_copies, tf.int32)
    return tf.gather(features, chosen, batch_dims=1)
