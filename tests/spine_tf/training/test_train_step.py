"""A training step on batches with weights and soft targets beside the labels."""

import keras
import numpy as np
import pytest

from spine_tf.configuration import config, overrides
from spine_tf.training import classification, phases, train_step
from tfrecords import memory_feed

_FEATURES = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)
_LABELS = np.arange(8) % 3


def _weights_after_a_step(mixup=0.0, class_weights=(1.0, 1.0, 1.0), rows=slice(None), **extra):
    """The network's weights after one step of plain gradient descent on all rows."""
    network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])
    network.set_weights([np.full((4, 3), 0.1, np.float32), np.zeros(3, np.float32)])
    arrays = {"feature": _FEATURES[rows], "label": _LABELS[rows].astype(np.int64)}
    made = config.default_config("multiclass", "simple")
    made = overrides.apply(made, [f"data.augmentation.mixup={mixup}"])
    task = classification.ClassificationTask(config=made)
    phase = phases.Phase(
        name="all",
        epochs=1,
        learning_rate=1.0,
        network=network,
        prepare_train=lambda batch: task.mix(batch["feature"], task.targets(batch), batch["seed"]),
        answer=phases.Predictor(network, phases.take_feature),
    )
    loss = classification.WeightedLoss(made.training, num_classes=3)
    loss.weigh(np.array(class_weights, np.float32))
    step = train_step.TrainStep(
        phase,
        keras.optimizers.SGD(1.0),
        loss=loss,
        running=task.running,
        use_xla=False,
    )
    train_feed = memory_feed.MemoryFeed({**arrays, **extra})
    for batch in train_feed.shuffled(batch_size=8, seed=0, epoch=0):
        step(batch)
    assert set(step.figures()) == {"loss", "accuracy"}
    return np.concatenate([value.ravel() for value in network.get_weights()])


def _loss_mean(weights):
    """How far a step of rate 1 moved the weights: minus the gradient of the mean loss."""
    return weights - np.concatenate([np.full(12, 0.1), np.zeros(3)])


def test_weights_of_one_change_nothing():
    ones = np.ones(8, np.float32)
    np.testing.assert_array_equal(_weights_after_a_step(weight=ones), _weights_after_a_step())


def test_rows_of_weight_zero_teach_nothing():
    weight = np.array([1, 1, 1, 1, 0, 0, 0, 0], np.float32)

    both = _loss_mean(_weights_after_a_step(weight=weight))

    # The mean is still over all eight rows.
    alone = _loss_mean(_weights_after_a_step(rows=slice(4)))
    np.testing.assert_allclose(both, alone / 2, atol=1e-6)


def test_weight_of_a_row_multiplies_that_of_its_class():
    found = _loss_mean(
        _weights_after_a_step(weight=np.full(8, 0.25, np.float32), class_weights=(1.0, 2.0, 4.0))
    )
    plain = _loss_mean(_weights_after_a_step(class_weights=(1.0, 2.0, 4.0)))
    np.testing.assert_allclose(found, plain / 4, atol=1e-6)


def test_targets_take_the_labels_place():
    hard = np.eye(3, dtype=np.float32)[_LABELS]
    other = np.eye(3, dtype=np.float32)[(_LABELS + 1) % 3]
    soft = 0.5 * hard + 0.5 * other

    plain = _loss_mean(_weights_after_a_step())
    np.testing.assert_array_equal(_loss_mean(_weights_after_a_step(target=hard)), plain)
    swapped = _loss_mean(_weights_after_a_step(target=other))
    found = _loss_mean(_weights_after_a_step(target=soft))
    np.testing.assert_allclose(found, (plain + swapped) / 2, atol=1e-6)


@pytest.mark.parametrize("mixup", [0.0, 0.4])
def test_weights_are_mixed_with_their_examples(mixup):
    weight = np.full(8, 0.5, np.float32)
    found = _loss_mean(_weights_after_a_step(mixup=mixup, weight=weight))
    np.testing.assert_allclose(found, _loss_mean(_weights_after_a_step(mixup=mixup)) / 2, atol=1e-6)
