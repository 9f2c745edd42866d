import collections
import dataclasses

import numpy as np
import pytest

from spine_tf import labels
from spine_tf.synthesis import (
    annotation,
    build,
    disc_truth,
    imaging,
    lesion,
    patient as patient_module,
    phantom_config,
    protocol,
    sequence,
    variation,
    varied_patient,
)

NUM_STUDIES = 150
CONFIG = phantom_config.PhantomConfig(seed=1, varied=phantom_config.PARTS)


@dataclasses.dataclass(frozen=True)
class Drawn:
    kind: varied_patient.Kind
    patient: patient_module.Patient
    series: tuple[protocol.Series, ...]
    marks: tuple[annotation.Annotation, ...]


@pytest.fixture(scope="module")
def studies() -> list[Drawn]:
    result = []
    for index in range(NUM_STUDIES):
        varied, rng = variation.Study(CONFIG, index), np.random.default_rng(index)
        patient = varied.make_patient(rng)
        series = varied.make_series(patient, 1, rng)
        marks = annotation.mark_exactly(patient, series, rng)
        result.append(Drawn(varied.kind, patient, series, marks))
    return result


def levels_on(study: Drawn, description: str) -> set[str]:
    ids = {item.series_id for item in study.series if item.description == description}
    return {mark.level for mark in study.marks if mark.series_id in ids}


def test_every_number_of_lumbar_vertebrae_and_transition_occurs(studies):
    kinds = collections.Counter((study.kind.num_lumbar, study.kind.transition) for study in studies)

    assert {number for number, _ in kinds} == {4, 5, 6}
    assert {transition for number, transition in kinds if number == 5} == {
        varied_patient.NONE,
        varied_patient.SACRALISED,
        varied_patient.LUMBARISED,
    }
    assert {transition for number, transition in kinds if number != 5} == {varied_patient.NONE}


def test_lowest_formed_disc_is_l5_s1_by_label_and_above_s1_by_name(studies):
    for study in studies:
        spine, last = study.patient.build, study.patient.build.first_sacral
        assert spine.disc_name(last) == f"L{study.kind.num_lumbar}/S1"
        assert spine.num_lumbar == study.kind.num_lumbar
        assert study.patient.level_s[-1] == study.patient.disc_s[last]
        assert min(spine.disc_reach[: last + 1]) > 1.0 >= max(spine.disc_reach[last + 1 :])
        assert min(study.patient.disc_height[:last]) > 1.2


def test_usual_patient_has_the_names_of_five_lumbar_vertebrae():
    names = [build.USUAL.disc_name(index) for index in range(8)]

    assert names == ["T11/T12", "T12/L1", "L1/L2", "L2/L3", "L3/L4", "L4/L5", "L5/S1", "S1/S2"]


def test_points_lie_where_the_structures_are(studies):
    for study in studies:
        by_id = {item.series_id: item for item in study.series}
        for mark in study.marks:
            plane = by_id[mark.series_id].slices[mark.instance_number - 1]
            x, y, distance = plane.project(study.patient.landmark(mark.condition, mark.level))
            assert (mark.x, mark.y) == (x, y)
            assert abs(distance) < plane.thickness
            assert 0 < x < plane.shape[1] - 1 and 0 < y < plane.shape[0] - 1


@pytest.mark.slow
def test_discs_are_seen_where_they_are_said_to_be(studies):
    """On oblique slices and on bent spines too."""
    seen = []
    for number, study in enumerate(studies[:14]):
        rng = np.random.default_rng(0)
        plain = dataclasses.replace(study.patient, lesions=(), around=None)
        scanner = imaging.Scanner(plain, rng)
        contrast = sequence.draw_sequence(sequence.SAGITTAL_T2, rng)
        lit = dict.fromkeys(contrast.signals, 0.0) | {"annulus": 1.0, "nucleus": 1.0}
        series = study.series[number % len(study.series)]
        level_s, depth = plain.level_s[3], plain.build.depth[plain.build.first_sacral - 1]
        center = plain.position(0.0, -depth * plain.body_width / 2, float(level_s))
        if (found := series.find(center)) is None:
            continue
        signal = scanner.signal(
            series.slices[found.place], dataclasses.replace(contrast, signals=lit), rng
        )
        seen.append(signal[round(found.y), round(found.x)] > 0.5 * np.percentile(signal, 99))

    assert len(seen) > 7
    assert all(seen)


def test_points_of_a_series_are_those_of_levels_without_a_gap(studies):
    """A field of view ends once above and once below."""
    for study in studies:
        found = {mark.level for mark in study.marks if mark.condition == labels.CONDITIONS[0]}
        indices = [labels.LEVELS.index(level) for level in found]
        if not study.patient.is_bent and indices:
            assert len(indices) == max(indices) - min(indices) + 1


def test_fields_of_view_are_cut_above_and_below_and_series_are_missing(studies):
    seen = [levels_on(study, sequence.SAGITTAL_T2) for study in studies]
    kinds = [{item.description for item in study.series} for study in studies]

    assert any(levels and "l5_s1" not in levels for levels in seen)
    assert any(levels and "l1_l2" not in levels for levels in seen)
    assert np.mean([len(levels) == 5 for levels in seen]) > 0.55
    for description in (sequence.AXIAL_T2, sequence.SAGITTAL_T1, sequence.SAGITTAL_T2):
        assert 0.02 < np.mean([description not in names for names in kinds]) < 0.2


def test_axial_series_hold_one_stack_or_several(studies):
    numbers = collections.Counter(
        len({plane.column_direction for plane in item.slices})
        for study in studies
        for item in study.series
        if item.description == sequence.AXIAL_T2
    )

    assert {1, 2, 3, 4, 5} <= set(numbers)


def test_planes_are_oblique_in_some_studies(studies):
    oblique = [
        any(abs(item.slices[0].normal[1:]).max() > 0.02 for item in study.series[-1:])
        for study in studies
    ]

    assert 0.2 < np.mean(oblique) < 0.9


def test_every_lesion_occurs_and_most_studies_have_none_of_most(studies):
    found = collections.Counter(
        kind for study in studies for kind in {one.kind for one in study.patient.lesions}
    )

    assert set(found) == set(lesion.KINDS)
    assert max(found.values()) < NUM_STUDIES / 2


def test_scoliosis_is_stronger_than_usual_in_some(studies):
    spread = [np.ptp(study.patient.lateral(study.patient.level_s)) for study in studies]

    assert max(spread) > 20
    assert np.median(spread) < 8


def test_lowest_discs_tilt_as_in_people(studies):
    degrees = [
        np.degrees(
            np.arcsin(
                study.patient.spine.tangent(study.patient.level_s[4] * study.patient.scale)[0]
            )
        )
        for study in studies
    ]

    assert np.percentile(degrees, 10) > 15 and np.percentile(degrees, 90) < 72
    assert 28 < np.median(degrees) < 48


def test_discs_of_all_sagittal_series_are_told_under_true_names(studies):
    study = next(one for one in studies if one.kind.num_lumbar == 6 and len(one.series) > 2)
    places = disc_truth.find(study.patient, study.series)
    names = {place.disc: place.level for place in places}

    assert names["L6/S1"] == "l5_s1"
    assert names["S1/S2"] == ""
    assert len({place.series_id for place in places}) >= 1


def test_contrasts_differ_between_studies_and_keep_in_one(studies):
    def draw(index):
        varied, rng = variation.Study(CONFIG, index), np.random.default_rng(0)
        return [
            varied.draw_sequence(name, rng) for name in (sequence.SAGITTAL_T1, sequence.SAGITTAL_T2)
        ]

    ratios = [
        np.log(one.signals["nucleus"] / one.signals["marrow"])
        for one in (draw(index)[1] for index in range(40))
    ]
    assert np.std(ratios) > 0.4
    assert draw(3) == draw(3)


@pytest.mark.parametrize("part", phantom_config.PARTS)
def test_a_part_leaves_the_others_as_they_are(part):
    """What is drawn with one part is drawn so with all."""
    alone = variation.Study(dataclasses.replace(CONFIG, varied=(part,)), 5)
    together = variation.Study(CONFIG, 5)
    usual = patient_module.make_patient(np.random.default_rng(0))
    patients = [one.make_patient(np.random.default_rng(0)) for one in (alone, together)]

    if part == phantom_config.ANATOMY:
        assert alone.kind == together.kind
        assert patients[0].disc_s.tolist() == patients[1].disc_s.tolist()
    else:
        assert patients[0].disc_s.tolist() == usual.disc_s.tolist()
        assert alone.kind == varied_patient.Kind()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"varied": ("anatomy", "colour")}, "varied has colour, expected some of anatomy, "),
        ({"varied": ("anatomy",), "with_errors": True}, "planted in usual studies"),
    ],
)
def test_impossible_variation_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        phantom_config.PhantomConfig(**changes)
