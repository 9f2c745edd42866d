import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from spine_tf import labels
from spine_tf.scoring import metrics, predictions as predictions_module


def _random(task, *, n=300, seed=0, num_decimals=2):
    """Predictions with many ties, and a truth that they know something of."""
    generator = np.random.default_rng(seed)
    classes = len(task.classes)
    truth = generator.integers(0, classes, n)
    scores = generator.normal(size=(n, classes)) + 1.5 * np.eye(classes)[truth]
    probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    probabilities = np.maximum(np.round(probabilities, num_decimals), 0.01)
    return predictions_module.Predictions(
        keys=tuple(f"{i // 3}/1/{i}/spinal_canal_stenosis/l4_l5" for i in range(n)),
        labels=truth,
        probabilities=probabilities / probabilities.sum(axis=1, keepdims=True),
    )


def _sklearn_figures(predictions, task, weights):
    truth, predicted = predictions.labels, predictions.predicted
    probabilities = predictions.probabilities
    classes = range(len(task.classes))
    areas = [
        sklearn_metrics.roc_auc_score(truth == k, probabilities[:, k], sample_weight=weights)
        for k in classes
    ]
    row_weights = weights * np.asarray(task.class_weights)[truth]
    binary = len(task.classes) == 2
    return {
        "accuracy": sklearn_metrics.accuracy_score(truth, predicted, sample_weight=weights),
        "log_loss": sklearn_metrics.log_loss(truth, probabilities, sample_weight=weights),
        "balanced_accuracy": sklearn_metrics.balanced_accuracy_score(
            truth, predicted, sample_weight=weights
        ),
        "weighted_log_loss": sklearn_metrics.log_loss(
            truth, probabilities, sample_weight=row_weights
        ),
        "auc": np.mean(areas),
        "quadratic_kappa": sklearn_metrics.cohen_kappa_score(
            truth, predicted, weights="quadratic", sample_weight=weights
        ),
        "brier": sklearn_metrics.brier_score_loss(
            truth == 1 if binary else truth,
            probabilities[:, 1] if binary else probabilities,
            sample_weight=weights,
        ),
    }


@pytest.mark.parametrize("task", labels.TASKS.values(), ids=labels.TASKS)
def test_figures_equal_scikit_learn_under_every_set_of_weights(task):
    predictions = _random(task)
    weights = np.random.default_rng(1).integers(0, 4, (3, len(predictions))).astype(float)

    figures = metrics.compute(predictions, task, weights)

    for b, row in enumerate(weights):
        for name, expected in _sklearn_figures(predictions, task, row).items():
            assert figures.overall[name][b] == pytest.approx(expected, abs=1e-12), name


@pytest.mark.parametrize("task", labels.TASKS.values(), ids=labels.TASKS)
def test_class_figures_and_confusion_equal_scikit_learn(task):
    predictions = _random(task)
    weights = np.random.default_rng(2).integers(0, 4, len(predictions)).astype(float)

    figures = metrics.compute(predictions, task, weights[None])

    precision, recall, f1, _ = sklearn_metrics.precision_recall_fscore_support(
        predictions.labels, predictions.predicted, sample_weight=weights
    )
    confusion = sklearn_metrics.confusion_matrix(
        predictions.labels, predictions.predicted, sample_weight=weights
    )
    np.testing.assert_allclose(figures.confusion[0], confusion)
    for k, name in enumerate(task.classes):
        found = figures.per_class[name]
        assert found["precision"][0] == pytest.approx(precision[k])
        assert found["recall"][0] == pytest.approx(recall[k])
        assert found["f1"][0] == pytest.approx(f1[k])


def test_weights_of_a_resample_equal_repeated_rows():
    task = labels.TASKS["multiclass"]
    predictions = _random(task, n=60)
    counts = np.random.default_rng(3).integers(0, 3, 60)
    rows = np.repeat(np.arange(60), counts)
    repeated = predictions_module.Predictions(
        keys=tuple(predictions.keys[i] for i in rows),
        labels=predictions.labels[rows],
        probabilities=predictions.probabilities[rows],
    )

    weighted = metrics.compute(predictions, task, counts[None].astype(float))
    plain = metrics.compute(repeated, task)

    for name, values in plain.overall.items():
        assert weighted.overall[name][0] == pytest.approx(values[0]), name


def test_calibration_error_equals_a_hand_computed_case():
    # Confidences .95, .95 (one right) and .55 (right): (2/3) |.5 - .95| + (1/3) |1 - .55|.
    predictions = predictions_module.Predictions(
        keys=tuple(f"1/1/{i}/spinal_canal_stenosis/l4_l5" for i in range(3)),
        labels=np.array([0, 1, 1]),
        probabilities=np.array([[0.95, 0.05], [0.95, 0.05], [0.45, 0.55]]),
    )

    figures = metrics.compute(predictions, labels.TASKS["binary"])

    assert figures.overall["expected_calibration_error"][0] == pytest.approx(0.45)


def test_weighted_log_loss_equals_a_hand_computed_case():
    # Weights 1, 2, 4: (ln 2 + 2 ln 4 + 4 ln 10) / 7.
    predictions = predictions_module.Predictions(
        keys=tuple(f"1/1/{i}/spinal_canal_stenosis/l4_l5" for i in range(3)),
        labels=np.array([0, 1, 2]),
        probabilities=np.array([[0.5, 0.25, 0.25], [0.5, 0.25, 0.25], [0.5, 0.4, 0.1]]),
    )

    figures = metrics.compute(predictions, labels.TASKS["multiclass"])

    expected = (np.log(2) + 2 * np.log(4) + 4 * np.log(10)) / 7
    assert figures.overall["weighted_log_loss"][0] == pytest.approx(expected)


def test_figures_without_a_class_are_undefined():
    predictions = _random(labels.TASKS["multiclass"], n=40)
    predictions = predictions.select(predictions.labels != 2)

    figures = metrics.compute(predictions, labels.TASKS["multiclass"])

    assert np.isnan(figures.overall["balanced_accuracy"][0])
    assert np.isnan(figures.overall["auc"][0])
    assert np.isnan(figures.per_class["Severe"]["f1"][0])
    assert np.isfinite(figures.overall["accuracy"][0])
    assert np.isfinite(figures.per_class["Moderate"]["recall"][0])


def test_certain_and_wrong_answer_has_a_finite_loss():
    predictions = predictions_module.Predictions(
        keys=("1/1/1/spinal_canal_stenosis/l4_l5",),
        labels=np.array([1]),
        probabilities=np.array([[1.0, 0.0]]),
    )

    figures = metrics.compute(predictions, labels.TASKS["binary"])

    assert 30.0 < figures.overall["log_loss"][0] < 40.0


def test_figures_do_not_depend_on_how_many_resamples_are_worked_on_at_a_time(monkeypatch):
    task = labels.TASKS["multiclass"]
    predictions = _random(task, n=60)
    weights = np.random.default_rng(5).integers(0, 3, (7, 60)).astype(float)
    whole = metrics.compute(predictions, task, weights)

    monkeypatch.setattr(metrics, "_CHUNK", 2 * 60)
    parts = metrics.compute(predictions, task, weights)

    np.testing.assert_array_equal(parts.confusion, whole.confusion)
    for name, values in whole.overall.items():
        np.testing.assert_allclose(parts.overall[name], values, rtol=1e-12)
    np.testing.assert_allclose(
        parts.per_class["Severe"]["auc"], whole.per_class["Severe"]["auc"], rtol=1e-12
    )
