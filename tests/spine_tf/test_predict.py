"""Prediction answers every row that is asked, with what the converter's crops give."""

import csv
import html
import json
import pathlib
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest

from spine_tf import labels
from spine_tf.configuration import config, roi_config
from spine_tf.crops import cutting
from spine_tf.localization import gate, localization, localizer, networks
from spine_tf.models import families
from spine_tf.rsna import annotations, sources
from spine_tf.runs import run
from spine_tf.serving import (
    answer_check,
    bundle,
    grader,
    prediction,
    single_file,
    study_reader,
    submission,
    verification,
)

_SIDES = ("left_subarticular_stenosis", "right_subarticular_stenosis")
_LEVELS = ("l3_l4", "l4_l5")
_PX = 16


def _export(
    directory, *, task="multiclass", conditions=_SIDES, num_slices=1, localizer_dir=None, **changes
):
    """An exported model whose weights are random."""
    run_config = config.from_dict(
        {"task": task, "model": {"family": "simple", "filters": [4], "units": 4}}
    )
    num_classes = len(run_config.task_spec.classes)
    keras.utils.set_random_seed(0)
    model = families.build_model(run_config.model, (_PX, _PX, num_slices), num_classes)
    roi = {"roi_mm": 30.0, "roi_px": _PX, "num_slices": num_slices, "mirror_right": True}
    roi.update(changes)
    prior = np.arange(num_classes, 0, -1) / np.arange(num_classes + 1).sum()
    one = run.Run(
        run_dir=pathlib.Path("w"),
        config=run_config,
        members=(run.Member(model=model, temperature=0.1),),
        provenance={
            "versions": {},
            "records": {
                "manifest_sha256": "0",
                "config": {**roi, "conditions": list(conditions), "levels": list(_LEVELS)},
                "num_examples": {},
            },
            "train_splits": [],
            "monitor_split": None,
            "val_split": None,
            "train_studies": [],
        },
        class_prior=tuple(prior),
    )
    return one, bundle.export([one], directory, localizer_dir=localizer_dir).directory


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A run and its export."""
    return _export(tmp_path_factory.mktemp("model") / "e")


@pytest.fixture(scope="module")
def model_dir(exported):
    return exported[1]


@pytest.fixture
def data(data_set):
    """Two studies with an axial series each; both sides at both levels."""
    for study in (5, 4):
        for instance in (1, 2, 3):
            data_set.add_image(study, study * 10, instance, position=(0.0, 0.0, 4.0 * instance))
        for index, condition in enumerate(_SIDES):
            for level in _LEVELS:
                data_set.add_row(study, study * 10, 2, condition, level, x=20.5 + 30 * index)
    return data_set


def _predict(model_dir, data_dir, tmp_path, **options):
    output = tmp_path / "out" / "submission.csv"
    outcome = prediction.predict(model_dir, data_dir, output, **{"num_workers": 0, **options})
    return _read(output), _read(output.with_name("predict_report.csv")), outcome


def _read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _numbers(row):
    return [float(value) for name, value in row.items() if name != "row_id"]


@pytest.mark.slow
def test_every_condition_and_level_of_every_study_is_answered(model_dir, data, tmp_path):
    data_dir = data.write()
    (data_dir / "train.csv").unlink()  # labels are not needed
    rows, report, outcome = _predict(model_dir, data_dir, tmp_path)
    assert [row["row_id"] for row in rows] == [
        f"{study}_{condition}_{level}"
        for study in (5, 4)
        for condition in _SIDES
        for level in _LEVELS
    ]
    assert list(rows[0]) == ["row_id", "normal_mild", "moderate", "severe"]
    assert {(row["answered_by"], row["reason"]) for row in report} == {("model", "")}
    assert [row["row_id"] for row in report] == [row["row_id"] for row in rows]
    assert (outcome.num_rows, outcome.num_crops, outcome.num_prior) == (8, 8, 0)


def test_answers_are_those_of_the_converters_crops(exported, data, tmp_path):
    one, model_dir = exported
    data_dir = data.write()
    rows, _, _ = _predict(model_dir, data_dir, tmp_path)
    found = annotations.read_annotations(sources.open_source(data_dir), has_labels=False)
    roi = roi_config.RoiConfig(roi_mm=30.0, roi_px=_PX)
    answers = {row["row_id"]: _numbers(row) for row in rows}
    for crop in cutting.read_crops(sources.open_source(data_dir), found.rows, roi):
        assert isinstance(crop, cutting.Crop)
        low, high = crop.window
        image = np.clip((crop.image.astype(np.float32) - low) / (high - low), 0, 1)
        _, _, _, condition, level = crop.annotation.key.split("/")
        row_id = f"{crop.annotation.study_id}_{condition}_{level}"
        np.testing.assert_allclose(answers[row_id], one.predict(image[None])[0], atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("window", ["series", "crop"])
def test_window_of_the_model_is_that_of_its_answers(data, tmp_path, window):
    one, model_dir = _export(tmp_path / "e", window=window)
    bright = np.full((64, 72), 3000, np.uint16)
    data.add_image(4, 40, 4, bright, position=(0.0, 0.0, 16.0))
    data_dir = data.write()
    source = sources.open_source(data_dir)
    rows, _, _ = _predict(model_dir, data_dir, tmp_path)
    answers = {row["row_id"]: _numbers(row) for row in rows}
    found = annotations.read_annotations(source, has_labels=False)
    roi = roi_config.RoiConfig(roi_mm=30.0, roi_px=_PX, window=window)
    for crop in cutting.read_crops(source, found.rows, roi):
        assert isinstance(crop, cutting.Crop)
        low, high = crop.window
        image = np.clip((crop.image.astype(np.float32) - low) / (high - low), 0, 1)
        _, _, _, condition, level = crop.annotation.key.split("/")
        row_id = f"{crop.annotation.study_id}_{condition}_{level}"
        np.testing.assert_allclose(answers[row_id], one.predict(image[None])[0], atol=1e-5)
    answer = single_file.predict_file(
        model_dir,
        data.image_path(4, 40, 2),
        tmp_path / "one.csv",
        center_xy=(20.5, 32.0),
        condition=_SIDES[0],
    )
    assert list(answer.values()) == pytest.approx(answers[f"4_{_SIDES[0]}_l4_l5"], abs=1e-6)


@pytest.mark.slow
def test_competition_weights_change_the_answers_and_the_prior(model_dir, data, tmp_path):
    data.series[(6, 60)] = "Axial T2"  # a study without coordinates
    data_dir = data.write()
    rows, _, _ = _predict(model_dir, data_dir, tmp_path)
    weighted, _, _ = _predict(model_dir, data_dir, tmp_path, is_competition_weighted=True)
    for row, other in zip(rows, weighted, strict=True):
        assert sum(_numbers(row)) == pytest.approx(1, abs=2e-9)
        assert sum(_numbers(other)) == pytest.approx(1, abs=2e-9)
        expected = np.array(_numbers(row)) * [1, 2, 4]
        np.testing.assert_allclose(_numbers(other), expected / expected.sum(), atol=1e-6)


@pytest.mark.slow
def test_number_of_workers_changes_no_byte(model_dir, data, tmp_path):
    data_dir = data.write()
    for num_workers in (1, 2):
        output = tmp_path / f"{num_workers}.csv"
        prediction.predict(model_dir, data_dir, output, num_workers=num_workers)
    assert (tmp_path / "1.csv").read_bytes() == (tmp_path / "2.csv").read_bytes()


@pytest.mark.slow
def test_a_zip_is_answered_as_its_folder(model_dir, data, tmp_path):
    data_dir = data.write()
    archive = pathlib.Path(shutil.make_archive(str(tmp_path / "data"), "zip", data_dir))
    expected, _, _ = _predict(model_dir, data_dir, tmp_path)
    rows, report, _ = _predict(model_dir, archive, tmp_path)
    assert rows == expected
    assert {(row["answered_by"], row["reason"]) for row in report} == {("model", "")}
    assert [row["row_id"] for row in report] == [row["row_id"] for row in rows]


@pytest.mark.slow
def test_several_coordinates_of_a_row_are_averaged(model_dir, data, tmp_path):
    data_dir = data.write()
    first = _answer_of(model_dir, data_dir, tmp_path)
    data.rows = [row for row in data.rows if row[0] != 4 or row[2] != 2]
    data.add_row(4, 40, 1, _SIDES[0], _LEVELS[0])
    second = _answer_of(model_dir, data.write(), tmp_path)
    data.add_row(4, 40, 2, _SIDES[0], _LEVELS[0], x=20.5)
    both = _answer_of(model_dir, data.write(), tmp_path)
    assert first != second
    np.testing.assert_allclose(both, (np.array(first) + second) / 2, atol=1e-8)


@pytest.mark.slow
def test_points_take_the_place_of_coordinates_and_mix_levels(model_dir, data, tmp_path):
    data_dir = data.write()
    sure, _, _ = _predict(model_dir, data_dir, tmp_path)
    own = data_dir / "train_label_coordinates.csv"
    points = own.rename(tmp_path / "points.csv")
    assert _predict(model_dir, data_dir, tmp_path, points=points)[0] == sure
    head, *lines = points.read_text().splitlines()
    doubts = {"L3/L4": "0.1,0.6,0.3", "L4/L5": "0,1,0"}
    points.write_text(
        "\n".join(
            [f"{head},numbering_minus1,numbering_0,numbering_plus1"]
            + [f"{line},{doubts[line.split(',')[4]]}" for line in lines]
        )
    )
    mixed, _, outcome = _predict(model_dir, data_dir, tmp_path, points=points)
    assert outcome.num_prior == 0
    for (upper, lower), (is_upper, is_lower) in zip(_pairs(sure), _pairs(mixed), strict=True):
        above, below = np.array(_numbers(upper)), np.array(_numbers(lower))
        np.testing.assert_allclose(_numbers(is_upper), above, atol=1e-7)
        np.testing.assert_allclose(_numbers(is_lower), (below + 0.3 * above) / 1.3, atol=1e-7)


def _pairs(rows):
    return zip(rows[::2], rows[1::2], strict=True)


@pytest.fixture
def unmarked(squares_dir, tmp_path):
    """A test side without points: one study of squares.py."""
    copy = tmp_path / "unmarked"
    shutil.copytree(squares_dir / "train_images", copy / "test_images")
    shutil.copy(
        squares_dir / "train_series_descriptions.csv", copy / "test_series_descriptions.csv"
    )
    return copy


@pytest.mark.slow
def test_points_that_nobody_gave_are_found(model_dir, unmarked, squares_localizer_dir, tmp_path):
    pages = tmp_path / "pages"
    found, report, outcome = _predict(
        model_dir, unmarked, tmp_path, localizer_dir=squares_localizer_dir, report_dir=pages
    )
    finder = "the localiser 'squares'"
    assert (outcome.num_rows, outcome.num_prior, outcome.finder) == (4, 0, finder)
    assert {row["points"] for row in report} == {finder}
    assert {row["answered_by"] for row in report} <= {"model", "model, flagged"}
    assert (pages / "1" / "study.html").is_file()
    # What was found gives the same answers again, and a point that is given counts alone.
    for points in (pages, pages / "points.csv", pages / "1" / "1.mrk.json"):
        given, _, _ = _predict(model_dir, unmarked, tmp_path, points=points)
        assert given == found
    points = tmp_path / "points.csv"
    points.write_text(
        "study_id,series_id,instance_number,condition,level,x,y\n"
        "1,12,9,Left Subarticular Stenosis,L3/L4,20,30\n"
    )
    both, report, outcome = _predict(
        model_dir, unmarked, tmp_path, points=points, localizer_dir=squares_localizer_dir
    )
    assert outcome.num_prior == 0
    assert [row["points"] for row in report] == ["given points", finder, finder, finder]
    alone = single_file.predict_file(
        model_dir,
        unmarked / "test_images/1/12/9.dcm",
        tmp_path / "alone.csv",
        center_xy=(20.0, 30.0),
        condition=_SIDES[0],
    )
    assert _numbers(both[0]) == pytest.approx(list(alone.values()), abs=1e-6)
    assert _numbers(both[0]) != pytest.approx(_numbers(found[0]), abs=1e-3)


def test_pages_of_a_pile_say_nothing_of_its_name(
    model_dir, make_slice, squares_localizer_dir, tmp_path
):
    pile = tmp_path / "Hans Secret"
    pile.mkdir()
    for number in range(2):
        made = make_slice(
            np.full((64, 64), number, np.uint16),
            position=(4.0 * number, 0.0, 0.0),
            orientation=(0.0, 1.0, 0.0, 0.0, 0.0, -1.0),
            Modality="MR",
            SeriesDescription="T2 sag lumbar",
            StudyInstanceUID="1.2",
            SeriesInstanceUID="1.2.3",
            SOPInstanceUID=f"1.2.3.{number}",
            PatientID="Secret",
            PatientName="Secret^Hans",
        )
        made.save_as(pile / f"Secret {number}", enforce_file_format=True)
    spoilt = pile / "Secret 1"
    spoilt.write_bytes(spoilt.read_bytes()[:-100])
    pages = tmp_path / "pages"
    _, report, outcome = _predict(
        model_dir,
        pile,
        tmp_path,
        min_slices=2,
        localizer_dir=squares_localizer_dir,
        report_dir=pages,
    )
    assert {row["answered_by"] for row in report} == {"prior"}
    assert {row["reason"] for row in report} == {"unreadable"}
    assert outcome.unreadable == ["Secret 1"]
    assert "1 study" in outcome.organized
    written = [path for place in (pages, tmp_path / "out") for path in place.rglob("*")]
    assert len(written) > 5
    for path in written:
        assert "Secret" not in path.name
        assert path.is_dir() or "Secret" not in path.read_text()


def test_one_study_is_read_in_memory_as_predict_answers_it(model_dir, squares_dir, tmp_path):
    rows, _, _ = _predict(model_dir, squares_dir, tmp_path)
    source = sources.open_source(squares_dir)
    found = annotations.read_annotations(source, has_labels=False)
    (series,) = localization.series_of_studies(found.series).values()
    with grader.opened([model_dir]) as graders:
        reader = study_reader.StudyReader(graders=graders)
        one = reader.read_study(source, 1, series, given=found.rows)
    assert [grade.row_id for grade in one.grades] == [row["row_id"] for row in rows]
    for grade, row in zip(one.grades, rows, strict=True):
        np.testing.assert_allclose(grade.probabilities, _numbers(row), atol=1e-6)
    assert len(one.result.points) == 25
    alone = study_reader.StudyReader().read_study(source, 1, series, given=found.rows)
    assert (len(alone.result.points), alone.grades) == (25, ())


@pytest.mark.slow
def test_models_answer_together_for_the_rows_of_the_sample(
    exported, unmarked, squares_localizer_dir, tmp_path
):
    model_dir = exported[1]
    _, canal = _export(tmp_path / "canal", conditions=("spinal_canal_stenosis",))
    names = [
        *(f"1_spinal_canal_stenosis_{level}" for level in labels.LEVELS),
        "1_right_subarticular_stenosis_l4_l5",
        "44_left_neural_foraminal_narrowing_l1_l2",
    ]
    lines = [f"{name},0.3,0.3,0.4" for name in names]
    header = "row_id,normal_mild,moderate,severe"
    (unmarked / "sample_submission.csv").write_text("\n".join([header, *lines]))
    rows, report, outcome = _predict(
        [model_dir, canal], unmarked, tmp_path, localizer_dir=squares_localizer_dir
    )
    assert [row["row_id"] for row in rows] == names
    assert outcome.num_prior == 4
    answered = {row["row_id"]: (row["answered_by"], row["models"]) for row in report}
    assert answered["1_spinal_canal_stenosis_l4_l5"] == ("model", "canal")
    assert answered["1_right_subarticular_stenosis_l4_l5"] == ("model", "e")
    with pytest.raises(ValueError, match=r"names .* twice: once is enough"):
        _predict([canal, canal], unmarked, tmp_path)
    _, binary = _export(tmp_path / "binary", task="binary")
    with pytest.raises(ValueError, match=r"answers binary, .* multiclass: one output has"):
        _predict([canal, binary], unmarked, tmp_path)


@pytest.mark.slow
def test_export_brings_its_localizer_along(unmarked, squares_localizer_dir, tmp_path):
    _, model_dir = _export(tmp_path / "e", localizer_dir=squares_localizer_dir)
    assert "finds points" in (model_dir / "model_card.md").read_text()
    assert answer_check.check(model_dir).differences["localizer"] == 0
    _, _, outcome = _predict(model_dir, unmarked, tmp_path)
    assert (outcome.num_prior, outcome.num_found) == (0, outcome.num_crops)
    network = model_dir / "localizer/axial/saved_model/1/saved_model.pb"
    network.write_bytes(network.read_bytes() + b"\0")
    with pytest.raises(ValueError, match=r"axial/saved_model/1/saved_model\.pb was changed"):
        _predict(model_dir, unmarked, tmp_path)


def _answer_of(model_dir, data_dir, tmp_path):
    rows, _, _ = _predict(model_dir, data_dir, tmp_path)
    row_id = f"4_{_SIDES[0]}_{_LEVELS[0]}"
    return next(_numbers(row) for row in rows if row["row_id"] == row_id)


_FAULTS = {
    # study: what is done to its first row or image, the reason, and what answers the row
    10: (lambda data, row: data.rows.remove(row), "not_seen", "prior"),
    11: (lambda data, row: row.__setitem__(5, "left"), "bad_coordinate", "prior"),
    12: (lambda data, row: row.__setitem__(5, 500), "off_image", "prior"),
    13: (lambda data, row: _image(data, row).unlink(), "missing_file", "prior"),
    14: (lambda data, row: _spoil(data, row, lambda old: old[: len(old) // 2]), "bad_", "prior"),
    15: (lambda data, row: _spoil(data, row, lambda old: b"text"), "not_dicom", "prior"),
    16: (lambda data, row: _spoil(data, row, lambda old: b""), "not_dicom", "prior"),
    17: (lambda data, row: data.rows.append([*row[:5], 9, 1]), "duplicate", "model"),
    18: (
        lambda data, row: data.rows.append([*row[:2], 9, *row[3:]]),
        "missing_file",
        "model",
    ),
}


def _image(data, row):
    return data.image_path(*row[:3])


def _spoil(data, row, change):
    path = _image(data, row)
    path.write_bytes(change(path.read_bytes()))


@pytest.fixture(scope="module")
def faulty(exported, make_data_set, tmp_path_factory):
    """Rows and report of a data set with one fault a study, and two rows nobody asked for."""
    data = make_data_set(tmp_path_factory.mktemp("faulty") / "data")
    for study, (fault, _, _) in _FAULTS.items():
        data.add_image(study, study * 10, 2)
        data.add_row(study, study * 10, 2, _SIDES[0], _LEVELS[0])
        fault(data, data.rows[-1])
    data.rows.append([999, 9990, 1, *data.rows[-1][3:]])
    data.rows.append([17, 170, 2, "Hernia", "L4/L5", 1, 1])
    return _predict(exported[1], data.write(), tmp_path_factory.mktemp("answers"))


@pytest.mark.parametrize("study", _FAULTS)
def test_a_faulty_row_is_answered_and_reported(exported, faulty, study):
    rows, report, _ = faulty
    _, reason, answered_by = _FAULTS[study]
    row_id = f"{study}_{_SIDES[0]}_{_LEVELS[0]}"
    row = next(row for row in rows if row["row_id"] == row_id)
    entry = next(entry for entry in report if entry["row_id"] == row_id)
    is_prior = _numbers(row) == pytest.approx(exported[0].class_prior, abs=1e-8)
    assert entry["reason"].startswith(reason)
    assert entry["answered_by"] == answered_by
    assert is_prior == (answered_by == "prior")


def test_every_row_is_answered_and_every_prior_reported(faulty):
    rows, report, outcome = faulty
    assert len(rows) == outcome.num_rows == 4 * len(_FAULTS)
    priors = {entry["row_id"] for entry in report if entry["answered_by"] == "prior"}
    assert len(priors) == outcome.num_prior == 4 * len(_FAULTS) - 2
    unread = [pathlib.Path(name) for name in outcome.unreadable]
    assert {path.parts[1] for path in unread if path.stem == "2"} == {"13", "14", "15", "16"}


def test_rows_that_nobody_asked_for_are_reported(faulty):
    _, report, _ = faulty
    unasked = {entry["reason"] for entry in report if entry["answered_by"] == "nothing"}
    assert unasked == {"unknown_series", "unknown_condition"}


def _studies(rows):
    return {row["row_id"].split("_")[0] for row in rows}


@pytest.fixture
def both_sides(data, make_data_set):
    """A data set with a test side as well: one study with a point."""
    data_dir = data.write()
    test_side = make_data_set(data_dir, "test")
    test_side.add_image(77, 770, 1)
    test_side.add_row(77, 770, 1, severity=None)
    test_side.write()
    return data_dir


def test_test_side_is_taken_where_there_is_one(model_dir, both_sides, tmp_path):
    rows, _, outcome = _predict(model_dir, both_sides, tmp_path)
    assert (_studies(rows), outcome.side, outcome.num_crops) == ({"77"}, "test", 1)


@pytest.mark.parametrize("side", ["test", "train"])
def test_side_that_is_asked_for_is_taken(model_dir, both_sides, tmp_path, side):
    rows, _, outcome = _predict(model_dir, both_sides, tmp_path, side=side)
    assert _studies(rows) == ({"77"} if side == "test" else {"4", "5"})
    assert outcome.side == side


def test_the_packages_own_localiser_is_asked_where_there_are_no_coordinates(
    exported, both_sides, tmp_path
):
    (both_sides / "test_label_coordinates.csv").unlink()
    pages = tmp_path / "pages"
    rows, report, outcome = _predict(exported[1], both_sides, tmp_path, report_dir=pages)
    own = f"the package's own localiser {localizer.read_default().name!r}"
    assert _studies(rows) == {"77"}
    assert (outcome.num_crops, outcome.finder) == (0, own)
    assert {entry["answered_by"] for entry in report} == {"prior"}
    assert {entry["reason"] for entry in report} <= {one.value for one in gate.Missing}
    assert own in html.unescape((pages / "index.html").read_text())
    assert json.loads((pages / "77" / "study.json").read_bytes())["points_by"] == own
    for row in rows:
        assert _numbers(row) == pytest.approx(exported[0].class_prior, abs=1e-8)


def test_given_points_load_no_network(model_dir, data, tmp_path, monkeypatch):
    monkeypatch.setattr(networks, "Networks", None)
    _, report, outcome = _predict(model_dir, data.write(), tmp_path)
    assert (outcome.num_prior, outcome.finder) == (0, "")
    assert {row["points"] for row in report} == {"given points"}


@pytest.mark.parametrize("is_zip", [False, True])
def test_test_side_without_images_is_refused(model_dir, both_sides, tmp_path, is_zip):
    shutil.rmtree(both_sides / "test_images")
    place = both_sides
    if is_zip:
        place = pathlib.Path(shutil.make_archive(str(tmp_path / "data"), "zip", both_sides))
    with pytest.raises(ValueError, match=r"no image in test_images/: .* with --side train"):
        _predict(model_dir, place, tmp_path)
    rows, _, _ = _predict(model_dir, place, tmp_path, side="train")
    assert _studies(rows) == {"4", "5"}


@pytest.mark.parametrize(
    ("row", "match"),
    [
        ("", "names no study, so there is nothing to answer$"),
        (
            "077,770,Axial T2\n",
            "1 of its rows can't be read, the first: .*line 2: study_id is '077'",
        ),
    ],
)
def test_side_without_a_study_is_refused(model_dir, both_sides, tmp_path, row, match):
    (both_sides / "test_series_descriptions.csv").write_text(
        f"study_id,series_id,series_description\n{row}"
    )
    with pytest.raises(ValueError, match=match):
        _predict(model_dir, both_sides, tmp_path)
    assert not (tmp_path / "out").exists()


def test_study_whose_id_cannot_be_read_is_reported(model_dir, both_sides, tmp_path):
    path = both_sides / "test_series_descriptions.csv"
    path.write_text(path.read_text() + "078,780,Axial T2\n")
    rows, report, outcome = _predict(model_dir, both_sides, tmp_path)
    assert _studies(rows) == {"77"}
    (entry,) = [entry for entry in report if entry["answered_by"] == "nothing"]
    assert (entry["row_id"], entry["reason"]) == ("", "bad_id")
    assert "line 3: study_id is '078'" in entry["detail"]
    assert outcome.faults == (entry["detail"],)


def test_report_that_cannot_be_written_is_found_before_the_work(both_sides, tmp_path):
    (tmp_path / "out" / "predict_report.csv").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"the report of --output .* is a directory"):
        _predict(tmp_path / "nowhere", both_sides, tmp_path)


def test_report_belongs_to_its_output(tmp_path):
    def report_of(name):
        path = submission.report_path(tmp_path / name)
        path.touch()
        (tmp_path / name).touch()
        return path.name

    assert report_of("submission.csv") == "predict_report.csv"
    assert report_of("a.csv") == "a_predict_report.csv"
    assert report_of("a.tsv") == "a.tsv_predict_report.csv"
    assert report_of("predict_report_of_b.csv") == "predict_report_of_b_predict_report.csv"
    # The other usual name: the report that is there is not its own.
    for _ in range(2):
        assert report_of("predictions.csv") == "predictions_predict_report.csv"
        assert report_of("submission.csv") == "predict_report.csv"
    assert submission.report_path(tmp_path / "sub/predictions.csv").name == "predict_report.csv"


@pytest.mark.slow
def test_program_with_only_priors_says_so_and_ends_with_1(model_dir, both_sides, tmp_path):
    (both_sides / "test_label_coordinates.csv").unlink()
    output = tmp_path / "o.csv"
    flags = [f"--model_dir={model_dir}", f"--data_dir={both_sides}", f"--output={output}"]
    command = ["warm-python", "-m", "spine_tf.predict", *flags]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "all 4 rows of the test side have the prior" in ended.stderr
    assert "no coordinate could be used, and the package's own localiser" in ended.stderr
    assert "--side train" in ended.stderr
    assert "found by" not in ended.stderr
    assert len(_read(output)) == 4
    ended = subprocess.run([*command, "--side=train"], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert _studies(_read(output)) == {"4", "5"}
    shutil.rmtree(both_sides / "train_images")
    points_csv = tmp_path / "points.csv"
    points_csv.write_text("study_id,series_id,instance_number,condition,level,x,y\n")
    command.append(f"--points={points_csv}")
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert f"no coordinate of {points_csv} could be used" in ended.stderr
    assert "--side train" not in ended.stderr


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("train_series_descriptions.csv", "has no train_series_descriptions.csv"),
        ("train_images", "has no folder train_images"),
    ],
)
def test_a_folder_that_is_no_data_set_is_refused(model_dir, data, tmp_path, missing, message):
    data_dir = data.write()
    (data_dir / missing).rename(tmp_path / "away")
    with pytest.raises(ValueError, match=message):
        _predict(model_dir, data_dir, tmp_path)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_no_export_is_refused(data, tmp_path):
    with pytest.raises(ValueError, match="has no SHA256SUMS: expected a directory written by"):
        _predict(tmp_path, data.write(), tmp_path)


def test_an_export_without_its_model_is_refused(model_dir, data, tmp_path):
    copy = shutil.copytree(model_dir, tmp_path / "e")
    shutil.rmtree(copy / "saved_model")
    with pytest.raises(ValueError, match=r"saved_model/1/.* is missing, SHA256SUMS lists it"):
        _predict(copy, data.write(), tmp_path)


def test_a_model_of_another_crop_than_it_says_is_refused(model_dir, data, tmp_path):
    copy = shutil.copytree(model_dir, tmp_path / "e")
    values = json.loads((copy / "preprocess.json").read_bytes())
    values["roi"]["num_slices"] = 3
    (copy / "preprocess.json").write_text(json.dumps(values))
    with pytest.raises(ValueError, match=r"preprocess\.json was changed"):
        _predict(copy, data.write(), tmp_path)
    verification.write_checksums(copy)
    with pytest.raises(ValueError, match=r"takes crops of \(16, 16, 1\).*names \(16, 16, 3\)"):
        _predict(copy, data.write(), tmp_path)


@pytest.mark.slow
def test_a_binary_model_has_two_columns(data, tmp_path):
    _, model_dir = _export(tmp_path / "e", task="binary", conditions=("spinal_canal_stenosis",))
    rows, report, _ = _predict(model_dir, data.write(), tmp_path)
    assert list(rows[0]) == ["row_id", "normal_mild", "severe"]
    assert len(rows) == len(report) == 4


@pytest.mark.slow
@pytest.mark.parametrize("condition", _SIDES)
def test_one_file_is_answered_as_its_row_in_the_folder(model_dir, data, tmp_path, condition):
    data_dir = data.write()
    rows, _, _ = _predict(model_dir, data_dir, tmp_path)
    expected = next(row for row in rows if row["row_id"] == f"4_{condition}_l4_l5")
    answer = single_file.predict_file(
        model_dir,
        data.image_path(4, 40, 2),
        tmp_path / "one.csv",
        center_xy=(20.5 + 30 * _SIDES.index(condition), 32.0),
        condition=condition,
    )
    assert list(answer.values()) == pytest.approx(_numbers(expected), abs=1e-6)
    written = _read(tmp_path / "one.csv")
    assert [row["row_id"] for row in written] == ["2"]
    assert _numbers(written[0]) == pytest.approx(list(answer.values()), abs=1e-8)


@pytest.fixture(scope="module")
def three_slices(tmp_path_factory):
    """An export that takes three slices, and whose window is the series'."""
    return _export(tmp_path_factory.mktemp("three") / "e", num_slices=3, window="series")[1]


def _answer_file(model_dir, path, tmp_path):
    answer = single_file.predict_file(
        model_dir, path, tmp_path / "one.csv", center_xy=(20.5, 32.0), condition=_SIDES[0]
    )
    return list(answer.values())


@pytest.mark.slow
def test_one_file_finds_its_neighbours(three_slices, data, tmp_path):
    data_dir = data.write()
    rows, _, _ = _predict(three_slices, data_dir, tmp_path)
    expected = next(row for row in rows if row["row_id"] == f"4_{_SIDES[0]}_l4_l5")
    answer = _answer_file(three_slices, data.image_path(4, 40, 2), tmp_path)
    assert answer == pytest.approx(_numbers(expected), abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{"SeriesInstanceUID": "1.2.9"}, {"EchoTime": "98"}])
def test_one_file_is_answered_as_if_its_acquisition_were_alone(
    three_slices, make_slice, tmp_path, changes
):
    """Another acquisition of the same places in the folder, in files that sort between its own."""
    for folder in ("alone", "both"):
        (tmp_path / folder).mkdir()
    for number in range(1, 6):
        pixels = np.random.default_rng(number).integers(500, 900, (64, 72)).astype(np.uint16)
        usual = {"SeriesInstanceUID": "1.2.3", "EchoTime": "12"}
        at = {"position": (0.0, 0.0, 4.0 * number)}
        own = make_slice(pixels, **at, **usual)
        for folder in ("alone", "both"):
            own.save_as(tmp_path / folder / f"IM{number}.dcm", enforce_file_format=True)
        other = make_slice(pixels * 4, **at, **{**usual, **changes})
        other.save_as(tmp_path / f"both/IM{number}a.dcm", enforce_file_format=True)
    alone, both = (
        _answer_file(three_slices, tmp_path / folder / "IM3.dcm", tmp_path)
        for folder in ("alone", "both")
    )
    assert both == pytest.approx(alone, abs=1e-6)


@pytest.mark.slow
def test_one_file_finds_its_neighbours_whatever_their_names(three_slices, data, tmp_path):
    data.write()
    expected = _answer_file(three_slices, data.image_path(4, 40, 2), tmp_path)
    folder = tmp_path / "export"
    folder.mkdir()
    (folder / "notes.txt").write_text("no slice")
    (folder / "thumbnails").mkdir()
    for number, name in enumerate(("1.2.840.1", "IM2.DCM", "SLICE"), start=1):
        shutil.copy(data.image_path(4, 40, number), folder / name)
    assert _answer_file(three_slices, folder / "IM2.DCM", tmp_path) == expected
    assert [row["row_id"] for row in _read(tmp_path / "one.csv")] == ["IM2"]
    alone = _answer_file(three_slices, data.image_path(5, 50, 1), tmp_path)
    shutil.copy(data.image_path(5, 50, 1), folder / "1.2.840.1")
    assert _answer_file(three_slices, folder / "1.2.840.1", tmp_path) != alone
    assert [row["row_id"] for row in _read(tmp_path / "one.csv")] == ["1.2.840.1"]


def test_files_beside_are_numbered_as_a_reader_counts(tmp_path):
    for name in ("IM10", "IM2", "IM1.dcm", "a"):
        (tmp_path / name).write_bytes(b"")
    source = single_file.FileSource.beside(tmp_path / "IM2")
    assert [path.name for path in source.paths] == ["IM1.dcm", "IM2", "IM10", "a"]
    assert source.instances(0, 0) == [0, 1, 2, 3]
    assert source.sizes(0, 0) == {0: 0, 1: 0, 2: 0, 3: 0}
    assert list(source.image_names())[2] == "test_images/0/0/2.dcm"
    assert source.narrowed([(0, 0)]) is source


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"condition": None}, "--condition is needed, the model grades left_"),
        ({"condition": "hernia"}, "--condition is 'hernia', the model grades left_"),
        ({"center_xy": (500.0, 3.0)}, r"can't be used \(off_image\)"),
        ({"dicom_path": pathlib.Path("nothing.dcm")}, r"can't be used \(missing_file\)"),
        ({"dicom_path": pathlib.Path("no/folder/1.dcm")}, r"can't be used \(missing_file\)"),
        ({"dicom_path": pathlib.Path(__file__)}, r"can't be used \(not_dicom\)"),
    ],
)
def test_one_file_that_cannot_be_answered_says_why(model_dir, data, tmp_path, changes, message):
    data.write()
    arguments = {
        "dicom_path": data.image_path(4, 40, 2),
        "center_xy": (20.5, 32.0),
        "condition": _SIDES[0],
        **changes,
    }
    output = tmp_path / "one.csv"
    with pytest.raises(ValueError, match=message):
        single_file.predict_file(model_dir, output_path=output, **arguments)
    assert not output.exists()


@pytest.mark.slow
def test_workers_import_no_tensorflow():
    code = (
        "import sys, spine_tf.predict, spine_tf.crops.cutting\n"
        "sys.exit('tensorflow' in sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.slow
def test_prediction_imports_neither_keras_nor_training_code():
    code = (
        "import sys, tensorflow\n"
        "for name in [name for name in sys.modules if name.split('.')[0] == 'keras']:\n"
        "    del sys.modules[name]  # TensorFlow imports it itself\n"
        "import spine_tf.serving.prediction, spine_tf.serving.single_file\n"
        "unwanted = ('keras', 'spine_tf.training', 'spine_tf.models', 'spine_tf.runs.run')\n"
        "sys.exit(', '.join(name for name in unwanted if name in sys.modules) or None)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--model_dir is missing"),
        (["--model_dir=e"], "--output is missing"),
        (["--model_dir=e", "--output=o"], "--data_dir or --dicom is needed, one of them"),
        (["--model_dir=e", "--output=o", "--data_dir=d", "--dicom=f"], "one of them"),
        (["--model_dir=e", "--output=o", "--data_dir=d", "--center_xy=1,2"], "belongs to --dicom"),
        (["--model_dir=e", "--output=o", "--dicom=f", "--side=test"], "belongs to --data_dir"),
        (["--model_dir=e", "--output=o", "--dicom=f", "--points=p"], "belongs to --data_dir"),
        (["--model_dir=e", "--output=o", "--dicom=f", "--center_xy=1"], "--center_xy is '1'"),
        (["--model_dir=e", "--output=o", "--dicom=f", "--center_xy=a,b"], "--center_xy is 'a,b'"),
        (["--model_dir=e", "--output=o", "--dicom=f"], "expected column,row in pixels"),
    ],
)
def test_flags_that_make_no_sense_end_with_one_sentence(arguments, message):
    result = subprocess.run(
        [sys.executable, "-m", "spine_tf.predict", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert message in result.stderr
    assert "Traceback" not in result.stderr
