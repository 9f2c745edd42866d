import numpy as np
import pytest

from spine_tf.synthesis import (
    evidence,
    grading,
    patient as patient_module,
    phantom,
    phantom_config,
    variation,
)

NUM_PATIENTS = 3000


@pytest.fixture(scope="module")
def latents() -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.stack([grading.draw_latents(rng) for _ in range(NUM_PATIENTS)])


@pytest.fixture(scope="module")
def shown(latents) -> evidence.Evidence:
    return evidence.show_in_part(latents, np.random.default_rng(1))


@pytest.fixture(scope="module")
def grades(latents) -> np.ndarray:
    return grading.draw_grades(grading.grade_probabilities(latents), np.random.default_rng(2))


def log_losses(probabilities: np.ndarray, grades: np.ndarray) -> np.ndarray:
    """Mean over patients, of each condition and level."""
    of_grade = np.take_along_axis(probabilities, grades[..., None], axis=-1)[..., 0]
    return -np.log(of_grade).mean(axis=0)


def test_latents_have_the_covariance_that_is_said(latents):
    flat = latents.reshape(NUM_PATIENTS, -1)

    assert np.cov(flat.T) == pytest.approx(grading.latent_covariance(), abs=0.1)
    assert np.diag(grading.latent_covariance()) == pytest.approx(1)


@pytest.mark.parametrize("scope", evidence.SCOPES)
def test_all_is_seen_in_the_first_edition(latents, scope):
    probabilities = evidence.grade_probabilities(evidence.show_all(latents), scope)

    assert (probabilities == grading.grade_probabilities(latents)).all()


@pytest.mark.parametrize("scope", evidence.SCOPES)
def test_probabilities_are_those_of_the_grades(shown, grades, scope):
    """Among rows that are said to be Severe with about some probability, so many are."""
    severe = evidence.grade_probabilities(shown, scope)[..., 2].ravel()
    is_severe = grades.ravel() == 2

    for low, high in ((0.0, 0.05), (0.05, 0.2), (0.2, 0.5), (0.5, 1.0)):
        inside = (severe >= low) & (severe < high)
        assert is_severe[inside].mean() == pytest.approx(severe[inside].mean(), abs=0.02)


def test_each_wider_scope_says_more_but_other_levels_hardly(shown, grades):
    own, both, level, study = (
        log_losses(evidence.grade_probabilities(shown, scope), grades) for scope in evidence.SCOPES
    )

    assert both[0].mean() < own[0].mean() - 0.005
    assert (both[1:] == own[1:]).all()
    assert level[1:].mean() < both[1:].mean() - 0.003
    assert abs(study.mean() - level.mean()) < 0.002


def test_nothing_says_more_than_the_latents(latents, shown, grades):
    best = log_losses(grading.grade_probabilities(latents), grades)

    assert best.mean() < log_losses(evidence.grade_probabilities(shown), grades).mean()


def test_editions_have_the_same_patients_of_whom_less_is_seen():
    one, two = (
        variation.Study(phantom_config.PhantomConfig(edition=edition), 3).make_patient(
            np.random.default_rng(0)
        )
        for edition in evidence.EDITIONS
    )

    assert (one.latents == two.latents).all()
    assert one.scale == two.scale
    assert np.std(two.shown.targets - two.latents) == pytest.approx(0.3, abs=0.12)
    assert two.narrowing == pytest.approx(grading.narrowing(two.shown.targets))
    assert not np.allclose(one.narrowing, two.narrowing, atol=0.05)


def test_sac_is_less_wide_where_the_width_says_so():
    shown = evidence.Evidence(
        targets=np.zeros((5, 5)), width=np.array([-2.0, 0.0, 1.0, 2.0, 3.0]), deviation=0.3
    )
    losses = patient_module.sac_loss(shown)

    assert losses.min() > 0 and losses.max() < 5.5
    assert losses[4] > losses[0] + 3


def test_edition_that_is_none_is_refused():
    with pytest.raises(ValueError, match="edition is 3, expected 1 or 2"):
        phantom_config.PhantomConfig(edition=3)


@pytest.mark.slow
def test_second_edition_says_what_its_images_show(tmp_path):
    config = phantom_config.PhantomConfig(
        num_studies=1, num_test_studies=0, sagittal_px=(64,), axial_px=(64,), edition=2
    )
    phantom.write_studies(config, tmp_path / "d")
    lines = (tmp_path / "d" / "truth_evidence.csv").read_text().splitlines()

    assert lines[0].startswith("study_id,condition,level,seen,seen_width,normal_mild_own_view,")
    assert len(lines) == 26
    for line in lines[1:]:
        assert sum(map(float, line.split(",")[5:8])) == pytest.approx(1, abs=1e-5)
    assert '"edition": 2' in (tmp_path / "d" / "truth.json").read_text()
