"""Piles become data sets: every series found and named, none invented, nothing said of anybody."""

import collections
import csv
import dataclasses
import errno
import hashlib
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
import zipfile

import pydicom
import pytest
from pydicom import data as pydicom_data, uid

from spine_tf.conversion import job, plan
from spine_tf.rsna import annotations, sources
from spine_tf.studies import organizing, pile, placing
from spine_tf.synthesis import hospital, phantom_config
from tfrecords import atomic

_SMALL = phantom_config.PhantomConfig(
    num_studies=4, axial_px=(48,), sagittal_px=(48,), sagittal_slices=5, axial_slices_per_level=2
)
_KINDS = ("Sagittal T1", "Sagittal T2/STIR", "Axial T2")
# What a file that is no series to grade may be left out for.
_REASONS = {
    "localizer": {"localizer", "too_few"},
    "derived": {"derived", "diffusion"},
    "projection": {"projection"},
    "diffusion": {"diffusion"},
    "other_part": {"other_body_part"},
    "proton_density": {"other_kind"},
    "other_plane": {"other_kind"},
    "other_weighting": {"other_kind"},
    "few_slices": {"too_few"},
    "colour": {"colour"},
    "no_image": {"other_modality"},
    "damaged": {"no_pixels", "not_dicom"},
    "directory": {"no_pixels"},
    "not_dicom": {"not_dicom"},
}


def _rows(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def hospital_dir(tmp_path_factory):
    directory = tmp_path_factory.mktemp("hospital") / "export"
    hospital.write_pile(_SMALL, directory)
    return directory


@pytest.fixture(scope="module")
def run(put_key):
    """Runs the program; returns all that it says."""

    def run(dicom_dir, output_dir, *flags):
        put_key(output_dir)
        command = ["warm-python", "-m", "spine_tf.organize", f"--output_dir={output_dir}"]
        command += [f"--dicom_dir={dicom_dir}", "--workers=2", *flags]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return done.stdout + done.stderr

    return run


@pytest.fixture(scope="module")
def organized(hospital_dir, tmp_path_factory, run):
    output_dir = tmp_path_factory.mktemp("organized") / "S"
    before = _state(hospital_dir)
    said = run(hospital_dir / hospital.PILE, output_dir)
    assert _state(hospital_dir) == before
    assert f"spine_tf.localize --data_dir={output_dir} --output=" in said
    output_dir.with_name("said").write_text(said)
    return output_dir


def _state(directory):
    return {
        path: (path.stat().st_mtime_ns, path.is_file() and path.read_bytes())
        for path in directory.rglob("*")
    }


def _check_truth(hospital_dir, output_dir):
    truth = {row["file"]: row for row in _rows(hospital_dir / hospital.TRUTH_CSV)}
    series = {row["series_id"]: row for row in _rows(output_dir / "series.csv")}
    files = _rows(organizing.private_dir(output_dir) / "organize.csv")
    assert {row["file"] for row in files} == set(truth)
    kept: collections.Counter[tuple[str, str]] = collections.Counter()
    num_unnamed = 0
    for row in files:
        expected = truth[row["file"]]
        if row["outcome"] == "kept":
            assert series[row["series_id"]]["series_description"] == expected["truth"], expected
            kept[expected["sop_uid"], row["frame"]] += 1
        elif expected["truth"] in _KINDS:
            assert row["reason"] in ("duplicate", "other_kind"), expected
            num_unnamed += row["reason"] == "other_kind"
        else:
            assert row["reason"] in _REASONS[expected["truth"]], expected
    assert max(kept.values()) == 1
    # Of small images alone, with neither times nor description, it need not be said which it is.
    assert num_unnamed <= 0.1 * len(kept)


@pytest.mark.slow
def test_every_file_of_a_hospital_is_what_it_is(hospital_dir, organized):
    _check_truth(hospital_dir, organized)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_every_file_is_what_it_is_in_any_hospital(seed, tmp_path, run):
    config = dataclasses.replace(_SMALL, seed=seed, sagittal_slices=6, axial_slices_per_level=3)
    hospital.write_pile(config, tmp_path / "export")
    run(tmp_path / "export" / hospital.PILE, tmp_path / "S")
    _check_truth(tmp_path / "export", tmp_path / "S")


@pytest.mark.slow
def test_images_are_links_in_order_along_the_normal(hospital_dir, organized):
    rows = _rows(organizing.private_dir(organized) / "organize.csv")
    series: dict[pathlib.Path, dict[int, pathlib.Path]] = collections.defaultdict(dict)
    for row in rows:
        if row["outcome"] == "kept":
            path = organized / f"test_images/{row['study_id']}/{row['series_id']}"
            image = path / f"{row['instance_number']}.dcm"
            if not row["frame"]:
                assert image.samefile(hospital_dir / hospital.PILE / row["file"])
            series[path][int(row["instance_number"])] = image
    for path, images in series.items():
        assert sorted(images) == list(range(1, len(images) + 1))
        assert len(list(path.iterdir())) == len(images)
        read = [pydicom.dcmread(images[n], stop_before_pixels=True) for n in sorted(images)]
        row, column = read[0].ImageOrientationPatient[:3], read[0].ImageOrientationPatient[3:]
        if len({str(image.ImageOrientationPatient) for image in read}) == 1:
            normal = [
                row[1] * column[2] - row[2] * column[1],
                row[2] * column[0] - row[0] * column[2],
                row[0] * column[1] - row[1] * column[0],
            ]
            along = [
                sum(a * b for a, b in zip(normal, image.ImagePositionPatient, strict=True))
                for image in read
            ]
            assert along == sorted(along)


@pytest.mark.slow
def test_nothing_of_a_header_stands_outside_private(hospital_dir, organized):
    texts = [organized.with_name("said").read_text()]
    texts += [path.read_text() for path in organized.glob("*.*")]
    texts += [str(path.relative_to(organized)) for path in organized.rglob("*")]
    all_text = "\n".join(texts)
    columns = ("patient_id", "patient_name", "accession_number", "study_uid", "series_uid")
    rows = _rows(hospital_dir / hospital.TRUTH_CSV)
    for value in {row[column] for row in rows for column in columns} - {""}:
        assert not any(part in all_text for part in value.split("^"))
    assert organizing.private_dir(organized).stat().st_mode & 0o777 == 0o700


@pytest.mark.slow
def test_files_of_other_people_change_nothing_but_what_is_said_of_files(
    hospital_dir, organized, tmp_path, run, bytes_of
):
    pile_dir = pathlib.Path(shutil.copytree(hospital_dir / hospital.PILE, tmp_path / "pile"))
    others = [p for p in pydicom_data.get_testdata_files() if pathlib.Path(p).is_file()]
    assert len(others) > 150
    for number, path in enumerate(others):
        shutil.copy(path, pile_dir / f"_{number:04}")
    run(pile_dir, tmp_path / "S")
    found, expected = bytes_of(tmp_path / "S"), bytes_of(organized)
    assert found.keys() == expected.keys()
    assert [name for name in found if found[name] != expected[name]] == [".private/organize.csv"]


@pytest.mark.slow
def test_zip_gives_what_the_folder_gives(hospital_dir, organized, tmp_path, run, bytes_of):
    archive = tmp_path / "export.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted((hospital_dir / hospital.PILE).rglob("*")):
            file.write(path, path.relative_to(hospital_dir / hospital.PILE))
    run(archive, tmp_path / "S")
    assert bytes_of(tmp_path / "S") == bytes_of(organized)


@pytest.mark.slow
def test_images_are_copied_to_another_file_system(tmp_path, organize, add_series):
    memory = pathlib.Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is one file system alone")
    paths = add_series(tmp_path / "pile")
    with tempfile.TemporaryDirectory(dir=memory) as directory:
        organize(tmp_path / "pile", pathlib.Path(directory, "S"))
        copies = sorted(pathlib.Path(directory).rglob("*.dcm"), reverse=True)
        assert [path.read_bytes() for path in copies] == [path.read_bytes() for path in paths]
        assert copies[0].stat().st_nlink == 1


@pytest.mark.slow
def test_second_run_changes_nothing(hospital_dir, organized, run, bytes_of):
    before = bytes_of(organized)
    inodes = {path: path.stat().st_ino for path in organized.rglob("*.dcm")}
    assert ", 0 of them to be read" in run(hospital_dir / hospital.PILE, organized)
    assert bytes_of(organized) == before
    assert {path: path.stat().st_ino for path in organized.rglob("*.dcm")} == inodes


@pytest.mark.slow
def test_killed_run_is_continued_to_the_same_bytes(
    hospital_dir, organized, tmp_path, bytes_of, put_key
):
    command = [sys.executable, "-m", "spine_tf.organize", "--workers=2"]
    command += [f"--dicom_dir={hospital_dir / hospital.PILE}", "--output_dir"]
    start = time.monotonic()
    subprocess.run([*command, str(tmp_path / "undisturbed")], check=True, capture_output=True)
    seconds = time.monotonic() - start
    output_dir = tmp_path / "S"
    put_key(output_dir)
    command.append(str(output_dir))
    # Once for certain, however busy the machine was while the time was taken; then by chance.
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not output_dir.exists():
        time.sleep(0.005)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    generator = random.Random(0)
    for _ in range(6):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(generator.uniform(0.4, 1.0) * seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
    subprocess.run(command, check=True, capture_output=True)
    assert bytes_of(output_dir) == bytes_of(organized)


@pytest.mark.slow
def test_new_files_are_taken_up_and_old_ids_stay(tmp_path, organize, add_series):
    pile_dir = tmp_path / "pile"
    add_series(pile_dir)
    organize(pile_dir, tmp_path / "S")
    (old,) = _rows(tmp_path / "S/test_series_descriptions.csv")
    late = add_series(pile_dir, num_slices=8)[6:]
    add_series(pile_dir, "1.2.2", "1.2.2.1")
    found = organize(pile_dir, tmp_path / "S")
    assert found.num_studies == 2
    assert old in _rows(tmp_path / "S/test_series_descriptions.csv")
    folder = tmp_path / f"S/test_images/{old['study_id']}/{old['series_id']}"
    assert len(list(folder.iterdir())) == 8
    for path in (*late, *pile_dir.glob("1.2.2.1.*")):
        path.unlink()
    organize(pile_dir, tmp_path / "S")
    assert _rows(tmp_path / "S/test_series_descriptions.csv") == [old]
    assert len(list((tmp_path / "S/test_images").rglob("*.dcm"))) == 6


def test_private_folder_that_cannot_be_made_is_named_with_its_flag(tmp_path):
    (tmp_path / "pile").mkdir()
    (tmp_path / "S.private").touch()
    with pytest.raises(ValueError, match=r"what goes beside --output_dir, .*S.private is a file"):
        organizing.organize(tmp_path / "pile", tmp_path / "S", organizing.Settings(), num_workers=1)


@pytest.mark.slow
def test_ids_are_of_the_key(tmp_path, organize, add_series):
    add_series(tmp_path / "pile")
    organize(tmp_path / "pile", tmp_path / "S")
    organizing.organize(tmp_path / "pile", tmp_path / "T", organizing.Settings(), num_workers=1)
    one, other = (_rows(tmp_path / name / "series.csv") for name in "ST")
    assert one[0]["study_id"] != other[0]["study_id"]
    key = tmp_path / "T.private/key"
    assert key.stat().st_mode & 0o77 == 0
    shutil.copy(tmp_path / "S.private/key", key)
    organizing.organize(tmp_path / "pile", tmp_path / "T", organizing.Settings(), num_workers=1)
    assert _rows(tmp_path / "T/series.csv") == one


@pytest.mark.slow
def test_series_with_the_same_pixels_is_kept_once(tmp_path, organize, add_series):
    pile_dir = tmp_path / "pile"
    for path in add_series(pile_dir):
        again = pydicom.dcmread(path)
        again.SeriesInstanceUID = "1.2.1.9"
        again.SOPInstanceUID = f"{again.SOPInstanceUID}.9"
        again.decompress()
        again.save_as(pile_dir / f"{path.name}.again", enforce_file_format=True)
    found = organize(pile_dir, tmp_path / "S")
    assert found.num_series["Sagittal T2/STIR"] == 1
    assert found.left_out == {"same_pixels": 6}


@pytest.mark.slow
def test_single_slices_are_taken_where_that_is_said(tmp_path, organize, add_series):
    add_series(tmp_path / "pile", num_slices=1)
    assert organize(tmp_path / "pile", tmp_path / "S").left_out == {"too_few": 1}
    assert organize(tmp_path / "pile", tmp_path / "S", min_slices=1).num_studies == 1


@pytest.mark.slow
def test_patients_who_share_a_study_uid_are_two(tmp_path, organize, add_series):
    add_series(tmp_path / "pile/a", PatientID="a")
    add_series(tmp_path / "pile/b", series="1.2.1.2", PatientID="b")
    assert organize(tmp_path / "pile", tmp_path / "S").num_studies == 2


def test_places_that_cannot_be_are_refused(tmp_path, organize, add_series):
    add_series(tmp_path / "pile")
    organize(tmp_path / "pile", tmp_path / "S")
    with pytest.raises(ValueError, match="does not exist; expected a folder of DICOM files"):
        organize(tmp_path / "none", tmp_path / "T")
    with pytest.raises(ValueError, match="lie in each other"):
        organize(tmp_path / "pile", tmp_path / "pile/S")
    with pytest.raises(ValueError, match="lie in each other"):
        organize(tmp_path / "S.private", tmp_path / "S")
    (tmp_path / "other").mkdir()
    with pytest.raises(ValueError, match=r"holds the studies of .*pile: add the new files there"):
        organize(tmp_path / "other", tmp_path / "S")
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine").touch()
    with pytest.raises(ValueError, match=r"is not empty, and full.private is not beside it"):
        organizing.organize(
            tmp_path / "pile", tmp_path / "full", organizing.Settings(), num_workers=1
        )
    with pytest.raises(ValueError, match="--min_slices is 0, expected 1 or more"):
        organizing.Settings(min_slices=0)
    (tmp_path / "S.private/key").write_text("lost")
    with pytest.raises(ValueError, match="holds no key, expected 64 hexadecimal digits"):
        organize(tmp_path / "pile", tmp_path / "S")


def test_disk_that_is_full_leaves_no_begun_series(tmp_path, organize, add_series, monkeypatch):
    def fill(part, task, pile):
        # As of a worker that was ended while another one failed; no process has this number.
        machine = part.name.split("-")[-2]
        (part.parent / f"1.tmp-{machine}-999999999").mkdir()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(part))
        yield

    monkeypatch.setattr(placing, "_fill", fill)
    add_series(tmp_path / "pile")
    with pytest.raises(OSError, match="No space left"):
        organize(tmp_path / "pile", tmp_path / "S", num_workers=0)
    assert not [path for path in (tmp_path / "S").rglob("*") if atomic.is_temporary(path)]


def test_program_says_what_is_wrong(tmp_path):
    (tmp_path / "none").mkdir()
    (tmp_path / "none/letter.pdf").write_bytes(b"%PDF-1.4")
    for flags, message in (
        (
            [],
            "error: no series of lumbar MRI was found in none, so there is no data set",
        ),
        (["--grades=a=Severe"], "error: --grades has no effect without --labels_csv"),
        (["--labels_csv=l.csv"], "error: --labels_csv l.csv does not exist"),
    ):
        command = ["warm-python", "-m", "spine_tf.organize", "--dicom_dir=none", "--output_dir=S"]
        done = subprocess.run([*command, *flags], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 1
        assert message in done.stderr
    assert not (tmp_path / "S").exists()


def test_pile_without_a_study_leaves_reasons_and_no_data_set(tmp_path, organize, add_series):
    add_series(tmp_path / "pile", num_slices=2)
    found = organize(tmp_path / "pile", tmp_path / "S", num_workers=0)
    assert not (tmp_path / "S").exists()
    assert organizing.summarize(found, tmp_path / "S") == (
        "left out: 2 of 2 files\n"
        "         2 too_few, such as: 2 slices, expected 5 or more (--min_slices)"
    )
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"there is no file in .*empty, expected DICOM"):
        organize(tmp_path / "empty", tmp_path / "T")


@pytest.mark.slow
def test_damaged_inventory_is_named(tmp_path, organize, add_series):
    add_series(tmp_path / "pile")
    organize(tmp_path / "pile", tmp_path / "S")
    path = tmp_path / "S.private/inventory.sqlite"
    whole = path.read_bytes()
    for spoilt in (b"no database, certainly" * 1000, whole[:8192] + bytes(len(whole) - 8192)):
        path.write_bytes(spoilt)
        with pytest.raises(ValueError, match=r"inventory.sqlite can't be read or written"):
            organize(tmp_path / "pile", tmp_path / "S")
    (tmp_path / "S.private/inventory.sqlite").unlink()
    assert organize(tmp_path / "pile", tmp_path / "S").num_studies == 1


@pytest.mark.slow
def test_image_that_vanishes_is_said(tmp_path, organize, add_series, monkeypatch):
    add_series(tmp_path / "pile")
    place = organizing._Run.place

    def vanish(run, inventory):
        (tmp_path / "pile/1.2.1.1.3").unlink(missing_ok=True)
        return place(run, inventory)

    monkeypatch.setattr(organizing._Run, "place", vanish)
    assert organize(tmp_path / "pile", tmp_path / "S").left_out == {"unreadable_file": 1}
    (series,) = _rows(tmp_path / "S/series.csv")
    assert series["num_images"] == "5"
    assert sorted(path.name for path in (tmp_path / "S").rglob("*.dcm")) == [
        f"{number}.dcm" for number in range(1, 6)
    ]


@pytest.mark.slow
def test_series_lacks_what_is_damaged_in_a_zip(tmp_path, organize, add_series):
    paths = add_series(tmp_path / "in", transfer_syntax=uid.ExplicitVRLittleEndian)
    others = add_series(tmp_path / "in", "1.2.2", "1.2.2.1")
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        for path in (*paths, *others):
            archive.write(path, path.name)
        ends = [each.header_offset for each in archive.infolist()][1:3]
    whole = (tmp_path / "z.zip").read_bytes()
    spoilt = bytearray(whole)
    for end in ends:
        spoilt[end - 1] ^= 1
    (tmp_path / "z.zip").write_bytes(spoilt)
    found = organize(tmp_path / "z.zip", tmp_path / "S")
    assert found.num_studies == 1
    assert found.left_out == {"too_few": 4, "unreadable_file": 2}
    # Both are the same file to its directory; what couldn't be read is tried again.
    (tmp_path / "z.zip").write_bytes(whole)
    assert organize(tmp_path / "z.zip", tmp_path / "S").num_studies == 2


@pytest.mark.slow
def test_members_of_one_name_are_all_taken(tmp_path, organize, add_series):
    with warnings.catch_warnings(), zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        warnings.simplefilter("ignore")
        for study in ("1.2.1", "1.2.2"):
            for number, path in enumerate(add_series(tmp_path / study, study, f"{study}.1")):
                archive.write(path, f"IM{number}")
    found = organize(tmp_path / "z.zip", tmp_path / "S")
    assert (found.num_files, found.num_studies) == (12, 2)
    assert "IM0 (2)" in {row["file"] for row in _rows(tmp_path / "S.private/organize.csv")}


@pytest.mark.slow
def test_repeats_that_nothing_tells_apart_are_not_mixed_by_names_of_files(
    tmp_path, organize, add_series
):
    pile_dir = tmp_path / "pile"
    for repeat in range(2):
        for number, path in enumerate(add_series(pile_dir / "new", num_slices=5)):
            image = pydicom.dcmread(path)
            image.InstanceNumber = number + 1 + 5 * repeat
            image.SOPInstanceUID = f"1.2.1.1.{image.InstanceNumber}"
            image.PatientComments = f"{repeat}"
            name = hashlib.sha256(f"{repeat}{number}".encode()).hexdigest()
            image.save_as(pile_dir / name, enforce_file_format=True)
    shutil.rmtree(pile_dir / "new")
    organize(pile_dir, tmp_path / "S")
    repeats = [
        {pydicom.dcmread(path).PatientComments for path in folder.iterdir()}
        for folder in (tmp_path / "S/test_images").glob("*/*")
    ]
    assert all(len(each) == 1 for each in repeats)


@pytest.mark.slow
def test_studies_that_are_gone_go_without_the_inventory_too(tmp_path, organize, add_series):
    add_series(tmp_path / "pile")
    withdrawn = add_series(tmp_path / "pile", "1.2.2", "1.2.2.1")
    assert organize(tmp_path / "pile", tmp_path / "S").num_studies == 2
    for path in (*withdrawn, *(tmp_path / "S.private").glob("inventory.sqlite*")):
        path.unlink()
    assert organize(tmp_path / "pile", tmp_path / "S").num_studies == 1
    assert len(list((tmp_path / "S").rglob("*.dcm"))) == 6


@pytest.mark.slow
def test_data_set_is_read_by_what_comes_next(hospital_dir, organized):
    source = sources.open_for_prediction(organized)
    found = annotations.read_annotations(source, has_labels=False)
    kinds = collections.Counter(found.series.values())
    info = json.loads((organized / "organize.json").read_text())
    assert kinds == info["num_series"]
    assert info["num_studies"] == len(found.groups)
    assert all(source.instances(*ids) for ids in found.series)


def test_points_without_grades_are_for_predict(tmp_path, run, add_series):
    add_series(tmp_path / "pile")
    labels_csv = tmp_path / "points.csv"
    columns = "StudyInstanceUID,condition,level,grade,SOPInstanceUID,x,y"
    labels_csv.write_text(f"{columns}\n1.2.1,Spinal Canal Stenosis,L4/L5,,1.2.1.1.4,10.5,12\n")
    said = run(tmp_path / "pile", tmp_path / "S", f"--labels_csv={labels_csv}")
    assert "next: python -m spine_tf.predict --model_dir=EXPORT" in said
    found = annotations.read_annotations(
        sources.open_for_prediction(tmp_path / "S"),
        conditions=("spinal_canal_stenosis",),
        has_labels=False,
    )
    assert [(row.x, row.y) for row in found.rows] == [(10.5, 12.0)]


def test_names_of_files_matter_nothing(tmp_path, organize, add_series):
    pile_dir = tmp_path / "pile"
    for path in add_series(pile_dir):
        path.rename(pile_dir / os.fsdecode(b"\xff\n " + path.name[-1].encode()))
    found = organize(pile_dir, tmp_path / "S")
    assert found.num_series["Sagittal T2/STIR"] == 1
    rows = _rows(tmp_path / "S.private/organize.csv")
    assert [row["file"] for row in rows][:1] == [r"\udcff\n 1"]


@pytest.mark.slow
def test_pile_leaves_out_what_is_no_regular_file(tmp_path, organize, add_series):
    pile_dir = tmp_path / "pile"
    add_series(pile_dir / "in")
    outside = add_series(tmp_path / "outside", "1.2.9", "1.2.9.1")[0]
    (pile_dir / "to_file").symlink_to(outside)
    (pile_dir / "to_folder").symlink_to(outside.parent)
    (pile_dir / "to_itself").symlink_to(pile_dir)
    (pile_dir / "to_nothing").symlink_to(tmp_path / "nothing")
    os.mkfifo(pile_dir / "pipe")
    with zipfile.ZipFile(pile_dir / "more.zip", "w") as archive:
        archive.write(outside)
    found = organize(pile_dir, tmp_path / "S")
    assert found.num_studies == 1
    assert found.left_out == {"link": 4, "archive": 1, "special_file": 1}


def test_files_that_vanish_while_a_pile_is_listed_end_nothing(tmp_path):
    for name in "abc":
        (tmp_path / name).touch()
    listing = pile.open_pile(tmp_path).files()
    first = next(listing)
    for path in tmp_path.iterdir():
        path.unlink()
    assert first.left_out is None
    assert [file.left_out.reason for file in listing] == ["unreadable_file"] * 2


def test_members_that_lead_out_of_a_zip_are_left_out(tmp_path, add_series):
    path = add_series(tmp_path / "in")[0]
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        for name in ("a/b", "../c", "/d", "a/../../e", "C:/f", "x\\..\\g"):
            archive.writestr(zipfile.ZipInfo(name), path.read_bytes())
        link = zipfile.ZipInfo("link")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    files = list(pile.open_pile(tmp_path / "z.zip").files())
    reasons = {file.name: file.left_out and str(file.left_out.reason) for file in files}
    assert [name for name, reason in reasons.items() if reason is None] == ["a/b"]
    assert reasons.pop("link") == "link"
    assert set(reasons.values()) == {None, "unsafe_name"}


@pytest.mark.slow
def test_labelled_studies_are_converted(tmp_path, organize, add_series):
    from spine_tf.studies import label_file

    pile_dir = tmp_path / "pile"
    rows = ["StudyInstanceUID,condition,level,grade,SOPInstanceUID,x,y"]
    for study in range(1, 9):
        add_series(pile_dir, f"1.2.{study}", f"1.2.{study}.1", PatientID=f"P{study // 2}")
        grade = ("Normal/Mild", "Moderate", "Severe")[study % 3]
        rows.append(f"1.2.{study},Spinal Canal Stenosis,L4/L5,{grade},1.2.{study}.1.4,10.5,12")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    given = label_file.read_label_file(tmp_path / "labels.csv", label_file.parse_grades([]))
    organize(pile_dir, tmp_path / "S", labels=given)
    settings = plan.Settings(
        conditions=("spinal_canal_stenosis",), levels=("l4_l5",), num_folds=2, test_fraction=0.0
    )
    source = sources.open_source(tmp_path / "S")
    converted = job.convert(source, tmp_path / "R", settings, num_workers=1)
    assert sum(shard.num_examples for shard in converted.shards) == 8
    graded = annotations.read_annotations(source)
    assert len(set(graded.groups.values())) == 5
