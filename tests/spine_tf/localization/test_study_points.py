"""From heatmaps to the rows of a study, by an oracle in the networks' place; and planted faults."""

import dataclasses

import numpy as np
import oracle
import planted
import pytest

from spine_tf.crops import imaged_study
from spine_tf.localization import gate, point_figures, study_points


def _matches(localized, indices, fault=planted.SOUND):
    return [
        match
        for index in indices
        for case, found in [localized(index, fault)]
        for match in point_figures.match(case.known.study, found.points, case.truth)
    ]


@pytest.mark.slow
def test_sound_spines_are_found_as_the_truth_is(localized):
    matches = _matches(localized, range(4))
    assert len(matches) == 100
    assert all(match.is_level_right for match in matches if match.found)
    assert np.mean([match.found for match in matches]) >= 0.97
    errors = [match.error_mm for match in matches if match.found]
    assert np.quantile(errors, 0.95) <= 2.0
    off = np.array([match.slices_off for match in matches if match.found])
    assert np.mean(off[~np.isnan(off)] == 0) >= 0.95
    assert all(match.is_side_right is not False for match in matches)


def test_clean_heatmaps_give_the_truth_to_a_fifth_of_a_millimetre():
    case = planted.make(7)
    found = study_points.localize(case.known.study, oracle.Oracle([case.known]))
    matches = point_figures.match(case.known.study, found.points, case.truth)
    assert all(match.found and match.is_level_right for match in matches)
    same = [match for match in matches if match.slices_off == 0]
    assert len(same) >= 24
    assert max(match.error_mm for match in same) < 0.2
    assert found.probabilities[1] > 0.97


def _without(case, is_left_out):
    study = case.known.study
    kept = tuple(stack for stack in study.stacks if not is_left_out(stack))
    study = dataclasses.replace(study, stacks=kept)
    known = dataclasses.replace(case.known, study=study)
    return study_points.localize(study, oracle.Oracle([known]))


def _flags(found, conditions):
    return {flag for p in found.points if p.condition in conditions for flag in p.flag.split()}


def test_study_without_t1_has_its_foramina_on_t2():
    found = _without(planted.make(7), lambda stack: stack.is_t1)
    assert len([p for p in found.points if p.condition in (1, 2)]) == 10
    assert _flags(found, (1, 2)) == {"substitute"}
    assert not _flags(found, (0,))


def test_study_without_axial_series_leaves_its_recesses_to_the_prior():
    found = _without(planted.make(7), lambda stack: not stack.is_sagittal)
    assert {gap.reason for gap in found.gaps} == {gate.Missing.NO_SERIES}
    assert {gap.condition for gap in found.gaps} == {3, 4}


@pytest.mark.parametrize("index", [7, 8])
def test_axial_series_alone_are_numbered_from_the_lowest_and_flagged(index):
    case = planted.make(index)
    found = _without(case, lambda stack: stack.is_sagittal)
    assert len(found.points) == 10
    assert _flags(found, (3, 4)) == {"numbering", "axial_alone"}
    truth = {(row.condition, row.level): row for row in case.truth}
    places = point_figures.Places(case.known.study)
    for row in found.points:
        given = places.point(truth[row.condition, row.level])
        assert np.linalg.norm(places.point(row) - given) < 8.0


def test_series_of_another_frame_of_reference_are_not_projected():
    case = planted.make(7)
    study = case.known.study
    stacks = tuple(
        stack
        if stack.is_sagittal
        else dataclasses.replace(
            stack,
            headers=tuple(
                dataclasses.replace(one, frame_of_reference="1.2.3") for one in stack.headers
            ),
        )
        for stack in study.stacks
    )
    study = dataclasses.replace(study, stacks=stacks)
    known = dataclasses.replace(case.known, study=study)
    found = study_points.localize(study, oracle.Oracle([known]))
    assert {gap.reason for gap in found.gaps} == {gate.Missing.OTHER_FRAME}
    assert len(found.points) == 15


def test_study_without_any_slice_has_no_point():
    nothing = imaged_study.ImagedStudy(study_id=1, stacks=())
    found = study_points.localize(nothing, oracle.Oracle([]))
    assert not found.points
    assert len(found.gaps) == 25


@pytest.mark.slow
def test_exchanged_weightings_are_flagged_by_how_bright_the_canal_is():
    case = planted.make(7, "tags_swapped")
    source = oracle.Oracle([case.known])
    # The stack that is called T1 is a T2: there the canal is bright.
    called_t1 = _series(case, "Sagittal T1")

    def brightness(spot):
        return 0.4 if spot.window.series_id == called_t1 else -0.1

    found = study_points.localize(case.known.study, source, brightness=brightness)
    assert _flags(found, (0,)) == _flags(found, (1, 2)) == {"series"}
    sound = study_points.localize(case.known.study, source, brightness=lambda spot: None)
    assert not _flags(sound, (0, 1, 2))


def _series(case, description):
    return next(s.series_id for s in case.known.study.stacks if s.description == description)


def test_sides_follow_the_patient_where_the_network_exchanges_them():
    case = planted.make(7)
    left, right = oracle.LEFT_RECESS, oracle.RIGHT_RECESS
    exchange = {left: right, right: left}
    structures = [
        one._replace(kind=exchange.get(one.kind, one.kind)) for one in case.known.structures
    ]
    known = dataclasses.replace(case.known, structures=structures)
    found = study_points.localize(case.known.study, oracle.Oracle([known]))
    matches = point_figures.match(case.known.study, found.points, case.truth)
    assert all(match.is_side_right is not False for match in matches)
    assert _flags(found, (3, 4)) == {"sides"}


@pytest.mark.slow
def test_least_sure_tenth_holds_most_level_errors_of_planted_faults(localized):
    matches = _matches(localized, range(4))
    for index, fault in enumerate(list(planted.FAULTS) * 2):
        matches += _matches(localized, [100 + index], fault)
    matches += _matches(localized, range(4, 8))
    assert sum(match.is_level_right is False for match in matches) >= 10
    assert point_figures.errors_in_tail(matches) >= 0.6
    curve = point_figures.risk_coverage(matches)
    assert curve[len(curve) // 2].risk < curve[-1].risk


@pytest.mark.slow
def test_same_study_gives_the_same_points_twice():
    case = planted.make(3)
    once, twice = (
        study_points.localize(case.known.study, oracle.Oracle([case.known])) for _ in range(2)
    )
    assert once.points == twice.points
