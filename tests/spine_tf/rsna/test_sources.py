"""Folder, zip file and subset give the same records."""

import dataclasses
import os
import pathlib
import pickle
import shutil
import subprocess
import sys
import zipfile
from typing import Any

import pytest

from spine_tf import labels
from spine_tf.configuration import roi_config
from spine_tf.conversion import job, plan, subset
from spine_tf.rsna import sources

_SETTINGS = plan.Settings(
    conditions=labels.CONDITIONS[3:],
    levels=("l4_l5",),
    roi=roi_config.RoiConfig(roi_px=16, roi_mm=16.0, num_slices=3),
)


def _zip(data_dir, path, prefix="", compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as opened:
        for file in sorted(data_dir.rglob("*")):
            opened.write(file, prefix + str(file.relative_to(data_dir)))
    return path


def _convert(data_dir, output_dir, conversion=_SETTINGS):
    source = sources.open_source(pathlib.Path(data_dir))
    job.convert(source, output_dir, conversion, num_workers=2, max_reject_fraction=0.5)
    return {file.name: file.read_bytes() for file in sorted(output_dir.iterdir())}


@pytest.fixture(scope="module")
def spoilt_dir(small_data_dir, tmp_path_factory):
    """The small data set with slices missing, unreadable, of another shape, and elsewhere."""
    data_dir = shutil.copytree(small_data_dir, tmp_path_factory.mktemp("spoilt") / "data")
    images = data_dir / "train_images"
    (images / "100/1000/2.dcm").unlink()
    (images / "101/1010/2.dcm").write_bytes(b"spoilt")
    (images / "102/1020/3.dcm").write_bytes(b"spoilt neighbour")
    (images / "103/1030/1.dcm").unlink()
    shutil.copy(images / "105/1050/2.dcm", images / "104/1040/9.dcm")
    return data_dir


@pytest.fixture(scope="module")
def expected(spoilt_dir, tmp_path_factory):
    return _convert(spoilt_dir, tmp_path_factory.mktemp("expected") / "r")


@pytest.mark.parametrize(
    ("prefix", "compression"),
    [("", zipfile.ZIP_DEFLATED), ("rsna/2024/", zipfile.ZIP_STORED)],
)
def test_zip_gives_the_same_bytes(spoilt_dir, expected, tmp_path, prefix, compression):
    path = _zip(spoilt_dir, tmp_path / "data.zip", prefix, compression)
    assert _convert(path, tmp_path / "r") == expected


@pytest.mark.parametrize("is_zip", [False, True])
def test_subset_gives_the_same_bytes(spoilt_dir, expected, tmp_path, is_zip):
    data_dir = _zip(spoilt_dir, tmp_path / "data.zip") if is_zip else spoilt_dir
    written = subset.write_subset(
        sources.open_source(data_dir),
        tmp_path / "s",
        conditions=_SETTINGS.conditions,
        levels=_SETTINGS.levels,
        num_slices=3,
    )
    assert _convert(tmp_path / "s", tmp_path / "r") == expected
    assert written.num_images == len(list((tmp_path / "s").rglob("*.dcm")))
    assert written.num_linked == (0 if is_zip else written.num_images)


def test_subset_for_a_window_by_series_holds_whole_series(spoilt_dir, tmp_path):
    by_series = dataclasses.replace(
        _SETTINGS, roi=roi_config.RoiConfig(roi_px=16, roi_mm=16.0, window="series")
    )
    written = subset.write_subset(
        sources.open_source(spoilt_dir),
        tmp_path / "s",
        conditions=_SETTINGS.conditions,
        levels=_SETTINGS.levels,
        window="series",
    )
    assert written.num_images == len(list((spoilt_dir / "train_images").rglob("*.dcm")))
    expected = _convert(spoilt_dir, tmp_path / "whole", by_series)
    assert _convert(tmp_path / "s", tmp_path / "r", by_series) == expected


def test_subset_of_single_slices_holds_the_annotated_images_alone(small_data_dir, tmp_path):
    written = subset.write_subset(
        sources.open_source(small_data_dir),
        tmp_path / "s",
        conditions=("left_subarticular_stenosis",),
        levels=("l3_l4",),
    )
    assert written.num_images == 40
    assert {path.name for path in (tmp_path / "s").rglob("*.dcm")} == {"1.dcm"}
    original = small_data_dir / "train_images/100/1000/1.dcm"
    assert original.samefile(tmp_path / "s/train_images/100/1000/1.dcm")
    assert (tmp_path / "s/train.csv").read_bytes() == (small_data_dir / "train.csv").read_bytes()


def test_interrupted_subset_is_continued_and_a_whole_one_left_alone(small_data_dir, tmp_path):
    options: dict[str, Any] = {"conditions": ("left_subarticular_stenosis",), "num_slices": 1}
    source = sources.open_source(small_data_dir)
    half = tmp_path / "s/train_images/100/1000/1.dcm"
    half.parent.mkdir(parents=True)
    half.write_bytes(b"half")
    subset.write_subset(source, tmp_path / "s", **options)
    assert half.stat().st_size > 1000
    with pytest.raises(ValueError, match="holds a data set: choose a new one"):
        subset.write_subset(source, tmp_path / "s", **options)
    with pytest.raises(ValueError, match="--num_slices is 2"):
        subset.write_subset(source, tmp_path / "t", **{**options, "num_slices": 2})


def test_subset_follows_links_and_copies_where_it_cannot_link(
    small_data_dir, tmp_path, monkeypatch
):
    linked = tmp_path / "linked"
    linked.mkdir()
    for path in small_data_dir.iterdir():
        (linked / path.name).symlink_to(path)

    def refuse(*_):
        raise OSError("another file system")

    monkeypatch.setattr(os, "link", refuse)
    written = subset.write_subset(
        sources.open_source(linked), tmp_path / "s", conditions=_SETTINGS.conditions
    )
    assert (written.num_linked, written.num_images) == (0, 120)
    copy = tmp_path / "s/train_images/100/1000/2.dcm"
    assert copy.read_bytes() == (small_data_dir / "train_images/100/1000/2.dcm").read_bytes()


@pytest.fixture
def small_zip(small_data_dir, tmp_path):
    return _zip(small_data_dir, tmp_path / "small.zip")


def test_workers_get_the_members_of_their_series_alone(small_zip):
    source = sources.open_source(small_zip)
    narrowed = source.narrowed({(100, 1000), (7, 7)})
    assert isinstance(narrowed, sources.Archive)
    assert sorted(narrowed.members) == [f"train_images/100/1000/{n}.dcm" for n in (1, 2, 3)]
    assert narrowed.instances(100, 1000) == [1, 2, 3]
    assert narrowed.instances(101, 1010) == []
    assert len(pickle.dumps(narrowed)) < 2000
    name = "train_images/100/1000/1.dcm"
    assert narrowed.read(name) == source.read(name)
    assert narrowed.read(name, 100) == source.read(name)[:100]
    with pytest.raises(FileNotFoundError, match=r"has no train_images/101"):
        narrowed.read("train_images/101/1010/1.dcm")


def test_damaged_member_is_an_error(small_zip):
    source = sources.open_source(small_zip)
    assert isinstance(source, sources.Archive)
    name = "train_images/100/1000/1.dcm"
    member = source.members[name]
    data = bytearray(small_zip.read_bytes())
    middle = member.offset + 200 + member.num_compressed // 2
    data[middle : middle + 20] = bytes(20)
    small_zip.write_bytes(data)
    with pytest.raises(OSError, match=r"damaged"):
        source.read(name)
    small_zip.write_bytes(data[: member.offset + 10])
    with pytest.raises(OSError, match=r"is damaged at train_images"):
        source.read(name)


def test_member_that_can_not_be_read_is_an_error(small_zip):
    source = sources.open_source(small_zip)
    assert isinstance(source, sources.Archive)
    name = "train_images/100/1000/1.dcm"
    members = {name: dataclasses.replace(source.members[name], method=-1)}
    with pytest.raises(OSError, match="encrypted, or compressed by another method"):
        dataclasses.replace(source, members=members).read(name)


def test_member_inflates_no_further_than_the_directory_says(small_zip):
    source = sources.open_source(small_zip)
    assert isinstance(source, sources.Archive)
    name = "train_images/100/1000/1.dcm"
    members = {name: dataclasses.replace(source.members[name], num_bytes=50)}
    with pytest.raises(OSError, match="is damaged"):
        dataclasses.replace(source, members=members).read(name)


def test_file_that_is_no_data_set_is_refused(tmp_path):
    (tmp_path / "x.zip").write_bytes(b"PK nonsense")
    with pytest.raises(ValueError, match="is neither a folder nor a zip file"):
        sources.open_source(tmp_path / "x.zip")
    with zipfile.ZipFile(tmp_path / "y.zip", "w") as opened:
        opened.writestr("train.csv", "x")
    with pytest.raises(ValueError, match="has no images in train_images/"):
        sources.open_source(tmp_path / "y.zip")


def test_prediction_takes_the_test_side_of_a_zip(make_data_set, small_zip, tmp_path):
    data = make_data_set(tmp_path / "d", side="test")
    data.add_image(1, 10, 2)
    data.add_row(1, 10, 2)
    path = _zip(data.write(), tmp_path / "d.zip")
    assert sources.open_for_prediction(path).side == "test"
    assert sources.open_for_prediction(small_zip).side == "train"
    assert isinstance(sources.open_for_prediction(path), sources.Archive)


def test_program_writes_a_subset(small_zip, tmp_path):
    command = [sys.executable, "-m", "spine_tf.subset", f"--data_dir={small_zip}"]
    finished = subprocess.run(
        [*command, f"--output_dir={tmp_path / 's'}", "--levels=all"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert "120 images, 0 of them hard links" in finished.stderr
