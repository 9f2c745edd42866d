"""Own grades in all usual forms, joined with studies by any of their names."""

import csv
import pathlib
import tracemalloc

import openpyxl
import pytest

from spine_tf.studies import label_file, organizing
from tfrecords import regular_file

_WORDS = {"none": 0, "mild": 1, "marked": 2}
_GRADES = label_file.parse_grades(["none=Normal/Mild", "mild=Moderate", "Marked = severe"])
_LONG = [
    ["Accession Number", "Condition", "Level", "Grade", "x", "y", "SOPInstanceUID"],
    ["A1.2.1", "Left Subarticular Stenosis", "L4/L5", "marked", "10.5", "12", "1.2.1.1.3"],
    ["A1.2.1", "spinal_canal_stenosis", "L5-S1", "None", "", "", ""],
    ["A1.2.2", "Spinal Canal Stenosis", "L1/L2", "Moderate", "", "", ""],
]
_WIDE = [
    ["StudyInstanceUID", "spinal_canal_stenosis_l1_l2", "Left Subarticular Stenosis L4/L5", "age"],
    ["1.2.1", "mild", "", "61"],
    ["1.2.2", "", "severe", "44"],
]


def _write(path, table, separator=","):
    if path.suffix == ".xlsx":
        book = openpyxl.Workbook()
        for row in table:
            is_number = [v.replace(".", "", 1).isdigit() for v in row]
            book.active.append([float(v) if n else v for v, n in zip(row, is_number, strict=True)])
        book.save(path)
        return path
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file, delimiter=separator).writerows(table)
    return path


def _read(path, grades=_GRADES):
    return label_file.read_label_file(path, grades)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_long_tables_are_read_whatever_divides_them(tmp_path, separator):
    table = [[cell.replace(".5", ",5") if cell == "10.5" else cell for cell in r] for r in _LONG]
    rows = _read(_write(tmp_path / "l.csv", table, separator)).rows
    assert [row.study for row in rows] == [("AccessionNumber", f"A1.2.{n}") for n in (1, 1, 2)]
    assert [dict(row.grades) for row in rows] == [{(3, 3): 2}, {(0, 4): 0}, {(0, 0): 1}]
    point = rows[0].point
    assert (point.x, point.y, point.image) == (10.5, 12.0, {"sopinstanceuid": "1.2.1.1.3"})
    assert rows[1].point is None


def test_line_of_excel_that_names_the_separator_is_no_header(tmp_path):
    path = _write(tmp_path / "l.csv", _LONG, ";")
    path.write_text("sep=;\n" + path.read_text("utf-8-sig"), "utf-16")
    assert [row.line for row in _read(path).rows] == [3, 4, 5]


def test_spreadsheet_is_read_as_its_csv(tmp_path):
    wide, long = (_read(_write(tmp_path / f"{n}.xlsx", t)) for n, t in enumerate((_WIDE, _LONG)))
    assert wide.rows == _read(_write(tmp_path / "w.csv", _WIDE)).rows
    assert long.rows == _read(_write(tmp_path / "l.csv", _LONG)).rows
    remarks = [[*_WIDE[0], "remark"], *([*row, "of two\nlines"] for row in _WIDE[1:])]
    assert _read(_write(tmp_path / "r.xlsx", remarks)).rows == wide.rows


def test_columns_that_say_something_else_are_told(tmp_path, caplog):
    caplog.set_level("INFO", "absl")
    comment = f"{_WIDE[0][1]}_comment"
    table = [[*_WIDE[0], comment], *([*row, ""] for row in _WIDE[1:])]
    assert len(_read(_write(tmp_path / "o.csv", table)).rows) == 2
    assert f"o.csv: not read are age, {comment}" in caplog.text


def test_wide_tables_have_a_column_a_target(tmp_path):
    rows = _read(_write(tmp_path / "w.csv", _WIDE)).rows
    assert [dict(row.grades) for row in rows] == [{(0, 0): 1}, {(3, 3): 2}]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ([["patient", "grade"], ["1", "2"]], "no column that names studies, expected one of Study"),
        ([["study_id", "age"], ["1", "2"]], "no grades, expected the columns condition, level and"),
        ([_LONG[0], ["1", "knee", "L4/L5", "none", "", "", ""]], "line 2: 'knee' at 'L4/L5' is no"),
        ([_WIDE[0], ["1", "awful", "none", ""]], "line 2: 'awful' is no severity; map the words"),
        ([[*_LONG[0], "GRADE"]], "has 2 columns of one meaning, Grade, GRADE; expected one"),
        ([[*_LONG[0], *_WIDE[0][1:]]], "has a grade a row and columns of targets too"),
        ([], "is empty; expected a header and rows"),
        ([[*_WIDE[0], "spinal canal stensis L4/L5"]], "did you mean spinal_canal_stenosis_l4_l5?"),
        ([[*_WIDE[0], "Left Subarticular L45"]], "did you mean left_subarticular_stenosis_l4_l5?"),
    ],
)
@pytest.mark.parametrize("suffix", [".csv", ".xlsx"])
def test_table_that_says_nothing_is_refused(tmp_path, table, message, suffix):
    with pytest.raises(ValueError, match=message):
        _read(_write(tmp_path / f"l{suffix}", table))


def test_row_that_is_cut_off_is_refused(tmp_path):
    # In CSV alone: every row of a spreadsheet has all columns.
    with pytest.raises(ValueError, match="line 2: 2 fields, expected 4"):
        _read(_write(tmp_path / "l.csv", [_WIDE[0], ["1", "none"]]))


def test_files_that_are_no_tables_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"does not exist; expected a CSV or .xlsx file"):
        _read(tmp_path / "none.csv")
    (tmp_path / "bad.xlsx").write_bytes(b"PK\3\4 no book")
    with pytest.raises(ValueError, match=r"is no \.xlsx file that can be read"):
        _read(tmp_path / "bad.xlsx")


@pytest.mark.parametrize("pair", ["none", "none=Mild", "=severe=", "none=Severe=none"])
def test_grades_that_map_nothing_are_refused(pair):
    with pytest.raises(ValueError, match="expected word=severity"):
        label_file.parse_grades([pair])


def test_word_with_two_severities_is_refused():
    with pytest.raises(ValueError, match="'A' two severities"):
        label_file.parse_grades(["a=Severe", "A=Moderate"])


def _organized(tmp_path, organize, table):
    given = _read(_write(tmp_path / "labels.csv", table))
    found = organize(tmp_path / "pile", tmp_path / "S", labels=given, num_workers=1)
    with (organizing.private_dir(tmp_path / "S") / "labels.csv").open(newline="") as file:
        return found, list(csv.DictReader(file))


def _table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_studies_are_found_by_any_of_their_names(tmp_path, organize, add_series):
    add_series(tmp_path / "pile/visits/first", PatientID="P")
    add_series(tmp_path / "pile/visits/second", "1.2.2", "1.2.2.1", PatientID="P")
    organize(tmp_path / "pile", tmp_path / "S", num_workers=1)
    (ids,) = {row["study_id"] for row in _table(tmp_path / "S/series.csv")[:1]}
    for column, name in (
        ("StudyInstanceUID", "1.2.1"),
        ("AccessionNumber", "A1.2.1"),
        ("Folder", "first"),
        ("Folder", ".\\visits\\first\\"),
        ("study_id", ids),
    ):
        table = [[column, "spinal_canal_stenosis_l1_l2"], [name, "none"]]
        found, rows = _organized(tmp_path, organize, table)
        assert [row["status"] for row in rows] == ["matched"], column
        (graded,) = _table(tmp_path / "S/train.csv")
        assert graded["spinal_canal_stenosis_l1_l2"] == "Normal/Mild"
        assert (found.num_labelled, found.num_points) == (1, 0)
        train, test = (
            _table(tmp_path / f"S/{side}_series_descriptions.csv") for side in ("train", "test")
        )
        assert len(train) == len(test) == 1


@pytest.mark.slow
def test_rows_that_are_nobodys_or_contradict_each_other_are_listed(tmp_path, organize, add_series):
    add_series(tmp_path / "pile/visits")
    add_series(tmp_path / "pile/visits", "1.2.2", "1.2.2.1", PatientID="P1.2.1")
    add_series(tmp_path / "pile/knee", "1.2.3", "1.2.3.1", BodyPartExamined="KNEE")
    head = ["StudyInstanceUID", "folder", "condition", "level", "grade", "x", "y", "SOPInstanceUID"]
    canal = ["spinal canal stenosis", "L4/L5"]
    table = [
        head,
        ["1.2.1", "", *canal, "none", "3", "4", "1.2.1.1.2"],
        ["1.2.1", "", *canal, "none", "", "", ""],
        ["1.2.2", "", *canal, "none", "", "", ""],
        ["1.2.2", "", *canal, "marked", "", "", ""],
        ["1.2.2", "", "spinal canal stenosis", "L1/L2", "mild", "3", "4", "9.9"],
        ["1.2.2", "", "spinal canal stenosis", "L2/L3", "mild", "3", "", "1.2.2.1.2"],
        ["1.2.2", "", "spinal canal stenosis", "L3/L4", "mild", "c", "4", "1.2.2.1.2"],
        ["", "visits", *canal, "none", "", "", ""],
        ["1.2.3", "", *canal, "none", "", "", ""],
        ["1.2.4", "", *canal, "none", "", "", ""],
    ]
    found, rows = _organized(tmp_path, organize, table)
    assert [row["status"] for row in rows] == [
        *("matched", "matched", "matched", "conflicting"),
        *("bad_point", "bad_point", "bad_point", "ambiguous", "no_images", "unmatched"),
    ]
    assert (found.labels["matched"], found.num_points, found.num_patients) == (3, 1, 1)
    graded = {row["study_id"]: row for row in _table(tmp_path / "S/train.csv")}
    assert sorted(row["spinal_canal_stenosis_l4_l5"] for row in graded.values()) == [
        "",
        "Normal/Mild",
    ]
    assert len({row["patient_id"] for row in graded.values()}) == 1
    (point,) = _table(tmp_path / "S/train_label_coordinates.csv")
    assert (point["instance_number"], point["x"], point["level"]) == ("5", "3.0", "L4/L5")
    organize(tmp_path / "pile", tmp_path / "S")
    assert not (tmp_path / "S.private/labels.csv").exists()
    assert not (tmp_path / "S/train_images").exists()


def test_points_of_studies_without_grades_are_of_the_test_side(tmp_path, organize, add_series):
    add_series(tmp_path / "pile")
    head = ["StudyInstanceUID", "condition", "level", "grade", "x", "y", "SOPInstanceUID"]
    row = ["1.2.1", "spinal canal stenosis", "L4L5", "", "3", "4", "1.2.1.1.1"]
    _, rows = _organized(tmp_path, organize, [head, row])
    assert rows[0]["status"] == "matched"
    (point,) = _table(tmp_path / "S/test_label_coordinates.csv")
    assert (point["instance_number"], point["y"]) == ("6", "4.0")
    assert not (tmp_path / "S/train.csv").exists()


@pytest.mark.slow
def test_points_name_images_by_series_and_number_too(tmp_path, organize, add_series):
    paths = add_series(tmp_path / "pile")
    organize(tmp_path / "pile", tmp_path / "S", num_workers=1)
    (series,) = _table(tmp_path / "S/series.csv")
    assert pathlib.Path(paths[0]).is_file()
    # The normal runs to the patient's right, so the numbers of the data set run the other way.
    for column, name, number in (
        ("SeriesInstanceUID", "1.2.1.1", "2"),
        ("series_id", series["series_id"], "5"),
    ):
        head = ["StudyInstanceUID", "condition", "level", "grade", "x", "y"]
        row = ["1.2.1", "spinal canal stenosis", "L4/L5", "none", "3", "4"]
        table = [[*head, column, "instance_number"], [*row, name, "5"]]
        _, rows = _organized(tmp_path, organize, table)
        assert rows[0]["status"] == "matched"
        (point,) = _table(tmp_path / "S/train_label_coordinates.csv")
        assert point["instance_number"] == number


@pytest.mark.slow
def test_a_book_that_would_fill_the_memory_is_refused_or_read_without(tmp_path, monkeypatch):
    path = _write(tmp_path / "corner.xlsx", _WIDE)
    whole = _read(path)
    book = openpyxl.load_workbook(path)
    book.worksheets[0].cell(100_000, 2000, "far away")
    book.save(path)
    tracemalloc.start()
    assert _read(path).rows == whole.rows
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()
    monkeypatch.setattr(regular_file, "MAX_BYTES", 10_000)
    with pytest.raises(ValueError, match=r"corner.xlsx is no .xlsx file .*inflates to \d+ bytes"):
        _read(path)
