import numpy as np
import pytest
from hypothesis import given, settings as hypothesis_settings, strategies as st

from spine_tf import labels
from spine_tf.synthesis import (
    annotation,
    patient as patient_module,
    phantom_config,
    protocol,
    sequence,
)

NUM_PATIENTS = 150
CONFIG = phantom_config.PhantomConfig()


@pytest.fixture(scope="module")
def studies() -> list[tuple[tuple[protocol.Series, ...], tuple[annotation.Annotation, ...]]]:
    result = []
    for index in range(NUM_PATIENTS):
        rng = np.random.default_rng([1, index])
        patient = patient_module.make_patient(rng)
        all_series = protocol.make_series(patient, CONFIG, 1, rng)
        result.append((all_series, annotation.annotate(patient, all_series, rng)))
    return result


def sides(marks: tuple[annotation.Annotation, ...], level: str) -> list[annotation.Annotation]:
    return [mark for mark in marks if "subarticular" in mark.condition and mark.level == level]


def test_left_and_right_share_a_slice_about_as_often_as_in_the_data(studies):
    pairs = [sides(marks, "l4_l5") for _, marks in studies]
    apart = np.array(
        [
            abs(left.instance_number - right.instance_number)
            for left, right in pairs
            if left.series_id == right.series_id
        ]
    )

    assert (apart == 0).mean() == pytest.approx(0.61, abs=0.12)
    assert (apart == 1).mean() == pytest.approx(0.34, abs=0.12)


def test_left_and_right_lie_in_different_series_about_as_often_as_in_the_data(studies):
    differ = [
        left.series_id != right.series_id
        for _, marks in studies
        for left, right in (sides(marks, level) for level in ("l1_l2", "l3_l4", "l5_s1"))
    ]

    assert np.mean(differ) == pytest.approx(836 / 9614, abs=0.05)


@pytest.mark.parametrize(
    ("description", "axis", "usual", "expected"),
    [
        (sequence.AXIAL_T2, 2, -1, 0.12),
        (sequence.SAGITTAL_T1, 0, 1, 698 / 1965),
    ],
)
def test_series_are_numbered_the_other_way_round_as_often_as_in_the_data(
    studies, description, axis, usual, expected
):
    series = [item for all_series, _ in studies for item in all_series]
    directions = [
        np.sign(item.slices[-1].position[axis] - item.slices[0].position[axis])
        for item in series
        if item.description == description
    ]

    assert np.mean(np.array(directions) == -usual) == pytest.approx(expected, abs=0.11)


def test_every_study_has_all_three_kinds_and_some_have_two_axial_series(studies):
    kinds = [[item.description for item in all_series] for all_series, _ in studies]

    for names in kinds:
        assert {sequence.AXIAL_T2, sequence.SAGITTAL_T1, sequence.SAGITTAL_T2} == set(names)
    assert np.mean([len(names) == 4 for names in kinds]) == pytest.approx(0.18, abs=0.1)


def test_axial_slices_are_parallel_to_their_disc_or_to_each_other(studies):
    orientations = [
        len({plane.column_direction for plane in item.slices})
        for all_series, _ in studies
        for item in all_series
        if item.description == sequence.AXIAL_T2
    ]

    assert set(orientations) == {1, 5}


def test_pixel_spacing_of_axial_series_is_that_of_the_data(studies):
    spacings = [
        item.slices[0].spacing[0]
        for all_series, _ in studies
        for item in all_series
        if item.description == sequence.AXIAL_T2
    ]

    assert min(spacings) > 0.2 and max(spacings) < 1.1
    assert np.median(spacings) == pytest.approx(0.43, abs=0.07)


def pixel_position(plane: protocol.Slice, x: float, y: float) -> np.ndarray:
    """The DICOM standard's equation C.7.6.2.1-1."""
    return (
        np.array(plane.position)
        + x * plane.spacing[1] * np.array(plane.row_direction)
        + y * plane.spacing[0] * np.array(plane.column_direction)
    )


@hypothesis_settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    target=st.sampled_from([(c, v) for c in labels.CONDITIONS for v in labels.LEVELS]),
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
@given(seed=st.integers(0, 10_000), x=st.floats(0, 100), y=st.floats(0, 100))
def test_coordinates_of_pixels_are_those_of_the_standard(seed, x, y):
    patient = patient_module.make_patient(np.random.default_rng(seed))
    plane = protocol.make_series(patient, CONFIG, 1, np.random.default_rng(seed))[0].slices[0]
    column, row = int(x), int(y)

    axes = [np.broadcast_to(axis, plane.shape)[row, column] for axis in plane.coordinates()]

    assert axes == pytest.approx(pixel_position(plane, column, row), abs=1e-3)
