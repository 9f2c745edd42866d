"""Rows of the CSVs: used, or rejected with a reason; none silent."""

import codecs

import pytest

from spine_tf.rsna import annotations, sources

_NORMAL = "Normal/Mild"


@pytest.fixture
def data(data_set):
    """Two studies with one series each; one good row of study 1."""
    for study in (1, 2):
        data_set.series[study, study * 10] = "Axial T2"
        data_set.grades[study] = {"left_subarticular_stenosis_l4_l5": "Severe"}
    data_set.add_row(1, 10, 5, severity=_NORMAL)
    return data_set


def _read(data, **options):
    source = sources.open_source(data.write())
    return annotations.read_annotations(source, **options)


def test_row_of_the_other_side_says_so(data):
    data.rows.append([7, 70, 6, "Left Subarticular Stenosis", "L4/L5", 1, 1])
    place = data.write()
    csv = place / "test_series_descriptions.csv"
    csv.write_text("study_id,series_id,series_description\n7,70,Axial T2\n")
    found = annotations.read_annotations(sources.open_source(place), has_labels=False)
    (reject,) = found.rejects
    assert reject.detail.endswith("has no such series: it is one of test_series_descriptions.csv")
    csv.write_text("")
    found = annotations.read_annotations(sources.open_source(place), has_labels=False)
    assert found.rejects[0].detail.endswith("has no such series")


def test_row_is_joined_with_its_label(data):
    found = _read(data)
    (row,) = found.rows
    assert row.key == "1/10/5/left_subarticular_stenosis/l4_l5"
    assert (row.label, row.x, row.y, row.image) == (0, 36.0, 32.0, (1, 10, 5))
    assert found.groups == {1: "1", 2: "2"}
    assert found.series == {(1, 10): "Axial T2", (2, 20): "Axial T2"}
    assert found.counts == {"labels_without_coordinates": 1}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ([1, 10, 5, "Back Pain", "L4/L5", 1, 1], "unknown_condition"),
        ([1, 10, 5, "Left Subarticular Stenosis", "L6/L7", 1, 1], "unknown_level"),
        (["../x", 10, 5, "Left Subarticular Stenosis", "L4/L5", 1, 1], "bad_id"),
        (["1.0", 10, 5, "Left Subarticular Stenosis", "L4/L5", 1, 1], "bad_id"),
        ([1, "-10", 5, "Left Subarticular Stenosis", "L4/L5", 1, 1], "bad_id"),
        ([1, 10, "9" * 30, "Left Subarticular Stenosis", "L4/L5", 1, 1], "bad_id"),
        ([1, 10, 2**63, "Left Subarticular Stenosis", "L4/L5", 1, 1], "bad_id"),
        ([1, 10, "", "Left Subarticular Stenosis", "L4/L5", 1, 1], "bad_id"),
        ([1, 10, "٣", "Left Subarticular Stenosis", "L4/L5", 1, 1], "bad_id"),
        ([1, 10, 6, "Left Subarticular Stenosis", "L4/L5", "nan", 1], "bad_coordinate"),
        ([1, 10, 6, "Left Subarticular Stenosis", "L4/L5", 1, "-inf"], "bad_coordinate"),
        ([1, 10, 6, "Left Subarticular Stenosis", "L4/L5", "", 1], "bad_coordinate"),
        ([1, 10, 6, "Left Subarticular Stenosis", "L4/L5", "1_0", 1], "bad_coordinate"),
        ([1, 10, 6, "Left Subarticular Stenosis", "L4/L5", "1e999", 1], "bad_coordinate"),
        ([1, 99, 6, "Left Subarticular Stenosis", "L4/L5", 1, 1], "unknown_series"),
        ([1, 20, 6, "Left Subarticular Stenosis", "L4/L5", 1, 1], "wrong_study"),
        ([1, 10, 5, "Left Subarticular Stenosis", "L4/L5", 9, 9], "duplicate"),
        ([1, 10, 5, "Right Subarticular Stenosis", "L4/L5", 1, 1], "no_label"),
        ([1, 10, 5, "Left Subarticular Stenosis", "L4/L5", 1], "bad_row"),
        ([1, 10, 5, "Left Subarticular Stenosis", "L4/L5", 1, 1, 1], "bad_row"),
        ([1, 10, 5, "Left\nSubarticular Stenosis", "L4/L5", 1, 1], "bad_row"),
    ],
)
def test_bad_row_is_rejected_with_its_reason(data, row, reason):
    data.rows.append(row)
    found = _read(data)
    assert [reject.reason for reject in found.rejects] == [reason]
    assert len(found.rows) == 1


def test_study_that_train_csv_lacks_is_rejected(data):
    data.series[3, 30] = "Axial T2"
    data.add_row(3, 30, 1, severity=None)
    assert [r.reason for r in _read(data).rejects] == ["unknown_study"]


def test_label_that_is_no_severity_is_rejected(data):
    data.add_row(2, 20, 1, severity="severe")
    (reject,) = _read(data).rejects
    assert (reject.reason, reject.file) == ("bad_label", "train_images/2/20/1.dcm")


def test_excluded_row_is_listed(data):
    found = _read(data, excluded_keys=frozenset({"1/10/5/left_subarticular_stenosis/l4_l5"}))
    assert [r.reason for r in found.rejects] == ["excluded"]


def test_other_conditions_and_levels_are_left_aside(data):
    data.add_row(1, 10, 6, "spinal_canal_stenosis", "l1_l2")
    found = _read(data, conditions=("left_subarticular_stenosis",), levels=("l4_l5",))
    assert len(found.rows) == 1
    assert found.rejects == []


def test_labels_are_not_needed_for_prediction(make_data_set, tmp_path):
    data = make_data_set(tmp_path / "d", side="test")
    data.series[1, 10] = "Axial T2"
    data.add_row(1, 10, 5)
    directory = data.write()
    (directory / "test_images" / "1" / "10").mkdir(parents=True)
    (directory / "test_images" / "1" / "10" / "5.dcm").write_bytes(b"an image")
    source = sources.open_for_prediction(directory)
    found = annotations.read_annotations(source, has_labels=False)
    assert source.side == "test"
    assert [row.label for row in found.rows] == [None]


def test_prediction_falls_back_on_the_train_side(data):
    assert sources.open_for_prediction(data.write()).side == "train"


def test_patient_id_groups_studies(data):
    directory = data.write()
    path = directory / "train.csv"
    lines = path.read_text().splitlines()
    text = [lines[0] + ",patient_id", lines[1] + ",p", lines[2] + ",p"]
    path.write_text("\n".join(text))
    found = annotations.read_annotations(sources.open_source(directory))
    assert found.groups == {1: "p", 2: "p"}


def test_odd_rows_of_train_csv_are_counted(data):
    directory = data.write()
    path = directory / "train.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, lines[1], "x" + lines[1], "7,8"]) + "\n")
    found = annotations.read_annotations(sources.open_source(directory))
    assert found.counts["repeated_studies"] == 1
    assert found.counts["unreadable_rows"] == 2


def _as_crlf(text):
    return text.replace("\n", "\r\n").encode()


@pytest.mark.parametrize(
    "save",
    [
        pytest.param(_as_crlf, id="crlf"),
        pytest.param(lambda text: codecs.BOM_UTF8 + text.encode(), id="bom"),
        pytest.param(lambda text: text.encode("utf-16"), id="utf16"),
        pytest.param(lambda text: text.replace("\n", "\r").encode(), id="old mac"),
        pytest.param(lambda text: text.replace("\n", "\n\n").encode(), id="blank lines"),
        pytest.param(lambda text: text.replace(",", " , ").encode(), id="blanks"),
        pytest.param(
            lambda text: "\n".join(
                line + (",note" if not n else ",caf\xe9")
                for n, line in enumerate(text.split("\n")[:-1])
            ).encode("latin-1"),
            id="extra column in latin-1",
        ),
    ],
)
def test_however_it_was_saved_it_is_the_same(data, save):
    expected = _read(data).rows
    directory = data.write()
    for path in directory.glob("*.csv"):
        path.write_bytes(save(path.read_text()))
    assert annotations.read_annotations(sources.open_source(directory)).rows == expected


def test_instance_numbers_may_be_large(data):
    data.add_row(1, 10, 5049)
    assert [row.instance_number for row in _read(data).rows] == [5, 5049]


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"conditions": ("pain",)}, "--conditions has 'pain', expected all or some of"),
        ({"levels": ("l9",)}, "--levels has 'l9'"),
        ({"levels": ()}, "expected each name once"),
        ({"levels": ("l4_l5", "l4_l5")}, "expected each name once"),
    ],
)
def test_unknown_names_are_refused(data, options, match):
    with pytest.raises(ValueError, match=match):
        _read(data, **options)


@pytest.mark.parametrize(
    "name", ["train.csv", "train_label_coordinates.csv", "train_series_descriptions.csv"]
)
def test_missing_csv_is_named(data, name):
    directory = data.write()
    (directory / name).unlink()
    with pytest.raises(ValueError, match=f"--data_dir /.*data has no {name}"):
        annotations.read_annotations(sources.open_source(directory))


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("train.csv", "study_id"),
        ("train.csv", "left_subarticular_stenosis_l4_l5"),
        ("train_label_coordinates.csv", "instance_number"),
        ("train_series_descriptions.csv", "series_id"),
    ],
)
def test_missing_column_is_named(data, name, column):
    path = data.write() / name
    path.write_text(path.read_text().replace(column, "other", 1))
    with pytest.raises(ValueError, match=f"{name} has no column '{column}'"):
        annotations.read_annotations(sources.open_source(path.parent))


@pytest.mark.parametrize(
    ("data_bytes", "match"),
    [
        (b"", "train.csv is empty"),
        (b'study_id\n"never closed\n1\n', "train.csv, line .*expected a CSV"),
        (b"study_id,study_id\n", "has 2 columns 'study_id'"),
    ],
)
def test_file_that_is_no_csv_is_refused(data, data_bytes, match):
    path = data.write() / "train.csv"
    path.write_bytes(data_bytes)
    with pytest.raises(ValueError, match=match):
        annotations.read_annotations(
            sources.open_source(path.parent), conditions=("spinal_canal_stenosis",)
        )


def test_missing_folders_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"--data_dir .*/no does not exist; expected a folder"):
        sources.open_source(tmp_path / "no")
    with pytest.raises(ValueError, match="has no folder train_images"):
        sources.open_source(tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(ValueError, match="is neither a folder nor a zip file"):
        sources.open_source(tmp_path / "file")
    with pytest.raises(ValueError, match="side is 'left'"):
        sources.open_source(tmp_path, "left")
