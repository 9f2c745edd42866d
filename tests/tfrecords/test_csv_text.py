"""CSVs of ours: what a spreadsheet would run is text, and comes back as it was."""

import os
import pathlib
import re

import hypothesis
import pytest
from hypothesis import strategies

from tfrecords import csv_text

_FORMULAS = (
    "=1+1",
    "+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(A1)",
    "\t=1+1",
    "\r=1+1",
    "\n=1",
    " =1",
    "\uff1d1",
    "'=1",
    "''@x",
    "-",
    "--1",
    "+1e",
    '=1,"2"\n3',
)


@pytest.mark.parametrize("cell", _FORMULAS)
def test_no_cell_begins_as_a_formula_and_each_comes_back(tmp_path, cell):
    (tmp_path / "t.csv").write_bytes(
        csv_text.to_text(["a", "b"], [[cell, 1], ["x", cell]]).encode()
    )
    rows = csv_text.read(tmp_path / "t.csv", ["a", "b"], expected="a table")
    assert [row for _, row in rows] == [{"a": cell, "b": "1"}, {"a": "x", "b": cell}]
    assert csv_text.plain(cell) == f"'{cell}"


@pytest.mark.parametrize(
    "cell", ["", "text", "a=b", "'text", "-0.5", "+3", "-1e-07", "0", "1/2/3", "-.5"]
)
def test_other_cells_and_numbers_are_written_as_they_are(cell):
    assert csv_text.plain(cell) == csv_text.original(cell) == cell
    assert csv_text.to_text(["a"], [[-0.5], [None], [-3]]) == 'a\n-0.5\n""\n-3\n'


@hypothesis.settings(max_examples=30, deadline=None)
@hypothesis.given(strategies.text("'=+-@\t\r 1e.\uff0dx", max_size=6))
def test_whatever_a_cell_holds_it_comes_back(cell):
    written = csv_text.plain(cell)
    assert csv_text.original(written) == cell
    assert re.fullmatch(r"[+-]?[\d.]+(e[+-]?\d+)?", written) or not re.match(r"\s*[=+\-@]", written)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"b,a\n1,2\n", r"t.csv has the columns b,a, expected a,b of a table"),
        (b"", r"t.csv has the columns , expected a,b"),
        (b"a,b\n1,2\n\n3\n", r"t.csv line 4 has 1 fields, expected 2"),
        (b"a,b\n\xff,2\n", r"t.csv is not UTF-8"),
        (b'a,b\n"' + b"x" * 200_000 + b'",2\n', r"t.csv is no CSV in UTF-8 \(field larger"),
    ],
)
def test_a_file_that_is_no_such_table_is_named(tmp_path, data, said):
    (tmp_path / "t.csv").write_bytes(data)
    with pytest.raises(ValueError, match=said):
        csv_text.read(tmp_path / "t.csv", ["a", "b"], expected="a table")


def test_a_file_that_is_none_is_named(tmp_path: pathlib.Path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(
        ValueError, match=r"pipe can't be read \(is a named pipe, .*expected a table"
    ):
        csv_text.read(tmp_path / "pipe", expected="a table")
    with pytest.raises(ValueError, match=r"none does not exist; expected a table"):
        csv_text.read(tmp_path / "none", expected="a table")


def test_what_a_spreadsheet_adds_is_no_part_of_the_table(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"\xef\xbb\xbfa,b\r\n1,2\r\n\r\n")
    assert csv_text.read(tmp_path / "t.csv", ["a", "b"], expected="a table") == [
        (f"{tmp_path / 't.csv'} line 2", {"a": "1", "b": "2"})
    ]
