"""Do the 95 % intervals hold what they say? Simulated studies whose true figures are known."""

import numpy as np
import pytest

from spine_tf import labels
from spine_tf.scoring import bootstrap, metrics, predictions as predictions_module

NUM_REPETITIONS = 500
BINARY = labels.TASKS["binary"]


def _draw(generator, num_studies):
    """Predictions of studies that are alike inside: each has its own share of right answers."""
    sizes = generator.integers(1, 7, num_studies)
    study = np.repeat(np.arange(num_studies), sizes)
    truth = generator.integers(0, 2, len(study))
    share = generator.beta(3.5, 1.5, num_studies)[study]
    is_right = generator.random(len(study)) < share
    answer = np.where(is_right, truth, 1 - truth)
    confidence = np.where(generator.random(len(study)) < 0.5, 0.6, 0.8)
    severe = np.where(answer == 1, confidence, 1.0 - confidence)
    return predictions_module.Predictions(
        keys=tuple(f"{s}/1/{i}/spinal_canal_stenosis/l4_l5" for i, s in enumerate(study)),
        labels=truth,
        probabilities=np.stack([1.0 - severe, severe], axis=1),
    )


# Right with probability 0.7 whatever the class and the confidence.
TRUTH = {
    "accuracy": 0.7,
    "balanced_accuracy": 0.7,
    "log_loss": -(0.7 * np.log([0.6, 0.8]).mean() + 0.3 * np.log([0.4, 0.2]).mean()),
    "brier": 0.7 * np.mean([0.16, 0.04]) + 0.3 * np.mean([0.36, 0.64]),
}


def _coverage(num_studies, *, by_study, num_repetitions=NUM_REPETITIONS):
    generator = np.random.default_rng(0)
    inside = dict.fromkeys(TRUTH, 0)
    for repetition in range(num_repetitions):
        predictions = _draw(generator, num_studies)
        unit = predictions.study_ids if by_study else np.arange(len(predictions))
        weights = bootstrap.resample_weights(unit, seed=repetition, num_resamples=200)
        found = metrics.compute(predictions, BINARY, weights).overall
        for name, expected in TRUTH.items():
            low, high = bootstrap.interval(found[name], len(np.unique(unit)))
            inside[name] += low <= expected <= high
    return {name: count / num_repetitions for name, count in inside.items()}


@pytest.mark.slow
@pytest.mark.parametrize("num_studies", [25, 50])
def test_interval_covers_the_truth_as_often_as_it_says(num_studies):
    found = _coverage(num_studies, by_study=True)

    assert all(0.92 <= share <= 0.98 for share in found.values()), found


@pytest.mark.slow
def test_resampling_examples_instead_of_studies_would_claim_too_much():
    found = _coverage(50, by_study=False, num_repetitions=150)

    assert found["accuracy"] < 0.92, found


def test_share_that_is_always_one_keeps_the_doubt_of_few_studies():
    values = np.ones(200)

    few = bootstrap.interval(values, 10, is_share=True)
    many = bootstrap.interval(values, 300, is_share=True)

    # Clopper and Pearson for 10 of 10 and for 300 of 300.
    assert few == (pytest.approx(0.6915, abs=1e-4), 1.0)
    assert many == (pytest.approx(0.9878, abs=1e-4), 1.0)
    assert bootstrap.interval(np.zeros(200), 10, is_share=True) == (
        0.0,
        pytest.approx(0.3085, abs=1e-4),
    )
    assert bootstrap.interval(values, 10) == (1.0, 1.0)
