"""An output that can't be written is found before the work."""

import os
import pathlib

import pytest

from tfrecords import output_place


def _spoil(folder: pathlib.Path) -> None:
    (folder / "file").write_text("kept")
    (folder / "dir").mkdir()
    (folder / "lost").symlink_to("nowhere")
    os.mkfifo(folder / "pipe")


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("dir", "is a directory: name a file in it"),
        (".", "is a directory: name a file in it"),
        ("pipe", "is a device or a pipe"),
        ("/dev/null", "is a device or a pipe"),
        ("file/x.csv", "can't be written .*, expected a place"),
        ("pipe/x.csv", "can't be written .*, expected a place"),
        ("/proc/none/x.csv", "can't be written .*, expected a place"),
        ("x" * 250, "can't be written .File name too long., expected a place"),
    ],
)
def test_file_that_cannot_be_written_is_named_as_it_was_given(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, place: str, message: str
) -> None:
    _spoil(tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=f"^--output {place} {message}"):
        output_place.require_file(pathlib.Path(place), "--output")


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("file", "is a file, expected a directory"),
        ("pipe", "is a file, expected a directory"),
        ("lost", "is a link that leads nowhere, expected a directory"),
        ("file/x", "can't be written .*, expected a place"),
        ("lost/x", "can't be written .*is no directory.*, expected a place"),
        ("/proc/none", "can't be written .*, expected a place"),
        ("x" * 250, "can't be written .File name too long., expected a place"),
    ],
)
def test_directory_that_cannot_be_made_is_named_as_it_was_given(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, place: str, message: str
) -> None:
    _spoil(tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=f"^--run_dir {place} {message}"):
        output_place.require_directory(pathlib.Path(place), "--run_dir")


def test_file_of_another_kind_is_not_replaced(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("study_id,grade\n1,2\n")
    with pytest.raises(ValueError, match=r"--output .*x.csv is a file that was not"):
        output_place.require_file(path, "--output", begins=b"row_id,")
    for text in ("", "row_id,severe\n"):
        path.write_text(text)
        output_place.require_file(path, "--output", begins=b"row_id,")


@pytest.mark.parametrize("place", ["file", "new", "dir/new", "a/b/c", "lost", "name with % [x]"])
def test_place_that_can_be_written_is_left_as_it_is(tmp_path: pathlib.Path, place: str) -> None:
    _spoil(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    output_place.require_file(tmp_path / place, "--output")
    if place not in ("file", "lost"):
        output_place.require_directory(tmp_path / place, "--run_dir")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("name", "kind"), [("page.html", "file"), ("table.csv", "file"), ("figures", "directory")]
)
def test_what_is_in_the_place_of_an_output_is_named_before_the_work(
    tmp_path: pathlib.Path, name: str, kind: str
) -> None:
    wanted = {"files": ["page.html", "table.csv"], "directories": ["figures"]}
    output_place.require_inside(tmp_path / "new", "--report_dir", **wanted)
    output_place.require_inside(tmp_path, "--report_dir", **wanted)
    if kind == "file":
        (tmp_path / name).mkdir()
    else:
        (tmp_path / name).write_text("")
    with pytest.raises(ValueError, match=f"{name} is no {kind}, .*choose another --report_dir"):
        output_place.require_inside(tmp_path, "--report_dir", **wanted)
