"""The frozen phase: features computed once, of the images or of augmented copies of them."""

import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from spine_tf.configuration import config, family_config, overrides
from spine_tf.models import families
from spine_tf.training import classification, fit, losses, phases, shared_network, tasks
from tfrecords import feed, memory_feed, records


@pytest.fixture(scope="module")
def source(records_dir: pathlib.Path) -> records.Records:
    return records.open_records(records_dir)


@pytest.fixture(scope="module")
def images(source: records.Records) -> memory_feed.MemoryFeed:
    return memory_feed.make_feed(records.load_examples(source, ["fold_0"], (0, 1, 2)))


@pytest.fixture(scope="module")
def extractor() -> keras.Model:
    image = keras.Input((32, 32, 1))
    return keras.Model(image, keras.layers.GlobalAveragePooling2D()(image**2))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    keras.utils.set_random_seed(3)
    path = tmp_path_factory.mktemp("weights") / "notop.weights.h5"
    network = keras.applications.VGG16(include_top=False, weights=None)
    network.save_weights(path)
    return path


def _task(*settings: str) -> classification.ClassificationTask:
    made = config.default_config("multiclass", "simple")
    return classification.ClassificationTask(config=overrides.apply(made, settings))


def _extract_changed(
    task: classification.ClassificationTask, extractor: keras.Model
) -> phases.Predictor:
    return phases.Predictor(extractor, lambda batch: task.augmented(batch)[0])


def _augmented(
    extractor: keras.Model, images: feed.Feed, *, seed: int = 0
) -> memory_feed.MemoryFeed:
    task = _task("data.augmentation.unchanged=0", f"seed={seed}")
    return phases.augmented_features(
        _extract_changed(task, extractor), images, task.config, num_copies=3
    )


def _first(source: feed.Feed) -> dict[str, tf.Tensor]:
    return next(iter(source.ordered(batch_size=24)))


def test_plain_features_are_those_of_the_images(
    extractor: keras.Model, images: memory_feed.MemoryFeed
) -> None:
    batch = _first(images)
    expected = extractor(feed.normalize(batch["image"], batch["window"]))
    extract = phases.Predictor(extractor, _task().inputs)
    found = _first(phases.plain_features(extract, images, balanced=False))
    np.testing.assert_allclose(phases.take_feature(found), expected, rtol=1e-6)
    np.testing.assert_array_equal(found["label"], batch["label"])


@pytest.mark.slow
def test_copies_differ_and_are_a_function_of_the_seed(
    extractor: keras.Model, images: memory_feed.MemoryFeed
) -> None:
    one, again, other = (
        _first(_augmented(extractor, images, seed=seed))["feature"].numpy() for seed in (0, 0, 1)
    )
    assert one.shape == (24, 3, 1)
    np.testing.assert_array_equal(one, again)
    assert (one != other).all()
    assert (np.ptp(one, axis=1) > 0).all()


def test_an_epoch_takes_one_copy_of_each_by_seed_and_epoch(
    extractor: keras.Model, images: memory_feed.MemoryFeed
) -> None:
    made = _augmented(extractor, images)

    def taken(seed: int, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        batch = next(iter(made.shuffled(batch_size=24, seed=seed, epoch=epoch)))
        chosen = phases.take_copy(batch).numpy()
        is_copy = (chosen[:, np.newaxis] == batch["feature"].numpy()).all(axis=2)
        assert (is_copy.sum(axis=1) == 1).all()
        return chosen, is_copy.argmax(axis=1)

    np.testing.assert_array_equal(taken(0, 3)[0], taken(0, 3)[0])
    assert set(taken(0, 3)[1]) == {0, 1, 2}
    assert not np.array_equal(taken(0, 3)[1], taken(0, 4)[1])
    assert not np.array_equal(taken(0, 3)[1], taken(1, 3)[1])


def test_copies_without_augmentation_are_refused(
    extractor: keras.Model, images: memory_feed.MemoryFeed
) -> None:
    off = ("rotation_degrees", "shift", "scale", "contrast", "brightness")
    still = _task(*(f"data.augmentation.{name}=0" for name in off), "data.augmentation.mixup=0.4")
    with pytest.raises(ValueError, match=r"feature_copies is 2, but data.augmentation changes no"):
        phases.augmented_features(
            _extract_changed(still, extractor), images, still.config, num_copies=2
        )


@pytest.mark.slow
def test_frozen_phase_trains_what_sees_less_than_the_record(
    weights: pathlib.Path, make_records: Callable[..., pathlib.Path], tmp_path: pathlib.Path
) -> None:
    """The backbone's features are of what the sampler gives, and so is the head that is kept."""
    source = records.open_records(make_records(tmp_path / "r", roi_px=48))
    fitted = _fit(weights, source, "model.input_px=32")
    assert fitted.model.get_layer("sampled").output.shape[1:3] == (32, 32)
    examples = records.load_examples(source, ["fold_0"], (0, 2))
    answers = fitted.model.predict(examples.normalized(), verbose=0)
    said = -np.log(answers[np.arange(len(examples)), examples.labels]).mean()
    assert abs(said - min(figures["val_log_loss"] for figures in fitted.history)) < 0.01


class _Interrupted(Exception):
    pass


def _transfer(weights: pathlib.Path, *changes: str) -> config.Config:
    settings = [
        "model.backbone=vgg16",
        f"model.weights={weights}",
        "model.frozen_epochs=3",
        "training.epochs=3",
        "training.batch_size=16",
        *changes,
    ]
    return overrides.apply(config.default_config("binary", "transfer"), settings)


def _fit(
    weights: pathlib.Path, source: records.Records, *changes: str, **options: Any
) -> fit.Fitted:
    splits: dict[str, Any] = {"train_splits": ["fold_1", "fold_2"], "monitor_split": "fold_0"}
    return fit.fit(_transfer(weights, *changes), source, **splits, **options)


def _losses(fitted: fit.Fitted) -> list[float]:
    return [figures["loss"] for figures in fitted.history]


@pytest.fixture(scope="module")
def plain(weights: pathlib.Path, source: records.Records) -> list[float]:
    return _losses(_fit(weights, source))


@pytest.mark.slow
def test_copies_change_training_and_a_resumed_run_is_the_undisturbed_one(
    weights: pathlib.Path, source: records.Records, plain: list[float], tmp_path: pathlib.Path
) -> None:
    def interrupt(epoch: int, figures: dict) -> None:
        del figures
        if epoch == 0:
            raise _Interrupted

    augmented = "model.feature_copies=4"
    undisturbed = _fit(weights, source, augmented)
    assert _losses(undisturbed) != plain
    with pytest.raises(_Interrupted):
        _fit(weights, source, augmented, work_dir=tmp_path, on_epoch_end=interrupt)
    resumed = _fit(weights, source, augmented, work_dir=tmp_path)
    assert _losses(resumed) == _losses(undisturbed)
    for one, other in zip(
        resumed.model.get_weights(), undisturbed.model.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_frozen_phase_mixes_and_balances_features(
    weights: pathlib.Path, source: records.Records, plain: list[float]
) -> None:
    for change in ("data.augmentation.mixup=0.4", "data.sampling=balanced"):
        assert _losses(_fit(weights, source, change)) != plain


@pytest.mark.slow
def test_phases_that_folds_share_are_those_of_the_fold_alone(
    weights: pathlib.Path, source: records.Records
) -> None:
    changes = ("model.frozen_epochs=1", "training.epochs=2", "model.trainable_blocks=1")
    task = classification.ClassificationTask(config=_transfer(weights, *changes))
    network = shared_network.SharedNetwork()
    options: dict[str, Any] = {"train_splits": ["fold_2"], "monitor_split": "fold_0"}
    fit.fit(task.config, source, **options, task=task, network=network)
    together = fit.fit(task.config, source, **options, task=task, network=network)
    found, losses_together = together.model.get_weights(), _losses(together)
    alone = fit.fit(task.config, source, **options)
    assert losses_together == _losses(alone)
    for one, other in zip(found, alone.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


class _Twice(classification.ClassificationTask):
    """The same classes answered by two outputs."""

    @property
    def running(self) -> tasks.Running:
        return {}

    def open_training(
        self, source: records.Records, splits: Sequence[str]
    ) -> tuple[feed.Feed, losses.Loss]:
        made, loss = super().open_training(source, splits)
        return made, lambda targets, outputs: sum(
            loss(targets, output) for output in outputs.values()
        )

    def build_network(self, source: records.Records) -> keras.Model:
        def head(x: keras.KerasTensor, model_config: family_config.ModelConfig) -> dict[str, Any]:
            del model_config
            return {
                name: keras.layers.Dense(2, activation="softmax", name=name)(x)
                for name in ("one", "other")
            }

        return families.build_network(self.config.model, source.image_shape, head)

    def monitor_figures(self, outputs: Any, truth: Mapping[str, np.ndarray]) -> dict[str, float]:
        return super().monitor_figures(outputs["one"], truth)


@pytest.mark.slow
def test_frozen_phase_trains_a_head_of_two_outputs(
    weights: pathlib.Path, source: records.Records
) -> None:
    task = _Twice(config=_transfer(weights))
    network = task.build_network(source)
    splits: dict[str, Any] = {"train_splits": ["fold_1", "fold_2"], "monitor_split": "fold_0"}
    fitted = fit.fit(task.config, source, task=task, **splits)
    assert {figures["phase"] for figures in fitted.history} == {"frozen"}
    assert fitted.history[-1]["loss"] < fitted.history[0]["loss"]
    for name in ("one", "other"):
        before, after = (
            model.get_layer(name).get_weights()[1] for model in (network, fitted.model)
        )
        assert not np.array_equal(before, after)
