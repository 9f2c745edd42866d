import numpy as np
import pytest
from scipy import optimize

from spine_tf import labels
from spine_tf.scoring import competition, predictions as predictions_module

MULTICLASS = labels.TASKS["multiclass"]


def _make(rows):
    """Predictions of (study, condition, level, label, probabilities)."""
    return predictions_module.Predictions(
        keys=tuple(f"{row[0]}/1/1/{row[1]}/{row[2]}" for row in rows),
        labels=np.array([row[3] for row in rows]),
        probabilities=np.array([row[4] for row in rows]),
    )


def _score(predictions, weights=None):
    if weights is None:
        weights = np.ones((2, len(predictions)))
    return competition.score(predictions, MULTICLASS, weights)


ROWS = [
    # Two studies with canal rows; the first has a Severe one.
    (1, "spinal_canal_stenosis", "l4_l5", 2, [0.2, 0.3, 0.5]),
    (1, "spinal_canal_stenosis", "l5_s1", 0, [0.7, 0.2, 0.1]),
    (2, "spinal_canal_stenosis", "l4_l5", 1, [0.5, 0.25, 0.25]),
    (1, "left_neural_foraminal_narrowing", "l4_l5", 1, [0.1, 0.8, 0.1]),
    (2, "right_subarticular_stenosis", "l4_l5", 0, [0.9, 0.05, 0.05]),
]


def test_four_terms_equal_a_hand_computed_case():
    found = _score(_make(ROWS))

    spinal = (4 * np.log(2) - np.log(0.7) + 2 * np.log(4)) / 7
    # Study 1: largest severe .5, label 1, weight 4; study 2: .25, label 0, weight 2.
    any_severe = (4 * np.log(2) - 2 * np.log(0.75)) / 6
    expected = {
        "spinal": spinal,
        "foraminal": -np.log(0.8),
        "subarticular": -np.log(0.9),
        "any_severe_spinal": any_severe,
        "mean": (spinal - np.log(0.8) - np.log(0.9) + any_severe) / 4,
    }
    assert {name: found.terms[name].value for name in expected} == pytest.approx(expected)
    assert found.num_terms == 4


def test_rows_are_renormalised_to_sum_one():
    nearly = [(*row[:4], (np.array(row[4]) * 1.0005).tolist()) for row in ROWS]

    found = _score(_make(nearly))

    assert found.terms["foraminal"].value == pytest.approx(-np.log(0.8), abs=1e-9)


def test_term_without_examples_is_left_out_of_the_mean():
    found = _score(_make(ROWS[3:]))

    assert set(found.to_json()) == {"foraminal", "subarticular", "mean", "num_terms"}
    assert found.terms["mean"].value == pytest.approx(-(np.log(0.8) + np.log(0.9)) / 2)


def test_resample_of_one_study_scores_that_study_alone():
    weights = np.array([[2.0, 2.0, 0.0, 2.0, 0.0], [2.0, 2.0, 0.0, 2.0, 0.0]])
    first_study = _score(_make([row for row in ROWS if row[0] == 1]))

    found = _score(_make(ROWS), weights)

    assert found.terms["spinal"].low == pytest.approx(first_study.terms["spinal"].value)
    assert found.terms["any_severe_spinal"].high == pytest.approx(np.log(2))


def test_reweighting_gives_the_smallest_expected_loss():
    truth = np.array([0.6, 0.3, 0.1])
    predictions = _make([(1, "spinal_canal_stenosis", "l4_l5", 0, truth.tolist())])

    found = competition.reweight(predictions, MULTICLASS).probabilities[0]

    def expected_loss(logits):
        q = np.exp(logits) / np.exp(logits).sum()
        return -(truth * np.array([1, 2, 4]) * np.log(q)).sum()

    best = optimize.minimize(expected_loss, np.zeros(3)).x
    np.testing.assert_allclose(found, np.exp(best) / np.exp(best).sum(), atol=1e-4)


def test_score_refuses_the_binary_task():
    predictions = predictions_module.Predictions(
        keys=("1/1/1/spinal_canal_stenosis/l4_l5",),
        labels=np.array([0]),
        probabilities=np.array([[0.5, 0.5]]),
    )

    with pytest.raises(ValueError, match="needs the three severities"):
        competition.score(predictions, labels.TASKS["binary"], np.ones((1, 1)))
