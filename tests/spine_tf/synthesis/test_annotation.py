import numpy as np
import pytest
from hypothesis import given, settings as hypothesis_settings, strategies as st

from spine_tf.synthesis import annotation, patient as patient_module, phantom_config, protocol


@hypothesis_settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_landmarks_project_to_the_slices_they_are_said_to_be_on(seed):
    patient = patient_module.make_patient(np.random.default_rng(seed))
    all_series = protocol.make_series(
        patient, phantom_config.PhantomConfig(), 1, np.random.default_rng(seed)
    )
    by_id = {series.series_id: series for series in all_series}

    for mark in annotation.annotate(patient, all_series, np.random.default_rng(seed)):
        plane = by_id[mark.series_id].slices[mark.instance_number - 1]
        landmark = patient.landmark(mark.condition, mark.level)
        x, y, distance = plane.project(landmark)
        offset_mm = np.hypot(mark.x - x, mark.y - y) * plane.spacing[0]
        assert abs(distance) < 6.0
        assert offset_mm < 12.0
        assert 0 < mark.x < plane.shape[1] - 1
        assert 0 < mark.y < plane.shape[0] - 1


def test_missing_labels_are_as_frequent_as_in_the_data():
    rng = np.random.default_rng(0)
    missing = np.array([annotation.draw_missing_grades(rng) for _ in range(4000)])

    assert missing.any(axis=(1, 2)).mean() == pytest.approx(185 / 1975, abs=0.02)
    assert missing.mean() == pytest.approx(572 / (25 * 1975), abs=0.003)
