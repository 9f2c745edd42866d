import dataclasses

import numpy as np
import pytest

from spine_tf import labels
from spine_tf.synthesis import (
    grading,
    imaging,
    patient as patient_module,
    phantom_config,
    protocol,
    sequence,
)

# The series that each condition is looked at in.
DESCRIPTIONS = {
    "spinal_canal_stenosis": sequence.SAGITTAL_T2,
    "left_neural_foraminal_narrowing": sequence.SAGITTAL_T1,
    "right_neural_foraminal_narrowing": sequence.SAGITTAL_T1,
    "left_subarticular_stenosis": sequence.AXIAL_T2,
    "right_subarticular_stenosis": sequence.AXIAL_T2,
}


def test_stored_pixels_are_in_the_range_of_the_data():
    patient = patient_module.make_patient(np.random.default_rng(0))
    config = phantom_config.PhantomConfig(axial_px=(96,), sagittal_px=(96,))
    scanner = imaging.Scanner(patient, np.random.default_rng(0))

    for series in protocol.make_series(patient, config, 1, np.random.default_rng(0)):
        contrast = sequence.draw_sequence(series.description, np.random.default_rng(0))
        pixels = scanner.image(series.slices[0], contrast, np.random.default_rng(0))
        assert pixels.dtype == np.uint16
        assert pixels.shape == series.slices[0].shape
        assert 300 < pixels.max() < 4096


def test_slice_that_shows_nothing_near_a_bent_spine_is_taken():
    patient = dataclasses.replace(
        patient_module.make_patient(np.random.default_rng(0)),
        lateral=patient_module.side_profile(np.arange(-80.0, 81.0, 40.0), lambda s: 0.2 * s),
        is_bent=True,
    )
    config = phantom_config.PhantomConfig(axial_px=(32,))
    all_series = protocol.make_series(patient, config, 1, np.random.default_rng(0))
    series = next(item for item in all_series if item.description == sequence.AXIAL_T2)
    x, y, z = series.slices[0].position
    plane = dataclasses.replace(series.slices[0], position=(x, y + 300.0, z))
    contrast = sequence.draw_sequence(series.description, np.random.default_rng(0))
    scanner = imaging.Scanner(patient, np.random.default_rng(0))

    assert scanner.image(plane, contrast, np.random.default_rng(0)).shape == plane.shape


@pytest.mark.parametrize("condition", labels.CONDITIONS)
def test_bright_space_in_the_picture_shrinks_with_the_latent(condition):
    """Fat or fluid within 7 mm of the landmark: what a radiologist sees disappear."""
    bright = []
    for position in (-1.0, 0.5, 2.0):
        patient = patient_module.make_patient(
            np.random.default_rng(1), grading.latents_at(position)
        )
        landmark = patient.landmark(condition, "l4_l5")
        description = DESCRIPTIONS[condition]
        all_series = protocol.make_series(
            patient, phantom_config.PhantomConfig(), 1, np.random.default_rng(1)
        )
        series = next(item for item in all_series if item.description == description)
        plane = series.slices[series.nearest(landmark)]
        scanner = imaging.Scanner(patient, np.random.default_rng(1))
        contrast = sequence.draw_sequence(description, np.random.default_rng(1))
        signal = scanner.signal(plane, contrast, np.random.default_rng(1))
        x, y, _ = plane.project(landmark)
        rows, columns = np.indices(plane.shape)
        near = np.hypot(columns - x, rows - y) * plane.spacing[0] < 7
        bright.append((signal[near] > 0.55 * contrast.signals["fat"]).mean())

    assert bright[0] > bright[1] > bright[2]
    assert bright[0] > 1.5 * bright[2]
