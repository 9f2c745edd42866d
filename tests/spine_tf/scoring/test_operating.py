import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from spine_tf import labels
from spine_tf.scoring import bootstrap, operating, predictions as predictions_module, summary

MULTICLASS, BINARY = labels.TASKS["multiclass"], labels.TASKS["binary"]


def _random(task, *, n=240, seed=0):
    generator = np.random.default_rng(seed)
    classes = len(task.classes)
    truth = generator.integers(0, classes, n)
    scores = generator.normal(size=(n, classes)) + np.eye(classes)[truth]
    conditions = ("left_subarticular_stenosis", "right_subarticular_stenosis")
    return predictions_module.Predictions(
        keys=tuple(
            f"{i // 4}/1/{i}/{conditions[i % 2]}/{('l4_l5', 'l5_s1')[i // 2 % 2]}" for i in range(n)
        ),
        labels=truth,
        probabilities=np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True),
    )


def _weights(predictions):
    return bootstrap.resample_weights(predictions.study_ids, seed=0, num_resamples=200)


def test_threshold_table_equals_counting_in_the_binary_task():
    predictions = _random(BINARY)

    table = operating.threshold_table(predictions, BINARY, _weights(predictions))

    for row in table:
        called = predictions.probabilities[:, 1] >= row.threshold
        recall = sklearn_metrics.recall_score(predictions.labels, called)
        specificity = sklearn_metrics.recall_score(predictions.labels, called, pos_label=0)
        assert row.sensitivity.value == pytest.approx(recall)
        assert row.specificity.value == pytest.approx(specificity)
        assert row.sensitivity.low <= recall <= row.sensitivity.high


def test_moderate_examples_do_not_count_for_thresholds():
    predictions = _random(MULTICLASS)
    without = predictions.select(predictions.labels != 1)

    table = operating.threshold_table(predictions, MULTICLASS, _weights(predictions))
    table_without = operating.threshold_table(without, MULTICLASS, _weights(without))

    values = [[row.sensitivity.value, row.specificity.value] for row in table]
    expected = [[row.sensitivity.value, row.specificity.value] for row in table_without]
    np.testing.assert_allclose(values, expected)


def test_abstention_ends_at_the_accuracy_and_starts_with_the_most_confident():
    predictions = _random(MULTICLASS)
    is_right = predictions.predicted == predictions.labels
    most_confident = np.argsort(-predictions.probabilities.max(axis=1))[:24]

    curve = operating.abstention_curve(predictions, _weights(predictions))

    assert curve[0].coverage == 0.1
    assert curve[0].accuracy.value == pytest.approx(is_right[most_confident].mean())
    assert curve[-1].accuracy.value == pytest.approx(is_right.mean())
    assert curve[0].accuracy.value > curve[-1].accuracy.value


def test_reliability_counts_every_example_once():
    predictions = _random(MULTICLASS)

    bins = operating.reliability(predictions, _weights(predictions))

    assert sum(item.num_examples for item in bins) == len(predictions)
    right = sum(item.num_examples * item.accuracy.value for item in bins)
    assert right == pytest.approx((predictions.predicted == predictions.labels).sum())
    assert all(item.low <= item.confidence <= item.high for item in bins)


def test_groups_divide_the_examples():
    predictions = _random(MULTICLASS)
    splits = [f"fold_{study % 3}" for study in predictions.study_ids]

    found = summary.summarize_groups(
        predictions, MULTICLASS, summary.group_names(predictions, splits), num_resamples=50
    )

    # The two conditions are the two sides, so sides are not listed again.
    assert set(found) == {"condition", "level", "fold"}
    for grouping in found.values():
        assert sum(group.num_examples for group in grouping.values()) == len(predictions)
    inside = predictions.levels == "l5_s1"
    expected = (predictions.predicted == predictions.labels)[inside].mean()
    assert found["level"]["l5_s1"].metrics["accuracy"].value == pytest.approx(expected)


def test_group_has_its_own_figures_of_each_class_and_of_the_competition():
    predictions = _random(MULTICLASS)
    found = summary.summarize_groups(
        predictions, MULTICLASS, summary.group_names(predictions), num_resamples=50
    )

    part = predictions.select(predictions.levels == "l5_s1")
    expected = summary.summarize(part, MULTICLASS, "oof", num_resamples=50)
    group = found["level"]["l5_s1"]
    assert group.per_class == expected.per_class
    assert group.class_counts == expected.class_counts
    assert group.competition.num_terms == 1
    assert group.competition.terms["subarticular"].value == pytest.approx(
        expected.metrics["weighted_log_loss"].value
    )
    binary = _random(BINARY)
    found = summary.summarize_groups(binary, BINARY, summary.group_names(binary), num_resamples=50)
    assert "competition" not in found["level"]["l5_s1"].to_json()


def test_one_group_is_no_grouping():
    predictions = _random(MULTICLASS).select(np.arange(240) % 4 == 0)

    assert summary.group_names(predictions, ["test"] * 60) == {}


def test_roc_is_thinned_and_keeps_its_ends():
    generator = np.random.default_rng(0)
    truth = generator.random(20_000) < 0.5
    points = operating.roc_points(truth + generator.normal(size=20_000), truth)

    assert len(points) == operating.MAX_ROC_POINTS
    assert (points[0], points[-1]) == ((0.0, 0.0), (1.0, 1.0))
    assert points == sorted(points)
