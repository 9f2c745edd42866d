import numpy as np
import pytest

from spine_tf.scoring import calibration


def _softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def _sample(logits, seed):
    """Labels drawn from the probabilities: then a temperature of 1 is right."""
    cumulative = _softmax(logits).cumsum(axis=1)
    draws = np.random.default_rng(seed).random((len(logits), 1))
    return (draws > cumulative).sum(axis=1)


def test_applying_equals_dividing_the_logits():
    logits = np.random.default_rng(0).normal(size=(50, 3)) * 4

    found = calibration.apply_temperature(_softmax(logits), 2.5)

    np.testing.assert_allclose(found, _softmax(logits / 2.5), rtol=1e-12)


def test_temperature_of_one_changes_nothing():
    probabilities = _softmax(np.random.default_rng(0).normal(size=(50, 3)))

    np.testing.assert_allclose(calibration.apply_temperature(probabilities, 1.0), probabilities)


@pytest.mark.parametrize("true_temperature", [0.5, 1.0, 3.0])
def test_fit_finds_the_temperature_that_was_put_in(true_temperature):
    logits = np.random.default_rng(1).normal(size=(5000, 3)) * 2
    truth = _sample(logits, seed=2)

    found = calibration.fit_temperature(_softmax(logits * true_temperature), truth)

    assert found == pytest.approx(true_temperature, rel=0.06)


def test_fit_never_raises_the_loss():
    generator = np.random.default_rng(3)
    for _ in range(20):
        probabilities = _softmax(generator.normal(size=(12, 2)) * 3)
        truth = generator.integers(0, 2, 12)

        temperature = calibration.fit_temperature(probabilities, truth)

        rows = np.arange(12)
        after = calibration.apply_temperature(probabilities, temperature)[rows, truth]
        assert -np.log(after).sum() <= -np.log(probabilities[rows, truth]).sum() + 1e-9


def test_fit_stays_finite_where_every_prediction_is_right():
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]])

    temperature = calibration.fit_temperature(probabilities, np.array([0, 1, 0]))

    assert 0.2 < temperature < 1.0


def test_zero_probability_of_float32_is_survived():
    probabilities = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]], np.float32)

    temperature = calibration.fit_temperature(probabilities, np.array([0, 1, 1]))
    found = calibration.apply_temperature(probabilities, temperature)

    assert np.isfinite(found).all()
    assert temperature == pytest.approx(calibration.HIGHEST_TEMPERATURE, rel=1e-3)


def test_fit_without_examples_is_refused():
    with pytest.raises(ValueError, match="no examples"):
        calibration.fit_temperature(np.zeros((0, 2)), np.zeros(0, np.int64))


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_temperature_that_is_not_positive_is_refused(temperature):
    with pytest.raises(ValueError, match="above 0"):
        calibration.apply_temperature(np.array([[0.5, 0.5]]), temperature)
