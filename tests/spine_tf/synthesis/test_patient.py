import numpy as np
import pytest

from spine_tf.synthesis import grading, patient as patient_module


def test_left_is_the_side_of_positive_x():
    patient = patient_module.make_patient(np.random.default_rng(0))

    for condition in ("neural_foraminal_narrowing", "subarticular_stenosis"):
        left = patient.landmark(f"left_{condition}", "l4_l5")
        right = patient.landmark(f"right_{condition}", "l4_l5")
        assert left[0] > right[0] + 10


def test_recesses_of_l4_l5_are_as_far_apart_as_in_the_data():
    distances = []
    for seed in range(40):
        patient = patient_module.make_patient(np.random.default_rng(seed))
        left, right = (
            patient.landmark(f"{side}_subarticular_stenosis", "l4_l5") for side in ("left", "right")
        )
        distances.append(np.linalg.norm(left[:2] - right[:2]))

    assert 16 < np.median(distances) < 18.5


@pytest.mark.parametrize("level", range(5))
def test_walls_of_canal_recess_and_foramen_approach_with_the_latent(level):
    gaps = []
    for position in np.linspace(-3, 4, 15):
        patient = patient_module.make_patient(
            np.random.default_rng(5), grading.latents_at(position)
        )
        walls = [patient.canal_walls(level)]
        walls += [patient.recess_walls(side, level) for side in (0, 1)]
        walls += [patient.foramen_walls(side, level) for side in (0, 1)]
        gaps.append([back - front for front, back in walls])

    assert (np.diff(gaps, axis=0) < 0).all()
    assert (np.array(gaps[-1]) > 0.5).all()
