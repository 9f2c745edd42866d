"""The task `levels`: five grades of a level from the views that there are of it."""

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from spine_tf.augmentation import changes, field_of_view, sampler
from spine_tf.configuration import config as config_module, model_configs, training_config
from spine_tf.models import level
from spine_tf.scoring import metrics, predictions as predictions_module
from spine_tf.training import fold_roles, level_examples, losses, results, task_examples
from tfrecords import feed, memory_feed, records, stream_feed

NAME = "levels"

# Groups of conditions whose means the competition's metric is the mean of.
_GROUPS = ((0,), (1, 2), (3, 4))
# Folded into the seed of a step for the views that are dropped.
_VIEWS = 40


@dataclasses.dataclass(frozen=True, kw_only=True)
class LevelTask:
    """Each record has a class of `config.task_spec` a condition, or none; see `tasks.Task`.

    The network is that of `models.level`. A target is a dict: classes float32 (batch, conditions,
    classes), known and present float32 (batch, conditions): has a label, has its own view.

    Attributes:
        config: of the run.
        record_mm: side of a view in millimetres, None where the records don't say.
    """

    config: config_module.Config
    record_mm: float | None = None

    @property
    def monitors(self) -> Mapping[str, bool]:
        return training_config.MONITORS

    @property
    def watched(self) -> tuple[str, ...]:
        return ("val_log_loss", "val_weighted_log_loss", "val_balanced_accuracy")

    @property
    def running(self) -> Mapping[str, Callable[[feed.Batch, feed.Batch], tf.Tensor]]:
        """The accuracy on the rows that have a label, on the batches as they were trained on."""
        return {"accuracy": _are_right}

    @property
    def _model(self) -> model_configs.LevelConfig:
        found = self.config.model
        if not isinstance(found, model_configs.LevelConfig):
            raise ValueError(f"task levels is learned by family level, not by {found.family}")
        return found

    def open_training(
        self, source: records.Records, splits: Sequence[str]
    ) -> tuple[feed.Feed, losses.Loss]:
        counts = count_classes(source, splits, len(self.config.task_spec.classes))
        loss = self._losses.setdefault(
            tf.distribute.get_strategy(), LevelLoss(self.config, self._model.single_share)
        )
        loss.weigh(counts, sum(map(source.num_examples, splits)))
        return self.open_feed(source, splits), loss

    @functools.cached_property
    def _losses(self) -> dict[tf.distribute.Strategy, "LevelLoss"]:
        """One for all folds, so that they share the step that is compiled with it."""
        return {}

    def open_feed(self, source: records.Records, splits: Sequence[str]) -> feed.Feed:
        where = task_examples.where(self.config, source, splits)
        if where == "stream":
            fields = ("image", *level_examples.FIELDS)
            return stream_feed.StreamFeed(
                source=source, splits=tuple(splits), label_values=None, fields=fields
            )
        columns = source.index(splits).columns
        arrays = {name: columns[name] for name in level_examples.FIELDS}
        pixels, rows = source.images(splits)
        if where == "device":
            return memory_feed.DeviceFeed({"image": pixels[rows], **arrays})
        return memory_feed.MemoryFeed({"image": pixels, **arrays}, rows={"image": rows})

    def build_network(self, source: records.Records) -> keras.Model:
        return level.build_network(
            self._model,
            source.image_shape,
            len(self.config.task_spec.classes),
            record_mm=field_of_view.record_mm(source),
        )

    def inputs(self, batch: feed.Batch) -> Any:
        view = self._view(batch)
        present = tf.cast(batch["present"], tf.float32)
        return self._inputs(batch, sampler.at_rest(_windowed(batch), view), present, view)

    def _view(self, batch: feed.Batch) -> field_of_view.FieldOfView:
        return field_of_view.make(self.config.model, batch["image"].shape[2], self.record_mm)

    def _inputs(
        self,
        batch: feed.Batch,
        images: tf.Tensor,
        present: tf.Tensor,
        view: field_of_view.FieldOfView,
    ) -> dict[str, tf.Tensor]:
        """What the network behind the sampler takes; without a sampler it splits the views."""
        if view.is_whole:
            images = tf.reshape(images, tf.shape(batch["image"]))
        return {"image": images, "present": present, "level": batch["level"]}

    def targets(self, batch: feed.Batch) -> feed.Batch:
        return self._targets(batch, tf.cast(batch["present"], tf.float32))

    def _targets(self, batch: feed.Batch, present: tf.Tensor) -> feed.Batch:
        # Of a label of -1 one_hot makes zeros.
        classes = tf.one_hot(batch["label"], len(self.config.task_spec.classes))
        known = tf.cast(batch["label"] >= 0, tf.float32)
        return {"classes": classes, "known": known, "present": present}

    def augmented(self, batch: feed.Batch) -> tuple[Any, feed.Batch]:
        view, seeds = self._view(batch), batch["seed"]
        settings = self.config.data.augmentation
        images = changes.augment(_windowed(batch), seeds, settings, view)
        present = drop_views(batch["present"], seeds, self._model.view_dropout)
        return self._inputs(batch, images, present, view), self._targets(batch, present)

    def mix(self, inputs: Any, targets: Any, seeds: tf.Tensor) -> tuple[Any, Any]:
        del seeds
        return inputs, targets

    def monitor_figures(self, outputs: Any, truth: Mapping[str, np.ndarray]) -> dict[str, float]:
        exact = outputs["probabilities"].astype(np.float64)
        if not np.isfinite(exact).all():
            raise ValueError(
                "the model's answers are no longer finite numbers: lower training.learning_rate or "
                "set training.gradient_clip"
            )
        known = truth["label"] >= 0
        said = exact[known]
        figures = metrics.compute(
            predictions_module.Predictions(
                keys=tuple(f"0/0/0/{row}" for row in range(len(said))),
                labels=truth["label"][known],
                probabilities=said / said.sum(axis=1, keepdims=True),
            ),
            self.config.task_spec,
        )
        return {
            name: float(figures.overall[name.removeprefix("val_")][0]) for name in self.monitors
        }

    def describe(self, source: records.Records, splits: Sequence[str]) -> dict[str, Any]:
        _require_possible(self.config)
        counts = count_classes(source, splits, len(self.config.task_spec.classes)).sum(axis=0)
        for name, count in zip(self.config.task_spec.classes, counts.tolist(), strict=True):
            if not count:
                raise ValueError(
                    f"{source.directory}: no training row of class {name!r} in "
                    f"{', '.join(splits)}: convert more studies"
                )
        return {"class_prior": (counts / counts.sum()).tolist()}

    def write_results(
        self,
        run_dir: pathlib.Path,
        model: keras.Model,
        source: records.Records,
        assignment: fold_roles.Assignment,
    ) -> None:
        def predict(split: str) -> predictions_module.Predictions:
            examples = level_examples.load(source, [split])
            return examples.predictions(level_examples.predict(model, examples))

        results.write(self.config, run_dir, assignment, predict)

    def join_folds(self, run_dir: pathlib.Path, fold_dirs: Sequence[pathlib.Path]) -> None:
        results.join_folds(self.config, run_dir, fold_dirs)

    def join_seeds(self, run_dir: pathlib.Path, seed_dirs: Mapping[int, pathlib.Path]) -> None:
        results.join_seeds(self.config, run_dir, seed_dirs)


def _windowed(batch: feed.Batch) -> tf.Tensor:
    """The views in [0, 1], one after the other: float32 (batch * views, height, width, slices)."""
    images = tf.reshape(batch["image"], [-1, *batch["image"].shape[2:]])
    return feed.normalize(images, tf.reshape(batch["window"], [-1, 2]))


def drop_views(present: tf.Tensor, seeds: tf.Tensor, rate: float) -> tf.Tensor:
    """Returns which views are left, float32 (batch, views), each dropped at a rate.

    A record that would lose all of its views keeps them.

    Args:
        present: int64 (batch, views).
        seeds: int32 (batch, 2), those of the feed.
        rate: of the views, in [0, 1).
    """
    there = tf.cast(present, tf.float32)
    seed = changes.fold_in(seeds[0], _VIEWS)
    is_kept = tf.random.stateless_uniform(tf.shape(there), seed) >= rate
    left = there * tf.cast(is_kept, tf.float32)
    return tf.where(tf.reduce_any(left > 0, axis=1, keepdims=True), left, there)


def count_classes(source: records.Records, splits: Sequence[str], num_classes: int) -> np.ndarray:
    """Returns the rows of each condition and class, int64 (conditions, classes).

    Raises:
        ValueError: the records are of another kind.
    """
    level_examples.require_kind(source)
    truth = source.index(splits).columns["label"]
    return np.stack([np.bincount(column[column >= 0], minlength=num_classes) for column in truth.T])


def _require_possible(run_config: config_module.Config) -> None:
    """Refuses what can't take effect on levels."""
    augmentation = run_config.data.augmentation
    impossible = {
        "data.sampling": run_config.data.sampling != "shuffle",
        "data.label_review.path": bool(run_config.data.label_review.path),
        "data.mild_split": bool(run_config.data.mild_split),
        "data.augmentation.flip": bool(augmentation.flip),
        "data.augmentation.mixup": bool(augmentation.mixup),
        "data.augmentation.cutmix": bool(augmentation.cutmix),
        "training.class_weights=balanced": run_config.training.class_weights == "balanced",
        "training.loss=quadratic_kappa": run_config.training.loss == "quadratic_kappa",
    }
    for name, is_set in impossible.items():
        if is_set:
            raise ValueError(f"{name} has no effect on task levels: leave it at its default")


class LevelLoss:
    """The mean of the groups' mean losses, as the competition has it; no label has no weight.

    With `training.class_weights` competition a row weighs 1, 2 or 4, and the loss is of p * weight,
    normalised: what the metric wants of p, which stays what it says, a probability.
    """

    def __init__(self, run_config: config_module.Config, single_share: float) -> None:
        """Weighs all groups alike.

        Args:
            run_config: which loss, which classes.
            single_share: weight of the answers from single views beside those from all.
        """
        self._of_classes = losses.make_loss(run_config.training)
        is_weighed = run_config.training.class_weights == "competition"
        weights = run_config.task_spec.class_weights
        self._class_weights = np.array(weights if is_weighed else [1.0] * len(weights), np.float32)
        self._single_share = single_share
        # A variable, since a compiled step outlives the fold whose rows are so many.
        self._of_condition = tf.Variable(tf.ones(sum(map(len, _GROUPS))), trainable=False)

    def weigh(self, counts: np.ndarray, num_records: int) -> None:
        """Takes the rows of each condition and class, int64 (conditions, classes)."""
        weights = np.zeros(len(counts))
        shared = [group for group in _GROUPS if counts[list(group)].sum()]
        for group in shared:
            total = (counts[list(group)] * self._class_weights).sum()
            weights[list(group)] = num_records / (len(shared) * total)
        self._of_condition.assign(weights.astype(np.float32))

    def __call__(self, targets: feed.Batch, outputs: feed.Batch) -> tf.Tensor:
        """Returns the loss of each record, whose mean is the mean of the groups."""
        joint = self._of_rows(targets, outputs["probabilities"], targets["known"])
        single = self._of_rows(targets, outputs["single"], targets["known"] * targets["present"])
        return joint + self._single_share * single

    def _of_rows(self, targets: feed.Batch, said: tf.Tensor, known: tf.Tensor) -> tf.Tensor:
        weighed = said * self._class_weights
        answers = weighed / tf.reduce_sum(weighed, axis=-1, keepdims=True)
        of_each = self._of_classes(targets["classes"], answers)
        weights = known * tf.linalg.matvec(targets["classes"], self._class_weights)
        return tf.reduce_sum(of_each * weights * self._of_condition, axis=1)


def _are_right(targets: feed.Batch, outputs: feed.Batch) -> tf.Tensor:
    """One value a row that has a label."""
    is_right = tf.argmax(outputs["probabilities"], axis=2) == tf.argmax(targets["classes"], axis=2)
    return tf.cast(tf.boolean_mask(is_right, targets["known"] > 0), tf.float32)
