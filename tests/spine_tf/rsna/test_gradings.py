"""Ids and rows of train.csv and the series CSV: what can't be read or contradicts is said."""

import csv

import pytest

from spine_tf.rsna import annotations, sources, tables

_SIDE = "left_subarticular_stenosis"


@pytest.fixture
def data(data_set):
    """Two studies with one series and one row each."""
    for study, severity in ((12, "Severe"), (13, "Moderate")):
        data_set.series[study, study * 10] = "Axial T2"
        data_set.add_row(study, study * 10, 5, severity=severity)
    return data_set


def _change(directory, name, change):
    """Rewrites a CSV: `change` gets its lines as lists of fields, the header first."""
    path = directory / name
    lines = list(csv.reader(path.read_text().splitlines()))
    change(lines)
    with path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(lines)
    return directory


def _read(directory, **options):
    return annotations.read_annotations(sources.open_source(directory), **options)


def _set(row, column, text):
    return lambda lines: lines[row].__setitem__(column, text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12", 12),
        ("0", 0),
        ("9223372036854775807", 2**63 - 1),
        ("012", None),  # a hospital's, beside 12
        ("00", None),
        ("12.0", None),  # a column with a gap, saved by pandas
        ("1.2e3", None),  # a spreadsheet's
        ("1.2.840.113619.2.5", None),  # a DICOM UID
        ("", None),
        ("1 2", None),
        ("\uff11\uff12", None),  # full-width digits, which int() takes
        ("12\u200b", None),  # with a zero-width space behind it
        ("+12", None),
        ("1_2", None),  # which int() takes
    ],
)
def test_id_has_one_spelling(text, expected):
    assert tables.parse_id(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("012", "study_id is '012', expected an integer without leading zeros"),
        ("12.0", "study_id is '12.0', expected an integer in plain digits"),
        ("1.2e1", "study_id is '1.2e1', expected an integer in plain digits"),
        ("\uff11\uff12", "study_id is '\uff11\uff12', expected an integer from 0"),
    ],
)
def test_row_whose_study_train_csv_spells_otherwise_is_rejected_for_that(data, text, expected):
    directory = _change(data.write(), "train.csv", _set(1, 0, text))
    found = _read(directory)
    (reject,) = found.rejects
    assert reject.reason == "bad_id"
    assert reject.detail.startswith(f"train.csv, line 2: {expected}")
    assert [row.study_id for row in found.rows] == [13]
    assert [fault.place for fault in found.faults] == ["train.csv, line 2"]


@pytest.mark.parametrize("text", ["", "1.2.840.113619.2.5", "n/a"])
def test_study_that_train_csv_lacks_is_not_said_to_be_missing_beside_unreadable_ids(data, text):
    directory = _change(data.write(), "train.csv", _set(1, 0, text))
    (reject,) = _read(directory).rejects
    assert reject.reason == "unknown_study"
    assert "no such study that can be read; 1 of its rows can't be, the first" in reject.detail
    assert f"train.csv, line 2: study_id is {text!r}" in reject.detail


def test_study_of_a_broken_line_is_rejected_for_that(data):
    directory = _change(data.write(), "train.csv", lambda lines: lines[2].pop())
    (reject,) = _read(directory).rejects
    assert reject.reason == "bad_row"
    assert reject.detail == "train.csv, line 3: 25 fields, expected 26 on one line"


@pytest.mark.parametrize(
    ("column", "text", "reason"),
    [(0, "012", "bad_id"), (1, "120.0", "bad_id"), (1, "", "unknown_series")],
)
def test_row_whose_series_cannot_be_read_is_rejected_for_that(data, column, text, reason):
    directory = _change(data.write(), "train_series_descriptions.csv", _set(1, column, text))
    (reject,) = _read(directory).rejects
    assert reject.reason == reason
    name = ("study_id", "series_id")[column]
    assert f"train_series_descriptions.csv, line 2: {name} is {text!r}" in reject.detail


def test_reject_of_an_unreadable_id_names_its_line_and_no_other_studys_file(data):
    name = "train_label_coordinates.csv"
    directory = _change(data.write(), name, _set(1, 0, "012"))
    (reject,) = _read(directory).rejects
    assert (reject.key.split("/")[0], reject.file) == ("012", "")
    assert reject.detail.startswith(f"{name}, line 2: study_id is '012'")


def test_lines_are_counted_as_an_editor_does(data):
    directory = data.write()
    path = directory / "train_label_coordinates.csv"
    header, *rows = path.read_text().splitlines()
    broken = '12,120,5,"Left\nSubarticular Stenosis",L4/L5,1,1'
    path.write_text("\n".join([header, "", broken, rows[0].replace("12,", "12.0,", 1)]))
    first, second = _read(directory).rejects
    assert first.detail.startswith("train_label_coordinates.csv, line 3: 7 fields")
    assert second.detail.startswith("train_label_coordinates.csv, line 5: study_id is '12.0'")


def _repeat(changed=None, row=1):
    """Adds a line for the same study, with other fields where `changed` says so."""

    def change(lines):
        again = list(lines[row])
        for column, text in (changed or {}).items():
            again[lines[0].index(column)] = text
        lines.append(again)

    return change


def test_equal_rows_of_a_study_are_one(data):
    found = _read(_change(data.write(), "train.csv", _repeat()))
    assert len(found.rows) == 2
    assert found.counts["repeated_studies"] == 1
    assert found.faults == ()


@pytest.mark.parametrize("text", ["Normal/Mild", "", "normal"])
def test_target_that_is_graded_twice_and_differently_is_rejected(data, text):
    change = _repeat({f"{_SIDE}_l4_l5": text})
    found = _read(_change(data.write(), "train.csv", change))
    (reject,) = found.rejects
    assert (reject.reason, reject.key.split("/")[0]) == ("conflicting_labels", "12")
    assert reject.detail == (
        f"train.csv, line 4: {_SIDE}_l4_l5 of study 12 is {text!r}, but 'Severe' on line 2; "
        "expected one row a study"
    )
    assert [row.study_id for row in found.rows] == [13]
    assert [fault.reason for fault in found.faults] == ["conflicting_labels"]


def test_targets_on_which_two_rows_agree_keep_their_label(data):
    data.add_row(12, 120, 6, level="l3_l4", severity="Moderate")
    change = _repeat({f"{_SIDE}_l4_l5": "Moderate"})
    found = _read(_change(data.write(), "train.csv", change))
    assert [(row.study_id, row.level, row.label) for row in found.rows] == [(13, 3, 1), (12, 2, 1)]


def test_study_of_two_patients_is_rejected(data):
    def add_patients(lines):
        for line, patient in zip(lines, ["patient_id", "p", "q"], strict=True):
            line.append(patient)

    directory = _change(data.write(), "train.csv", add_patients)
    found = _read(_change(directory, "train.csv", _repeat({"patient_id": "q"})))
    (reject,) = found.rejects
    assert reject.reason == "conflicting_patient"
    assert "patient_id of study 12 is 'q', but 'p' on line 2" in reject.detail


def test_study_without_a_patient_is_rejected_for_that(data):
    def add_patients(lines):
        for line, patient in zip(lines, ["patient_id", "", "q"], strict=True):
            line.append(patient)

    (reject,) = _read(_change(data.write(), "train.csv", add_patients)).rejects
    assert reject.reason == "bad_id"
    assert "line 2: patient_id is empty" in reject.detail


def test_series_that_is_described_twice_and_differently_is_rejected(data):
    name = "train_series_descriptions.csv"
    change = _repeat({"series_description": "Sagittal T1"})
    (reject,) = _read(_change(data.write(), name, change)).rejects
    assert reject.reason == "conflicting_series"
    assert reject.detail.startswith(f"{name}, line 4: series 120 of study 12 is 'Sagittal T1'")


def test_equal_rows_of_a_series_are_one(data):
    found = _read(_change(data.write(), "train_series_descriptions.csv", _repeat()))
    assert (len(found.rows), found.faults) == (2, ())


def test_second_point_of_a_row_is_a_duplicate_that_says_so(data):
    data.add_row(12, 120, 5, x=9)
    data.add_row(12, 120, 5)
    differs, equal = _read(data.write()).rejects
    assert (differs.reason, equal.reason) == ("duplicate", "duplicate")
    assert equal.detail == "line 2 has the same key, with the same point"
    assert differs.detail == "line 2 has the same key, with x, y 36.0, 32.0"


def test_further_points_of_a_target_are_counted(data):
    data.add_row(12, 120, 6, severity=None)
    found = _read(data.write())
    assert len(found.rows) == 3
    assert found.counts["repeated_points"] == 1


def test_excluded_keys_that_no_row_has_are_told(data):
    keys = frozenset({f"12/120/5/{_SIDE}/l4_l5", f"012/120/5/{_SIDE}/l4_l5"})
    assert _read(data.write(), excluded_keys=keys).unmatched == (f"012/120/5/{_SIDE}/l4_l5",)
