"""Points as heatmaps: what the networks of a localiser read, learn, and are judged by."""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from spine_tf.augmentation import changes, field_of_view, poses, sampler
from spine_tf.configuration import config as config_module, model_configs, training_config
from spine_tf.crops import landmark_kinds
from spine_tf.models import families, heads
from spine_tf.training import (
    fold_roles,
    heatmap_targets,
    landmark_figures,
    landmark_results,
    losses,
)
from tfrecords import feed, memory_feed, records, stream_feed

NAME = "landmarks"
_TRUTH = ("point_xy", "point_slices", "point_known")
_EPSILON = 1e-6
_BATCH = 128


@dataclasses.dataclass(frozen=True, kw_only=True)
class LandmarkTask:
    """Each channel of a window marks one point; see `tasks.Task` for the methods.

    The network answers with heights, float32 (batch, side, side, channels). Targets are a dict:
    `heatmaps` alike, and `is_known` float32 (batch, channels); a channel that is not known teaches
    nothing.

    Attributes:
        config: of the run.
        kind: of the windows.
        grid: of the heatmaps.
    """

    config: config_module.Config
    kind: landmark_kinds.Kind
    grid: heatmap_targets.Grid

    @property
    def monitors(self) -> Mapping[str, bool]:
        return training_config.LANDMARK_MONITORS

    @property
    def watched(self) -> tuple[str, ...]:
        return ("val_log_loss", "val_median_mm", "val_level_right")

    @property
    def running(self) -> Mapping[str, Callable[[Any, Any], tf.Tensor]]:
        return {}

    def open_training(
        self, source: records.Records, splits: Sequence[str]
    ) -> tuple[feed.Feed, losses.Loss]:
        settings = self.config.training
        gamma = settings.focal_gamma if settings.loss == "focal" else 0.0
        return self.open_feed(source, splits), HeatmapLoss(gamma=gamma, mass=self.grid.mass)

    def open_feed(self, source: records.Records, splits: Sequence[str]) -> feed.Feed:
        if self._streams(source):
            return stream_feed.StreamFeed(
                source=source,
                splits=tuple(splits),
                label_values=None,
                fields=("image", "window", *_TRUTH),
            )
        columns = source.index(splits).columns
        arrays = {name: columns[name] for name in ("window", *_TRUTH)}
        pixels, rows = source.images(splits)
        if self.config.data.feed == "device":
            return memory_feed.DeviceFeed({"image": pixels[rows], **arrays})
        return memory_feed.MemoryFeed({"image": pixels, **arrays}, rows={"image": rows})

    def _streams(self, source: records.Records) -> bool:
        data = self.config.data
        if data.feed != "auto":
            return data.feed == "stream"
        return source.decoded_mb(fold_roles.fold_splits(source)) > data.memory_budget_mb

    def build_network(self, source: records.Records) -> keras.Model:
        return families.build_network(
            self.config.model,
            source.image_shape,
            heads.Heatmaps(num_channels=len(self.kind.channels)),
            record_mm=self.kind.side_mm,
        )

    def inputs(self, batch: feed.Batch) -> tf.Tensor:
        return sampler.at_rest(_windowed(batch), self.grid.view)

    def targets(self, batch: feed.Batch) -> feed.Batch:
        at_rest = poses.matrices(poses.at_rest(tf.shape(batch["point_xy"])[0]), self.grid.view)
        points = poses.move_points(_points(batch), at_rest)
        return self._targets(batch, points, tf.cast(self._is_on_record(batch), tf.float32))

    def _targets(self, batch: feed.Batch, points: tf.Tensor, seen: tf.Tensor) -> feed.Batch:
        """Of points in the network's input; seen is float32 (batch, channels), 0 where hidden."""
        heights = heatmap_targets.heights(batch["point_slices"]) * seen
        return {
            "heatmaps": heatmap_targets.draw(points, heights, self.grid),
            "is_known": tf.cast(batch["point_known"], tf.float32),
        }

    def augmented(self, batch: feed.Batch) -> tuple[tf.Tensor, feed.Batch]:
        settings = self.config.data.augmentation
        changed = changes.change(_windowed(batch), batch["seed"], settings, self.grid.view)
        points = poses.move_points(_points(batch), changed.poses)
        # What no pixel shows any more is not to be marked.
        is_seen = self._is_on_record(batch) & _is_in_field(points, changed, self.grid.view)
        targets = self._targets(batch, points, tf.cast(is_seen, tf.float32))
        if self.kind.is_sided and settings.flip:
            targets = _exchanged(targets, changed.is_flipped)
        return changed.images, targets

    def _is_on_record(self, batch: feed.Batch) -> tf.Tensor:
        points = _points(batch)
        is_on = (points >= -0.5) & (points <= self.grid.view.record_px - 0.5)
        return tf.reduce_all(is_on, axis=2)

    def mix(self, inputs: Any, targets: Any, seeds: tf.Tensor) -> tuple[Any, Any]:
        del seeds
        return inputs, targets

    def monitor_figures(
        self, outputs: np.ndarray, truth: Mapping[str, np.ndarray]
    ) -> dict[str, float]:
        if not np.isfinite(outputs).all():
            raise ValueError(
                "the model's answers are no longer finite numbers: lower training.learning_rate or "
                "set training.gradient_clip"
            )
        marks = landmark_figures.read_marks(outputs, truth, self.kind, self.grid)
        figures = {f"val_{name}": value for name, value in landmark_figures.plain(marks).items()}
        return {"val_log_loss": self._log_loss(outputs, truth), **figures}

    def _log_loss(self, outputs: np.ndarray, truth: Mapping[str, np.ndarray]) -> float:
        loss, total = HeatmapLoss(gamma=0.0, mass=self.grid.mass), 0.0
        for start in range(0, len(outputs), _BATCH):
            rows = slice(start, start + _BATCH)
            targets = self.targets({name: tf.constant(truth[name][rows]) for name in _TRUTH})
            total += float(tf.reduce_sum(loss(targets, tf.constant(outputs[rows]))))
        return total / len(outputs)

    def describe(self, source: records.Records, splits: Sequence[str]) -> dict[str, Any]:
        if not source.index(splits).columns["point_known"].any():
            raise ValueError(
                f"{source.directory}: no point is known in {', '.join(splits)}: convert studies "
                "whose points were marked"
            )
        return {"channels": list(self.kind.channels)}

    def write_results(
        self,
        run_dir: pathlib.Path,
        model: keras.Model,
        source: records.Records,
        assignment: fold_roles.Assignment,
    ) -> None:
        split = assignment.val_split
        outputs, truth = [], []
        opened = self.open_feed(source, [split])
        for element in opened.ordered(batch_size=_BATCH):
            batch = opened.complete(element)
            outputs.append(model(_windowed(batch), training=False).numpy())
            truth.append({name: batch[name].numpy() for name in _TRUTH})
        joined = {name: np.concatenate([part[name] for part in truth]) for name in _TRUTH}
        marks = landmark_figures.read_marks(
            np.concatenate(outputs), joined, self.kind, self.grid, source.index([split]).keys
        )
        landmark_results.write(run_dir, marks, split, self.kind.channels)

    def join_folds(self, run_dir: pathlib.Path, fold_dirs: Sequence[pathlib.Path]) -> None:
        landmark_results.join(run_dir, fold_dirs, self.kind.channels)

    def join_seeds(self, run_dir: pathlib.Path, seed_dirs: Mapping[int, pathlib.Path]) -> None:
        landmark_results.join(run_dir, [*seed_dirs.values()], self.kind.channels)


def make(run_config: config_module.Config, source: records.Records) -> LandmarkTask:
    """Returns the task of the records' kind.

    Raises:
        ValueError: records of another kind, or a setting that has no effect on points.
    """
    _require_effects(run_config)
    kind = landmark_kinds.of_records(source)
    model = run_config.model
    if not isinstance(model, model_configs.UNetConfig):
        raise ValueError(f"model family {model.family} answers no heatmaps: choose unet")
    view = field_of_view.make(model, source.image_shape[0], kind.side_mm)
    grid = heatmap_targets.Grid(view=view, stride=model.output_stride)
    return LandmarkTask(config=run_config, kind=kind, grid=grid)


def _require_effects(run_config: config_module.Config) -> None:
    """Raises ValueError for what would change nothing, or what would move no point with it."""
    data, training = run_config.data, run_config.training
    refused = {
        "data.sampling": data.sampling != "shuffle",
        "data.label_review.path": bool(data.label_review.path),
        "data.mild_split": bool(data.mild_split),
        "data.augmentation.mixup": bool(data.augmentation.mixup),
        "data.augmentation.cutmix": bool(data.augmentation.cutmix),
        "data.augmentation.slice_shuffle": bool(data.augmentation.slice_shuffle),
        "training.class_weights": training.class_weights != "none",
        "training.label_smoothing": bool(training.label_smoothing),
        "training.label_softness": bool(training.label_softness),
        "training.loss=quadratic_kappa": training.loss == "quadratic_kappa",
    }
    for name, is_set in refused.items():
        if is_set:
            raise ValueError(f"{name} has no meaning for task {NAME}: leave it at its default")


class HeatmapLoss:
    """How far heatmaps are from the Gaussians that were asked for, by example.

    The cross entropy of each pixel less its own entropy, so that 0 is reached, times |t - p|^gamma
    (Li et al., Generalized Focal Loss, NeurIPS 2020, equation 3), summed over a channel, over the
    mass of a Gaussian, and averaged over the channels that are known. The best answer to a height
    that varies is its mean.
    """

    def __init__(self, *, gamma: float, mass: float) -> None:
        """Takes the focusing exponent, 0 for none, and the mass of a Gaussian in pixels."""
        self._gamma, self._mass = gamma, mass

    def __eq__(self, other: object) -> bool:
        return isinstance(other, HeatmapLoss) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((self._gamma, self._mass))

    def __call__(self, targets: feed.Batch, outputs: tf.Tensor) -> tf.Tensor:
        """Returns the loss of each example, float32 (batch,)."""
        wanted = targets["heatmaps"]
        terms = _cross_entropy(wanted, outputs) - _cross_entropy(wanted, wanted)
        if self._gamma:
            terms *= tf.pow(tf.abs(wanted - outputs) + _EPSILON, self._gamma)
        of_channels = tf.reduce_sum(terms, axis=(1, 2)) / self._mass
        is_known = targets["is_known"]
        num_known = tf.maximum(tf.reduce_sum(is_known, axis=1), 1.0)
        return tf.reduce_sum(is_known * of_channels, axis=1) / num_known


def _cross_entropy(wanted: tf.Tensor, given: tf.Tensor) -> tf.Tensor:
    clipped = tf.clip_by_value(given, _EPSILON, 1.0 - _EPSILON)
    return -wanted * tf.math.log(clipped) - (1.0 - wanted) * tf.math.log(1.0 - clipped)


def _windowed(batch: feed.Batch) -> tf.Tensor:
    """The records' images in [0, 1], before anything is resampled."""
    return feed.normalize(batch["image"], batch["window"])


def _points(batch: feed.Batch) -> tf.Tensor:
    """Places in the records, float32 (batch, channels, 2)."""
    return tf.reshape(batch["point_xy"], [tf.shape(batch["point_xy"])[0], -1, 2])


def _is_in_field(
    points: tf.Tensor, changed: changes.Changed, view: field_of_view.FieldOfView
) -> tf.Tensor:
    """Which points are in what is left of the field of view, bool (batch, channels)."""
    places = (points + 0.5) / view.input_px
    first, last = changed.field[:, tf.newaxis, :, 0], changed.field[:, tf.newaxis, :, 1]
    return tf.reduce_all((places >= first) & (places <= last), axis=2)


def _exchanged(targets: feed.Batch, is_flipped: tf.Tensor) -> feed.Batch:
    """Targets with left and right exchanged where an image is a mirror's."""
    return {
        name: tf.where(
            tf.reshape(is_flipped, [-1, *[1] * (value.shape.rank - 1)]),
            tf.reverse(value, [value.shape.rank - 1]),
            value,
        )
        for name, value in targets.items()
    }
