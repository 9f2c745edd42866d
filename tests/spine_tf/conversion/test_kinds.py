"""Kinds of record: pixels under a point, whatever series it comes from; a level's views."""

import dataclasses
import hashlib
import io
import pathlib
import re
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from spine_tf import cli, labels
from spine_tf.configuration import model_configs, record_kind, roi_config
from spine_tf.conversion import finalize, job, kinds, plan
from spine_tf.crops import record
from spine_tf.rsna import sources
from tfrecords import inspection, manifest, record_picture, records

_SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
_SPACING_MM, _STEP_MM = 2.0, 4.0
_T1, _T2, _AXIAL = 1, 2, 3
_CANAL, _LEFT, _RIGHT, _LEFT_RECESS, _RIGHT_RECESS = labels.CONDITIONS
# Of L4/L5, in the patient: mm to the left, to the back and to the head.
_PLACES = {
    _CANAL: (0.0, 10.0, -20.0),
    _LEFT: (16.0, 6.0, -12.0),
    _RIGHT: (-16.0, 4.0, -14.0),
    _LEFT_RECESS: (9.0, 6.0, -22.0),
    _RIGHT_RECESS: (-9.0, 7.0, -18.0),
}
_OF_SERIES = {
    _T1: (_LEFT, _RIGHT),
    _T2: (_CANAL,),
    _AXIAL: (_LEFT_RECESS, _RIGHT_RECESS),
}


class _Study:
    """Three series of noise, with a bright dot wherever a place of its plane meets a slice."""

    def __init__(self, data, study, shift=0.0, frame="1.2"):
        self.data, self.study, self.frame = data, study, frame
        self.places = {name: np.add(at, (0.0, shift, 0.0)) for name, at in _PLACES.items()}

    def add(self, series, conditions=None, frame=None):
        """Adds a series with its points."""
        number = self.study * 10 + series
        description = {_T1: "Sagittal T1", _T2: "Sagittal T2/STIR", _AXIAL: "Axial T2"}[series]
        for index, step in enumerate(range(-5, 6)):
            self.data.add_image(
                self.study,
                number,
                index + 1,
                self._pixels(series, step),
                description=description,
                spacing=(_SPACING_MM, _SPACING_MM),
                **self._geometry(series, step),
                FrameOfReferenceUID=frame or self.frame,
            )
        for condition in _OF_SERIES[series] if conditions is None else conditions:
            step, (x, y) = self._on(series, self.places[condition])
            self.data.add_row(self.study, number, step + 6, condition, x=x, y=y)

    def _geometry(self, series, step):
        if series == _AXIAL:
            return {"position": (-64.0, -64.0, -20.0 + _STEP_MM * step)}
        return {"position": (_STEP_MM * step, -64.0, 44.0), "orientation": _SAGITTAL}

    def _on(self, series, place):
        """The step of the nearest slice, and column and row there."""
        left, back, head = place
        if series == _AXIAL:
            return round((head + 20) / _STEP_MM), ((left + 64) / 2, (back + 64) / 2)
        return round(left / _STEP_MM), ((back + 64) / 2, (44 - head) / 2)

    def _pixels(self, series, step):
        pixels = np.random.default_rng([self.study, series, step + 9]).integers(0, 50, (64, 64))
        for name, place in self.places.items():
            if (series == _AXIAL) != (name in _OF_SERIES[_AXIAL]):
                continue
            nearest, (x, y) = self._on(series, place)
            if nearest == step:
                pixels[round(y), round(x)] = 4000
        return pixels.astype(np.uint16)


@pytest.fixture(scope="module")
def data_dir(make_data_set, tmp_path_factory):
    """Eight studies; the first has another frame of reference in T1, the second a foramen alone."""
    data = make_data_set(tmp_path_factory.mktemp("kinds") / "data")
    for study in range(100, 108):
        of_study = _Study(data, study, shift=float(study - 104))
        of_study.add(_T1, (_LEFT,) if study == 101 else None, "9.9" if study == 100 else None)
        of_study.add(_T2)
        if study != 102:
            of_study.add(_AXIAL)
    return data.write()


def _settings(kind, **options):
    values = {
        "conditions": labels.CONDITIONS,
        "levels": labels.LEVELS,
        "num_folds": 3,
        **_OPTIONS.get(kind, {}),
        **options,
    }
    return plan.Settings(kind=kind, **values)


def _convert(data_dir, output_dir, kind, max_reject_fraction=0.05, **options):
    return job.convert(
        sources.open_source(data_dir),
        output_dir,
        _settings(kind, **options),
        num_workers=1,
        max_reject_fraction=max_reject_fraction,
    )


_ROI = {"roi": roi_config.RoiConfig(roi_px=24, num_slices=3)}
_OPTIONS = {record_kind.ROI: _ROI, record_kind.LEVEL: _ROI}


@pytest.fixture(scope="module")
def converted(data_dir, tmp_path_factory):
    """Kind -> finished directory."""
    made = {}
    for kind in record_kind.NAMES:
        made[kind] = tmp_path_factory.mktemp("converted") / kind
        _convert(data_dir, made[kind], kind)
    return made


def _read(directory):
    """Key -> values, of all splits."""
    opened = records.open_records(directory)
    return {values["key"].decode(): values for values in records.iterate(opened, opened.splits)}


def _points(values):
    """Index -> (x, y, slices) of the points that are known."""
    places = values["point_xy"].reshape(-1, 2).tolist()
    return {
        index: (*places[index], values["point_slices"][index])
        for index in np.flatnonzero(values["point_known"]).tolist()
    }


def _brightness(values, x, y):
    """Of the point's surroundings on the middle slice."""
    column, row = round(x), round(y)
    return values["image"][row - 1 : row + 2, column - 1 : column + 2, 1].max()


_OF_POINTS = (record_kind.SAGITTAL, record_kind.AXIAL)


@pytest.mark.parametrize("kind", _OF_POINTS)
def test_points_lie_on_their_pixels_in_every_series(converted, kind):
    """On the point's own slice there is the dot; carried from another series it lies as well."""
    seen = set()
    for key, values in _read(converted[kind]).items():
        for index, (x, y, slices) in _points(values).items():
            if slices <= 0.5:
                assert _brightness(values, x, y) > 400, key
                seen.add((values["series_id"] % 10, index))
            elif slices >= 1:
                assert _brightness(values, x, y) < 100, key
    of_series = {
        record_kind.SAGITTAL: {(series, index) for series in (_T1, _T2) for index in (3, 8)},
        record_kind.AXIAL: {(_AXIAL, 0), (_AXIAL, 1)},
    }
    assert seen == of_series[kind]


def test_sagittal_window_is_the_slice_at_one_mm_around_its_middle(converted):
    values = _read(converted[record_kind.SAGITTAL])["103/1032/6"]
    assert values["center_xy"].tolist() == [31.5, 31.5]
    assert values["pixel_spacing"].tolist() == [2.0, 2.0]
    # Canal 9 mm behind the patient's origin, which is 64 mm behind the first column's centre; the
    # image's middle is 63 mm behind that one, and 127.5 px from the grid's first centre.
    x, y, slices = _points(values)[3]
    assert (x, y, slices) == (73 - 63 + 127.5, 64 - 63 + 127.5, 0)
    # The right foramen, 16 mm aside: four slices.
    assert _points(values)[8][2] == 4


def test_nearer_foramen_is_the_one(converted):
    found = _read(converted[record_kind.SAGITTAL])
    for number, back in ((10, 6.0), (2, 4.0)):  # the slices through the left and the right one
        x, _, slices = _points(found[f"104/1041/{number}"])[8]
        assert (x, slices) == (back + 64 - 63 + 127.5, 0)


def test_other_side_of_a_single_foramen_is_unknown(converted):
    for key, values in _read(converted[record_kind.SAGITTAL]).items():
        if values["study_id"] == 101:
            left = 4.0 * (values["instance_number"] - 6)
            assert (8 in _points(values)) == (left >= 0), key


def test_points_are_not_carried_to_another_frame_of_reference(converted):
    for values in _read(converted[record_kind.SAGITTAL]).values():
        if values["study_id"] == 100:
            assert set(_points(values)) == ({8} if values["series_id"] == 1001 else {3})


def test_slices_with_a_point_their_neighbours_and_some_others_are_records(converted):
    found = _read(converted[record_kind.SAGITTAL])
    instances = {key.rpartition("/")[2] for key in found if key.startswith("103/1031/")}
    # Foramina four slices aside of the canal, which is carried over.
    assert {"1", "2", "3", "5", "6", "7", "9", "10", "11"} <= instances
    assert {values["series_kind"] for values in found.values()} == {0, 1}
    num_others = sum(key.rpartition("/")[2] in ("4", "8") for key in found)
    assert 0 < num_others < 20


def test_axial_window_lies_around_the_projected_canal_point(converted):
    found = _read(converted[record_kind.AXIAL])
    assert not any(key.startswith("102/") for key in found)
    for key, values in found.items():
        assert key.endswith("/l4_l5")
        shift = values["study_id"] - 104
        expected = 32.0, (10 + shift + 64) / 2
        # In study 100 the canal point, of T2, is in the axial slices' frame.
        np.testing.assert_allclose(values["center_xy"], expected, atol=1e-5)
        left, right = _points(values)[0], _points(values)[1]
        assert left[0] - right[0] == pytest.approx(36)
    assert values["level"] == labels.LEVELS.index("l4_l5")


@pytest.mark.slow
def test_axial_window_without_a_canal_point_lies_behind_the_recesses(data_dir, converted, tmp_path):
    _convert(data_dir, tmp_path / "r", record_kind.AXIAL, conditions=(_LEFT_RECESS,))
    found = _read(tmp_path / "r")
    for values in found.values():
        assert set(_points(values)) == {0}
        back = 6 + values["study_id"] - 104 + 3.5
        np.testing.assert_allclose(values["center_xy"], (32.0, (back + 64) / 2), atol=1e-5)
    # The last slice is 22 mm off, where another disc may lie, although the hash takes some.
    chosen = [hashlib.sha256(f"{n}/{n}3/11".encode()).digest()[0] % 8 for n in range(100, 108)]
    assert 0 in chosen
    assert {values["instance_number"] for values in found.values()} <= set(range(1, 11))


def test_folds_are_those_of_regions_of_interest(converted):
    split_of = {}
    for kind, directory in converted.items():
        index = records.open_records(directory)
        found = index.index(index.splits)
        split_of[kind] = dict(zip(found.columns["study_id"].tolist(), found.splits, strict=True))
    assert len(set(split_of[record_kind.ROI].values())) > 2
    assert split_of[record_kind.SAGITTAL] == split_of[record_kind.ROI]
    assert split_of[record_kind.LEVEL] == split_of[record_kind.ROI]
    assert split_of[record_kind.AXIAL].items() < split_of[record_kind.ROI].items()


def _bytes_of(path):
    return {file.name: file.read_bytes() for file in sorted(path.iterdir())}


def test_views_of_a_level_are_its_regions_of_interest(converted):
    crops = {
        (values["study_id"], values["condition"]): values
        for values in _read(converted[record_kind.ROI]).values()
    }
    levels = _read(converted[record_kind.LEVEL])
    assert len(levels) == 8
    for key, values in levels.items():
        assert key == f"{values['study_id']}/l4_l5"
        for condition in range(5):
            own = crops.get((values["study_id"], condition))
            windows = values["window"].reshape(5, 2)
            assert values["present"][condition] == (own is not None)
            if own is None:
                assert not values["image"][condition].any()
                assert values["label"][condition] == -1
                assert windows[condition].tolist() == [0, 1]
            else:
                np.testing.assert_array_equal(values["image"][condition], own["image"])
                assert windows[condition].tolist() == own["window"].tolist()
                assert values["label"][condition] == own["label"]
                assert values["mirrored"][condition] == own["mirrored"]
    assert levels["101/l4_l5"]["present"].tolist() == [1, 1, 0, 1, 1]
    assert levels["102/l4_l5"]["present"].tolist() == [1, 1, 1, 0, 0]
    assert levels["103/l4_l5"]["mirrored"].tolist() == [0, 0, 0, 0, 1]


def test_level_has_its_record_whatever_is_missing(make_data_set, tmp_path):
    data = make_data_set(tmp_path / "data")
    for study in range(1, 8):
        data.add_image(study, study, 1)
        data.add_row(study, study, 1, severity="Severe" if study != 3 else None)
    data.grades[1]["spinal_canal_stenosis_l1_l2"] = "Moderate"
    data.grades[2]["spinal_canal_stenosis_l4_l5"] = "Bad"
    data.add_row(4, 4, 2, "right_subarticular_stenosis")  # there is no such image
    data.add_image(5, 6000, 1)
    data.add_row(5, 6000, 1, severity="Severe")  # sorted by key, the other point comes first
    _convert(
        data.write(),
        tmp_path / "r",
        record_kind.LEVEL,
        num_folds=2,
        roi=roi_config.RoiConfig(roi_px=16),
        max_reject_fraction=0.2,
    )
    found = _read(tmp_path / "r")
    left = labels.CONDITIONS.index("left_subarticular_stenosis")
    assert len(found) == 8
    for key, present, label in (
        ("1/l4_l5", [left], [-1, -1, -1, 2, -1]),
        ("1/l1_l2", [], [1, -1, -1, -1, -1]),
        ("2/l4_l5", [left], [-1, -1, -1, 2, -1]),
        ("3/l4_l5", [left], [-1] * 5),
        ("4/l4_l5", [left], [-1, -1, -1, 2, 0]),
    ):
        assert np.flatnonzero(found[key]["present"]).tolist() == present
        assert found[key]["label"].tolist() == label
    assert (
        "4/4/2/right_subarticular_stenosis/l4_l5,missing_file"
        in (tmp_path / "r/rejects.csv").read_text()
    )
    (note,) = manifest.read_manifest(tmp_path / "r").details["notes"][1:]
    assert "spinal_canal_stenosis_l4_l5 of study 2 is 'Bad'" in note


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind",
    [record_kind.LEVEL, *(pytest.param(kind, marks=pytest.mark.slow) for kind in _OF_POINTS)],
)
def test_slots_and_what_was_begun_give_the_same_bytes(data_dir, converted, tmp_path, kind):
    source, wanted = sources.open_source(data_dir), _settings(kind)
    for index in (1, 0):
        slot = job.Slot(index=index, count=2)
        job.convert_slot(source, tmp_path / "r", wanted, slot, num_workers=1)
        if index:
            shutil.copytree(tmp_path / "r", tmp_path / "begun")
    job.finish(source, tmp_path / "r", wanted)
    job.convert(source, tmp_path / "begun", wanted, num_workers=2)
    assert _bytes_of(tmp_path / "r") == _bytes_of(converted[kind])
    assert _bytes_of(tmp_path / "begun") == _bytes_of(converted[kind])
    with pytest.raises(ValueError, match="another conversion"):
        job.convert(source, tmp_path / "r", _settings(record_kind.ROI), num_workers=1)


@pytest.mark.slow
def test_killed_conversion_is_continued_to_the_same_bytes(data_dir, converted, tmp_path):
    flags = {"data_dir": data_dir, "output_dir": tmp_path / "r", "num_folds": 3, "workers": 1}
    command = [sys.executable, "-m", "spine_tf.convert", "--kind=sagittal"]
    command += [f"--{name}={value}" for name, value in flags.items()]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while not any((tmp_path / "r").glob("*.tfrecord-*.json")):
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "r/manifest.json").exists()
    subprocess.run(command, check=True, capture_output=True)
    assert _bytes_of(tmp_path / "r") == _bytes_of(converted[record_kind.SAGITTAL])


@pytest.mark.slow
@pytest.mark.parametrize("kind", record_kind.NAMES)
def test_tfds_opens_every_kind(converted, kind):
    import tensorflow_datasets as tfds

    expected = _read(converted[kind])
    builder = tfds.builder_from_directory(str(converted[kind]))
    for elements in builder.as_dataset().values():
        for values in elements:
            own = expected.pop(values.pop("key").numpy().decode())
            for name, value in values.items():
                np.testing.assert_array_equal(value.numpy(), own[name])
    assert not expected


@pytest.mark.slow
def test_slices_that_cannot_be_used_are_said_and_tried_again(data_dir, converted, tmp_path):
    copy = shutil.copytree(data_dir, tmp_path / "data")
    spoiled = copy / "train_images/103/1032/6.dcm"
    whole = spoiled.read_bytes()
    spoiled.unlink()
    cut = copy / "train_images/104/1042/6.dcm"
    cut_whole = cut.read_bytes()
    cut.write_bytes(cut_whole[:-2000])
    source, wanted = sources.open_source(copy), _settings(record_kind.SAGITTAL)
    with pytest.raises(finalize.TooManyRejects):
        job.convert(source, tmp_path / "r", wanted, num_workers=1, max_reject_fraction=0.0)
    said = (tmp_path / "r/rejects.csv").read_text()
    assert f"103/1032/6/{_CANAL}/l4_l5,missing_file" in said
    assert "104/1042/6,bad_pixels" in said
    assert "its neighbour, image 6" in said
    spoiled.write_bytes(whole)
    cut.write_bytes(cut_whole)
    job.convert(source, tmp_path / "r", wanted, num_workers=1, max_reject_fraction=0.0)
    assert _bytes_of(tmp_path / "r") == _bytes_of(converted[record_kind.SAGITTAL])


def test_rows_without_a_grade_have_points_all_the_same(data_dir, tmp_path):
    copy = shutil.copytree(data_dir, tmp_path / "data")
    grades = copy / "train.csv"
    grades.write_text(grades.read_text().replace("Normal/Mild", ""))
    graded, ungraded = (
        plan.make_plan(sources.open_source(each), _settings(record_kind.SAGITTAL))
        for each in (data_dir, copy)
    )
    points = [
        {row.key: [point.key for point in row.points] for part in made.shards for row in part.rows}
        for made in (graded, ungraded)
    ]
    assert points[0] == points[1]
    assert len(points[0]) == 8
    assert not ungraded.rejects


def test_summary_and_inspection_do_without_classes(converted):
    directory = converted[record_kind.SAGITTAL]
    dataset = manifest.read_manifest(directory)
    assert dataset.class_counts == {}
    assert dataset.config["kind"] == record_kind.SAGITTAL
    lines = finalize.summarize(dataset).splitlines()
    assert lines[0].split() == ["split", "records"]
    assert "kind: sagittal" in inspection.describe(records.open_records(directory))


@pytest.mark.parametrize("kind", (*_OF_POINTS, record_kind.LEVEL))
def test_picture_shows_records_with_their_points(converted, kind):
    opened = records.open_records(converted[kind])
    sheet = Image.open(io.BytesIO(inspection.draw_crops(opened))).convert("RGB")
    pixels = np.asarray(sheet).astype(int)
    is_coloured = np.ptp(pixels, axis=2) > 100
    assert is_coloured.any() == (kind in _OF_POINTS)
    (values, *_) = records.iterate(opened, opened.splits[:1])
    picture = np.asarray(record_picture.draw(values)).astype(int)
    assert any(
        (pixels[top : top + len(picture), 88 : 88 + picture.shape[1]] == picture).all()
        for top in range(80)
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"kind": "sagital"}, "--kind is 'sagital', expected one of"),
        ({"conditions": (_LEFT_RECESS,)}, "--kind sagittal knows nothing of"),
        ({"roi": roi_config.RoiConfig(roi_px=64)}, "256 mm at 256 px .* leave --roi_mm"),
    ],
)
def test_settings_that_cannot_be_are_refused(options, said):
    with pytest.raises(ValueError, match=said):
        dataclasses.replace(_settings(record_kind.SAGITTAL), **options)


def test_conditions_that_make_no_record_alone_are_refused():
    with pytest.raises(ValueError, match=r"makes no record; expected one of left_sub.*among them"):
        _settings(record_kind.AXIAL, conditions=(_CANAL,))


def test_records_of_another_kind_are_named(converted):
    opened = records.open_records(converted[record_kind.SAGITTAL])
    with pytest.raises(ValueError, match=r"sagittal \(a sagittal .* convert --kind roi"):
        record.require_conversion(opened)


@pytest.mark.parametrize("name", record_kind.NAMES)
def test_every_kind_is_made_and_trained_on(name, capsys):
    assert kinds.make(name, roi_config.RoiConfig()).name == name
    cli.print_next_training(pathlib.Path("records"), name)
    task, model = re.search(r"--task=(\w+) --model=(\w+)", capsys.readouterr().out).groups()
    assert task in model_configs.MODEL_CONFIGS[model].tasks
