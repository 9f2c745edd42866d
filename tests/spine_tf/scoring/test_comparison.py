import numpy as np
import pytest

from spine_tf import labels
from spine_tf.scoring import (
    bootstrap,
    comparison,
    figure,
    predictions as predictions_module,
    summary,
)

MULTICLASS = labels.TASKS["multiclass"]


def _random(*, skill, seed=0, num_studies=80):
    truth = np.random.default_rng(0).integers(0, 3, 3 * num_studies)
    noise = np.random.default_rng(seed).normal(size=(len(truth), 3))
    scores = noise + skill * np.eye(3)[truth]
    return predictions_module.Predictions(
        keys=tuple(
            f"{i // 3}/1/{i}/spinal_canal_stenosis/l{1 + i % 4}_l{2 + i % 4}"
            for i in range(len(truth))
        ),
        labels=truth,
        probabilities=np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True),
    )


def _weights(predictions, num_resamples=500):
    return bootstrap.resample_weights(predictions.study_ids, seed=0, num_resamples=num_resamples)


def test_run_against_itself_differs_by_exactly_nothing():
    predictions = _random(skill=1.0)

    found = comparison.differences(predictions, predictions, MULTICLASS, _weights(predictions))

    nothing = figure.Figure(value=0.0, low=0.0, high=0.0)
    assert all(difference == nothing for difference in found.values())


def test_paired_interval_is_narrower_than_that_of_each_run():
    better = _random(skill=2.0)
    # The same noise, a little less signal: nearly the same answers.
    worse = _random(skill=1.9)

    found = comparison.differences(better, worse, MULTICLASS, _weights(better))["accuracy"]
    alone = summary.summarize(better, MULTICLASS, "oof", num_resamples=500).metrics["accuracy"]

    assert found.high - found.low < 0.6 * (alone.high - alone.low)
    assert found.low <= found.value <= found.high


def test_comparison_counts_who_is_right_and_finds_the_order_of_rows():
    base, other = _random(skill=0.5), _random(skill=2.5, seed=5)
    turned = predictions_module.Predictions(
        keys=other.keys[::-1], labels=other.labels[::-1], probabilities=other.probabilities[::-1]
    )

    found = comparison.compare([("a", base), ("b", turned)], MULTICLASS, num_resamples=200)[0]

    base_right, other_right = base.predicted == base.labels, other.predicted == other.labels
    assert (found.run, found.against) == ("b", "a")
    assert found.only_run_right == (other_right & ~base_right).sum()
    assert found.only_against_right == (base_right & ~other_right).sum()
    assert len(base) == (
        found.both_right + found.both_wrong + found.only_run_right + found.only_against_right
    )
    assert found.differences["accuracy"].low > 0.0


def test_runs_on_different_examples_are_refused():
    base = _random(skill=1.0)
    part = base.select(np.arange(len(base)) > 4)

    with pytest.raises(ValueError, match="different examples \\(5 are in one only"):
        comparison.align(part, base)


def test_runs_with_other_labels_are_refused():
    base = _random(skill=1.0)
    other = predictions_module.Predictions(
        keys=base.keys, labels=(base.labels + 1) % 3, probabilities=base.probabilities
    )

    with pytest.raises(ValueError, match="other labels"):
        comparison.align(other, base)
