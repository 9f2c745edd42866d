"""Folder, zip file and subset give the same records."""

import dataclasses
import os
import pathlib
import pickle
import random
import shutil
import subprocess
import tracemalloc
import zipfile
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies

from spine_tf import labels
from spine_tf.configuration import record_kind, roi_config
from spine_tf.conversion import job, plan, subset
from spine_tf.dicom import reasons
from spine_tf.rsna import sources, tables
from tfrecords import regular_file

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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("prefix", "compression"),
    [("", zipfile.ZIP_DEFLATED), ("rsna/2024/", zipfile.ZIP_STORED)],
)
def test_zip_gives_the_same_bytes(spoilt_dir, expected, tmp_path, prefix, compression):
    path = _zip(spoilt_dir, tmp_path / "data.zip", prefix, compression)
    assert _convert(path, tmp_path / "r") == expected


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_subset_has_what_records_of_levels_show_without_a_grade(small_data_dir, tmp_path):
    data_dir = shutil.copytree(small_data_dir, tmp_path / "data")
    grades = data_dir / "train.csv"
    grades.write_text(grades.read_text().replace("Severe", "").replace("Moderate", ""))
    of_levels = dataclasses.replace(_SETTINGS, kind=record_kind.LEVEL)
    subset.write_subset(
        sources.open_source(data_dir),
        tmp_path / "s",
        conditions=of_levels.conditions,
        levels=of_levels.levels,
        num_slices=3,
    )
    expected = _convert(data_dir, tmp_path / "whole", of_levels)
    assert _convert(tmp_path / "s", tmp_path / "r", of_levels) == expected


def test_subset_without_an_image_is_refused(small_data_dir, tmp_path):
    source = sources.open_source(small_data_dir)
    with pytest.raises(ValueError, match="no row that can be used for --conditions spinal_canal"):
        subset.write_subset(source, tmp_path / "s", conditions=("spinal_canal_stenosis",))
    assert not (tmp_path / "s").exists()


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
    with pytest.raises(FileNotFoundError, match=r"no such file: .*small.zip/train_images/101"):
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
    with pytest.raises(OSError, match=r"small.zip holds train_images.*, which is damaged"):
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
    (tmp_path / "half.zip").write_bytes((tmp_path / "y.zip").read_bytes()[:60])
    with pytest.raises(ValueError, match=r"half.zip is a zip file that is cut off or damaged"):
        sources.open_source(tmp_path / "half.zip")
    with pytest.raises(ValueError, match="has no images in train_images/"):
        sources.open_source(tmp_path / "y.zip")


def _spelled(data_dir, path, spell, more=()):
    """A zip of the data set whose names are spelled otherwise, and of more files."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        for file in sorted(path for path in data_dir.rglob("*") if path.is_file()):
            opened.writestr(
                zipfile.ZipInfo(spell(str(file.relative_to(data_dir)))), file.read_bytes()
            )
        for name, content in more:
            opened.writestr(name, content)
    return path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spell", "more"),
    [
        (lambda name: name.replace("/", "\\"), ()),
        (lambda name: "rsna\\" + name.replace("/", "\\"), [("rsna\\", b"")]),
        (lambda name: name.replace(".dcm", ".DCM"), ()),
        (lambda name: name, [("train_images/100/1000/1.DCM", b"not the one")]),
        (
            lambda name: f"rsna/{name}",
            [
                ("__MACOSX/rsna/._train_series_descriptions.csv", b"x"),
                ("__MACOSX/rsna/train_images/100/1000/._1.dcm", b"x"),
                ("train_series_descriptions.csv", b"a copy"),
                ("old/train_series_descriptions.csv", b"another"),
                ("rsna/old/my_train_series_descriptions.csv", b"no such name"),
            ],
        ),
    ],
    ids=["backslashes", "backslashes in a folder", "upper case", "both cases", "stray CSVs"],
)
def test_zip_of_another_program_gives_the_same_bytes(spoilt_dir, expected, tmp_path, spell, more):
    path = _spelled(spoilt_dir, tmp_path / "data.zip", spell, more)
    assert _convert(path, tmp_path / "r") == expected


def test_zip_of_several_data_sets_or_of_a_divided_one_is_refused(small_data_dir, tmp_path):
    path = _spelled(small_data_dir, tmp_path / "a.zip", lambda name: f"a/{name}")
    with zipfile.ZipFile(path, "a") as opened:
        for name in ("train_series_descriptions.csv", "train_images/1/2/3.dcm"):
            opened.writestr(f"b/c/{name}", "x")
    with pytest.raises(ValueError, match=r"a.zip holds 2 data sets, in a/ and b/c/: unpack it"):
        sources.open_source(path)
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as opened:
        opened.writestr("csv/train_series_descriptions.csv", "x")
        opened.writestr("train_images/1/2/3.dcm", "x")
    with pytest.raises(ValueError, match=r"its CSVs in csv/ and its images in its top"):
        sources.open_source(tmp_path / "b.zip")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_member_that_no_one_can_decode_is_named(small_data_dir, tmp_path, method):
    path = _zip(small_data_dir, tmp_path / "d.zip", compression=method)
    source = sources.open_source(path)
    with pytest.raises(OSError, match=r"d.zip holds train.csv, which is encrypted, or compressed"):
        tables.read_table(source, "train.csv")
    with pytest.raises(reasons.Rejected, match=r"holds train_images/100/1000/1.dcm, which is"):
        sources.read_image(source, "train_images/100/1000/1.dcm")


@pytest.mark.parametrize("says", ["the truth", "less"])
def test_table_that_inflates_to_gigabytes_is_not_inflated(small_zip, monkeypatch, says):
    """A limit of 1 MB stands for the real one: the test would take the memory that it guards."""
    monkeypatch.setattr(regular_file, "MAX_BYTES", 2**20)
    with zipfile.ZipFile(small_zip, "a", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("train_images/100/1000/9.dcm", bytes(2**24))
    source = sources.open_source(small_zip)
    assert isinstance(source, sources.Archive)
    name = "train_images/100/1000/9.dcm"
    member = source.members[name]
    if says == "less":
        member = dataclasses.replace(member, num_bytes=1000, num_compressed=2**40)
    source = dataclasses.replace(source, members={name: member})
    tracemalloc.start()
    with pytest.raises(OSError, match=r"more than 1048576 bytes|which is damaged"):
        source.read(name)
    assert tracemalloc.get_traced_memory()[1] < 2**22
    tracemalloc.stop()
    if says == "the truth":
        with pytest.raises(reasons.Rejected) as caught:
            sources.read_image(source, name)
        assert caught.value.reason is reasons.Reason.FILE_TOO_LARGE


@pytest.mark.parametrize("is_zip", [False, True])
@pytest.mark.parametrize("name", ["1", "001.dcm", "1.dicom", "01.DCM"])
def test_file_that_resembles_the_missing_one_is_named(small_data_dir, tmp_path, is_zip, name):
    data_dir = shutil.copytree(small_data_dir, tmp_path / "data")
    series = data_dir / "train_images/100/1000"
    (series / "1.dcm").rename(series / name)
    (series / "11.dcm").touch()
    source = sources.open_source(_zip(data_dir, tmp_path / "d.zip") if is_zip else data_dir)
    with pytest.raises(reasons.Rejected, match=f"no such file, but there is {name}$"):
        sources.read_image(source.narrowed({(100, 1000)}), "train_images/100/1000/1.dcm")
    assert source.instances(100, 1000) == [2, 3, 11]


@pytest.mark.slow
def test_suffix_in_another_case_is_the_same_file(small_data_dir, expected, spoilt_dir, tmp_path):
    data_dir = shutil.copytree(spoilt_dir, tmp_path / "data")
    for path in list(data_dir.rglob("*.dcm")):
        path.rename(path.with_suffix(".Dcm"))
    (data_dir / "train_images/100/1000/1.dcm").write_bytes(
        (small_data_dir / "train_images/100/1000/1.dcm").read_bytes()
    )
    (data_dir / "train_images/100/1000/1.Dcm").write_bytes(b"not the one")
    source = sources.open_source(data_dir)
    assert source.instances(100, 1000) == [1, 3]
    assert source.sizes(100, 1000)[1] > 1000
    assert _convert(data_dir, tmp_path / "r") == expected
    subset.write_subset(source, tmp_path / "s", conditions=_SETTINGS.conditions, num_slices=3)
    assert _convert(tmp_path / "s", tmp_path / "r2") == expected


@pytest.mark.parametrize("is_zip", [False, True])
def test_table_in_another_case_is_named(small_data_dir, tmp_path, is_zip):
    data_dir = shutil.copytree(small_data_dir, tmp_path / "data")
    (data_dir / "train.csv").rename(data_dir / "Train.CSV")
    source = sources.open_source(_zip(data_dir, tmp_path / "d.zip") if is_zip else data_dir)
    with pytest.raises(ValueError, match=r"has no train.csv.*but there is Train.CSV"):
        tables.read_table(source, "train.csv")
    (data_dir / "train_images").rename(data_dir / "Train_Images")
    with pytest.raises(ValueError, match="has no folder train_images, but Train_Images/"):
        sources.open_source(data_dir)
    (data_dir / "Train_Images").rename(data_dir / "images")
    (data_dir / "test_images").mkdir(exist_ok=True)
    with pytest.raises(ValueError, match="only test_images/, of studies without grades"):
        sources.open_source(data_dir)


def test_what_is_no_file_is_a_reject_or_a_sentence_and_no_part_of_a_subset(
    small_data_dir, tmp_path
):
    data_dir = shutil.copytree(small_data_dir, tmp_path / "data")
    series = data_dir / "train_images/100/1000"
    (series / "1.dcm").unlink()
    os.mkfifo(series / "1.dcm")
    (series / "2.dcm").unlink()
    (series / "2.dcm").symlink_to("/dev/zero")
    source = sources.open_source(data_dir)
    for number, kind in ((1, "named pipe"), (2, "device")):
        for read in (sources.read_image, sources.read_header):
            with pytest.raises(reasons.Rejected, match=f"is a {kind}") as caught:
                read(source, f"train_images/100/1000/{number}.dcm")
            assert caught.value.reason is reasons.Reason.UNREADABLE_FILE
    conditions = _SETTINGS.conditions
    written = subset.write_subset(source, tmp_path / "s", conditions=conditions, levels=("l4_l5",))
    assert written.num_images == 39
    (data_dir / "train.csv").unlink()
    os.mkfifo(data_dir / "train.csv")
    with pytest.raises(OSError, match=r"train.csv is a named pipe, expected a regular file"):
        tables.read_table(source, "train.csv")
    (tmp_path / "folds.csv").symlink_to("/dev/zero")
    settings = dataclasses.replace(_SETTINGS, folds_csv=tmp_path / "folds.csv")
    with pytest.raises(OSError, match=r"folds.csv is a device, expected a regular file"):
        plan.make_plan(sources.open_source(small_data_dir), settings)
    os.mkfifo(tmp_path / "pipe.zip")
    with pytest.raises(ValueError, match=r"pipe.zip is no file and no folder"):
        sources.open_source(tmp_path / "pipe.zip")


@hypothesis.settings(max_examples=30, deadline=None, derandomize=True)
@hypothesis.given(seed=strategies.integers(0, 2**32))
def test_damaged_zip_is_read_right_or_refused(tiny_zip, tmp_path_factory, seed):
    """Bytes are changed most in the directory at the end, which says where all is."""
    path, contents = tiny_zip
    chance = random.Random(seed)
    data = bytearray(path.read_bytes())
    for _ in range(chance.randint(1, 4)):
        at = len(data) - 1 - int(chance.random() ** 2 * len(data))
        data[at : at + chance.choice((0, 1, 4))] = chance.choice(
            (b"", b"\xff\xff\xff\xff", bytes(4), bytes([chance.randrange(256)]))
        )
    damaged = tmp_path_factory.mktemp("damaged") / "d.zip"
    damaged.write_bytes(data[: chance.choice((len(data), chance.randrange(len(data))))])
    try:
        source = sources.open_source(damaged)
        for name in [*source.image_names(), "train.csv"]:
            found = source.read(name)
            assert found == contents.get(name, found)
    except (ValueError, OSError) as err:
        assert str(damaged) in str(err)


@pytest.fixture(scope="module")
def tiny_zip(tmp_path_factory):
    """A zip and what is in it."""
    contents = {
        "train_series_descriptions.csv": b"study_id,series_id,series_description\n1,2,Axial T2\n",
        "train.csv": b"study_id\n1\n",
        **{f"train_images/1/2/{n}.dcm": bytes([n]) * 5000 for n in range(1, 5)},
    }
    path = tmp_path_factory.mktemp("tiny") / "t.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in contents.items():
            opened.writestr(name, content)
    return path, contents


def test_prediction_takes_the_test_side_of_a_zip(make_data_set, small_zip, tmp_path):
    data = make_data_set(tmp_path / "d", side="test")
    data.add_image(1, 10, 2)
    data.add_row(1, 10, 2)
    path = _zip(data.write(), tmp_path / "d.zip")
    assert sources.open_for_prediction(path).side == "test"
    assert sources.open_for_prediction(small_zip).side == "train"
    assert isinstance(sources.open_for_prediction(path), sources.Archive)


def test_program_writes_a_subset(small_zip, tmp_path):
    command = ["warm-python", "-m", "spine_tf.subset", f"--data_dir={small_zip}"]
    finished = subprocess.run(
        [*command, f"--output_dir={tmp_path / 's'}", "--levels=all"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert "120 images, 0 of them hard links" in finished.stderr
