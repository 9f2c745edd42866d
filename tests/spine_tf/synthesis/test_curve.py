import numpy as np
import pytest

from spine_tf.synthesis import curve, patient as patient_module


def test_frame_of_the_spine_and_patient_agree_in_both_directions():
    patient = patient_module.make_patient(np.random.default_rng(3))
    spine: curve.Curve = patient.spine

    for v in (-30.0, 0.0, 10.0, 40.0):
        for s in patient.level_s * patient.scale:
            y, z = spine.point(v, s)
            found_v, found_s = spine.locate(np.array([[y]]), np.array([[z]]))
            assert (found_v.item(), found_s.item()) == pytest.approx((v, s), abs=0.5)
