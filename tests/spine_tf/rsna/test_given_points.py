"""The seam: a file of points takes the place of the coordinates, and is the same points."""

import dataclasses
import json

import numpy as np
import pytest

from spine_tf import labels
from spine_tf.dicom import geometry, reasons
from spine_tf.rsna import annotations, given_points, layout, markups, sources, tables
from tfrecords import csv_text

_SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)


@pytest.fixture
def source(data_set):
    for instance in (1, 2, 3, 4):
        data_set.add_image(
            7, 70, instance, position=(4.0 * instance, -30.0, 20.0), orientation=_SAGITTAL
        )
    data_set.add_row(7, 70, 2, "spinal_canal_stenosis", "l3_l4", x="20.25", y="31.123456789")
    data_set.add_row(7, 70, 3, "left_subarticular_stenosis", "l4_l5", x=33.3, y=12)
    return sources.open_source(data_set.write())


def _rows(source, points=None):
    return annotations.read_annotations(source, has_labels=False, points=points).rows


def _written(tmp_path, source, rows):
    columns, lines = given_points.to_table(rows)
    path = tmp_path / "points.csv"
    path.write_text(csv_text.to_text(columns, lines))
    return given_points.read(path, source)


def test_written_points_are_read_as_they_were(source, tmp_path):
    rows = _rows(source)
    assert _rows(source, _written(tmp_path, source, rows)) == rows


def test_doubts_are_read_from_points_alone(source, tmp_path):
    path = tmp_path / "points.csv"
    head = ",".join([*given_points.PLACE_COLUMNS, "confidence", "numbering_minus1"])
    path.write_text(
        f"{head},numbering_0,numbering_plus1,flag\n"
        "7,70,2,Spinal Canal Stenosis,L3/L4,20,31,0.5,0.2,0.7,0.1,numbering routes\n"
        "7,70,2,Spinal Canal Stenosis,L4/L5,20,31,1.5,0.2,0.7,0.1,\n"
        "7,70,2,Spinal Canal Stenosis,L5/S1,20,31,0.5,0.2,0.7,0.4,\n"
    )
    found = annotations.read_annotations(
        source, has_labels=False, points=given_points.read(path, source)
    )
    (row,) = found.rows
    assert (row.confidence, row.numbering) == (0.5, (0.2, 0.7, 0.1))
    assert row.flag == "numbering routes"
    assert [one.reason for one in found.rejects] == [reasons.Reason.BAD_CONFIDENCE] * 2
    assert "confidence is '1.5'" in found.rejects[0].detail
    assert "sum to 1.3" in found.rejects[1].detail


def test_numbering_in_part_is_refused(source, tmp_path):
    path = tmp_path / "points.csv"
    head = ",".join([*given_points.PLACE_COLUMNS, "numbering_0"])
    path.write_text(f"{head}\n7,70,2,Spinal Canal Stenosis,L3/L4,20,31,1\n")
    with pytest.raises(ValueError, match="numbering_0 alone; expected numbering_minus1"):
        _rows(source, given_points.read(path, source))


def test_copy_of_the_coordinates_has_their_fingerprint(source, tmp_path):
    path = tmp_path / "copy.csv"
    path.write_bytes(source.read(layout.coordinates_csv("train")))
    table = given_points.read(path, source)
    other = tmp_path / "other.csv"
    other.write_bytes(path.read_bytes() + b"\n")
    same = given_points.fingerprint(path, table)
    assert same != given_points.fingerprint(other, table)


# ---- 3D Slicer.


def _markups(source):
    """The content of a file of all points."""
    points = []
    for row in _rows(source):
        header = sources.read_header(source, layout.image_name("train", *row.image))
        points.append((row, geometry.to_patient(header, (row.x, row.y))))
    return markups.to_json(points)


def _read(source, tmp_path, content):
    path = tmp_path / "7.mrk.json"
    path.write_text(json.dumps(content))
    return _rows(source, given_points.read(path, source))


def test_untouched_markups_are_the_same_points(source, tmp_path):
    assert _read(source, tmp_path, _markups(source)) == _rows(source)
    assert _rows(source, given_points.read(tmp_path, source)) == _rows(source)


def test_markups_keep_what_the_table_beside_them_says(source, tmp_path):
    doubtful = {"confidence": 1 / 3, "numbering": (0.1, 0.7, 0.2), "flag": "numbering routes"}
    rows = [dataclasses.replace(row, **doubtful) for row in _rows(source)]
    nowhere = dataclasses.replace(rows[0], series_id=71, level=0)  # has no header, so no markup
    _written(tmp_path, source, [*rows, nowhere])
    content = _markups(source)
    content["markups"][0]["controlPoints"][0]["label"] = "Spinal Canal Stenosis L4/L5"
    path = tmp_path / "7" / "7.mrk.json"
    path.parent.mkdir()
    path.write_text(json.dumps(content))
    renamed, kept = _rows(source, given_points.read(path, source))
    assert (renamed.confidence, renamed.numbering, renamed.flag) == (1.0, (0.0, 1.0, 0.0), "")
    assert kept == rows[1]
    texts = given_points.read(tmp_path, source).rows
    assert [row[1] for row in texts] == ["70", "70", "71"]
    path.unlink()
    assert _rows(source, given_points.read(tmp_path, source)) == rows


def test_dragged_point_goes_to_the_nearest_slice(source, tmp_path):
    content = _markups(source)
    control = content["markups"][0]["controlPoints"][0]
    left, back, head = control["position"]
    control["position"] = [left + 4.9, back + 2.0, head - 1.0]
    row = _read(source, tmp_path, content)[0]
    assert row.instance_number == 3
    np.testing.assert_allclose([row.x, row.y], [20.25 + 4.0, 31.123456789 + 2.0], atol=1e-6)
    assert row.numbering == (0.0, 1.0, 0.0)


def test_renamed_point_has_the_level_of_its_label(source, tmp_path):
    content = _markups(source)
    content["markups"][0]["controlPoints"][0]["label"] = "Spinal Canal Stenosis L4/L5"
    row = _read(source, tmp_path, content)[0]
    assert labels.LEVELS[row.level] == "l4_l5"


def test_positions_in_ras_are_turned(source, tmp_path):
    content = _markups(source)
    content["markups"][0]["coordinateSystem"] = "RAS"
    for control in content["markups"][0]["controlPoints"]:
        left, back, head = control["position"]
        control["position"] = [-left, -back, head]
    assert _read(source, tmp_path, content) == _rows(source)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        pytest.param({"markups": []}, "has no markups", id="none"),
        pytest.param({"markups": [3]}, "no list of objects", id="no object"),
        pytest.param({"controlPoints": 3}, "no list of objects", id="no points"),
        pytest.param({"controlPoints": ["a"]}, "no list of objects", id="no point"),
        pytest.param({"coordinateSystem": "IJK"}, "coordinates in 'IJK'", id="system"),
        pytest.param({"description": "mine"}, "says not which", id="added by hand"),
        pytest.param({"position": [1, 2]}, "says not which", id="no place"),
        pytest.param({"position": [1, 2, None]}, "says not which", id="no number"),
    ],
)
def test_file_that_localize_did_not_write_is_refused(source, tmp_path, change, match):
    content = _markups(source)
    for where in (
        content,
        content["markups"][0],
        content["markups"][0]["controlPoints"][0],
    ):
        where.update({key: value for key, value in change.items() if key in where})
    with pytest.raises(ValueError, match=match):
        _read(source, tmp_path, content)


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("p.csv", "study_id,series_id\n1,2\n", "no column 'instance_number'"),
        ("p.mrk.json", "{", "is not JSON"),
        ("p.mrk.json", "[]", r"p\.mrk\.json holds \[\], not an object"),
    ],
)
def test_file_that_is_none_of_points_is_refused(source, tmp_path, name, content, match):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(ValueError, match=match):
        _rows(source, given_points.read(path, source))


def test_missing_file_and_empty_folder_are_refused(source, tmp_path):
    with pytest.raises(ValueError, match="does not exist; expected a CSV"):
        given_points.read(tmp_path / "nothing.csv", source)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="is a folder without"):
        given_points.read(tmp_path / "empty", source)
    assert isinstance(given_points.read(tmp_path / "data" / "train.csv", source), tables.Table)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("position", [10**400, 0, 0]),
        ("position", [1e400, 0, 0]),
        ("position", [True, 0, 0]),
        ("position", ["1", 0, 0]),
        ("description", f"{'1' * 5000}/2/3 x=1.0 y=2.0"),
        ("description", f"{'1' * 300}/2/3 x=1.0 y=2.0"),
        ("description", "1/02/3 x=1.0 y=2.0"),
        ("label", {"a": "b c"}),
    ],
)
def test_control_point_of_another_kind_names_its_file(source, tmp_path, field, value):
    content = _markups(source)
    content["markups"][0]["controlPoints"][0][field] = value
    (tmp_path / "7.mrk.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"7.mrk.json: control point .* says not which"):
        given_points.read(tmp_path, source)
