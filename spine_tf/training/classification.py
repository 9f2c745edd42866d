"""Grades as classes: what the classification tasks read, learn, and are judged by."""

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from spine_tf.augmentation import changes, field_of_view, mixing, sampler
from spine_tf.configuration import config as config_module, training_config
from spine_tf.crops import record
from spine_tf.models import families, told
from spine_tf.scoring import metrics, predictions
from spine_tf.training import fold_roles, losses, results, task_examples
from tfrecords import feed, records


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassificationTask:
    """Each crop has one class of `config.task_spec`; see `tasks.Task` for the methods.

    The network answers with probabilities, float32 (batch, classes). A target is a dict: `classes`
    float32 (batch, classes), which sums to 1, and where a review weighs rows `weight` float32
    (batch,).

    Attributes:
        config: the run's settings.
        record_mm: side of the records' images in millimetres, None where they don't say.
    """

    config: config_module.Config
    record_mm: float | None = None

    @property
    def monitors(self) -> Mapping[str, bool]:
        return training_config.MONITORS

    @property
    def watched(self) -> tuple[str, ...]:
        return ("val_log_loss", "val_accuracy", "val_balanced_accuracy")

    @property
    def running(self) -> Mapping[str, Callable[[feed.Batch, tf.Tensor], tf.Tensor]]:
        """The accuracy, on the batches as they were trained on."""
        return {"accuracy": _is_right}

    def open_training(
        self, source: records.Records, splits: Sequence[str]
    ) -> tuple[feed.Feed, losses.Loss]:
        train_feed, counts = task_examples.open_training(self.config, source, splits)
        settings = self.config.training
        weights = losses.class_weights(settings.class_weights, self.config.task_spec, counts)
        loss = self._losses.setdefault(
            tf.distribute.get_strategy(), WeightedLoss(settings, num_classes=len(counts))
        )
        loss.weigh(weights)
        return train_feed, loss

    @functools.cached_property
    def _losses(self) -> dict[tf.distribute.Strategy, "WeightedLoss"]:
        """One for all folds, so that they share the step that is compiled with it."""
        return {}

    def open_feed(self, source: records.Records, splits: Sequence[str]) -> feed.Feed:
        opened = task_examples.open_feed(self.config, source, splits)
        if not opened.num_examples:
            raise ValueError(f"{source.directory}: {', '.join(splits)} has no example of the task")
        return opened

    def build_network(self, source: records.Records) -> keras.Model:
        num_classes = len(self.config.task_spec.classes)
        return families.build_model(
            self.config.model,
            source.image_shape,
            num_classes,
            record_mm=field_of_view.record_mm(source),
        )

    def inputs(self, batch: feed.Batch) -> Any:
        return self._with_told(sampler.at_rest(_windowed(batch), self._view(batch)), batch)

    def _with_told(self, images: tf.Tensor, batch: feed.Batch) -> Any:
        if not self.config.model.is_told:
            return images
        return {"image": images, **{name: batch[name] for name in told.SIZES}}

    def _view(self, batch: feed.Batch) -> field_of_view.FieldOfView:
        return field_of_view.make(self.config.model, batch["image"].shape[1], self.record_mm)

    def targets(self, batch: feed.Batch) -> feed.Batch:
        classes = batch.get("target")
        if classes is None:
            classes = tf.one_hot(batch["label"], len(self.config.task_spec.classes))
        found = {"classes": classes}
        return {**found, "weight": batch["weight"]} if "weight" in batch else found

    def augmented(self, batch: feed.Batch) -> tuple[Any, feed.Batch]:
        settings = self.config.data.augmentation
        images = changes.augment(_windowed(batch), batch["seed"], settings, self._view(batch))
        return self._with_told(images, batch), self.targets(batch)

    def mix(self, inputs: Any, targets: feed.Batch, seeds: tf.Tensor) -> tuple[Any, feed.Batch]:
        settings = self.config.data.augmentation
        if not settings.mixup and not settings.cutmix:
            return inputs, targets
        # A vector of features has no box to cut out.
        cutmix = settings.cutmix if inputs.shape.rank == 4 else 0.0
        return mixing.mix(inputs, targets, seeds, mixup=settings.mixup, cutmix=cutmix)

    def monitor_figures(
        self, outputs: np.ndarray, truth: Mapping[str, np.ndarray]
    ) -> dict[str, float]:
        if not np.isfinite(outputs).all():
            raise ValueError(
                "the model's answers are no longer finite numbers: lower training.learning_rate or "
                "set training.gradient_clip"
            )
        exact = outputs.astype(np.float64)
        figures = metrics.compute(
            predictions.Predictions(
                keys=tuple(f"0/0/0/{row}" for row in range(len(exact))),
                labels=truth["label"],
                probabilities=exact / exact.sum(axis=1, keepdims=True),
            ),
            self.config.task_spec,
        )
        return {
            name: float(figures.overall[name.removeprefix("val_")][0]) for name in self.monitors
        }

    def describe(self, source: records.Records, splits: Sequence[str]) -> dict[str, Any]:
        record.require_conversion(source)
        _require_something_to_tell(self.config, source)
        counts = task_examples.require_every_class(self.config, source, splits)
        return {
            "class_prior": (counts / counts.sum()).tolist(),
            **task_examples.describe_files(self.config),
        }

    def write_results(
        self,
        run_dir: pathlib.Path,
        model: keras.Model,
        source: records.Records,
        assignment: fold_roles.Assignment,
    ) -> None:
        predict = functools.partial(results.predict, self.config, model, source)
        results.write(self.config, run_dir, assignment, predict)

    def join_folds(self, run_dir: pathlib.Path, fold_dirs: Sequence[pathlib.Path]) -> None:
        results.join_folds(self.config, run_dir, fold_dirs)

    def join_seeds(self, run_dir: pathlib.Path, seed_dirs: Mapping[int, pathlib.Path]) -> None:
        results.join_seeds(self.config, run_dir, seed_dirs)


def _require_something_to_tell(run_config: config_module.Config, source: records.Records) -> None:
    held = source.manifest.config
    if run_config.model.is_told and len(held["conditions"]) == len(held["levels"]) == 1:
        raise ValueError(
            f"model.condition_input has no effect on {source.directory}, whose crops are all of "
            f"{held['conditions'][0]} at {held['levels'][0]}: leave it out, or convert more"
        )


def _windowed(batch: feed.Batch) -> tf.Tensor:
    """The records' images in [0, 1], before anything is resampled."""
    return feed.normalize(batch["image"], batch["window"])


class WeightedLoss:
    """The loss of the configuration times the weights of an example's classes and its own.

    Called with (targets of ClassificationTask, probabilities), it gives float32 (batch,).
    """

    def __init__(self, settings: training_config.TrainingConfig, *, num_classes: int) -> None:
        """Weighs all classes alike.

        Args:
            settings: which loss.
            num_classes: how many classes the task has.
        """
        self._of_classes = losses.make_loss(settings)
        # A variable, since a compiled step outlives the fold whose classes are so rare.
        self._weight_of_class = tf.Variable(tf.ones(num_classes), trainable=False)

    def weigh(self, class_weights: np.ndarray) -> None:
        """Takes the weight of each class, float32 (classes,)."""
        self._weight_of_class.assign(class_weights)

    def __call__(self, targets: feed.Batch, probabilities: tf.Tensor) -> tf.Tensor:
        """Returns the loss of each example."""
        weights = tf.linalg.matvec(targets["classes"], self._weight_of_class)
        if "weight" in targets:
            weights *= targets["weight"]
        return weights * self._of_classes(targets["classes"], probabilities)


def _is_right(targets: feed.Batch, probabilities: tf.Tensor) -> tf.Tensor:
    is_right = tf.argmax(probabilities, axis=1) == tf.argmax(targets["classes"], axis=1)
    return tf.cast(is_right, tf.float32)
