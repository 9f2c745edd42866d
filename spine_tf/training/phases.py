"""What a family trains, in which order: one phase, or for transfer frozen, then fine-tuned."""

import dataclasses
from collections.abc import Callable

import keras
import tensorflow as tf
from absl import logging

from spine_tf.configuration import config, model_configs
from spine_tf.models import pretrained
from spine_tf.training import features, step
from tfrecords import feed


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
        prepare_train: makes the network's input of a training batch.
        prepare_monitor: the same without augmentation.
        mixup: alpha of mixup.
        cutmix: alpha of CutMix, which needs images.
    """

    name: str
    epochs: int
    learning_rate: float
    network: keras.Model
    train_feed: feed.Feed
    monitor_feed: feed.Feed | None
    prepare_train: Callable[[step.Batch], tf.Tensor]
    prepare_monitor: Callable[[step.Batch], tf.Tensor]
    mixup: float
    cutmix: float


def make_phases(
    run_config: config.Config,
    model: keras.Model,
    train_feed: feed.Feed,
    monitor_feed: feed.Feed | None,
) -> list[Callable[[], Phase]]:
    """Returns the phases of a run, each made when it begins.

    A phase that starts changes which layers train, so they are made in order.
    """
    settings = run_config.training
    augmentation = run_config.data.augmentation
    whole = Phase(
        name="all",
        epochs=settings.epochs,
        learning_rate=settings.learning_rate,
        network=model,
        train_feed=train_feed,
        monitor_feed=monitor_feed,
        prepare_train=step.prepare_images(augmentation),
        prepare_monitor=step.prepare_images(None),
        mixup=augmentation.mixup,
        cutmix=augmentation.cutmix,
    )
    model_config = run_config.model
    if not isinstance(model_config, model_configs.PretrainedConfig):
        return [lambda: whole]
    if not model_config.is_pretrained:
        return [lambda: whole]
    frozen_epochs = min(model_config.frozen_epochs, settings.epochs)
    phases: list[Callable[[], Phase]] = []
    if frozen_epochs:
        phases.append(lambda: _make_frozen(whole, run_config, model_config, frozen_epochs))
    if settings.epochs > frozen_epochs:
        rest = settings.epochs - frozen_epochs
        phases.append(lambda: _make_fine_tuned(whole, model_config, rest))
    return phases


def _make_frozen(
    whole: Phase,
    run_config: config.Config,
    model_config: model_configs.PretrainedConfig,
    epochs: int,
) -> Phase:
    """The head alone, on the backbone's features of each image, computed once."""
    model = whole.network
    backbone = model.get_layer("backbone")
    extractor = keras.Model(model.input, backbone(_input_of(model, backbone), training=False))
    train_feed, take = _make_feature_feed(
        extractor, whole.train_feed, run_config, model_config.feature_copies
    )
    monitor_feed = None
    if whole.monitor_feed is not None:
        monitor_feed = features.plain_feed(extractor, whole.monitor_feed, balanced=False)
    return dataclasses.replace(
        whole,
        name="frozen",
        epochs=epochs,
        network=_make_head(model),
        train_feed=train_feed,
        monitor_feed=monitor_feed,
        prepare_train=take,
        prepare_monitor=features.take,
        cutmix=0.0,
    )


def _make_feature_feed(
    extractor: keras.Model, source: feed.Feed, run_config: config.Config, num_copies: int
) -> tuple[feed.MemoryFeed, Callable[[step.Batch], tf.Tensor]]:
    """The features that the head trains on, and what takes an epoch's of a batch."""
    balanced = run_config.data.sampling == "balanced"
    if not num_copies:
        logging.info(
            "the frozen phase trains the head on features computed once, without augmentation of "
            "images (model.feature_copies is 0)"
        )
        return features.plain_feed(extractor, source, balanced=balanced), features.take
    made = features.augmented_feed(
        extractor,
        source,
        run_config.data.augmentation,
        num_copies=num_copies,
        seed=run_config.seed,
        balanced=balanced,
    )
    return made, features.take_copy


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
    position = model.layers.index(model.get_layer("backbone"))
    feature = keras.Input(model.layers[position].output.shape[1:], name="feature")
    x = feature
    for layer in model.layers[position + 1 :]:
        x = layer(x)
    return keras.Model(feature, x, name="head")
