"""Pages and files of studies: what they say, what they ask for, and how they look in a browser."""

import dataclasses
import html
import json
import pathlib
import re
import shutil

import pytest

from spine_tf import labels
from spine_tf.localization import gate, localization, point_controls, study_points
from spine_tf.readings import (
    index_page,
    reading,
    report_directory,
    slice_pictures,
    study_file,
    study_page,
)
from spine_tf.rsna import annotations, given_points, sources

_READERS = reading.Readers(
    models=(reading.Model(name="export", sha256="ab" * 32),),
    task=labels.TASKS["multiclass"],
)


@pytest.fixture(scope="module")
def source(squares_dir):
    return sources.open_source(squares_dir)


@pytest.fixture(scope="module")
def located(source, squares_localizer_dir):
    return localization.localize(source, localizer_dir=squares_localizer_dir)


def _grade(condition, level):
    """All severities, one row with the prior, and one that is flagged."""
    shares = [0.2, 0.2, 0.2]
    shares[(condition + level) % 3] = 0.6
    by, remarks = reading.AnsweredBy.MODEL, tuple[reading.Remark, ...]()
    if (condition, level) == (0, 0):
        by = reading.AnsweredBy.PRIOR
        remarks = (reading.Remark(reason="not_seen", detail="the structure was not found"),)
    if (condition, level) == (4, 4):
        by = reading.AnsweredBy.FLAGGED
        remarks = (reading.Remark(reason="faint", detail="hardly seen"),)
    return reading.Grade(
        row_id=f"1_{labels.CONDITIONS[condition]}_{labels.LEVELS[level]}",
        condition=condition,
        level=level,
        probabilities=tuple(shares),
        answered_by=by,
        models=("export",),
        remarks=remarks,
    )


@pytest.fixture(scope="module")
def graded(located):
    grades = tuple(_grade(condition, level) for condition in range(5) for level in range(5))
    return reading.Reading(result=located.studies[0], readers=_READERS, grades=grades)


@pytest.fixture(scope="module")
def report_dir(tmp_path_factory, graded, located, source):
    directory = tmp_path_factory.mktemp("report")
    compared = point_controls.compare(located)
    report_directory.write(
        directory, [graded], source, name="squares", origin="squares (1)", compared=compared
    )
    return directory


def test_points_and_markups_are_taken_back(report_dir, located, source):
    for path in (report_dir / "points.csv", report_dir):
        table = given_points.read(path, source)
        read = annotations.read_annotations(source, has_labels=False, points=table)
        assert {row.key: row for row in read.rows} == {row.key: row for row in located.points}


def test_study_file_says_what_the_page_says(report_dir, graded):
    written = json.loads((report_dir / "1" / "study.json").read_text())
    assert (written["study_id"], written["numbering"]["from"]) == ("1", "lowest disc")
    assert written["classes"]["severe"] == "Severe"
    assert len(written["rows"]) == len(written["points"]) == 25
    assert (written["rows"][0]["answered_by"], written["rows"][0]["grade"]) == ("prior", None)
    assert written["rows"][0]["remarks"][0]["reason"] == "not_seen"
    assert written["rows"][-1]["grade"] == "Severe"
    assert sum(written["rows"][-1]["probabilities"].values()) == pytest.approx(1)
    assert len(written["points"][0]["patient_mm"]) == 3
    assert written["models"] == [{"name": "export", "sha256": "ab" * 32}]
    without = dataclasses.replace(graded, result=dataclasses.replace(graded.result, points=()))
    assert study_file.to_json(without)["numbering"] is None


def test_image_that_is_only_to_be_shown_and_cannot_be_read_is_named(squares_dir, tmp_path):
    copy = shutil.copytree(squares_dir, tmp_path / "data")
    path = copy / "train_images" / "1" / "10" / "6.dcm"
    path.write_bytes(path.read_bytes()[:2000])
    points = copy / "train_label_coordinates.csv"
    source = sources.open_source(copy)
    (result,) = localization.localize(source, points=points).studies
    made = tmp_path / "report"
    report_directory.write(made, [reading.Reading(result=result)], source, name="d", origin="d")
    name = path.relative_to(copy).as_posix()
    assert json.loads((made / "1" / "study.json").read_text())["unreadable_files"] == [name]
    page = html.unescape((made / "1" / "study.html").read_text())
    assert f"can't be read: 1 image file ({name})" in page


def test_docs_name_the_fields_of_a_study_file(report_dir):
    text = (pathlib.Path(__file__).parents[3] / "docs" / "data.md").read_text("utf-8")
    table = text.split("## The reading of a study")[1].split("\n## ")[0]
    written = json.loads((report_dir / "1" / "study.json").read_text())
    assert set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE)) == set(written)
    for name in ("rows", "points", "missing", "flags", "models", "numbering"):
        (line,) = re.findall(rf"^\| `{name}` \|(.*)", table, re.MULTILINE)
        parts = written[name] if isinstance(written[name], list) else [written[name]]
        assert all(f"`{key}`" in line for part in parts for key in part if key != "from")


def test_pictures_show_each_point_where_it_lies(located, source):
    (study,) = located.studies
    pictures = slice_pictures.draw(study, source)
    assert [each.is_axial for each in pictures] == [False] * 3 + [True] * 5
    marks = [mark for each in pictures for mark in each.marks]
    assert {mark.row.key for mark in marks} == {row.key for row in study.points}
    for each in pictures:
        for mark in each.marks:
            assert 0 <= mark.x <= each.width
            assert 0 <= mark.y <= each.height
            if not mark.is_near:
                x = each.left + mark.x * each.pixels[0]
                y = each.top + mark.y * each.pixels[1]
                assert (x, y) == pytest.approx((mark.row.x, mark.row.y))


def test_page_says_why_nothing_was_found_and_counts_what_was_graded(graded, located):
    (study,) = located.studies
    gaps = tuple(
        study_points.Gap(study_id=1, condition=c, level=v, reason=gate.Missing.NOT_SEEN)
        for c in range(5)
        for v in range(5)
    )
    canal = [grade for grade in graded.grades if grade.condition == 0]
    one = reading.Reading(
        result=dataclasses.replace(study, points=(), gaps=gaps),
        readers=_READERS,
        grades=tuple(canal),
    )
    text = study_page.render(one, [])
    assert "4 of 5 rows graded by 'export', no points by" in text
    assert "Levels: none was named" in text
    assert "20 rows without a point: the structure was not found" in text
    index = index_page.render([one], name="squares", origin="squares (1)")
    assert 'no point: <span title="the structure was not found">not_seen</span>' in index


def test_study_that_is_no_more_goes_with_its_page(report_dir, graded, source, tmp_path):
    directory = tmp_path / "report"
    shutil.copytree(report_dir, directory)
    shutil.copytree(directory / "1", directory / "22")
    (directory / "22" / "notes.txt").write_text("mine")
    figures = directory / report_directory.FIGURES_FILE
    figures.write_text("{}")
    report_directory.write(directory, [graded], source, name="squares", origin="squares (1)")
    assert [path.name for path in (directory / "22").iterdir()] == ["1.mrk.json", "notes.txt"]
    assert not figures.exists()
    report_directory.require_place(directory, "squares (1)")
    with pytest.raises(ValueError, match=r"index\.html is of squares \(1\), not of others"):
        report_directory.require_place(directory, "others")


@pytest.mark.slow
def test_pages_are_read_in_a_browser(report_dir, browser):
    for page in ("index.html", "1/study.html"):
        browser.open(report_dir / page)
        for scheme in ("light", "dark"):
            browser.set_scheme(scheme)
            for width in (1400, 400):
                browser.set_width(width)
                assert browser.needed_width() <= width
        assert not browser.logged()
        assert all(address.startswith("file:") for address in browser.requested())
        text = browser.driver.find_element("tag name", "body").text
        assert "the localiser 'squares'" in text
        assert "numbered from the lowest disc" in text
        assert "Not a medical device" in text
    for scheme in ("light", "dark"):
        browser.set_scheme(scheme)
        for severity in range(3):
            cell = f".grade.s{severity}:not(.prior)"
            assert browser.contrast(f"{cell} strong", cell) >= 4.5
    cells = browser.driver.find_elements("css selector", "td.grade")
    assert len(cells) == 25
    words = {cell.text.split("\n")[0] for cell in cells}
    assert {"○ Normal/Mild", "◐ Moderate", "● Severe"} <= words
    pictures = browser.driver.execute_script(
        "return [...document.images].map((each) => each.naturalWidth > 0 && each.alt.length > 0)"
    )
    assert pictures == [True] * 8
    browser.open(report_dir / "index.html")
    assert "projection of given" in browser.driver.find_element("tag name", "body").text
