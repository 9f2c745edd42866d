from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from spine_tf.configuration import training_config
from spine_tf.training import optimizer


def _rates(**settings: Any) -> list[float]:
    rate = optimizer.Rate()
    chosen = training_config.TrainingConfig(learning_rate=0.1, **settings)
    made = optimizer.make_optimizer(chosen, rate)
    rate.follow(
        optimizer.make_schedule(chosen, learning_rate=0.1, num_steps=40, steps_per_epoch=10)
    )
    rates = []
    for step in range(41):
        made.iterations.assign(step)
        rate.move(optimizer.updates(made))
        rates.append(float(made.learning_rate))
    return rates


def test_cosine_rises_over_the_warm_up_and_falls_to_zero() -> None:
    rates = _rates(schedule="cosine", warmup_epochs=1)
    assert rates[0] == 0.0
    assert rates[10] == pytest.approx(0.1)
    assert rates[25] == pytest.approx(0.05)
    assert rates[40] == pytest.approx(0.0, abs=1e-8)


def test_cosine_without_warm_up_begins_at_its_peak() -> None:
    assert _rates(schedule="cosine", warmup_epochs=0)[0] == pytest.approx(0.1)


def test_constant_stays_after_the_warm_up() -> None:
    rates = _rates(schedule="constant", warmup_epochs=2)
    assert rates[10] == pytest.approx(0.05)
    assert rates[20:] == pytest.approx([0.1] * 21)
    assert _rates(schedule="constant", warmup_epochs=0)[0] == pytest.approx(0.1)


def test_warm_up_longer_than_training_leaves_a_step_at_the_peak() -> None:
    assert _rates(schedule="cosine", warmup_epochs=100)[39] == pytest.approx(0.1)


def test_biases_are_not_decayed() -> None:
    layer = keras.layers.Dense(2, kernel_initializer="ones", bias_initializer="ones")
    layer.build((None, 3))
    settings = training_config.TrainingConfig(
        weight_decay=0.5, warmup_epochs=0, schedule="constant"
    )
    rate = optimizer.Rate()
    made = optimizer.make_optimizer(settings, rate)
    rate.follow(
        optimizer.make_schedule(settings, learning_rate=0.1, num_steps=9, steps_per_epoch=9)
    )
    rate.move(optimizer.updates(made))
    made.apply([tf.zeros((3, 2)), tf.zeros(2)], layer.trainable_variables)
    np.testing.assert_allclose(layer.kernel, 0.95)
    np.testing.assert_allclose(layer.bias, 1.0)


def test_average_follows_the_weights_and_gives_them_back() -> None:
    network = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    kernel = network.trainable_variables[0]
    kernel.assign([[0.0]])
    average = optimizer.WeightAverage(network, 0.5)
    kernel.assign([[1.0]])
    average.update()  # decay (1 + 0) / (10 + 0)
    average.update()  # decay (1 + 1) / (10 + 1)
    expected = 1 - 0.1 * 2 / 11
    with average.applied():
        assert float(kernel[0, 0]) == pytest.approx(expected)
    assert float(kernel[0, 0]) == 1.0


def test_no_decay_keeps_no_average() -> None:
    network = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    assert optimizer.WeightAverage(network, 0.0).variables == []
