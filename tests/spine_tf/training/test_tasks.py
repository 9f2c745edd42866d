"""The seam between loop and task, tried on toys: several outputs with gaps, and points.

Both have records of their own kind, and are trained by the same trainer, loop and phases as the
classification tasks.
"""

import abc
import dataclasses
import functools
import json
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from spine_tf.augmentation import mixing
from spine_tf.configuration import config as config_module, family_config, overrides
from spine_tf.models import families
from spine_tf.runs import run, run_directory
from spine_tf.training import fit, fold_roles, losses, tasks, trainer
from tfrecords import (
    atomic,
    example,
    feed,
    manifest,
    memory_feed,
    records,
    schema,
    shard,
    stream_feed,
    tfds_files,
)

_SPLITS = ("fold_0", "fold_1", "fold_2")
_SIDE = 16


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Toy(abc.ABC):
    """What the toys share; `fields` beside image and window are the truth of a record."""

    config: config_module.Config

    fields: tuple[str, ...] = ()

    @property
    def monitors(self) -> Mapping[str, bool]:
        return {"val_log_loss": False}

    @property
    def watched(self) -> tuple[str, ...]:
        return ("val_log_loss",)

    def open_training(
        self, source: records.Records, splits: Sequence[str]
    ) -> tuple[feed.Feed, losses.Loss]:
        return self.open_feed(source, splits), self.loss

    def open_feed(self, source: records.Records, splits: Sequence[str]) -> feed.Feed:
        if self.config.data.feed == "stream":
            fields = ("image", "window", *self.fields)
            return stream_feed.StreamFeed(
                source=source, splits=tuple(splits), label_values=None, fields=fields
            )
        columns = source.index(splits).columns
        pixels, rows = source.images(splits)
        arrays = {name: columns[name] for name in ("window", *self.fields)}
        return memory_feed.MemoryFeed({"image": pixels, **arrays}, rows={"image": rows})

    def inputs(self, batch: feed.Batch) -> tf.Tensor:
        return feed.normalize(batch["image"], batch["window"])

    @abc.abstractmethod
    def loss(self, targets: Any, outputs: Any) -> tf.Tensor:
        """Returns the loss of each example."""

    @abc.abstractmethod
    def targets(self, batch: feed.Batch) -> Any:
        """Returns the targets of a batch."""

    def monitor_figures(self, outputs: Any, truth: Mapping[str, np.ndarray]) -> dict[str, float]:
        assert set(truth) == set(self.fields)
        targets = self.targets({name: tf.constant(value) for name, value in truth.items()})
        return {"val_log_loss": float(tf.reduce_mean(self.loss(targets, outputs)))}

    def describe(self, source: records.Records, splits: Sequence[str]) -> dict[str, Any]:
        return {"num_training_records": sum(source.num_examples(split) for split in splits)}

    def write_results(
        self,
        run_dir: pathlib.Path,
        model: keras.Model,
        source: records.Records,
        assignment: fold_roles.Assignment,
    ) -> None:
        (batch,) = self.open_feed(source, [assignment.val_split]).ordered(batch_size=1000)
        loss = self.loss(self.targets(batch), model(self.inputs(batch)))
        atomic.write_json(
            run_dir / run_directory.METRICS_FILE, {"loss": float(tf.reduce_mean(loss))}
        )

    def join_folds(self, run_dir: pathlib.Path, fold_dirs: Sequence[pathlib.Path]) -> None:
        parts = [json.loads((path / run_directory.METRICS_FILE).read_text()) for path in fold_dirs]
        atomic.write_json(
            run_dir / run_directory.METRICS_FILE, {"loss": [part["loss"] for part in parts]}
        )

    def join_seeds(self, run_dir: pathlib.Path, seed_dirs: Mapping[int, pathlib.Path]) -> None:
        self.join_folds(run_dir, list(seed_dirs.values()))


@dataclasses.dataclass(frozen=True, kw_only=True)
class _TwoGrades(_Toy):
    """Two outputs of three grades each, of which some have no label (-1)."""

    fields: tuple[str, ...] = ("label",)

    @property
    def running(self) -> tasks.Running:
        return {"accuracy": self._are_right}

    def _are_right(self, targets: feed.Batch, outputs: feed.Batch) -> tf.Tensor:
        """One value an output that is known."""
        answers = tf.stack([outputs["left"], outputs["right"]], axis=1)
        is_right = tf.argmax(answers, axis=2) == tf.argmax(targets["grades"], axis=2)
        return tf.cast(tf.boolean_mask(is_right, targets["is_known"] > 0), tf.float32)

    def build_network(self, source: records.Records) -> keras.Model:
        def head(x: keras.KerasTensor, model_config: family_config.ModelConfig) -> dict[str, Any]:
            del model_config
            return {
                side: keras.layers.Dense(3, activation="softmax", dtype="float32", name=side)(x)
                for side in ("left", "right")
            }

        return families.build_network(self.config.model, source.image_shape, head)

    def targets(self, batch: feed.Batch) -> feed.Batch:
        return {
            "grades": tf.one_hot(batch["label"], 3),
            "is_known": tf.cast(batch["label"] >= 0, tf.float32),
        }

    def augmented(self, batch: feed.Batch) -> tuple[tf.Tensor, feed.Batch]:
        return self.inputs(batch), self.targets(batch)

    def mix(
        self, inputs: tf.Tensor, targets: feed.Batch, seeds: tf.Tensor
    ) -> tuple[tf.Tensor, feed.Batch]:
        mixup = self.config.data.augmentation.mixup
        return mixing.mix(inputs, targets, seeds, mixup=mixup, cutmix=0.0)

    def loss(self, targets: feed.Batch, outputs: feed.Batch) -> tf.Tensor:
        answers = tf.stack([outputs["left"], outputs["right"]], axis=1)
        entropies = losses.cross_entropy(targets["grades"], answers)
        return tf.reduce_mean(targets["is_known"] * entropies, axis=1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Points(_Toy):
    """Two points as heatmaps; the channel of a point that is not known teaches nothing."""

    fields: tuple[str, ...] = ("point_xy", "point_known")

    @property
    def running(self) -> tasks.Running:
        return {}

    def build_network(self, source: records.Records) -> keras.Model:
        image = keras.Input(source.image_shape, name="image")
        x = keras.layers.Conv2D(8, 5, padding="same", activation="relu")(image)
        return keras.Model(image, keras.layers.Conv2D(2, 5, padding="same")(x))

    def targets(self, batch: feed.Batch) -> feed.Batch:
        grid = tf.range(_SIDE, dtype=tf.float32)
        x, y = (batch["point_xy"][:, axis::2][:, None, None, :] for axis in (0, 1))
        squared = (grid[None, None, :, None] - x) ** 2 + (grid[None, :, None, None] - y) ** 2
        heatmaps = tf.exp(-squared / 2.0)
        return {
            "heatmaps": heatmaps / tf.reduce_sum(heatmaps, axis=(1, 2), keepdims=True),
            "is_known": tf.cast(batch["point_known"], tf.float32),
        }

    def augmented(self, batch: feed.Batch) -> tuple[tf.Tensor, feed.Batch]:
        """Half of the images are flipped left-right, and their points with them."""
        is_flipped = batch["seed"][:, 1] % 2 == 0
        images = self.inputs(batch)
        images = tf.where(is_flipped[:, None, None, None], tf.reverse(images, [2]), images)
        scale, offset = tf.constant([-1.0, 1.0] * 2), tf.constant([_SIDE - 1.0, 0.0] * 2)
        points = batch["point_xy"]
        points = tf.where(is_flipped[:, None], points * scale + offset, points)
        return images, self.targets({**batch, "point_xy": points})

    def mix(self, inputs: Any, targets: Any, seeds: tf.Tensor) -> tuple[Any, Any]:
        del seeds
        return inputs, targets

    def loss(self, targets: feed.Batch, outputs: tf.Tensor) -> tf.Tensor:
        logs = outputs - tf.reduce_logsumexp(outputs, axis=(1, 2), keepdims=True)
        entropies = -tf.reduce_sum(targets["heatmaps"] * logs, axis=(1, 2))
        return tf.reduce_mean(targets["is_known"] * entropies, axis=1)


def _grade_record(generator: np.random.Generator) -> dict[str, Any]:
    """The brightness of a slice is its grade."""
    grades = generator.integers(0, 3, 2)
    image = 200 + 300 * grades + generator.normal(0, 20, (_SIDE, _SIDE, 2))
    return {
        "image": image.clip(0, 1000).astype(np.uint16),
        "label": np.where(generator.random(2) < 0.3, -1, grades),
    }


def _point_record(generator: np.random.Generator) -> dict[str, Any]:
    """A bright dot is the first point, a dark one the second."""
    image, points = np.full((_SIDE, _SIDE, 1), 500), generator.integers(2, _SIDE - 2, 4)
    for (x, y), value in zip(points.reshape(2, 2), (1000, 0), strict=True):
        image[y - 1 : y + 2, x - 1 : x + 2] = value
    is_known = generator.random(2) < 0.7
    return {
        "image": image.astype(np.uint16),
        "point_xy": np.where(np.repeat(is_known, 2), points, -1).astype(np.float32),
        "point_known": is_known.astype(np.int64),
    }


_FEATURES = {
    _TwoGrades: (schema.Feature(name="label", dtype="int64", shape=(2,)),),
    _Points: (
        schema.Feature(name="point_xy", dtype="float32", shape=(4,)),
        schema.Feature(name="point_known", dtype="int64", shape=(2,)),
    ),
}
_RECORDS: Mapping[type, Callable[[np.random.Generator], dict[str, Any]]] = {
    _TwoGrades: _grade_record,
    _Points: _point_record,
}


def _write_records(directory: pathlib.Path, toy: type[_Toy]) -> records.Records:
    directory.mkdir()
    num_slices = 2 if toy is _TwoGrades else 1
    made = schema.Schema(
        features=(
            schema.Feature(name="image", dtype="uint16", shape=(_SIDE, _SIDE, num_slices)),
            schema.Feature(name="window", dtype="float32", shape=(2,)),
            schema.Feature(name="study_id", dtype="int64"),
            schema.Feature(name="key", dtype="bytes"),
            *_FEATURES[toy],
        )
    )
    generator, shards = np.random.default_rng(0), []
    for number, split in enumerate(_SPLITS):
        path = directory / shard.file_name("toy", split, 0, 1)
        with shard.Writer(path, split) as writer:
            for study in range(48):
                values = {
                    **_RECORDS[toy](generator),
                    "window": np.array([0, 1000], np.float32),
                    "study_id": 1000 * number + study,
                    "key": f"{number}/{study}".encode(),
                }
                writer.write(example.serialize(made, values))
        shards.append(writer.shard)
    dataset = manifest.Manifest(name="toy", config={}, shards=tuple(shards), class_counts={})
    tfds_files.write_schema(directory, made)
    tfds_files.write_info(directory, dataset, "Toys.")
    manifest.write_manifest(directory, dataset)
    return records.open_records(directory)


@functools.cache
def _task(toy: type[_Toy], *settings: str) -> Any:
    fast = ("model.filters=[8]", "training.epochs=4", "training.learning_rate=0.01")
    made = config_module.default_config("multiclass", "simple")
    return toy(config=overrides.apply(made, [*fast, "training.batch_size=8", *settings]))


@pytest.fixture(scope="module", params=[_TwoGrades, _Points], ids=["two_grades", "points"])
def toy(request: pytest.FixtureRequest) -> type[_Toy]:
    return request.param


@pytest.fixture(scope="module")
def source(toy: type[_Toy], tmp_path_factory: pytest.TempPathFactory) -> records.Records:
    return _write_records(tmp_path_factory.mktemp("toy") / "r", toy)


def _fit(task: Any, source: records.Records, **options: Any) -> fit.Fitted:
    splits: dict[str, Any] = {"train_splits": ["fold_1", "fold_2"], "monitor_split": "fold_0"}
    return fit.fit(task.config, source, task=task, **splits, **options)


def _weights(model: keras.Model) -> np.ndarray:
    return np.concatenate([weight.ravel() for weight in model.get_weights()])


@pytest.fixture(scope="module")
def undisturbed(toy: type[_Toy], source: records.Records) -> fit.Fitted:
    return _fit(_task(toy), source)


@pytest.mark.slow
def test_loss_of_both_parts_falls(undisturbed: fit.Fitted) -> None:
    first, *_, last = undisturbed.history
    assert last["loss"] < 0.7 * first["loss"]
    assert last["val_log_loss"] < 0.7 * first["val_log_loss"]


def test_figures_are_the_tasks_own(toy: type[_Toy], undisturbed: fit.Fitted) -> None:
    figures = [name for name in undisturbed.history[0] if name not in ("data_wait", "seconds")]
    running = [*_task(toy).running]
    assert figures == ["phase", "loss", *running, "learning_rate", "val_log_loss"]


class _Interrupted(Exception):
    pass


@pytest.mark.slow
def test_interrupted_fit_goes_on_to_the_same_weights(
    toy: type[_Toy], source: records.Records, undisturbed: fit.Fitted, tmp_path: pathlib.Path
) -> None:
    def interrupt(epoch: int, figures: dict[str, Any]) -> None:
        del figures
        if epoch == 1:
            raise _Interrupted

    with pytest.raises(_Interrupted):
        _fit(_task(toy), source, work_dir=tmp_path, on_epoch_end=interrupt)
    resumed = _fit(_task(toy), source, work_dir=tmp_path)
    np.testing.assert_array_equal(_weights(resumed.model), _weights(undisturbed.model))


@pytest.mark.slow
def test_run_directory_is_written_and_its_model_loads(
    toy: type[_Toy], source: records.Records, tmp_path: pathlib.Path
) -> None:
    task = _task(toy, "training.epochs=1")
    trainer.train(task.config, source, tmp_path / "w", resume=False, task=task)
    provenance = run_directory.read_provenance(tmp_path / "w")
    assert provenance["num_training_records"] == 48
    assert provenance["train_studies"] == [*range(1000, 1048), *range(2000, 2048)]
    assert run_directory.is_run(tmp_path / "w")
    loss = json.loads((tmp_path / "w" / run_directory.METRICS_FILE).read_text())["loss"]
    (batch,) = task.open_feed(source, ["fold_0"]).ordered(batch_size=1000)
    model = run.load_model(tmp_path / "w")
    found = tf.reduce_mean(task.loss(task.targets(batch), model(task.inputs(batch))))
    assert float(found) == pytest.approx(loss, rel=1e-5)


@pytest.mark.slow
def test_all_folds_are_joined_by_the_task(
    toy: type[_Toy], source: records.Records, tmp_path: pathlib.Path
) -> None:
    task = _task(toy, "training.epochs=1")
    trainer.train_all_folds(task.config, source, tmp_path / "w", resume=False, task=task)
    assert len(json.loads((tmp_path / "w" / run_directory.METRICS_FILE).read_text())["loss"]) == 3


@pytest.mark.slow
def test_streamed_records_of_another_kind_train_too(
    toy: type[_Toy], source: records.Records
) -> None:
    task = _task(toy, "data.feed=stream", "training.epochs=1")
    assert np.isfinite(_fit(task, source).history[0]["loss"])


@pytest.mark.slow
def test_mixing_is_the_tasks_own(toy: type[_Toy], source: records.Records) -> None:
    mixed = _fit(_task(toy, "data.augmentation.mixup=0.4", "training.epochs=1"), source)
    plain = _fit(_task(toy, "training.epochs=1"), source)
    is_equal = np.array_equal(_weights(mixed.model), _weights(plain.model))
    assert is_equal == (toy is _Points)


def test_a_point_that_is_not_known_teaches_nothing() -> None:
    task = _task(_Points)
    batch = {
        "point_xy": tf.constant([[3.0, 4.0, -1.0, -1.0]]),
        "point_known": tf.constant([[1, 0]]),
    }
    targets = task.targets(batch)
    assert np.unravel_index(np.argmax(targets["heatmaps"][0, :, :, 0]), (_SIDE, _SIDE)) == (4, 3)
    answers = tf.Variable(tf.fill((1, _SIDE, _SIDE, 2), 0.5))
    with tf.GradientTape() as tape:
        loss = task.loss(targets, answers)
    gradient = tape.gradient(loss, answers)
    assert np.abs(gradient[..., 0]).max() > 0
    assert np.abs(gradient[..., 1]).max() == 0


def test_points_move_with_the_pixels() -> None:
    task = _task(_Points)
    image = np.zeros((2, _SIDE, _SIDE, 1), np.uint16)
    image[:, 4, 3] = 1000
    batch = {
        "image": tf.constant(image),
        "window": tf.constant([[0.0, 1000.0]] * 2),
        "point_xy": tf.constant([[3.0, 4.0, 3.0, 4.0]] * 2),
        "point_known": tf.ones((2, 2), tf.int64),
        "seed": tf.constant([[0, 0], [0, 1]]),
    }
    images, targets = task.augmented(batch)
    brightest = np.argmax(images[..., 0].numpy().reshape(2, -1), axis=1)
    peaks = np.argmax(targets["heatmaps"][..., 0].numpy().reshape(2, -1), axis=1)
    assert brightest.tolist() == peaks.tolist() == [4 * _SIDE + 12, 4 * _SIDE + 3]


def test_monitor_that_the_task_does_not_have_is_refused(
    toy: type[_Toy], source: records.Records
) -> None:
    with pytest.raises(ValueError, match=r"monitor is 'val_auc', the task's figures are val_log_l"):
        _fit(_task(toy, "training.monitor=val_auc"), source)
