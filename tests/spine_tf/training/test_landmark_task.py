"""Points learned as heatmaps: targets that move with pixels, masks, figures, a run of its own."""

import dataclasses
import json
import pathlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from spine_tf.configuration import config as config_module, overrides
from spine_tf.crops import landmark_kinds
from spine_tf.runs import run, run_directory
from spine_tf.training import fit, heatmap_targets, landmark_figures, landmark_task, tasks, trainer
from tfrecords import feed, records

_SIDE = 32
_SPLITS = ("fold_0", "fold_1", "fold_2")
_FAST = (
    *("model.filters=[4,8,8]", "model.output_stride=2", "training.batch_size=4"),
    *("training.epochs=2", "training.learning_rate=0.01", "training.patience=0"),
)


@pytest.fixture(scope="module")
def source(dots_dir: pathlib.Path) -> records.Records:
    return records.open_records(dots_dir)


@pytest.fixture(scope="module")
def axial(
    make_dots: Callable[..., pathlib.Path], tmp_path_factory: pytest.TempPathFactory
) -> records.Records:
    return records.open_records(make_dots(tmp_path_factory.mktemp("axial") / "r", "axial"))


def _task(source: records.Records, *changes: str) -> landmark_task.LandmarkTask:
    made = config_module.default_config("landmarks", "unet")
    run_config = overrides.apply(made, [*_FAST, *changes])
    task = tasks.make_task(run_config, source)
    assert isinstance(task, landmark_task.LandmarkTask)
    return task


def _dot(num: int, x: float, y: float, count: int = 4) -> feed.Batch:
    """A bright dot where every channel's point is."""
    image = np.zeros((count, _SIDE, _SIDE, 3), np.uint16)
    image[:, round(y), round(x)] = 1000
    return {
        "image": tf.constant(image),
        "window": tf.constant([[0.0, 1000.0]] * count),
        "point_xy": tf.constant([[x, y] * num] * count, tf.float32),
        "point_slices": tf.zeros((count, num)),
        "point_known": tf.ones((count, num), tf.int64),
        "seed": tf.constant([[7, row] for row in range(count)]),
    }


_STILL = tuple(
    f"data.augmentation.{name}=0"
    for name in ("unchanged", "rotation_degrees", "shift", "scale", "contrast", "brightness")
)


@pytest.mark.parametrize(
    "moves",
    [
        ("rotation_degrees=40",),
        ("scale=0.3", "shift=0.2", "stretch=0.3"),
        ("flip=1",),
        ("shear=0.4", "jitter_mm=20"),
    ],
)
def test_points_move_with_the_pixels(source: records.Records, moves: tuple[str, ...]) -> None:
    task = _task(
        source,
        *(*_STILL, "model.stem_stride=1", "model.output_stride=1"),
        *(f"data.augmentation.{move}" for move in moves),
    )
    images, targets = task.augmented(_dot(10, 13, 18))
    weights = images.numpy()[..., 1]
    assert (weights.sum(axis=(1, 2)) > 0.3).all()
    grid = np.arange(_SIDE)
    for of_image, of_points in zip(weights, targets["heatmaps"].numpy()[..., 3], strict=True):
        for axis in (0, 1):
            places = [(w.sum(axis=axis) @ grid) / w.sum() for w in (of_image, _core(of_points))]
            assert places[0] == pytest.approx(places[1], abs=0.3)


def _core(heatmap: np.ndarray) -> np.ndarray:
    """The upper half of a Gaussian, which an edge cuts less."""
    return np.maximum(heatmap - heatmap.max() / 2, 0)


def test_a_mirrored_axial_window_has_its_sides_exchanged(axial: records.Records) -> None:
    batch = _dot(2, 10, 16)
    batch["point_xy"] = tf.constant([[8.0, 16.0, 20.0, 16.0]] * 4)
    batch["point_known"] = tf.constant([[1, 0]] * 4)
    _, targets = _task(axial, *_STILL, "data.augmentation.flip=1").augmented(batch)
    assert targets["is_known"].numpy().tolist() == [[0, 1]] * 4
    left, right = np.moveaxis(targets["heatmaps"].numpy(), 3, 0)
    # 31 - 20 and 31 - 8, on every other pixel.
    assert left[0].max(axis=0).argmax() == 5
    assert right[0].max(axis=0).argmax() == 11


def test_what_a_smaller_field_of_view_hides_is_not_marked(source: records.Records) -> None:
    task = _task(source, *_STILL, "data.augmentation.field_cut=0.45")
    for x in (2, 16):
        images, targets = task.augmented(_dot(10, x, 16))
        is_seen = images.numpy().max(axis=(1, 2, 3)) > 0.5
        is_marked = targets["heatmaps"].numpy().max(axis=(1, 2, 3)) > 0.1
        np.testing.assert_array_equal(is_seen, is_marked)
        assert is_seen.all() == (x == 16)


def test_a_point_off_its_record_is_marked_nowhere(source: records.Records) -> None:
    targets = _task(source).targets({**_dot(10, 1, 1), "point_xy": tf.fill((4, 20), -2.0)})
    assert targets["heatmaps"].numpy().max() == 0.0


@pytest.mark.parametrize(
    ("slices", "height"), [(0, 1.0), (1, 0.5), (2, 0.25), (3, 0), (9, 0), (0.5, 0.75), (2.5, 0.125)]
)
def test_height_falls_with_the_distance_in_slices(slices: float, height: float) -> None:
    assert float(heatmap_targets.heights(tf.constant(float(slices)))) == pytest.approx(height)


def test_a_channel_that_is_not_known_teaches_nothing(source: records.Records) -> None:
    task = _task(source)
    batch = _dot(10, 13, 18)
    batch["point_known"] = tf.constant([[1, 0] * 5] * 4)
    answers = tf.Variable(tf.fill((4, 16, 16, 10), 0.3))
    _, loss = task.open_training(source, ["fold_1"])
    with tf.GradientTape() as tape:
        found = loss(task.targets(batch), answers)
    gradient = np.abs(tape.gradient(found, answers)).max(axis=(0, 1, 2))
    assert (gradient[::2] > 0).all()
    assert (gradient[1::2] == 0).all()


@pytest.mark.parametrize("name", ["cross_entropy", "focal"])
def test_loss_is_zero_at_the_targets_alone(source: records.Records, name: str) -> None:
    task = _task(source, f"training.loss={name}")
    _, loss = task.open_training(source, ["fold_1"])
    targets = task.targets(_dot(10, 13, 18))
    np.testing.assert_allclose(loss(targets, targets["heatmaps"]), 0.0, atol=1e-4)
    assert (loss(targets, targets["heatmaps"] * 0.8).numpy() > 1e-4).all()


def test_figures_of_perfect_and_of_moved_heatmaps(source: records.Records) -> None:
    task = _task(source, "model.stem_stride=1", "model.output_stride=1")
    columns = source.index(["fold_0"]).columns
    truth = {name: columns[name] for name in ("point_xy", "point_slices", "point_known")}
    batch = {"image": tf.zeros((8, _SIDE, _SIDE, 3)), **truth}
    heatmaps = task.targets({n: tf.constant(v) for n, v in batch.items()})["heatmaps"].numpy()
    found = task.monitor_figures(heatmaps, truth)
    assert set(found) == set(task.monitors)
    assert found["val_log_loss"] == pytest.approx(0.0, abs=1e-4)
    assert found["val_slice_error"] == pytest.approx(0.0, abs=1e-3)
    assert found["val_median_mm"] == pytest.approx(0.0, abs=1e-3)
    # A pixel is 8 mm; no other channel is as high there.
    moved = heatmaps + np.roll(heatmaps, 1, axis=2) * 2
    median = task.monitor_figures(moved, truth)["val_median_mm"]
    assert median == pytest.approx(8.0, abs=3.0)
    exchanged = heatmaps[..., [1, 0, *range(2, 10)]]
    assert task.monitor_figures(exchanged, truth)["val_level_right"] < found["val_level_right"]
    with pytest.raises(ValueError, match="no longer finite"):
        task.monitor_figures(heatmaps * np.nan, truth)


def test_marks_are_exact_where_a_gaussian_is_between_pixels() -> None:
    kind = landmark_kinds.KINDS["axial"]
    heatmap = np.zeros((1, 16, 16, 2), np.float32)
    rows, columns = np.mgrid[:16, :16]
    for channel, (x, y) in enumerate([(5.3, 8.6), (10.8, 7.1)]):
        heatmap[0, :, :, channel] = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 4)
    found = landmark_figures.highest(heatmap)[0]
    np.testing.assert_allclose(found, [(5.3, 8.6), (10.8, 7.1)], atol=1e-5)
    assert kind.groups == (slice(0, 2),)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ("data.sampling=balanced", "data.sampling"),
        ("data.augmentation.mixup=0.2", "mixup"),
        ("data.augmentation.slice_shuffle=0.5", "slice_shuffle"),
        ("training.class_weights=competition", "class_weights"),
        ("training.label_smoothing=0.1", "label_smoothing"),
        ("training.loss=quadratic_kappa", "quadratic_kappa"),
    ],
)
def test_what_has_no_meaning_for_points_is_refused(
    source: records.Records, change: str, name: str
) -> None:
    with pytest.raises(ValueError, match=f"{name} has no meaning for task landmarks"):
        _task(source, change)


def test_records_of_another_kind_are_refused(source: records.Records) -> None:
    other = dataclasses.replace(
        source, manifest=dataclasses.replace(source.manifest, config={"roi_mm": 50.0})
    )
    with pytest.raises(
        ValueError, match=r"of kind roi, task landmarks learns .* sagittal or axial"
    ):
        _task(other)


@pytest.fixture(scope="module")
def finished(source: records.Records, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    run_dir = tmp_path_factory.mktemp("run") / "w"
    trainer.train(_task(source).config, source, run_dir, resume=False)
    return run_dir


@pytest.mark.slow
def test_a_run_writes_marks_and_figures(source: records.Records, finished: pathlib.Path) -> None:
    said = json.loads((finished / run_directory.METRICS_FILE).read_text())
    assert (said["task"], said["split"], said["num_studies"]) == ("landmarks", "fold_0", 8)
    assert set(said["metrics"]) == set(landmark_figures.NAMES)
    provenance = run_directory.read_provenance(finished)
    assert provenance["channels"][:2] == ["canal_l1_l2", "canal_l2_l3"]
    marks = (finished / run_directory.PREDICTIONS_FILE).read_text().splitlines()
    known = source.index(["fold_0"]).columns["point_known"].sum()
    assert marks[0].startswith("key,channel,") and len(marks) == 1 + known
    with pytest.raises(ValueError, match="it finds points and grades nothing"):
        run.load_run(finished)


class _Interrupted(Exception):
    pass


@pytest.mark.slow
def test_an_interrupted_run_goes_on_to_the_same_weights(
    source: records.Records, finished: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    def interrupt(epoch: int, figures: dict[str, Any]) -> None:
        del figures
        if epoch == 0:
            raise _Interrupted

    task = _task(source)
    splits: dict[str, Any] = {"train_splits": ["fold_2"], "monitor_split": "fold_1"}
    with pytest.raises(_Interrupted):
        fit.fit(task.config, source, **splits, task=task, work_dir=tmp_path, on_epoch_end=interrupt)
    resumed = fit.fit(task.config, source, **splits, task=task, work_dir=tmp_path)
    whole = run.load_model(finished)
    for one, other in zip(resumed.model.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
@pytest.mark.parametrize("feed_name", ["stream", "device"])
def test_all_folds_are_joined(axial: records.Records, tmp_path: pathlib.Path, feed_name) -> None:
    task = _task(axial, "training.epochs=1", f"data.feed={feed_name}")
    trainer.train_all_folds(task.config, axial, tmp_path / "w", resume=False)
    said = json.loads((tmp_path / "w" / run_directory.METRICS_FILE).read_text())
    is_known = axial.index(_SPLITS).columns["point_known"].any(axis=1)
    assert (said["split"], said["num_studies"]) == ("oof", is_known.sum())
    assert isinstance(run.load_model(tmp_path / "w" / "fold_1"), keras.Model)
