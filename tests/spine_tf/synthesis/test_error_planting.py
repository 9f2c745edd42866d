import json
import pathlib

import numpy as np
import pandas as pd
import pytest

from spine_tf.synthesis import (
    annotation,
    error_planting,
    grading,
    patient as patient_module,
    phantom,
    phantom_config,
    protocol,
)

CONFIG = phantom_config.PhantomConfig(
    num_studies=12,
    num_test_studies=0,
    with_errors=True,
    axial_px=(64,),
    axial_slices_per_level=2,
    sagittal_px=(64,),
    sagittal_slices=3,
)


def draw_case(seed: int) -> tuple[error_planting.Case, tuple[protocol.Series, ...]]:
    rng = np.random.default_rng(seed)
    patient = patient_module.make_patient(rng)
    all_series = protocol.make_series(patient, CONFIG, 100, rng)
    grades = grading.draw_grades(grading.grade_probabilities(patient.latents), rng)
    marks = annotation.annotate(patient, all_series, rng)
    return error_planting.Case(annotations=marks, grades=grades), all_series


def planted(kind: str) -> tuple[error_planting.Case, error_planting.Case, tuple]:
    """The first study, of many seeds, that gets this kind of error: before, after, errors."""
    for seed in range(400):
        before, all_series = draw_case(0)
        after, errors = error_planting.plant(before, all_series, 7, np.random.default_rng(seed))
        if errors and errors[0].kind == kind:
            return before, after, errors
    raise ValueError(f"{kind} is never planted")


def by_target(case: error_planting.Case) -> dict[tuple[str, str], annotation.Annotation]:
    return {(mark.condition, mark.level): mark for mark in case.annotations}


@pytest.mark.parametrize("kind", error_planting.KINDS)
def test_only_the_named_rows_change(kind):
    before, after, errors = planted(kind)

    old, new = by_target(before), by_target(after)
    changed = {target for target in old if new.get(target) != old[target]}
    changed |= {
        target
        for target, mark in old.items()
        if after.grades[annotation.target(mark)] != before.grades[annotation.target(mark)]
        or (mark.series_id, mark.instance_number) in after.removed
    }
    assert changed == {(error.condition, error.level) for error in errors}
    assert {error.study_id for error in errors} == {7}


def test_placeholder_lies_in_the_corner():
    _, after, (error,) = planted("placeholder_point")

    mark = by_target(after)[error.condition, error.level]
    assert (mark.x, mark.y) == pytest.approx((5, 5), abs=2)


def test_swapped_sides_exchange_their_points():
    before, after, errors = planted("side_swap")

    old, new = by_target(before), by_target(after)
    (first, second) = [(error.condition, error.level) for error in errors]
    assert (new[first].x, new[first].y) == (old[second].x, old[second].y)
    assert (new[second].x, new[second].y) == (old[first].x, old[first].y)


def test_close_pair_is_closer_than_ten_pixels_on_one_slice():
    _, after, (error,) = planted("close_pair")

    marks = by_target(after)
    left = marks["left_subarticular_stenosis", error.level]
    right = marks["right_subarticular_stenosis", error.level]
    assert (left.series_id, left.instance_number) == (right.series_id, right.instance_number)
    assert np.hypot(left.x - right.x, left.y - right.y) < 10


def test_exchanged_levels_are_out_of_order():
    _, after, errors = planted("level_order")

    marks = [by_target(after)[error.condition, error.level] for error in errors]
    upper, lower = sorted(marks, key=lambda mark: mark.level)
    assert upper.y > lower.y


@pytest.fixture(scope="module")
def studies_dir(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    directory = tmp_path_factory.mktemp("errors") / "d"
    phantom.write_studies(CONFIG, directory)
    return directory


@pytest.mark.slow
def test_truth_lists_the_errors_that_are_in_the_files(studies_dir):
    errors = json.loads((studies_dir / "truth.json").read_text())["planted_errors"]
    points = pd.read_csv(studies_dir / "train_label_coordinates.csv")
    present = set(zip(points.study_id, points.series_id, points.instance_number, strict=True))

    assert errors
    for error in errors:
        row = (error["study_id"], error["series_id"], error["instance_number"])
        image = studies_dir / "train_images" / "/".join(map(str, row))
        assert image.with_suffix(".dcm").exists() == (error["kind"] != "missing_image")
        assert row in present or error["kind"] == "label_without_coordinate"


@pytest.mark.slow
def test_errors_are_not_planted_unless_asked_for(studies_dir, tmp_path):
    clean = phantom_config.PhantomConfig(
        num_studies=2, num_test_studies=0, axial_px=(64,), sagittal_px=(64,), sagittal_slices=3
    )
    phantom.write_studies(clean, tmp_path / "d")

    assert json.loads((tmp_path / "d/truth.json").read_text())["planted_errors"] == []
