"""A data set in, points out, with real if silly networks; the files, and what is refused.

The structures of the studies are squares of a grey value of their own, and the networks know them
by it: what is between the pixels and the points is the package's own.
"""

import csv
import json
import math
import shutil

import numpy as np
import pytest
import tensorflow as tf

from spine_tf import labels
from spine_tf.crops import windows
from spine_tf.localization import heatmaps, localization, localizer, point_controls, points_page
from spine_tf.rsna import annotations, given_points, markups, sources

_SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
_AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
_TOP_MM, _HEIGHTS = 400.0, (60, 94, 128, 161, 190)
_CANAL = tuple(range(300, 1050, 150))
_FORAMEN = tuple(range(1100, 1850, 150))
_RECESS = (600, 1000)


class _Finder(tf.Module):
    """Sees squares of certain grey values: a mask each, blurred to a Gaussian."""

    def __init__(self, values, sigma_px, side_px):
        super().__init__()
        self._values = tf.constant(values, tf.float32)
        reach = np.arange(-16, 17)
        kernel = np.exp(-0.5 * (reach / sigma_px) ** 2)
        kernel /= kernel[abs(reach) <= side_px // 2].sum()
        self._kernel = tf.constant(np.tile(kernel[:, None], (1, len(values))), tf.float32)

    @tf.function(
        input_signature=[
            tf.TensorSpec((None, 256, 256, 3), tf.uint16, name="image"),
            tf.TensorSpec((None, 2), tf.float32, name="window"),
        ]
    )
    def __call__(self, image, window):
        middle = tf.cast(image[..., 1:2], tf.float32)
        mask = tf.cast(tf.abs(middle - self._values) < 20, tf.float32)
        for axis in (0, 1):
            kernel = tf.expand_dims(self._kernel, 1 - axis)[..., tf.newaxis]
            mask = tf.nn.depthwise_conv2d(mask, kernel, (1, 1, 1, 1), "SAME")
        return {"heatmaps": mask}


def _export(directory, network, values, pixel_mm):
    module = _Finder(values, heatmaps.SIGMA_MM / pixel_mm, round(5 / pixel_mm))
    path = directory / network / "saved_model" / "1"
    tf.saved_model.save(module, str(path), signatures={"serving_default": module.__call__})


@pytest.fixture(scope="module")
def localizer_dir(tmp_path_factory):
    directory = tmp_path_factory.mktemp("localizer")
    _export(directory, "sagittal", (*_CANAL, *_FORAMEN), windows.SAGITTAL_MM / windows.SIDE_PX)
    _export(directory, "axial", _RECESS, windows.AXIAL_MM / windows.SIDE_PX)
    localizer.write(directory, name="squares")
    return directory


def _square(pixels, x, y, value, reach):
    pixels[round(y) - reach : round(y) + reach + 1, round(x) - reach : round(x) + reach + 1] = value


def _add_study(data, study):
    """A straight spine: what is marked is what is drawn."""
    t2, t1, axial = (10 * study + kind for kind in range(3))
    for instance, left in enumerate(range(-20, 21, 4), start=1):
        for series, description in ((t2, "Sagittal T2/STIR"), (t1, "Sagittal T1")):
            pixels = np.full((256, 256), 100, np.uint16)
            for level, down in enumerate(_HEIGHTS):
                if series == t2 and left == 0:
                    _square(pixels, 128, down, _CANAL[level], 2)
                    _mark(data, study, series, instance, 0, level, 128, down)
                if series == t1 and abs(left) == 16:
                    _square(pixels, 130, down - 6, _FORAMEN[level], 2)
                    condition = 1 if left > 0 else 2
                    _mark(data, study, series, instance, condition, level, 130, down - 6)
            data.add_image(
                study,
                series,
                instance,
                pixels,
                description=description,
                spacing=(1.0, 1.0),
                position=(float(left), -128.0, _TOP_MM),
                orientation=_SAGITTAL,
            )
    for instance, down in enumerate(range(52, 206, 5), start=1):
        pixels = np.full((256, 256), 100, np.uint16)
        for level, height in enumerate(_HEIGHTS):
            if abs(down - height - 1) <= 2:
                for side, x in enumerate((147, 109)):
                    _square(pixels, x, 120, _RECESS[side], 5)
                    _mark(data, study, axial, instance, 3 + side, level, x, 120)
        data.add_image(
            study,
            axial,
            instance,
            pixels,
            description="Axial T2",
            position=(-64.0, -64.0, _TOP_MM - down),
            orientation=_AXIAL,
        )


def _mark(data, study, series, instance, condition, level, x, y):
    name = labels.CONDITIONS[condition]
    data.add_row(study, series, instance, name, labels.LEVELS[level], x=float(x), y=float(y))


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory, make_data_set):
    data = make_data_set(tmp_path_factory.mktemp("squares") / "data")
    _add_study(data, 1)
    return data.write()


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
    assert result.finder == "the localiser 'squares'"


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
    assert localization.write_markups(result, tmp_path / "markups") == 1
    content = json.loads((tmp_path / "markups" / f"1{markups.SUFFIX}").read_text())
    assert len(content["markups"][0]["controlPoints"]) == 25
    assert "flagged: 0" in localization.summarize(result)


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


def test_page_has_figures_pictures_and_words(result, data_dir, tmp_path, browser):
    compared = point_controls.compare(result)
    assert compared.tables["found"]["canal"]["slice_exact"].value == 1
    source = sources.open_source(data_dir)
    points_page.write(tmp_path, result, compared, source, name="squares", origin="squares (1)")
    browser.open(tmp_path / points_page.PAGE_FILE)
    for width in (1400, 400):
        browser.set_width(width)
        assert browser.needed_width() <= width
    pictures = browser.driver.execute_script(
        "return [...document.images].map((each) => each.naturalWidth > 0 && each.alt.length > 0)"
    )
    assert pictures == [True] * 8  # one canal, two foramina, five levels
    assert not browser.logged()
    assert all(address.startswith("file:") for address in browser.requested())
    text = browser.driver.find_element("tag name", "body").text
    assert "by the localiser 'squares'" in text
    assert "projection of given" in text
    assert "as named" in text
    written = json.loads((tmp_path / points_page.FIGURES_FILE).read_text())
    assert written["figures"]["found"]["canal"]["level_right"]["value"] == 1


def test_image_that_cannot_be_read_shows_nothing(data_dir, localizer_dir, tmp_path):
    copy = tmp_path / "data"
    shutil.copytree(data_dir, copy)
    path = copy / "train_images" / "1" / "10" / "6.dcm"  # where the canal is
    path.write_bytes(path.read_bytes()[:-40_000] if path.stat().st_size > 50_000 else b"DICM")
    found = localization.localize(sources.open_source(copy), localizer_dir=localizer_dir)
    assert not [row for row in found.points if row.condition == 0]
    assert {gap.reason.value for gap in found.gaps} >= {"not_seen"}


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


def test_nothing_to_find_points_with_is_said(data_dir):
    with pytest.raises(ValueError, match="no trained weights yet, so give one with"):
        localization.localize(sources.open_source(data_dir))


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
