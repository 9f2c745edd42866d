"""Figures of points against the truth, and what is held against them."""

import dataclasses

import numpy as np
import planted
import pytest

from spine_tf.localization import localization, point_controls, point_figures


def _result(cases, change):
    studies = [
        localization.StudyResult(
            study=case.known.study, points=tuple(map(change, case.truth)), gaps=(), localized=None
        )
        for case in cases
    ]
    truth = {case.known.study.study_id: case.truth for case in cases}
    return localization.Result(side="train", studies=studies, rejects=(), truth=truth)


@pytest.fixture(scope="module")
def cases():
    return [planted.make(index) for index in range(3)]


def _compare(cases, change):
    return point_controls.compare(_result(cases, change)).tables[point_controls.FOUND]


def test_truth_against_itself_is_perfect(cases):
    for figures in _compare(cases, lambda row: row).values():
        assert figures["p95_mm"].value == pytest.approx(0, abs=1e-9)
        for name in ("slice_exact", "level_right", "rows_filled"):
            assert figures[name].value == 1
            assert figures[name].has_interval


def test_points_of_the_level_above_are_wrong_levels_and_in_no_other_figure(cases):
    def change(row):
        others = [one for case in cases for one in case.truth if one.study_id == row.study_id]
        above = [one for one in others if one.condition == row.condition]
        place = next((one for one in above if one.level == row.level - 1), row)
        return dataclasses.replace(place, level=row.level)

    figures = _compare(cases, change)["canal"]
    assert figures["level_right"].value == pytest.approx(0.2)
    assert figures["p95_mm"].value == pytest.approx(0, abs=1e-9)


def test_exchanged_sides_and_other_slices_are_counted(cases):
    sides = {1: 2, 2: 1, 3: 4, 4: 3}

    def change(row):
        return dataclasses.replace(row, condition=sides.get(row.condition, 0))

    tables = _compare(cases, change)
    assert tables["foramen"]["side_right"].value == 0
    assert tables["canal"]["side_right"].value is None

    def next_slice(row):
        return dataclasses.replace(row, instance_number=row.instance_number + 1)

    canal = _compare(cases, next_slice)["canal"]
    assert (canal["slice_exact"].value, canal["slice_within_1"].value) == (0, 1)


def test_millimetres_are_of_the_plane_whatever_the_spacing(cases):
    spacings = {
        (case.known.study.study_id, stack.series_id): stack.headers[0].spacing
        for case in cases
        for stack in case.known.study.stacks
    }

    def change(row):
        return dataclasses.replace(row, x=row.x + 4.0 / spacings[row.study_id, row.series_id][1])

    for figures in _compare(cases, change).values():
        assert figures["median_mm"].value == pytest.approx(4.0, rel=1e-3)


def test_controls_look_at_no_pixel_and_know_what_geometry_knows(cases):
    tables = point_controls.compare(_result(cases, lambda row: row)).tables
    assert set(tables) == {"found", *point_controls.CONTROLS}
    projected = tables["projection of given"]["recess"]
    assert projected["slice_within_1"].value > 0.9
    assert 0.3 < projected["median_mm"].value < 4
    assert tables["middle slice"]["canal"]["slice_within_2"].value > 0.9
    assert tables["fixed 16 mm"]["foramen"]["slice_within_2"].value > 0.9
    assert 1 < tables["mean shape"]["canal"]["median_mm"].value < 25


def _matches(confidences, rights):
    return [
        point_figures.Match(
            study_id=1, condition=0, level=0, found=True, confidence=c, is_level_right=r
        )
        for c, r in zip(confidences, rights, strict=True)
    ]


def test_risk_falls_with_what_is_kept_where_confidence_knows():
    confidences = np.linspace(1, 0, 20)
    matches = _matches(confidences, [True] * 18 + [False] * 2)
    curve = point_figures.risk_coverage(matches)
    assert (curve[17].coverage, curve[17].risk) == (0.9, 0.0)
    assert curve[-1].risk == pytest.approx(0.1)
    assert point_figures.errors_in_tail(matches) == 1.0
    assert point_figures.errors_in_tail(_matches(1 - confidences, [True] * 18 + [False] * 2)) == 0
    assert point_figures.errors_in_tail(_matches([1.0], [True])) is None
