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
from spine_tf.configuration import config, pretrained_configs
from spine_tf.models import pretrained, resampling
from spine_tf.training import tasks
from tfrecords import feed, memory_feed

# What of a batch goes into a network; the rest is the truth about the examples.
_INPUTS = ("image", "window", "feature", "seed")
_PREDICT_BATCH = 128
# Folded into the run's seed, so that the copies are not what a later phase draws.
_COPIES = 30


@dataclasses.dataclass(frozen=True, kw_only=True)
class Feeds:
    """What a fit trains on, and what it is watched on.

    Attributes:
        train: shuffled each epoch.
        monitor: the inner fold, None where there is none.
    """

    train: feed.Feed
    monitor: feed.Feed | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Phase:
    """A stretch of epochs with one network and one schedule, the same for all folds.

    Attributes:
        name: for the history.
        epochs: the most there will be.
        learning_rate: at its peak.
        network: what is trained; shares its layers with the model that comes out.
        prepare_train: makes the network's inputs and targets of a training batch.
        answer: asks it about examples as they are.
        begin: says which layers train; called when the phase begins.
        open_feeds: makes what it trains on of what the fit does.
    """

    name: str
    epochs: int
    learning_rate: float
    network: keras.Model
    prepare_train: Callable[[feed.Batch], tuple[Any, Any]]
    answer: "Predictor"
    begin: Callable[[], None] = lambda: None
    open_feeds: Callable[[Feeds], Feeds] = lambda feeds: feeds


def plan_phases(
    task: tasks.Task, run_config: config.Config, model: keras.Model, whole_answer: "Predictor"
) -> list[Phase]:
    """Returns the phases of a run, in order; a phase that begins may change which layers train.

    Args:
        task: what is learned.
        run_config: how.
        model: that comes out, sampler and all.
        whole_answer: of the whole network behind the sampler.
    """
    settings, model_config = run_config.training, run_config.model
    whole = Phase(
        name="all",
        epochs=settings.epochs,
        learning_rate=settings.learning_rate,
        network=whole_answer.network,
        prepare_train=lambda batch: task.mix(*task.augmented(batch), batch["seed"]),
        answer=whole_answer,
    )
    if not isinstance(model_config, pretrained_configs.PretrainedConfig):
        return [whole]
    if not model_config.is_pretrained:
        return [whole]
    frozen_epochs = min(model_config.frozen_epochs, settings.epochs)
    planned: list[Phase] = []
    if frozen_epochs:
        planned.append(
            _make_frozen(whole, task, run_config, model, frozen_epochs, model_config.feature_copies)
        )
    if settings.epochs > frozen_epochs:
        rest = settings.epochs - frozen_epochs
        planned.append(_make_fine_tuned(whole, model_config, rest))
    return planned


def _make_frozen(
    whole: Phase,
    task: tasks.Task,
    run_config: config.Config,
    model: keras.Model,
    epochs: int,
    num_copies: int,
) -> Phase:
    """The head alone, on the backbone's features of each image, computed once."""
    backbone = model.get_layer("backbone")
    # Layers are asked for tensors of the model that they were made for, not of what shares them.
    features = backbone(_input_of(model, backbone), training=False)
    extractor = resampling.part_behind(model, features)
    take = take_copy if num_copies else take_feature
    head = _make_head(model)
    return dataclasses.replace(
        whole,
        name="frozen",
        epochs=epochs,
        network=head,
        prepare_train=lambda batch: task.mix(take(batch), task.targets(batch), batch["seed"]),
        answer=Predictor(head, take_feature),
        open_feeds=_Features(task, extractor, run_config, num_copies),
    )


class _Features:
    """Makes the feeds of features that the head trains on."""

    def __init__(
        self, task: tasks.Task, extractor: keras.Model, run_config: config.Config, num_copies: int
    ) -> None:
        self._config, self._num_copies = run_config, num_copies
        self._extract = Predictor(extractor, task.inputs)
        self._extract_changed = Predictor(extractor, lambda batch: task.augmented(batch)[0])

    def __call__(self, feeds: Feeds) -> Feeds:
        monitor = None
        if feeds.monitor is not None:
            monitor = plain_features(self._extract, feeds.monitor, balanced=False)
        return Feeds(train=self._of_training(feeds.train), monitor=monitor)

    def _of_training(self, source: feed.Feed) -> memory_feed.MemoryFeed:
        if self._num_copies:
            return augmented_features(
                self._extract_changed, source, self._config, num_copies=self._num_copies
            )
        logging.info(
            "the frozen phase trains the head on features computed once, without augmentation of "
            "images (model.feature_copies is 0)"
        )
        is_balanced = self._config.data.sampling == "balanced"
        return plain_features(self._extract, source, balanced=is_balanced)


def _make_fine_tuned(
    whole: Phase, model_config: pretrained_configs.PretrainedConfig, epochs: int
) -> Phase:
    return dataclasses.replace(
        whole,
        name="fine_tuned",
        epochs=epochs,
        learning_rate=whole.learning_rate * model_config.fine_tune_factor,
        begin=lambda: pretrained.unfreeze(whole.network, model_config),
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
    """A compiled inference call, kept so that it is traced once for all feeds of many batches."""

    def __init__(self, network: keras.Model, prepare: Callable[[feed.Batch], Any]) -> None:
        """Takes a network and what makes its inputs of a batch."""
        self.network, self._prepare = network, prepare
        self._calls: dict[int, Callable[[feed.Batch], Any]] = {}

    def __call__(
        self, source: feed.Feed, first_seed: int | None = None
    ) -> tuple[Any, dict[str, np.ndarray]]:
        """Returns the answers to a whole feed and the truth about it, in file order.

        Args:
            source: what gives the batches.
            first_seed: that of random changes, where `prepare` makes some; the second is the
                batch's number.

        Returns:
            The network's outputs, float32 (n, ...), in its own structure; what else than its inputs
            the batches held, (n, ...) by name.
        """
        call = self._call_of(min(source.num_examples, _PREDICT_BATCH))
        outputs, truth = [], []
        for number, element in enumerate(source.ordered(batch_size=_PREDICT_BATCH)):
            batch = source.complete(element)
            if first_seed is not None:
                batch["seed"] = tf.tile([[first_seed, number]], [len(batch["seed"]), 1])
            outputs.append(tf.nest.map_structure(np.asarray, call(batch)))
            truth.append({n: v.numpy() for n, v in batch.items() if n not in _INPUTS})
        return _concatenate(outputs), _concatenate(truth)

    def _call_of(self, batch_size: int) -> Callable[[feed.Batch], Any]:
        """One for each size of a first batch: the graph of any size differs in the last bit."""
        if batch_size not in self._calls:
            self._calls[batch_size] = tf.function(
                lambda batch: self.network(self._prepare(batch), training=False),
                reduce_retracing=True,
                autograph=False,
            )
        return self._calls[batch_size]


def _concatenate(parts: Sequence[Any]) -> Any:
    return tf.nest.map_structure(lambda *arrays: np.concatenate(arrays), *parts)


def plain_features(
    extract: Predictor, source: feed.Feed, *, balanced: bool
) -> memory_feed.MemoryFeed:
    """Returns a feed of `feature`, float32 (batch, features), of the images as they are.

    Beside the features stands the truth about the images.
    """
    found, truth = extract(source)
    return memory_feed.MemoryFeed(
        {"feature": np.asarray(found, np.float32), **truth}, balanced=balanced
    )


def augmented_features(
    extract: Predictor,
    source: feed.Feed,
    run_config: config.Config,
    *,
    num_copies: int,
) -> memory_feed.MemoryFeed:
    """Returns a feed of `feature`, float32 (batch, copies, features), of augmented images.

    Args:
        extract: changes images by their seeds and gives their features.
        source: what gives the images.
        run_config: says how a copy differs from its image, and the seed of the copies.
        num_copies: how many copies of each image are answered, at least 1.

    Raises:
        ValueError: the augmentation changes nothing, so the copies would be alike.
    """
    if not copies.is_change(run_config.data.augmentation):
        raise ValueError(
            f"model.feature_copies is {num_copies}, but data.augmentation changes no image: set a "
            "strength there, or model.feature_copies=0"
        )
    firsts = [
        int(np.random.default_rng([run_config.seed, _COPIES, copy]).integers(2**31))
        for copy in range(num_copies)
    ]
    answers = [extract(source, first) for first in firsts]
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
