"""What a family trains, in which order: one phase, or for transfer frozen, then fine-tuned.

In the frozen phase the backbone's features of every image are computed once, of the image as it is
or of augmented copies of it, and the head trains on those.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from spine_tf.augmentation import changes, copies
from spine_tf.configuration import config, model_configs
from spine_tf.models import pretrained, resampling
from spine_tf.training import tasks
from tfrecords import feed, memory_feed

# What of a batch goes into a network; the rest is the truth about the examples.
_INPUTS = ("image", "window", "feature", "seed")
_PREDICT_BATCH = 128
# Folded into the run's seed, so that the copies are not what a later phase draws.
_COPIES = 30


@dataclasses.dataclass(frozen=True, kw_only=True)
class Phase:
    """A stretch of epochs with one network, one feed and one schedule.

    Attributes:
        name: for the history.
        epochs: the most there will be.
        learning_rate: at its peak.
        network: what is trained; shares its layers with the model that comes out.
        train_feed: shuffled each epoch.
        monitor_feed: the inner fold, None where there is none.
        prepare_train: makes the network's inputs and targets of a training batch.
        prepare_monitor: makes its inputs of a batch as it is.
    """

    name: str
    epochs: int
    learning_rate: float
    network: keras.Model
    train_feed: feed.Feed
    monitor_feed: feed.Feed | None
    prepare_train: Callable[[feed.Batch], tuple[Any, Any]]
    prepare_monitor: Callable[[feed.Batch], Any]


def plan_phases(
    task: tasks.Task,
    run_config: config.Config,
    model: keras.Model,
    train_feed: feed.Feed,
    monitor_feed: feed.Feed | None,
) -> list[Callable[[], Phase]]:
    """Returns what makes each phase of a run when it begins.

    A phase that starts changes which layers train, so they are made in order.
    """
    settings, model_config = run_config.training, run_config.model
    whole = Phase(
        name="all",
        epochs=settings.epochs,
        learning_rate=settings.learning_rate,
        network=resampling.behind(model),
        train_feed=train_feed,
        monitor_feed=monitor_feed,
        prepare_train=lambda batch: task.mix(*task.augmented(batch), batch["seed"]),
        prepare_monitor=task.inputs,
    )
    if not isinstance(model_config, model_configs.PretrainedConfig):
        return [lambda: whole]
    if not model_config.is_pretrained:
        return [lambda: whole]
    frozen_epochs = min(model_config.frozen_epochs, settings.epochs)
    planned: list[Callable[[], Phase]] = []
    if frozen_epochs:
        planned.append(lambda: _make_frozen(whole, task, run_config, model_config, frozen_epochs))
    if settings.epochs > frozen_epochs:
        rest = settings.epochs - frozen_epochs
        planned.append(lambda: _make_fine_tuned(whole, model_config, rest))
    return planned


def _make_frozen(
    whole: Phase,
    task: tasks.Task,
    run_config: config.Config,
    model_config: model_configs.PretrainedConfig,
    epochs: int,
) -> Phase:
    """The head alone, on the backbone's features of each image, computed once."""
    model = whole.network
    backbone = model.get_layer("backbone")
    extractor = keras.Model(model.input, backbone(_input_of(model, backbone), training=False))
    train_feed, take = _make_feature_feed(
        task, extractor, whole.train_feed, run_config, model_config.feature_copies
    )
    monitor_feed = None
    if whole.monitor_feed is not None:
        monitor_feed = plain_features(task, extractor, whole.monitor_feed, balanced=False)
    return dataclasses.replace(
        whole,
        name="frozen",
        epochs=epochs,
        network=_make_head(model),
        train_feed=train_feed,
        monitor_feed=monitor_feed,
        prepare_train=lambda batch: task.mix(take(batch), task.targets(batch), batch["seed"]),
        prepare_monitor=take_feature,
    )


def _make_feature_feed(
    task: tasks.Task,
    extractor: keras.Model,
    source: feed.Feed,
    run_config: config.Config,
    num_copies: int,
) -> tuple[memory_feed.MemoryFeed, Callable[[feed.Batch], tf.Tensor]]:
    """The features that the head trains on, and what takes an epoch's of a batch."""
    if num_copies:
        made = augmented_features(task, extractor, source, run_config, num_copies=num_copies)
        return made, take_copy
    logging.info(
        "the frozen phase trains the head on features computed once, without augmentation of "
        "images (model.feature_copies is 0)"
    )
    is_balanced = run_config.data.sampling == "balanced"
    return plain_features(task, extractor, source, balanced=is_balanced), take_feature


def _make_fine_tuned(
    whole: Phase, model_config: model_configs.PretrainedConfig, epochs: int
) -> Phase:
    pretrained.unfreeze(whole.network, model_config)
    return dataclasses.replace(
        whole,
        name="fine_tuned",
        epochs=epochs,
        learning_rate=whole.learning_rate * model_config.fine_tune_factor,
    )


def _input_of(model: keras.Model, layer: keras.layers.Layer) -> keras.KerasTensor:
    """What the layer is called on in the model: the output of the layer before it."""
    position = model.layers.index(layer)
    return model.layers[position - 1].output


def _make_head(model: keras.Model) -> keras.Model:
    """What follows the backbone, whatever the number of its outputs."""
    position = model.layers.index(model.get_layer("backbone"))
    return keras.Model(model.layers[position + 1].input, model.output, name="head")


class Predictor:
    """A compiled inference call, kept so that it is traced once."""

    def __init__(self, network: keras.Model, prepare: Callable[[feed.Batch], Any]) -> None:
        """Takes a network and what makes its inputs of a batch."""
        self._call = tf.function(
            lambda batch: network(prepare(batch), training=False), reduce_retracing=True
        )

    def __call__(
        self, source: feed.Feed, first_seed: int | None = None
    ) -> tuple[Any, dict[str, np.ndarray]]:
        """Returns the answers to a whole feed and the truth about it, in file order.

        Args:
            source: of the batches.
            first_seed: of random changes, where `prepare` makes some; the second is the batch's
                number.

        Returns:
            The network's outputs, float32 (n, ...), in its own structure; what else than its inputs
            the batches held, (n, ...) by name.
        """
        outputs, truth = [], []
        for number, element in enumerate(source.ordered(batch_size=_PREDICT_BATCH)):
            batch = source.complete(element)
            if first_seed is not None:
                batch["seed"] = tf.tile([[first_seed, number]], [len(batch["seed"]), 1])
            outputs.append(tf.nest.map_structure(np.asarray, self._call(batch)))
            truth.append({n: v.numpy() for n, v in batch.items() if n not in _INPUTS})
        return _concatenate(outputs), _concatenate(truth)


def _concatenate(parts: Sequence[Any]) -> Any:
    return tf.nest.map_structure(lambda *arrays: np.concatenate(arrays), *parts)


def plain_features(
    task: tasks.Task, extractor: keras.Model, source: feed.Feed, *, balanced: bool
) -> memory_feed.MemoryFeed:
    """Returns a feed of `feature`, float32 (batch, features), of the images as they are.

    Beside the features stands the truth about the images.
    """
    found, truth = Predictor(extractor, task.inputs)(source)
    return memory_feed.MemoryFeed(
        {"feature": np.asarray(found, np.float32), **truth}, balanced=balanced
    )


def augmented_features(
    task: tasks.Task,
    extractor: keras.Model,
    source: feed.Feed,
    run_config: config.Config,
    *,
    num_copies: int,
) -> memory_feed.MemoryFeed:
    """Returns a feed of `feature`, float32 (batch, copies, features), of augmented images.

    Args:
        task: changes the images; their targets stay as they are.
        extractor: images -> features.
        source: of the images.
        run_config: says how a copy differs from its image, and the seed of the copies.
        num_copies: of each image, at least 1.

    Raises:
        ValueError: the augmentation changes nothing, so the copies would be alike.
    """
    if not copies.is_change(run_config.data.augmentation):
        raise ValueError(
            f"model.feature_copies is {num_copies}, but data.augmentation changes no image: set a "
            "strength there, or model.feature_copies=0"
        )
    predict = Predictor(extractor, lambda batch: task.augmented(batch)[0])
    firsts = [
        int(np.random.default_rng([run_config.seed, _COPIES, copy]).integers(2**31))
        for copy in range(num_copies)
    ]
    answers = [predict(source, first) for first in firsts]
    stacked = np.stack([found.astype(np.float32) for found, _ in answers], axis=1)
    logging.info(
        "%d features of %d augmented copies of each of %d images: %.0f MiB",
        stacked.shape[-1],
        num_copies,
        len(stacked),
        stacked.nbytes / 2**20,
    )
    arrays = {"feature": stacked, **answers[0][1]}
    return memory_feed.MemoryFeed(arrays, balanced=run_config.data.sampling == "balanced")


def take_feature(batch: feed.Batch) -> tf.Tensor:
    """Returns the features of a batch of a plain feed."""
    return batch["feature"]


def take_copy(batch: feed.Batch) -> tf.Tensor:
    """Returns those of one copy an example, drawn from the batch's seeds: by (seed, epoch)."""
    features, seeds = batch["feature"], batch["seed"]
    size, num_copies = tf.shape(features)[0], tf.shape(features)[1]
    seed = changes.fold_in(seeds[0], _COPIES)
    chosen = tf.random.stateless_uniform([size], seed, 0, num_copies, tf.int32)
    return tf.gather(features, chosen, batch_dims=1)
