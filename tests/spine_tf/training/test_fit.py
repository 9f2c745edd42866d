import dataclasses
import pathlib
import subprocess
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from spine_tf.configuration import config, overrides, training_config
from spine_tf.training import fit, task_examples
from tfrecords import records

_FAST = (
    "model.filters=[4, 8]",
    "training.epochs=2",
    "training.batch_size=8",
    "training.learning_rate=0.01",
)


@pytest.fixture(scope="module")
def source(records_dir: pathlib.Path) -> records.Records:
    return records.open_records(records_dir)


def _config(*settings: str, family: str = "simple", task: str = "multiclass") -> config.Config:
    return overrides.apply(config.default_config(task, family), [*_FAST, *settings])


def _fit(run_config: config.Config, source: records.Records, **options: Any) -> fit.Fitted:
    arguments: dict[str, Any] = {
        "train_splits": ["fold_1", "fold_2"],
        "monitor_split": "fold_0",
        **options,
    }
    return fit.fit(run_config, source, **arguments)


def _weights(fitted: fit.Fitted) -> np.ndarray:
    return np.concatenate([weight.ravel() for weight in fitted.model.get_weights()])


@pytest.fixture(scope="module")
def base(source: records.Records) -> fit.Fitted:
    return _fit(_config(), source)


def test_history_has_every_figure_and_the_best_epoch_is_the_monitors(base: fit.Fitted) -> None:
    losses = [figures["val_log_loss"] for figures in base.history]
    assert len(losses) == 2
    assert base.best_epoch == int(np.argmin(losses))
    assert set(training_config.MONITORS) < set(base.history[0])
    assert base.num_examples == 48


@pytest.mark.slow
def test_what_was_watched_is_what_the_whole_model_answers(source: records.Records) -> None:
    made = _config("model.input_mm=40", "model.input_px=16", "training.epochs=1")
    fitted = _fit(made, source)
    assert fitted.model.input_shape == (None, 32, 32, 1)
    examples = records.load_examples(source, ["fold_0"], (0, 1, 2))
    answers = fitted.model(examples.normalized(), training=False).numpy()
    right = answers[np.arange(len(examples)), examples.labels]
    assert -np.log(right).mean() == pytest.approx(fitted.history[0]["val_log_loss"], rel=1e-4)


def test_classes_of_the_training_splits_are_counted(source: records.Records) -> None:
    counts = task_examples.count_classes(_config(), source, ["fold_1", "fold_2"])
    assert counts.tolist() == [16, 16, 16]


@pytest.mark.slow
def test_same_seed_gives_the_same_weights(base: fit.Fitted, source: records.Records) -> None:
    np.testing.assert_array_equal(_weights(_fit(_config(), source)), _weights(base))


@pytest.mark.slow
def test_training_learns_what_can_be_seen(source: records.Records) -> None:
    fitted = _fit(_config("training.epochs=25", family="dense"), source)
    assert fitted.history[fitted.best_epoch]["val_balanced_accuracy"] > 0.9


_NO_CHANGE = [
    f"data.augmentation.{name}=0"
    for name in ("rotation_degrees", "shift", "scale", "contrast", "brightness")
]

# What each field is changed to; the weights must come out otherwise. That each field of a model
# changes what is built is tests/spine_tf/models/test_model_fields.py's.
_CHANGES = (
    "model.input_mm=40",
    "model.filters=[8, 8]",
    "data.augmentation.jitter_mm=5",
    "data.feed=stream",
    *(
        f"data.augmentation.{name}=0.4"
        for name in ("rotation_degrees", "shift", "scale", "contrast", "brightness")
    ),
    *(f"data.augmentation.{name}=0.4" for name in ("gamma", "noise", "cutout", "mixup", "cutmix")),
    *(f"data.augmentation.{name}=0.4" for name in ("shear", "blur")),
    "training.epochs=3",
    "training.batch_size=16",
    "training.optimizer=sgd",
    "training.learning_rate=0.003",
    "training.weight_decay=0.5",
    "training.schedule=constant",
    "training.warmup_epochs=0",
    "training.gradient_clip=0.01",
    "training.ema_decay=0.9",
    "training.loss=focal",
    "training.label_smoothing=0.3",
    "training.class_weights=competition",
    "seed=5",
)


# The effect of the other fields is shown by tests of their own.
_SHOWN_IN = {
    **dict.fromkeys(("data.augmentation.flip", "data.augmentation.slice_shuffle"), "test_fit.py"),
    **dict.fromkeys(("data.memory_budget_mb", "data.sampling"), "test_fit.py"),
    **dict.fromkeys(("training.deterministic", "training.focal_gamma"), "test_fit.py"),
    **dict.fromkeys(("training.monitor", "training.patience", "training.xla"), "test_fit.py"),
    "data.augmentation.unchanged": "../augmentation/test_changes.py",
    "data.augmentation.stretch": "../augmentation/test_changes.py",
    **dict.fromkeys(
        (
            f"data.augmentation.{name}"
            for name in ("curve", "bias", "ghost", "field_cut", "slice_reversal", "slice_repeat")
        ),
        "../augmentation/test_scanning.py",
    ),
    **dict.fromkeys(("data.inner_fold", "data.val_fold"), "test_fold_roles.py"),
    **dict.fromkeys(("data.label_review.path", "data.label_review.action"), "../test_clean.py"),
    **dict.fromkeys(("data.label_review.budget", "data.mild_split"), "../test_clean.py"),
    "training.label_softness": "test_losses.py",
    "training.mixed_precision": "test_device.py",
    "task": "test_tasks.py",
}


def test_every_field_stands_in_a_test_of_its_effect() -> None:
    changed = {change.partition("=")[0] for change in _CHANGES}
    fields = {name for name in config.field_names("simple") if not name.startswith("model.")}
    assert fields == {*(name for name in changed if not name.startswith("model.")), *_SHOWN_IN}
    for name, path in _SHOWN_IN.items():
        text = (pathlib.Path(__file__).parent / path).read_text("utf-8")
        assert name.rpartition(".")[2] in text, f"{path} says nothing of {name}"


# Little to trace: each change stands alone.
_PLAIN = ("model.filters=[4]", *_NO_CHANGE)


@pytest.fixture(scope="module")
def plain(source: records.Records) -> np.ndarray:
    return _weights(_fit(_config(*_PLAIN), source))


@pytest.mark.slow
@pytest.mark.parametrize("change", _CHANGES)
def test_every_field_changes_the_weights(
    change: str, plain: np.ndarray, source: records.Records
) -> None:
    changed = _weights(_fit(_config(*_PLAIN, change), source))
    assert changed.shape != plain.shape or not np.array_equal(changed, plain)


@pytest.mark.slow
def test_focal_gamma_changes_the_weights(source: records.Records) -> None:
    one, other = (
        _fit(_config("training.loss=focal", f"training.focal_gamma={gamma}"), source)
        for gamma in (1.0, 3.0)
    )
    assert not np.array_equal(_weights(one), _weights(other))


@pytest.mark.slow
def test_memory_budget_decides_the_feed(
    make_records: Callable[..., pathlib.Path], tmp_path: pathlib.Path
) -> None:
    # The folds are 1.1 MiB, so that a budget of 1 MiB does not hold them, though each alone fits.
    big = records.open_records(make_records(tmp_path / "r", per_class=64))
    streamed, budgeted, held = (
        _weights(_fit(_config(setting, "training.epochs=1"), big))
        for setting in ("data.feed=stream", "data.memory_budget_mb=1", "data.memory_budget_mb=2")
    )
    np.testing.assert_array_equal(streamed, budgeted)
    assert not np.array_equal(streamed, held)


@pytest.mark.slow
def test_feed_on_the_device_gives_the_same_weights(
    base: fit.Fitted, source: records.Records
) -> None:
    np.testing.assert_array_equal(
        _weights(_fit(_config("data.feed=device"), source)), _weights(base)
    )


@pytest.mark.slow
def test_balanced_sampling_changes_the_weights(
    make_records: Callable[..., pathlib.Path], tmp_path: pathlib.Path
) -> None:
    uneven = records.open_records(make_records(tmp_path / "r", severities=(0, 0, 0, 1, 2)))
    shuffled, balanced = (
        _weights(_fit(_config(f"data.sampling={sampling}"), uneven))
        for sampling in ("shuffle", "balanced")
    )
    assert not np.array_equal(shuffled, balanced)


def test_balanced_sampling_of_a_stream_is_refused(source: records.Records) -> None:
    with pytest.raises(ValueError, match=r"needs the crops in memory, .* raise data.memory_budget"):
        _fit(_config("data.sampling=balanced", "data.feed=stream"), source)


def test_balancing_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="correct the class frequencies twice"):
        _config("data.sampling=balanced", "training.class_weights=balanced")


def test_flip_of_mirrored_crops_is_refused(source: records.Records) -> None:
    with pytest.raises(ValueError, match="are mirrored so that lateral lies to the right"):
        _fit(_config("data.augmentation.flip=0.5"), source)


@pytest.mark.slow
def test_flip_and_slice_shuffle_change_the_weights_where_they_may(
    make_records: Callable[..., pathlib.Path], tmp_path: pathlib.Path
) -> None:
    made = records.open_records(make_records(tmp_path / "r", num_slices=3))
    conversion = {**made.manifest.config, "mirror_right": False}
    free = dataclasses.replace(made, manifest=dataclasses.replace(made.manifest, config=conversion))
    plain = _weights(_fit(_config(), free))
    for change in ("flip", "slice_shuffle"):
        changed = _weights(_fit(_config(f"data.augmentation.{change}=0.5"), free))
        assert not np.array_equal(changed, plain)


_TWO_DEVICES = """
import sys
import numpy as np, tensorflow as tf
from spine_tf.configuration import config, overrides
from spine_tf.training import fit
from tfrecords import records

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
source = records.open_records(sys.argv[1])
base = overrides.apply(config.default_config("multiclass", "simple"), sys.argv[2:])
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
assert strategy.num_replicas_in_sync == 2
for way in ("memory", "stream"):
    made = overrides.apply(base, [f"data.feed={way}"])
    with strategy.scope():
        fitted = fit.fit(made, source, train_splits=["fold_1", "fold_2"], monitor_split="fold_0")
    np.savez(way, *fitted.model.get_weights(), loss=[f["loss"] for f in fitted.history])
"""
# Without batch statistics and dropout, which are each replica's own.
# Adam would make much of rounding: its first steps are as large whatever the gradient is.
_ALIKE = ("model.norm=none", "model.dropout=0", "training.optimizer=sgd", *_NO_CHANGE)


@pytest.fixture(scope="module")
def mirrored_dir(source: records.Records, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """What two replicas come to, by the way they are fed."""
    directory = tmp_path_factory.mktemp("mirrored")
    command = ["warm-python", "-c", _TWO_DEVICES, str(source.directory), *_FAST, *_ALIKE]
    subprocess.run(command, check=True, cwd=directory)
    return directory


@pytest.mark.slow
@pytest.mark.parametrize("way", ["memory", "stream"])
def test_two_replicas_train_as_one_device_does(
    way: str, source: records.Records, mirrored_dir: pathlib.Path
) -> None:
    alone = _fit(_config(*_ALIKE, f"data.feed={way}"), source)
    with np.load(mirrored_dir / f"{way}.npz") as mirrored:
        np.testing.assert_allclose(mirrored["loss"], [f["loss"] for f in alone.history], rtol=1e-4)
        for index, weight in enumerate(alone.model.get_weights()):
            np.testing.assert_allclose(mirrored[f"arr_{index}"], weight, atol=2e-4)


@pytest.mark.slow
def test_patience_ends_training_and_monitor_chooses_the_epoch(source: records.Records) -> None:
    # Nothing improves at a learning rate of almost nothing.
    still = ("training.learning_rate=1e-9", "training.epochs=9", "training.patience=2")
    stopped = _fit(_config(*still, "training.monitor=val_accuracy"), source)
    assert len(stopped.history) == 3
    assert stopped.best_epoch == 0
    assert len(_fit(_config(*still[:2], "training.patience=0"), source).history) == 9


@pytest.mark.slow
def test_without_an_inner_fold_the_last_epoch_counts(source: records.Records) -> None:
    fitted = _fit(_config(), source, monitor_split=None)
    assert fitted.best_epoch == 1
    assert "val_log_loss" not in fitted.history[0]


@pytest.mark.slow
def test_callback_can_stop_training(source: records.Records) -> None:
    def stop(epoch: int, figures: dict) -> None:
        assert np.isfinite(figures["loss"])
        if epoch == 0:
            raise fit.StopTraining

    assert len(_fit(_config("training.epochs=5"), source, on_epoch_end=stop).history) == 1


class _Interrupted(Exception):
    pass


@pytest.mark.slow
@pytest.mark.parametrize("settings", [(), ("training.ema_decay=0.9", "data.feed=stream")])
def test_resumed_fit_has_the_weights_of_an_undisturbed_one(
    settings: tuple[str, ...], source: records.Records, tmp_path: pathlib.Path
) -> None:
    def interrupt(epoch: int, figures: dict) -> None:
        del figures
        if epoch == 1:
            raise _Interrupted

    run_config = _config("training.epochs=4", *settings)
    undisturbed = _fit(run_config, source)
    with pytest.raises(_Interrupted):
        _fit(run_config, source, work_dir=tmp_path, on_epoch_end=interrupt)
    resumed = _fit(run_config, source, work_dir=tmp_path)
    np.testing.assert_array_equal(_weights(resumed), _weights(undisturbed))
    assert [f["loss"] for f in resumed.history] == [f["loss"] for f in undisturbed.history]


def test_class_without_training_examples_is_named(make_records, tmp_path: pathlib.Path) -> None:
    source = records.open_records(make_records(tmp_path / "r", per_class=1, severities=(0, 1)))
    with pytest.raises(ValueError, match=r"no training example of class 'Severe' in fold_1, fold"):
        _fit(_config(task="binary"), source)


@pytest.mark.slow
def test_loss_that_diverges_ends_with_a_sentence(source: records.Records) -> None:
    settings = (
        "training.optimizer=sgd",
        "training.learning_rate=10",
        "training.gradient_clip=0",
        "training.warmup_epochs=0",
        "training.epochs=40",
        "training.patience=0",
        # Each step multiplies the kernels by 1 - 10.
        "training.weight_decay=1",
    )
    # The loss of a step or the answers after it, whichever stops being a number first.
    with pytest.raises(
        ValueError, match=r"(the loss became|no longer finite).* lower training.learn"
    ):
        _fit(_config(*settings), source)


_SHORT_OF_MEMORY = """
import resource, sys
from spine_tf.configuration import config, overrides
from spine_tf.training import fit
from tfrecords import records

source = records.open_records(sys.argv[1])
base = overrides.apply(config.default_config("multiclass", "simple"), sys.argv[2:])
splits = {"train_splits": ["fold_1", "fold_2"], "monitor_split": "fold_0"}
fit.fit(base, source, **splits)
with open("/proc/self/status") as status:
    mapped = next(int(line.split()[1]) for line in status if line.startswith("VmSize"))
limit = (mapped + 400 * 1024) * 1024
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
big = overrides.apply(base, ["model.filters=[4096]", "training.batch_size=48"])
try:
    fit.fit(big, source, **splits)
except ValueError as err:
    print(err)
"""


@pytest.mark.slow
def test_lack_of_memory_ends_with_a_sentence(
    source: records.Records, tmp_path: pathlib.Path
) -> None:
    command = ["warm-python", "-c", _SHORT_OF_MEMORY, str(source.directory), *_FAST]
    result = subprocess.run(command, check=True, cwd=tmp_path, capture_output=True, text=True)
    assert result.stdout.startswith("out of memory after epoch 0: lower training.batch_size (48)")


def test_mixed_precision_without_a_gpu_is_refused(source: records.Records) -> None:
    if tf.config.list_physical_devices("GPU"):
        assert _fit(_config("training.mixed_precision=on"), source).history
        return
    with pytest.raises(ValueError, match="mixed_precision is on, but there is no GPU"):
        _fit(_config("training.mixed_precision=on"), source)


def test_xla_with_determinism_is_refused(source: records.Records) -> None:
    with pytest.raises(ValueError, match=r"compiled pooling is not deterministic: set training"):
        _fit(_config("training.xla=on"), source)


@pytest.mark.slow
def test_xla_trains_alike(
    base: fit.Fitted, records_dir: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    # In a process of its own: determinism, once on, stays on.
    settings = [*_FAST, "training.xla=on", "training.deterministic=false"]
    command = ["warm-python", "-m", "spine_tf.train", "--task=multiclass", "--model=simple"]
    command += [f"--records_dir={records_dir}", f"--run_dir={tmp_path / 'run'}", "--val_fold=2"]
    subprocess.run(command + [f"--set={setting}" for setting in settings], check=True, cwd=tmp_path)
    history = pd.read_csv(tmp_path / "run" / "history.csv")
    # Fold 2 is held out, fold 0 watches: other training splits than the base's, the same scale.
    assert history["loss"].between(0.3, 3.0).all()
    assert len(history) == len(base.history)


@pytest.mark.slow
def test_transfer_trains_the_head_on_cached_features_then_the_last_blocks(
    source: records.Records, tmp_path: pathlib.Path
) -> None:
    keras.utils.set_random_seed(3)
    path = tmp_path / "published.weights.h5"
    keras.applications.VGG16(include_top=False, weights=None).save_weights(path)
    run_config = overrides.apply(
        config.default_config("binary", "transfer"),
        [
            "model.backbone=vgg16",
            f"model.weights={path}",
            "model.frozen_epochs=2",
            "model.trainable_blocks=1",
            "training.epochs=3",
            "training.batch_size=16",
        ],
    )
    phases, changed = [], []

    def watch(epoch: int, figures: dict) -> None:
        phases.append(figures["phase"])

    fitted = _fit(run_config, source, on_epoch_end=watch)
    assert phases == ["frozen", "frozen", "fine_tuned"]
    published = keras.applications.VGG16(include_top=False, weights=None)
    published.load_weights(path)
    backbone = fitted.model.get_layer("backbone")
    for layer in published.layers[1:]:
        weights = backbone.get_layer(layer.name).get_weights()
        if not all(map(np.array_equal, weights, layer.get_weights())):
            changed.append(layer.name)
    assert changed
    assert all(name.startswith("block5_") for name in changed)
