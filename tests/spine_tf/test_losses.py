import numpy as np
import pytest
from sklearn import metrics

from spine_tf import config, labels
from spine_tf.training import losses

_TRUTH = np.array([0, 2, 1, 1])
_TARGETS = np.eye(3, dtype=np.float32)[_TRUTH]
_PROBABILITIES = np.array(
    [[0.7, 0.2, 0.1], [0.1, 0.3, 0.6], [0.2, 0.5, 0.3], [0.8, 0.1, 0.1]], np.float32
)


def _loss(**settings: object) -> np.ndarray:
    return losses.make_loss(config.TrainingConfig(**settings))(_TARGETS, _PROBABILITIES).numpy()


def test_cross_entropy_is_scikit_learns() -> None:
    assert _loss().mean() == pytest.approx(metrics.log_loss(_TRUTH, _PROBABILITIES), rel=1e-6)


def test_focal_loss_weighs_by_what_is_missing() -> None:
    chosen = _PROBABILITIES[np.arange(4), _TRUTH]
    expected = -((1 - chosen) ** 2) * np.log(chosen)
    np.testing.assert_allclose(_loss(loss="focal", focal_gamma=2.0), expected, rtol=1e-5)


def test_label_smoothing_mixes_in_the_uniform_distribution() -> None:
    uniform = -np.log(_PROBABILITIES).mean(axis=1)
    np.testing.assert_allclose(_loss(label_smoothing=0.2), 0.8 * _loss() + 0.2 * uniform, rtol=1e-5)


def test_certain_mistake_has_a_finite_loss() -> None:
    loss = losses.make_loss(config.TrainingConfig())
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
