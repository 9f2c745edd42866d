from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from sklearn import metrics

from spine_tf import labels
from spine_tf.configuration import training_config
from spine_tf.training import losses

_TRUTH = np.array([0, 2, 1, 1])
_TARGETS = np.eye(3, dtype=np.float32)[_TRUTH]
_PROBABILITIES = np.array(
    [[0.7, 0.2, 0.1], [0.1, 0.3, 0.6], [0.2, 0.5, 0.3], [0.8, 0.1, 0.1]], np.float32
)


def _loss(**settings: Any) -> np.ndarray:
    return losses.make_loss(training_config.TrainingConfig(**settings))(
        _TARGETS, _PROBABILITIES
    ).numpy()


def test_cross_entropy_is_scikit_learns() -> None:
    assert _loss().mean() == pytest.approx(metrics.log_loss(_TRUTH, _PROBABILITIES), rel=1e-6)


def test_focal_loss_weighs_by_what_is_missing() -> None:
    chosen = _PROBABILITIES[np.arange(4), _TRUTH]
    expected = -((1 - chosen) ** 2) * np.log(chosen)
    np.testing.assert_allclose(_loss(loss="focal", focal_gamma=2.0), expected, rtol=1e-5)


def test_label_smoothing_mixes_in_the_uniform_distribution() -> None:
    uniform = -np.log(_PROBABILITIES).mean(axis=1)
    np.testing.assert_allclose(_loss(label_smoothing=0.2), 0.8 * _loss() + 0.2 * uniform, rtol=1e-5)


def test_label_softness_spreads_a_class_over_its_neighbours() -> None:
    rows = np.exp(-np.abs(np.subtract.outer(range(3), range(3))) / 0.5)
    soft = (rows / rows.sum(axis=1, keepdims=True))[_TRUTH]
    assert soft[0] == pytest.approx([0.8668, 0.1173, 0.0159], abs=1e-4)  # by hand
    expected = -(soft * np.log(_PROBABILITIES)).sum(axis=1)
    np.testing.assert_allclose(_loss(label_softness=0.5), expected, rtol=1e-5)


def test_almost_no_softness_is_the_plain_label() -> None:
    np.testing.assert_allclose(_loss(label_softness=0.05), _loss(), rtol=1e-5)


def test_quadratic_kappa_of_certain_answers_is_scikit_learns() -> None:
    truth, answers = np.array([0, 2, 1, 1, 2, 0]), np.array([0, 1, 1, 2, 2, 2])
    certain = np.eye(3, dtype=np.float32)
    found = losses.quadratic_kappa(certain[truth], certain[answers]).numpy()
    kappa = metrics.cohen_kappa_score(truth, answers, weights="quadratic")
    assert found.mean() == pytest.approx(1 - kappa, rel=1e-5)


def test_quadratic_kappa_of_two_examples_by_hand() -> None:
    targets = np.array([[1, 0, 0], [0, 0, 1]], np.float32)
    answers = np.array([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]], np.float32)
    # Observed: 0.5 of a distance of 1, and none. Expected: targets (1/2, 0, 1/2) against answers
    # (1/4, 1/4, 1/2): 1/2 (1/4 + 4/2) + 1/2 (4/4 + 1/4) = 1.75.
    found = losses.quadratic_kappa(targets, answers).numpy()
    np.testing.assert_allclose(found, [0.5 / 1.75, 0.0], rtol=1e-6)


def test_quadratic_kappa_punishes_by_the_square_of_the_distance() -> None:
    far = losses.quadratic_kappa(_TARGETS, np.eye(3, dtype=np.float32)[[2, 2, 1, 1]]).numpy()
    near = losses.quadratic_kappa(_TARGETS, np.eye(3, dtype=np.float32)[[1, 2, 1, 1]]).numpy()
    assert far[0] > 2 * near[0]


def test_quadratic_kappa_is_mixed_with_cross_entropy() -> None:
    kappa = losses.quadratic_kappa(_TARGETS, _PROBABILITIES).numpy()
    np.testing.assert_allclose(_loss(loss="quadratic_kappa"), kappa + 0.2 * _loss(), rtol=1e-5)


def test_quadratic_kappa_of_a_batch_of_one_class_is_finite_and_has_a_gradient() -> None:
    targets = np.eye(3, dtype=np.float32)[[0, 0]]
    answers = tf.Variable([[1.0, 0.0, 0.0], [0.6, 0.3, 0.1]])
    with tf.GradientTape() as tape:
        loss = losses.make_loss(training_config.TrainingConfig(loss="quadratic_kappa"))(
            targets, answers
        )
    assert np.isfinite(loss).all()
    gradient = tape.gradient(loss, answers).numpy()
    assert np.isfinite(gradient).all()
    assert gradient[1].any()


def test_certain_mistake_has_a_finite_loss() -> None:
    loss = losses.make_loss(training_config.TrainingConfig())
    assert np.isfinite(loss(np.array([[1.0, 0.0]], "f"), np.array([[0.0, 1.0]], "f"))).all()


@pytest.mark.parametrize(
    ("name", "ratio"), [("none", (1, 1, 1)), ("balanced", (1, 2, 4)), ("competition", (1, 2, 4))]
)
def test_class_weights_average_to_one(name: str, ratio: tuple[int, ...]) -> None:
    counts = np.array([40, 20, 10])
    weights = losses.class_weights(name, labels.get_task("multiclass"), counts)
    assert (weights * counts).sum() == pytest.approx(70, rel=1e-5)
    np.testing.assert_allclose(weights / weights[0], ratio, rtol=1e-5)


def test_competition_weights_of_the_binary_task_are_one_and_four() -> None:
    weights = losses.class_weights("competition", labels.get_task("binary"), np.array([5, 5]))
    assert weights[1] / weights[0] == pytest.approx(4)
