"""Levels learned from the views that there are, in the trainer that learns from crops."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from spine_tf import labels
from spine_tf.configuration import config, overrides
from spine_tf.runs import run
from spine_tf.scoring import predictions as predictions_module
from spine_tf.training import fit, level_examples, level_task, tasks, trainer
from tfrecords import records

_TINY = [
    *("model.filters=[4]", "model.units=8", "model.num_heads=2", "training.epochs=1"),
    *("training.batch_size=8", "model.stem_pool=false"),
]


def _config(*changes):
    return overrides.apply(config.default_config("levels", "level"), [*_TINY, *changes])


@pytest.fixture(scope="module")
def source(level_records_dir):
    return records.open_records(level_records_dir)


@pytest.fixture(scope="module")
def network(source):
    keras.utils.set_random_seed(0)
    return tasks.make_task(_config(), source).build_network(source)


@pytest.fixture(scope="module")
def inputs(source):
    return level_examples.load(source, ["fold_0"]).inputs(np.arange(6))


def test_missing_view_is_masked_whatever_it_holds(network, inputs):
    there = inputs["present"].copy()
    there[:, 2] = 0
    filled = inputs["image"].copy()
    filled[:, 2] = np.random.default_rng(0).random(filled[:, 2].shape)

    one = network({**inputs, "present": there}, training=False)["probabilities"]
    other = network({**inputs, "present": there, "image": filled}, training=False)["probabilities"]
    seen = network({**inputs, "present": np.ones_like(there), "image": filled}, training=False)

    np.testing.assert_array_equal(one, other)
    assert np.abs(seen["probabilities"] - one).max() > 1e-6
    nothing = network({**inputs, "present": np.zeros_like(there)}, training=False)
    assert np.isfinite(nothing["probabilities"]).all()


def test_sides_share_their_weights(network, inputs):
    turned = {
        **inputs,
        "image": inputs["image"][:, [0, 2, 1, 4, 3]],
        "present": inputs["present"][:, [0, 2, 1, 4, 3]],
    }
    answers, of_turned = network(inputs, training=False), network(turned, training=False)
    for name, values in answers.items():
        np.testing.assert_allclose(
            of_turned[name].numpy()[:, [2, 4]], values.numpy()[:, [1, 3]], atol=1e-6
        )


def test_dropped_views_leave_one_and_are_drawn_by_the_seed():
    present = tf.constant([[1, 1, 0, 1, 1]] * 200, tf.int64)
    seeds = tf.constant([[3, 0]] * 200)
    left = level_task.drop_views(present, seeds, 0.6).numpy()
    assert (left[:, 2] == 0).all()
    assert (left.sum(axis=1) >= 1).all()
    assert 0.3 < left[:, [0, 1, 3, 4]].mean() < 0.55
    np.testing.assert_array_equal(left, level_task.drop_views(present, seeds, 0.6))
    np.testing.assert_array_equal(level_task.drop_views(present, seeds, 0.0), present)


@pytest.mark.parametrize("weights", ["none", "competition"])
def test_loss_is_the_mean_of_the_groups_means(source, weights):
    settings = _config(f"training.class_weights={weights}", "model.single_share=0")
    task = tasks.make_task(settings, source)
    feed, loss = task.open_training(source, ["fold_0", "fold_1"])
    (batch,) = feed.ordered(batch_size=100)
    generator = np.random.default_rng(0)
    said = generator.dirichlet(np.ones(3), (24, 5)).astype(np.float32)

    found = loss(task.targets(batch), {"probabilities": said, "single": said})

    row_weights = np.array([1, 2, 4] if weights == "competition" else [1, 1, 1])
    answers = said * row_weights
    answers /= answers.sum(axis=2, keepdims=True)
    truth, means = batch["label"].numpy(), []
    for group in ([0], [1, 2], [3, 4]):
        lines, places = np.nonzero(truth[:, group] >= 0)
        grades = truth[:, group][lines, places]
        of_rows = -np.log(answers[:, group][lines, places, grades])
        means.append(np.average(of_rows, weights=row_weights[grades]))
    assert float(tf.reduce_mean(found)) == pytest.approx(np.mean(means), rel=1e-4)


def test_rows_without_a_label_have_no_weight(source):
    task = tasks.make_task(_config(), source)
    feed, loss = task.open_training(source, ["fold_0", "fold_1"])
    (batch,) = feed.ordered(batch_size=100)
    unknown = {**batch, "label": tf.fill(batch["label"].shape, tf.constant(-1, tf.int64))}
    said = np.full((24, 5, 3), 1 / 3, np.float32)
    found = loss(task.targets(unknown), {"probabilities": said, "single": said})
    np.testing.assert_array_equal(found, np.zeros(24))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("data.augmentation.mixup=0.2", "mixup has no effect on task levels"),
        ("data.augmentation.flip=0.5", "flip has no effect"),
        ("data.sampling=balanced", "sampling has no effect"),
        ("training.loss=quadratic_kappa", "quadratic_kappa has no effect"),
    ],
)
def test_what_has_no_effect_on_levels_is_refused(source, change, message):
    with pytest.raises(ValueError, match=message):
        tasks.make_task(_config(change), source).describe(source, ["fold_0"])


def test_configuration_that_does_not_fit_is_refused():
    for change, message in (
        ("model.num_heads=3", "units is 8, which 3 heads can't share"),
        ("model.head=ordinal", "head is 'ordinal', which family level has not"),
        ("model.norm=batch", "expected one of group, layer, none"),
    ):
        with pytest.raises(ValueError, match=message):
            _config(change)


def test_records_of_crops_are_refused(records_dir):
    source = records.open_records(records_dir)
    with pytest.raises(ValueError, match=r"the kind roi .* expected level"):
        tasks.make_task(_config(), source).describe(source, ["fold_0"])


def test_streamed_levels_are_those_of_memory(source):
    batches = []
    for where in ("memory", "stream"):
        task = tasks.make_task(_config(f"data.feed={where}"), source)
        (batch,) = task.open_feed(source, ["fold_0"]).ordered(batch_size=100)
        batches.append(task.inputs(batch))
    for name, values in batches[0].items():
        np.testing.assert_array_equal(values, batches[1][name])


@pytest.mark.slow
def test_run_of_levels_answers_as_it_did_when_it_was_trained(source, tmp_path):
    settings = _config("model.input_mm=25")
    trainer.train(settings, source, tmp_path / "w", resume=False)

    trained = run.load_run(tmp_path / "w")
    examples = level_examples.load(source, ["fold_0"])
    again = trained.members[0].calibrated(
        level_examples.predict(trained.members[0].model, examples)
    )

    stored = predictions_module.read_csv(tmp_path / "w" / "predictions.csv", settings.task_spec)
    found = examples.predictions(again)
    assert found.keys == stored.keys
    assert len(stored) == (examples.labels >= 0).sum()
    np.testing.assert_allclose(found.probabilities, stored.probabilities, atol=1e-6)


@pytest.mark.slow
def test_canal_is_learned_from_the_recesses(source):
    settings = _config(
        *("training.epochs=40", "training.learning_rate=0.01", "model.dropout=0"),
        *("model.filters=[8]", "training.patience=0", "data.augmentation.brightness=0"),
        "data.augmentation.contrast=0",
    )
    fitted = fit.fit(
        settings, source, train_splits=["fold_0", "fold_1", "fold_2"], monitor_split=None
    )
    examples = level_examples.load(source, ["test"])
    said = examples.predictions(level_examples.predict(fitted.model, examples))
    canal = said.select(said.conditions == labels.CONDITIONS[0])
    assert (canal.predicted == canal.labels).mean() > 0.8
