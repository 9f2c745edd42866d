import numpy as np
import pytest
from hypothesis import given, settings as hypothesis_settings, strategies as st

from spine_tf import labels
from spine_tf.synthesis import (
    annotation,
    curve,
    imaging,
    latent,
    patient as patient_module,
    protocol,
    reader,
    sequence,
    settings,
    slice_geometry,
)

SEEDS = st.integers(0, 10_000)
CONFIG = settings.PhantomConfig()
DESCRIPTIONS = {
    "spinal_canal_stenosis": sequence.SAGITTAL_T2,
    "left_neural_foraminal_narrowing": sequence.SAGITTAL_T1,
    "right_neural_foraminal_narrowing": sequence.SAGITTAL_T1,
    "left_subarticular_stenosis": sequence.AXIAL_T2,
    "right_subarticular_stenosis": sequence.AXIAL_T2,
}


def latents_at(position: float) -> np.ndarray:
    """Latents at 0 on the cut to Moderate, at 1 on the cut to Severe."""
    cuts = reader.thresholds()
    return cuts[..., 0] + position * (cuts[..., 1] - cuts[..., 0])


def pixel_position(plane: slice_geometry.Slice, x: float, y: float) -> np.ndarray:
    """The DICOM standard's equation C.7.6.2.1-1."""
    return (
        np.array(plane.position)
        + x * plane.spacing[1] * np.array(plane.row_direction)
        + y * plane.spacing[0] * np.array(plane.column_direction)
    )


@hypothesis_settings(max_examples=25, deadline=None)
@given(seed=SEEDS)
def test_landmarks_project_to_the_slices_they_are_said_to_be_on(seed):
    patient = patient_module.make_patient(np.random.default_rng(seed))
    all_series = protocol.make_series(patient, CONFIG, 1, np.random.default_rng(seed))
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


@hypothesis_settings(max_examples=25, deadline=None)
@given(
    seed=SEEDS, target=st.sampled_from([(c, v) for c in labels.CONDITIONS for v in labels.LEVELS])
)
def test_a_landmark_is_one_point_of_the_patient_in_every_series(seed, target):
    patient = patient_module.make_patient(np.random.default_rng(seed))
    landmark = patient.landmark(*target)

    for series in protocol.make_series(patient, CONFIG, 1, np.random.default_rng(seed)):
        plane = series.slices[len(series.slices) // 2]
        x, y, distance = plane.project(landmark)
        seen = pixel_position(plane, x, y) + distance * plane.normal
        assert seen == pytest.approx(landmark, abs=1e-3)


@hypothesis_settings(max_examples=50, deadline=None)
@given(seed=SEEDS, x=st.floats(0, 100), y=st.floats(0, 100))
def test_coordinates_of_pixels_are_those_of_the_standard(seed, x, y):
    patient = patient_module.make_patient(np.random.default_rng(seed))
    plane = protocol.make_series(patient, CONFIG, 1, np.random.default_rng(seed))[0].slices[0]
    column, row = int(x), int(y)

    axes = [np.broadcast_to(axis, plane.shape)[row, column] for axis in plane.coordinates()]

    assert axes == pytest.approx(pixel_position(plane, column, row), abs=1e-3)


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


def test_frame_of_the_spine_and_patient_agree_in_both_directions():
    patient = patient_module.make_patient(np.random.default_rng(3))
    spine: curve.Curve = patient.spine

    for v in (-30.0, 0.0, 10.0, 40.0):
        for s in patient.level_s * patient.scale:
            y, z = spine.point(v, s)
            found_v, found_s = spine.locate(np.array([[y]]), np.array([[z]]))
            assert (found_v.item(), found_s.item()) == pytest.approx((v, s), abs=0.5)


@given(low=st.floats(-4, 4), high=st.floats(-4, 4))
def test_narrowing_grows_with_the_latent(low, high):
    low, high = sorted((low, high))
    narrow = latent.narrowing(np.full((5, 5), low))
    narrower = latent.narrowing(np.full((5, 5), high))

    assert (narrow <= narrower).all()
    assert (narrow >= 0).all() and (narrower <= 1).all()


@pytest.mark.parametrize("level", range(5))
def test_walls_of_canal_recess_and_foramen_approach_with_the_latent(level):
    gaps = []
    for position in np.linspace(-3, 4, 15):
        patient = patient_module.make_patient(np.random.default_rng(5), latents_at(position))
        walls = [patient.canal_walls(level)]
        walls += [patient.recess_walls(side, level) for side in (0, 1)]
        walls += [patient.foramen_walls(side, level) for side in (0, 1)]
        gaps.append([back - front for front, back in walls])

    assert (np.diff(gaps, axis=0) < 0).all()
    assert (np.array(gaps[-1]) > 0.5).all()


@pytest.mark.parametrize("condition", labels.CONDITIONS)
def test_bright_space_in_the_picture_shrinks_with_the_latent(condition):
    """Fat or fluid within 7 mm of the landmark: what a radiologist sees disappear."""
    bright = []
    for position in (-1.0, 0.5, 2.0):
        patient = patient_module.make_patient(np.random.default_rng(1), latents_at(position))
        landmark = patient.landmark(condition, "l4_l5")
        description = DESCRIPTIONS[condition]
        all_series = protocol.make_series(patient, CONFIG, 1, np.random.default_rng(1))
        series = next(item for item in all_series if item.description == description)
        plane = min(series.slices, key=lambda item: abs(item.project(landmark)[2]))
        scanner = imaging.Scanner(patient, np.random.default_rng(1))
        contrast = sequence.draw_sequence(description, np.random.default_rng(1))
        signal = scanner.signal(plane, contrast, np.random.default_rng(1))
        x, y, _ = plane.project(landmark)
        rows, columns = np.indices(plane.shape)
        near = np.hypot(columns - x, rows - y) * plane.spacing[0] < 7
        bright.append((signal[near] > 0.55 * contrast.signals["fat"]).mean())

    assert bright[0] > bright[1] > bright[2]
    assert bright[0] > 1.5 * bright[2]
