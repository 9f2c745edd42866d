"""Crops of rows, or rejects with their file."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from pydicom import uid

from spine_tf import labels
from spine_tf.configuration import roi_config as roi_config_module
from spine_tf.crops import cutting, roi
from spine_tf.rsna import annotations, sources

_LEFT = labels.CONDITIONS.index("left_subarticular_stenosis")
_RIGHT = labels.CONDITIONS.index("right_subarticular_stenosis")


def _row(study=1, series=10, instance=2, condition=_LEFT, x=36.0, y=32.0):
    return annotations.Annotation(
        study_id=study,
        series_id=series,
        instance_number=instance,
        condition=condition,
        level=3,
        x=x,
        y=y,
        label=0,
    )


_ROI = roi_config_module.RoiConfig(roi_px=16, roi_mm=16.0)


def _crops(data, rows, roi_config=_ROI):
    return list(cutting.read_crops(sources.open_source(data.write()), rows, roi_config))


def _noise(seed):
    return np.random.default_rng(seed).integers(0, 1500, (64, 72)).astype(np.uint16)


def test_crop_is_cut_out_of_the_slice(data_set):
    data_set.add_image(1, 10, 2, _noise(0), spacing=(0.4, 0.6))
    (crop,) = _crops(data_set, [_row(x=20.3, y=30.7)])
    x, y = float(np.float32(20.3)), float(np.float32(30.7))
    spacing = float(np.float32(0.4)), float(np.float32(0.6))
    square = roi.Square(shape=(64, 72), spacing=spacing, roi_mm=16.0, roi_px=16)
    expected = roi.crop_stack([_noise(0)], square.bands([(x, y)]))
    np.testing.assert_array_equal(crop.image, expected)
    assert (crop.center_xy, crop.spacing, crop.is_mirrored) == ((x, y), spacing, False)
    assert crop.window == roi.window(_noise(0))
    np.testing.assert_array_equal(crop.stack[0], _noise(0))


def test_right_side_is_mirrored_unless_told_otherwise(data_set):
    data_set.add_image(1, 10, 2, _noise(0))
    (mirrored,) = _crops(data_set, [_row(condition=_RIGHT)])
    plain_config = dataclasses.replace(_ROI, mirror_right=False)
    (plain,) = _crops(data_set, [_row(condition=_RIGHT)], plain_config)
    assert (mirrored.is_mirrored, plain.is_mirrored) == (True, False)
    np.testing.assert_array_equal(mirrored.image, plain.image[:, ::-1])


def test_neighbours_are_in_the_crop(data_set):
    for instance, z in ((1, 8.0), (2, 4.0), (3, 0.0)):
        data_set.add_image(1, 10, instance, _noise(instance), position=(0.0, 0.0, z))
    (crop,) = _crops(data_set, [_row()], dataclasses.replace(_ROI, num_slices=3))
    for index, instance in enumerate((3, 2, 1)):
        np.testing.assert_array_equal(crop.stack[index], _noise(instance))
    np.testing.assert_array_equal(crop.image[:, :, 1], _crops(data_set, [_row()])[0].image[..., 0])


def test_neighbour_on_another_scale_is_brought_to_the_slices(data_set):
    data_set.add_image(1, 10, 1, _noise(1), position=(0.0, 0.0, 0.0), RescaleSlope="2")
    data_set.add_image(1, 10, 2, _noise(2), position=(0.0, 0.0, 4.0), RescaleSlope="1")
    (crop,) = _crops(data_set, [_row()], dataclasses.replace(_ROI, num_slices=3))
    np.testing.assert_array_equal(crop.stack[0], _noise(1) * 2)


def test_neighbour_is_cut_at_the_same_place_in_the_patient(data_set):
    """A staggered stack: each slice begins elsewhere in its plane, and shows the same body."""
    body = np.random.default_rng(7).integers(0, 1500, (100, 100)).astype(np.uint16)
    starts = {1: (0, 0), 2: (10, 4), 3: (17, 20)}
    for instance, (row, column) in starts.items():
        data_set.add_image(
            1,
            10,
            instance,
            np.ascontiguousarray(body[row : row + 64, column : column + 72]),
            position=(0.5 * column, 0.5 * row, 4.0 * instance),
        )
    (crop,) = _crops(data_set, [_row(x=36.0, y=32.0)], dataclasses.replace(_ROI, num_slices=3))
    assert crop.centers_xy == ((40.0, 42.0), (36.0, 32.0), (20.0, 25.0))
    assert crop.center_xy == (36.0, 32.0)
    assert crop.image.any()
    for index in (0, 2):
        np.testing.assert_array_equal(crop.image[:, :, index], crop.image[:, :, 1])


def test_neighbours_of_a_tilted_shifted_slab_lie_along_its_normal(data_set):
    """Slices stacked straight up, as with a tilted gantry: the normal leaves them sideways."""
    tilt = np.radians(30)
    orientation = (1.0, 0.0, 0.0, 0.0, float(np.cos(tilt)), float(-np.sin(tilt)))
    for instance in (1, 2, 3):
        data_set.add_image(
            1, 10, instance, position=(0.0, 0.0, 5.0 * instance), orientation=orientation
        )
    (crop,) = _crops(data_set, [_row()], dataclasses.replace(_ROI, num_slices=3))
    shift = 5.0 * np.sin(tilt) / 0.5
    assert crop.centers_xy[0] == pytest.approx((36.0, 32.0 - shift), abs=1e-5)
    assert crop.centers_xy[2] == pytest.approx((36.0, 32.0 + shift), abs=1e-5)


def test_place_that_is_off_the_neighbour_is_zero_there(data_set):
    data_set.add_image(1, 10, 1, position=(500.0, 0.0, 0.0))
    data_set.add_image(1, 10, 2, position=(0.0, 0.0, 4.0))
    (crop,) = _crops(data_set, [_row()], dataclasses.replace(_ROI, num_slices=3))
    assert not crop.image[:, :, 0].any()
    assert crop.image[:, :, 1].any()


@pytest.mark.parametrize(
    "changes",
    [
        {"EchoTime": "98"},
        {"ImageType": ["ORIGINAL", "PRIMARY", "P"]},
        {"TemporalPositionIdentifier": "2"},
        {"SeriesInstanceUID": "1.2.3.99"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_neighbours_are_of_the_rows_own_acquisition(data_set, changes):
    for instance, z in enumerate((0.0, 4.0, 8.0), start=1):
        usual = {
            "EchoTime": "12",
            "ImageType": ["ORIGINAL", "PRIMARY", "M"],
            "TemporalPositionIdentifier": "1",
            "SeriesInstanceUID": "1.2.3.4",
        }
        at = {"position": (0.0, 0.0, z)}
        data_set.add_image(1, 10, 2 * instance - 1, _noise(instance) + 2500, **at, **usual)
        data_set.add_image(1, 10, 2 * instance, _noise(instance), **at, **{**usual, **changes})
    three = dataclasses.replace(_ROI, num_slices=3, window="series")
    bright, dark = _crops(data_set, [_row(instance=3), _row(instance=4)], three)
    assert [image.min() >= 2500 for image in bright.stack] == [True] * 3
    assert [image.max() < 2500 for image in dark.stack] == [True] * 3
    assert bright.window == _percentiles(*bright.stack)
    assert dark.window == _percentiles(*dark.stack)


def test_gap_in_the_stack_is_told(data_set):
    for instance, z in enumerate((0.0, 4.0, 8.0, 40.0, 44.0), start=1):
        data_set.add_image(1, 10, instance, position=(0.0, 0.0, z))
    rows = [_row(instance=instance) for instance in range(1, 6)]
    crops = _crops(data_set, rows, dataclasses.replace(_ROI, num_slices=3))
    assert [crop.is_cut_short for crop in crops] == [False, False, True, True, False]
    np.testing.assert_array_equal(crops[2].stack[2], crops[2].stack[1])


def test_signed_neighbour_of_an_unsigned_slice_is_never_bright(data_set):
    values = _noise(1).astype(np.int16) - 300
    data_set.add_image(1, 10, 1, values, position=(0.0, 0.0, 0.0))
    data_set.add_image(1, 10, 2, _noise(2), position=(0.0, 0.0, 4.0))
    for window in ("slice", "series"):
        (crop,) = _crops(data_set, [_row()], dataclasses.replace(_ROI, num_slices=3, window=window))
        np.testing.assert_array_equal(crop.stack[0], np.maximum(values, 0))
        assert crop.window[1] < 1500


def test_left_aligned_neighbour_is_read_as_the_slice(data_set):
    for instance in (1, 2):
        at = {"position": (0.0, 0.0, 4.0 * instance)}
        changes = {"HighBit": 15} if instance == 1 else {}
        shift = 4 if instance == 1 else 0
        data_set.add_image(1, 10, instance, _noise(instance) << shift, **at, **changes)
    (crop,) = _crops(data_set, [_row()], dataclasses.replace(_ROI, num_slices=3))
    np.testing.assert_array_equal(crop.stack[0], _noise(1))


def test_neighbour_whose_bits_make_no_sense_is_none(data_set):
    unreadable: set[str] = set()
    for instance in (1, 2, 3):
        changes = {"HighBit": 3} if instance == 1 else {}
        data_set.add_image(1, 10, instance, position=(0.0, 0.0, 4.0 * instance), **changes)
    source = sources.open_source(data_set.write())
    three = dataclasses.replace(_ROI, num_slices=3)
    (crop,) = cutting.read_crops(source, [_row()], three, unreadable)
    assert isinstance(crop, cutting.Crop)
    np.testing.assert_array_equal(crop.stack[0], crop.stack[1])
    assert unreadable == {"train_images/1/10/1.dcm"}


def test_neighbour_that_cannot_be_decoded_is_named(data_set):
    for instance in (1, 2, 3):
        data_set.add_image(1, 10, instance, position=(0.0, 0.0, 4.0 * instance))
    path = data_set.image_path(1, 10, 3)
    path.write_bytes(path.read_bytes()[:-2000])
    (found,) = _crops(data_set, [_row()], dataclasses.replace(_ROI, num_slices=3))
    assert found.reason == "bad_pixels"
    assert found.detail.startswith("its neighbour, image 3: the encapsulated pixel data")


def test_unreadable_neighbour_is_no_neighbour(data_set):
    for instance in (1, 2, 3):
        data_set.add_image(1, 10, instance, position=(0.0, 0.0, 4.0 * instance))
    data_set.image_path(1, 10, 3).write_bytes(b"spoilt")
    data_set.image_path(1, 10, 3).with_name("notes.txt").write_text("no slice")
    (crop,) = _crops(data_set, [_row()], dataclasses.replace(_ROI, num_slices=3))
    np.testing.assert_array_equal(crop.stack[2], crop.stack[1])


def test_every_image_is_read_once(data_set):
    data_set.add_image(1, 10, 2)
    data_set.add_image(1, 10, 3)
    read = []

    class Counting(sources.Folder):
        def read(self, name, limit=-1):
            read.append(name)
            return super().read(name, limit)

    source = Counting(directory=data_set.write(), side="train")
    rows = [_row(instance=i, condition=c) for c in (_LEFT, _RIGHT) for i in (3, 2)]
    assert len(list(cutting.read_crops(source, rows, _ROI))) == 4
    assert read == ["train_images/1/10/2.dcm", "train_images/1/10/3.dcm"]


def _percentiles(*images):
    values = np.concatenate([image.ravel() for image in images])
    return tuple(np.percentile(values, [0.5, 99.5], method="inverted_cdf").tolist())


def test_window_of_a_series_is_of_all_its_slices_whatever_their_shape(data_set):
    bright = (_noise(1)[:30] + 2000).astype(np.uint16)
    data_set.add_image(1, 10, 1, bright)
    data_set.add_image(1, 10, 2, _noise(2))
    data_set.add_image(1, 11, 1, _noise(3) * 2)
    data_set.image_path(1, 10, 3).write_bytes(b"spoilt")
    unreadable: set[str] = set()
    rows = [_row(), _row(instance=1, y=3), _row(condition=_RIGHT)]
    found: Any = cutting.read_crops(
        sources.open_source(data_set.write()),
        rows,
        dataclasses.replace(_ROI, window="series"),
        unreadable,
    )
    assert {crop.window for crop in found} == {_percentiles(bright, _noise(2))}
    assert unreadable == {"train_images/1/10/3.dcm"}


def test_window_of_a_series_is_on_the_annotated_slices_scale(data_set):
    data_set.add_image(1, 10, 1, _noise(1), RescaleSlope="2")
    data_set.add_image(1, 10, 2, _noise(2), RescaleSlope="1")
    roi_config = dataclasses.replace(_ROI, window="series")
    one, two = _crops(data_set, [_row(instance=1), _row(instance=2)], roi_config)
    assert one.window == _percentiles(_noise(1), np.rint(_noise(2) / 2))
    assert two.window == _percentiles(_noise(1) * 2, _noise(2))


def test_window_of_a_crop_is_of_its_own_pixels(data_set):
    for instance in (1, 2, 3):
        data_set.add_image(1, 10, instance, _noise(instance), position=(0.0, 0.0, 4.0 * instance))
    rows = [_row(x=x, condition=c) for x in (20, 10, 2) for c in (_LEFT, _RIGHT)]
    for crop in _crops(data_set, rows, dataclasses.replace(_ROI, num_slices=3, window="crop")):
        # Output column i sits at x - 15 + 2 i, and the pixels beside that have a share in it.
        first = max(0, (16 - int(crop.center_xy[0])) // 2)
        seen = crop.image[:, ::-1] if crop.is_mirrored else crop.image
        assert crop.window == _percentiles(seen[:, first:])
        assert crop.window[0] > 0


def _frame(size=10):
    """An image whose border is padding, and where it is."""
    is_padding = np.ones((64, 72), bool)
    is_padding[size:-size, size:-size] = False
    return np.where(is_padding, 4000, _noise(5) + 1).astype(np.uint16), is_padding


@pytest.mark.parametrize("window", ["slice", "series", "crop"])
@pytest.mark.parametrize("syntax", [uid.RLELossless, uid.ExplicitVRLittleEndian])
def test_padding_is_in_no_window_and_zero_in_the_crop(data_set, window, syntax):
    image, is_padding = _frame()
    for instance in (1, 2, 3):
        at = {"position": (0.0, 0.0, 4.0 * instance), "transfer_syntax": syntax}
        data_set.add_image(1, 10, instance, image, **at, PixelPaddingValue=4000)
    roi_config = dataclasses.replace(_ROI, num_slices=3, window=window)
    (crop,) = _crops(data_set, [_row(x=36.0, y=14.0)], roi_config)
    black = np.where(is_padding, 0, image).astype(np.uint16)
    square = roi.Square(shape=(64, 72), spacing=(0.5, 0.5), roi_mm=16.0, roi_px=16)
    bands = square.bands([(36.0, 14.0)] * 3)
    np.testing.assert_array_equal(crop.image, roi.crop_stack([black] * 3, bands))
    # Rows from 10 are tissue: output row 6 lies at 14 + (6.5 - 8) * 2 = 11 with a reach of 2.
    assert not crop.image[:5].any()
    expected = crop.image[7:] if window == "crop" else image[~is_padding]
    assert crop.window == _percentiles(expected)
    assert crop.window[1] < 1502


def test_padding_of_a_neighbour_has_its_own_value(data_set):
    image, is_padding = _frame()
    data_set.add_image(1, 10, 1, image, position=(0.0, 0.0, 0.0), PixelPaddingValue=4000)
    data_set.add_image(1, 10, 2, _noise(2), position=(0.0, 0.0, 4.0))
    (crop,) = _crops(data_set, [_row()], dataclasses.replace(_ROI, num_slices=3))
    np.testing.assert_array_equal(crop.stack[0], np.where(is_padding, 0, image))
    np.testing.assert_array_equal(crop.stack[1], _noise(2))


def test_image_that_is_all_padding_is_rejected(data_set):
    data_set.add_image(1, 10, 2, np.full((64, 72), 9, np.uint16), PixelPaddingValue=9)
    (found,) = _crops(data_set, [_row()])
    assert (found.reason, found.detail) == ("all_padding", "every pixel of the image is padding")


def test_crop_without_tissue_has_no_window(data_set):
    image, _ = _frame(28)
    data_set.add_image(1, 10, 2, image, PixelPaddingValue=4000)
    of_crop = dataclasses.replace(_ROI, window="crop", roi_mm=8.0)
    near, far = _crops(
        data_set, [_row(x=36.0, y=32.0), _row(x=9.0, y=9.0, condition=_RIGHT)], of_crop
    )
    assert isinstance(near, cutting.Crop)
    assert (far.reason, far.detail[:20]) == ("all_padding", "no pixel of the crop")


@pytest.mark.parametrize("window", ["slice", "series", "crop"])
def test_window_changes_nothing_else(data_set, window):
    for instance in (1, 2, 3):
        data_set.add_image(1, 10, instance, position=(0.0, 0.0, 4.0 * instance))
    (plain,) = _crops(data_set, [_row()])
    (crop,) = _crops(data_set, [_row()], dataclasses.replace(_ROI, window=window))
    np.testing.assert_array_equal(crop.image, plain.image)
    assert (crop.window == plain.window) == (window == "slice")


def test_series_is_read_once_for_its_window(data_set):
    for instance in (1, 2, 3):
        data_set.add_image(1, 10, instance)
    read = []

    class Counting(sources.Folder):
        def read(self, name, limit=-1):
            read.append(name)
            return super().read(name, limit)

    source = Counting(directory=data_set.write(), side="train")
    rows = [_row(instance=2, condition=c, x=x) for c in (_LEFT, _RIGHT) for x in (9, 20)]
    assert (
        len(list(cutting.read_crops(source, rows, dataclasses.replace(_ROI, window="series")))) == 4
    )
    assert sorted(read) == [f"train_images/1/10/{instance}.dcm" for instance in (1, 2, 3)]


@pytest.mark.parametrize(
    ("x", "y", "is_on"),
    [
        (-0.5, -0.5, True),
        (-0.51, 0, False),
        (71.49, 63.49, True),
        (71.5, 0, False),
        (0, 63.5, False),
        (1e300, 0, False),
        (5, 5, True),
    ],
)
def test_coordinate_off_the_image_is_rejected(data_set, x, y, is_on):
    data_set.add_image(1, 10, 2)
    (found,) = _crops(data_set, [_row(x=x, y=y)])
    assert isinstance(found, cutting.Crop) == is_on
    if not is_on:
        assert found.reason == "off_image"
        assert found.file == "train_images/1/10/2.dcm"


def test_missing_file_rejects_all_its_rows(data_set):
    data_set.add_image(1, 10, 1)
    found = _crops(data_set, [_row(condition=_LEFT), _row(condition=_RIGHT), _row(instance=1)])
    assert [getattr(item, "reason", None) for item in found] == [
        None,
        "missing_file",
        "missing_file",
    ]


def test_folder_in_place_of_a_file_is_unreadable(data_set):
    data_set.add_image(1, 10, 1)
    data_set.image_path(1, 10, 2).mkdir()
    (found,) = _crops(data_set, [_row()])
    assert found.reason == "unreadable_file"


def test_huge_file_is_rejected_unread(data_set):
    path = data_set.add_image(1, 10, 2)
    with path.open("r+b") as file:
        file.truncate(2**40)
    (found,) = _crops(data_set, [_row()])
    assert found.reason == "file_too_large"


def test_links_in_the_data_folder_are_followed(data_set, tmp_path):
    path = data_set.add_image(1, 10, 2)
    elsewhere = tmp_path / "elsewhere"
    path.parent.rename(elsewhere)
    path.parent.symlink_to(elsewhere)
    (found,) = _crops(data_set, [_row()], dataclasses.replace(_ROI, num_slices=3))
    assert isinstance(found, cutting.Crop)
