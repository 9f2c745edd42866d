import numpy as np
import pytest
from hypothesis import given, strategies as st

from spine_tf import labels
from spine_tf.synthesis import annotation, grading

NUM_PATIENTS = 8000


@pytest.fixture(scope="module")
def latents() -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.array([grading.draw_latents(rng) for _ in range(NUM_PATIENTS)])


@pytest.fixture(scope="module")
def grades(latents: np.ndarray) -> np.ndarray:
    return grading.draw_grades(grading.grade_probabilities(latents), np.random.default_rng(1))


def agreement(grades: np.ndarray) -> float:
    return float((grades[:, 3, 3] == grades[:, 4, 3]).mean())


def test_shares_of_grades_are_those_of_the_data(grades):
    expected = grading.severity_shares()
    found = np.stack([(grades == severity).mean(axis=0) for severity in range(3)], axis=-1)
    error = np.sqrt(expected * (1 - expected) / NUM_PATIENTS)

    assert (np.abs(found - expected) < 4.5 * error).all()


def test_shares_of_all_targets_are_those_of_the_data():
    assert grading.severity_shares().mean(axis=(0, 1)) == pytest.approx(
        (0.774, 0.163, 0.063), abs=0.002
    )


def test_sides_of_l4_l5_agree_as_often_as_in_the_data(grades):
    assert agreement(grades) == pytest.approx(0.59, abs=0.02)


def test_latents_are_standard_normal_and_correlated(latents):
    assert latents.mean(axis=0) == pytest.approx(0, abs=0.05)
    assert latents.std(axis=0) == pytest.approx(1, abs=0.05)
    sides, levels, conditions = (
        np.corrcoef(latents[:, 3, 3], other)[0, 1]
        for other in (latents[:, 4, 3], latents[:, 3, 2], latents[:, 0, 3])
    )
    assert sides > conditions > levels > 0.2


def test_probabilities_are_those_of_the_grades_that_are_drawn(latents):
    one = np.broadcast_to(latents[0], (20_000, 5, 5))
    drawn = grading.draw_grades(grading.grade_probabilities(one), np.random.default_rng(2))

    expected = grading.grade_probabilities(latents[0])
    found = np.stack([(drawn == severity).mean(axis=0) for severity in range(3)], axis=-1)
    assert np.abs(found - expected).max() < 0.02
    assert expected.sum(axis=-1) == pytest.approx(1)


def ceiling_of(name: str, latents: np.ndarray, grades: np.ndarray) -> dict:
    ceiling = grading.Ceiling(labels.TASKS[name])
    for one_latents, one_grades in zip(latents, grades, strict=True):
        ceiling.add(grading.grade_probabilities(one_latents), one_grades)
    return ceiling.figures()


@pytest.mark.parametrize(
    ("task", "low", "high"), [("multiclass", 0.75, 0.80), ("binary", 0.94, 0.96)]
)
def test_ceiling_at_l4_l5_is_near_what_the_data_allow(latents, grades, task, low, high):
    figures = ceiling_of(task, latents[:3000], grades[:3000])["subarticular_stenosis_l4_l5"]

    assert low < figures["accuracy"]["value"] < high


@pytest.mark.parametrize("name", sorted(labels.TASKS))
def test_a_perfect_model_scores_the_ceiling(latents, grades, name):
    task = labels.TASKS[name]
    latents, grades = latents[:3000], grades[:3000]
    figures = ceiling_of(name, latents, grades)["left_subarticular_stenosis_l4_l5"]

    rows = np.isin(grades[:, 3, 3], task.severities)
    answers = grading.grade_probabilities(latents)[rows, 3, 3][:, list(task.severities)]
    answers /= answers.sum(axis=1, keepdims=True)
    classes = np.searchsorted(task.severities, grades[rows, 3, 3])
    accuracy = (answers.argmax(axis=1) == classes).mean()
    log_loss = -np.log(answers[np.arange(len(classes)), classes]).mean()
    prior = grading.severity_shares()[3, 3][list(task.severities)]
    balanced = (answers / prior).argmax(axis=1)
    recall = np.mean(
        [(balanced[classes == index] == index).mean() for index in range(len(task.severities))]
    )

    assert figures["num_examples"] == rows.sum()
    for found, key in (
        (accuracy, "accuracy"),
        (log_loss, "log_loss"),
        (recall, "balanced_accuracy"),
    ):
        assert abs(found - figures[key]["value"]) < 4 * figures[key]["standard_error"]


def test_ceiling_leaves_out_missing_grades(latents):
    figures = ceiling_of("multiclass", latents[:1], np.full((1, 5, 5), annotation.MISSING))

    assert figures["all"] == {"num_examples": 0}


def test_balanced_accuracy_is_left_open_where_a_class_is_too_rare(latents):
    figures = ceiling_of("multiclass", latents[:2], np.zeros((2, 5, 5), int))

    assert figures["left_subarticular_stenosis_l1_l2"]["balanced_accuracy"] is None


@given(low=st.floats(-4, 4), high=st.floats(-4, 4))
def test_narrowing_grows_with_the_latent(low, high):
    low, high = sorted((low, high))
    narrow = grading.narrowing(np.full((5, 5), low))
    narrower = grading.narrowing(np.full((5, 5), high))

    assert (narrow <= narrower).all()
    assert (narrow >= 0).all() and (narrower <= 1).all()
