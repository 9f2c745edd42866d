"""A data set in, points out, with real if silly networks (squares.py); files, what is refused."""

import csv
import json
import math
import shutil

import pytest

from spine_tf.localization import localization, localizer, point_controls
from spine_tf.rsna import annotations, given_points, sources


@pytest.fixture(scope="module")
def localizer_dir(squares_localizer_dir):
    return squares_localizer_dir


@pytest.fixture(scope="module")
def data_dir(squares_dir):
    return squares_dir


@pytest.fixture(scope="module")
def result(data_dir, localizer_dir):
    return localization.localize(sources.open_source(data_dir), localizer_dir=localizer_dir)


def test_networks_find_what_is_drawn(result, data_dir):
    given = annotations.read_annotations(sources.open_source(data_dir), has_labels=False).rows
    truth = {(row.condition, row.level): row for row in given}
    assert len(result.points) == len(truth) == 25
    for row in result.points:
        expected = truth[row.condition, row.level]
        assert row.image == expected.image
        assert (row.x, row.y) == pytest.approx((expected.x, expected.y), abs=0.3)
        assert not row.flag
        assert row.confidence > 0.7
    assert not result.gaps
    assert localization.points_by(result.studies) == "the localiser 'squares'"


def test_files_say_what_was_found(result, data_dir, tmp_path):
    path = tmp_path / "points.csv"
    localization.write(result, path)
    source = sources.open_source(data_dir)
    read = annotations.read_annotations(
        source, has_labels=False, points=given_points.read(path, source)
    )
    assert not read.rejects
    assert {row.key for row in read.rows} == {row.key for row in result.points}
    with (tmp_path / "points_report.csv").open() as file:
        assert list(csv.reader(file)) == [["study_id", "condition", "level", "reason", "detail"]]
    content = localization.to_markups(result.studies[0])
    assert len(content["markups"][0]["controlPoints"]) == 25
    assert "flagged: 0" in localization.summarize(result)


@pytest.mark.slow
def test_given_points_take_the_place_of_found_ones(data_dir, localizer_dir, tmp_path):
    path = tmp_path / "points.csv"
    path.write_text(
        f"{','.join(given_points.PLACE_COLUMNS)}\n1,10,6,Spinal Canal Stenosis,L3/L4,99.5,120\n"
    )
    source = sources.open_source(data_dir)
    both = localization.localize(source, localizer_dir=localizer_dir, points=path)
    assert len(both.points) == 25
    (own,) = [row for row in both.points if row.condition == 0 and row.level == 2]
    assert (own.x, own.confidence) == (99.5, 1.0)
    alone = localization.localize(source, points=path)
    assert [row.x for row in alone.points] == [99.5]
    assert {gap.reason.value for gap in alone.gaps} == {"not_given"}
    assert len(alone.gaps) == 24


def test_image_that_cannot_be_read_shows_nothing(data_dir, localizer_dir, tmp_path):
    copy = tmp_path / "data"
    shutil.copytree(data_dir, copy)
    path = copy / "train_images" / "1" / "10" / "6.dcm"  # where the canal is
    path.write_bytes(path.read_bytes()[:-40_000] if path.stat().st_size > 50_000 else b"DICM")
    found = localization.localize(sources.open_source(copy), localizer_dir=localizer_dir)
    assert not [row for row in found.points if row.condition == 0]
    name = "train_images/1/10/6.dcm"
    assert found.studies[0].study.unreadable == (name,)
    assert {gap.reason.value for gap in found.gaps if gap.condition == 0} == {"unreadable"}
    assert f"can't be read: 1 image file ({name})" in localization.summarize(found)


@pytest.mark.slow
def test_side_without_coordinates_is_localized_and_compared_with_nothing(
    data_dir, localizer_dir, tmp_path
):
    copy = tmp_path / "data"
    shutil.copytree(data_dir, copy)
    (copy / "train_label_coordinates.csv").unlink()
    (copy / "train.csv").unlink()
    found = localization.localize(sources.open_source(copy), localizer_dir=localizer_dir)
    assert len(found.points) == 25
    assert not point_controls.compare(found).tables


def test_figures_say_what_they_are_of(result):
    said = point_controls.compare(result).in_words()
    assert said.startswith("against the data set's own points: the found ones, with 95 %")
    assert "mean shape" in said or "canal" in said


def test_the_packages_own_localiser_is_what_the_code_says(tmp_path, monkeypatch):
    found = localizer.read_default()
    assert found.directory == localizer.DEFAULT_DIR
    files = [path for path in localizer.DEFAULT_DIR.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 8 * 2**20
    copy = tmp_path / "weights"
    shutil.copytree(localizer.DEFAULT_DIR, copy)
    text = (copy / localizer.FILE_NAME).read_text()
    (copy / localizer.FILE_NAME).write_text(text.replace("phantom", "patient"))
    monkeypatch.setattr(localizer, "DEFAULT_DIR", copy)
    with pytest.raises(ValueError, match=r"expected the sha256 .* install the package again"):
        localizer.read_default()


# ---- The directory of a localiser.


@pytest.fixture
def copied(localizer_dir, tmp_path):
    shutil.copytree(localizer_dir, tmp_path / "copy")
    return tmp_path / "copy"


def _change(directory, **changes):
    path = directory / localizer.FILE_NAME
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_localizer_is_read_as_it_was_written(localizer_dir):
    found = localizer.read(localizer_dir)
    assert (found.name, found.temperature) == ("squares", 2.0)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"format_version": 2}, "format_version 2, this version expects 1"),
        ({"sagittal_mm": 200}, "sagittal_mm 200, this version expects 256"),
        ({"name": 3}, "json: name is 3, expected a text"),
        ({"numbering_temperature": 0}, "numbering_temperature is 0.0, expected a number above 0"),
        ({"numbering_temperature": math.nan}, "json: numbering_temperature is nan, expected a"),
        ({"numbering_temperature": math.inf}, "json: numbering_temperature is inf, expected a"),
        ({"numbering_temperature": 10**400}, "json: numbering_temperature is 1000.*, expected a"),
        ({"sha256": {}}, "lists no sagittal network"),
        ({"sha256": ["x"]}, "json: sha256 is .*, expected an object"),
        ({"sha256": {"a": 3}}, "json: sha256.a is 3, expected a text"),
    ],
)
def test_localizer_of_another_kind_is_refused(copied, changes, match):
    _change(copied, **changes)
    with pytest.raises(ValueError, match=match):
        localizer.read(copied)


def test_localizer_whose_files_changed_is_refused(copied, tmp_path):
    path = copied / "axial" / "saved_model" / "1" / "saved_model.pb"
    data = path.read_bytes()
    path.write_bytes(data + b"\0")
    with pytest.raises(ValueError, match="was changed: its sha256 is"):
        localizer.read(copied)
    path.unlink()
    with pytest.raises(ValueError, match="is missing"):
        localizer.read(copied)
    path.write_bytes(data)
    (path.parents[1] / "2").symlink_to("1")
    with pytest.raises(ValueError, match=r"2 is not listed in localizer\.json: remove it"):
        localizer.read(copied)
    with pytest.raises(ValueError, match="does not exist; expected a directory with the two"):
        localizer.read(tmp_path)


@pytest.mark.parametrize("folder", ["axial", "axial/saved_model"])
def test_localizer_whose_folder_is_a_link_or_missing_is_refused(copied, tmp_path, folder):
    (copied / folder).rename(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match=f"{folder} is a link or no folder"):
        localizer.read(copied)
    (copied / folder).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match=f"{folder} is a link or no folder"):
        localizer.read(copied)
