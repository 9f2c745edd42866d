"""Sides and neighbours by geometry; crops of rows, or rejects with their file."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from spine_tf import labels
from spine_tf.configuration import roi_config as roi_config_module
from spine_tf.crops import cutting, roi
from spine_tf.dicom import geometry, header, reasons
from spine_tf.rsna import annotations, sources

_USUAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
_TO_THE_RIGHT = (-1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
_OBLIQUE = (0.98, 0.05, -0.19, 0.0, 0.966, 0.259)
_SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
_CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
_TURNED = (0.0, 1.0, 0.0, -1.0, 0.0, 0.0)
_LEFT = labels.CONDITIONS.index("left_subarticular_stenosis")
_RIGHT = labels.CONDITIONS.index("right_subarticular_stenosis")
_CANAL = labels.CONDITIONS.index("spinal_canal_stenosis")


def _header(**changes):
    usual = header.Header(
        rows=64,
        columns=72,
        bits_allocated=16,
        bits_stored=12,
        is_signed=False,
        is_inverted=False,
        slope=1.0,
        intercept=0.0,
        spacing=(0.5, 0.5),
        position=(0.0, 0.0, 0.0),
        orientation=_USUAL,
    )
    return dataclasses.replace(usual, **changes)


@pytest.mark.parametrize(
    ("orientation", "condition", "expected"),
    [
        (_USUAL, _RIGHT, True),
        (_USUAL, _LEFT, False),
        (_USUAL, _CANAL, False),
        (_TO_THE_RIGHT, _LEFT, True),
        (_TO_THE_RIGHT, _RIGHT, False),
        (_OBLIQUE, _RIGHT, True),
        (_SAGITTAL, _RIGHT, False),
        (_SAGITTAL, _LEFT, False),
        (_CORONAL, _RIGHT, False),
        (_TURNED, _RIGHT, False),
        (None, _CANAL, False),
    ],
)
def test_side_is_told_by_orientation(orientation, condition, expected):
    assert geometry.is_mirrored(condition, _header(orientation=orientation)) is expected


def test_unknown_side_is_rejected():
    with pytest.raises(reasons.Rejected, match="no_orientation"):
        geometry.is_mirrored(_LEFT, _header(orientation=None))


def _stack(positions, **changes):
    """Headers by instance number, from 1, along the patient's axis."""
    return {
        number: _header(position=(0.0, 0.0, z), **changes)
        for number, z in enumerate(positions, start=1)
    }


@pytest.mark.parametrize(
    ("positions", "instance", "num_slices", "expected"),
    [
        pytest.param([0, 4, 8, 12, 16], 3, 3, [2, 3, 4], id="in order"),
        pytest.param([16, 12, 8, 4, 0], 3, 3, [4, 3, 2], id="numbered backwards"),
        pytest.param([4, 16, 8, 0, 12], 3, 5, [4, 1, 3, 5, 2], id="numbered at random"),
        pytest.param([0, 4, 8], 1, 5, [1, 1, 1, 2, 3], id="lower end"),
        pytest.param([0, 4, 8], 3, 7, [1, 1, 2, 3, 3, 3, 3], id="upper end"),
        pytest.param([0], 1, 3, [1, 1, 1], id="alone"),
        pytest.param([0, 4, 30, 34], 2, 3, [1, 2, 3], id="gap"),
        pytest.param([0, 0, 4, 4, 8, 8], 3, 3, [2, 3, 5], id="each position twice"),
        pytest.param([0, 4, 8], 2, 1, [2], id="one slice"),
    ],
)
def test_neighbours_come_by_position(positions, instance, num_slices, expected):
    assert geometry.neighbours(instance, _stack(positions), num_slices) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"rows": 65}, [1, 2, 2], id="another shape is the end"),
        pytest.param({"spacing": (0.6, 0.6)}, [1, 2, 2], id="another spacing is the end"),
        pytest.param({"orientation": _OBLIQUE}, [1, 2, 4], id="another stack is passed over"),
        pytest.param({"position": None}, [1, 2, 4], id="nowhere is passed over"),
    ],
)
def test_neighbour_that_does_not_fit(changes, expected):
    headers = _stack([0, 4, 8, 12])
    headers[3] = dataclasses.replace(headers[3], **changes)
    assert geometry.neighbours(2, headers, 3) == expected


def test_neighbours_of_a_slice_without_a_place_are_unknown():
    with pytest.raises(reasons.Rejected, match="neighbours are unknown"):
        geometry.neighbours(1, {1: _header(position=None)}, 3)


@settings(deadline=None)
@given(st.lists(st.integers(-50, 50), min_size=1, max_size=9, unique=True), st.data())
def test_neighbours_ascend_and_are_nearest(positions, data):
    headers = _stack([float(p) for p in positions])
    instance = data.draw(st.integers(1, len(positions)))
    found = [positions[n - 1] for n in geometry.neighbours(instance, headers, 5)]
    ordered = sorted(positions)
    center = ordered.index(positions[instance - 1])
    clamped = [min(max(center + step, 0), len(ordered) - 1) for step in range(-2, 3)]
    assert found == [ordered[index] for index in clamped]


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
    expected = roi.crop_stack(
        [_noise(0)], center_xy=(x, y), spacing=spacing, roi_mm=16.0, roi_px=16
    )
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
    unreadable = set()
    rows = [_row(), _row(instance=1, y=3), _row(condition=_RIGHT)]
    found = cutting.read_crops(
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
    changes = {"num_slices": 3, "window": "crop"}
    rows = [_row(x=x, condition=c) for x in (10, 2) for c in (_LEFT, _RIGHT)]
    for crop in _crops(data_set, rows, dataclasses.replace(_ROI, **changes)):
        assert crop.window == _percentiles(crop.image)


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
