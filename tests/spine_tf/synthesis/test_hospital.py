import collections
import csv
import dataclasses
import hashlib
import pathlib
import subprocess
import sys

import numpy as np
import pydicom
import pytest
from pydicom import fileset

from spine_tf.synthesis import examination, hospital, phantom_config, scan_kinds, sequence, wording

SMALL = phantom_config.PhantomConfig(
    num_studies=4, axial_px=(48,), sagittal_px=(48,), sagittal_slices=5, axial_slices_per_level=2
)
KINDS = (sequence.SAGITTAL_T1, sequence.SAGITTAL_T2, sequence.AXIAL_T2)


def read_truth(directory: pathlib.Path) -> list[dict[str, str]]:
    with (directory / hospital.TRUTH_CSV).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def hashes(directory: pathlib.Path) -> dict[str, str]:
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in directory.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def pile_dir(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Written through a link, since paths may be spelled in several ways."""
    parent = tmp_path_factory.mktemp("hospital")
    (parent / "true").mkdir()
    (parent / "link").symlink_to("true")
    hospital.write_pile(SMALL, parent / "link/out")
    return parent / "link/out"


@pytest.fixture(scope="module")
def objects(pile_dir: pathlib.Path) -> list[tuple[dict[str, str], pydicom.Dataset]]:
    others = ("not_dicom", "damaged", "directory")
    return [
        (row, pydicom.dcmread(pile_dir / hospital.PILE / row["file"]))
        for row in read_truth(pile_dir)
        if row["truth"] not in others
    ]


@pytest.mark.slow
def test_truth_has_one_row_for_each_file_of_the_pile(pile_dir):
    rows = read_truth(pile_dir)

    listed = [row["file"] for row in rows]
    assert sorted(listed) == sorted(hashes(pile_dir / hospital.PILE))
    assert {row["truth"] for row in rows} == {*KINDS, *scan_kinds.OTHER_TRUTHS}


@pytest.mark.slow
def test_two_workers_write_the_same_files_as_one(pile_dir, tmp_path):
    two = dataclasses.replace(SMALL, num_studies=2)
    hospital.write_pile(two, tmp_path / "two", num_workers=2)

    found = hashes(tmp_path / "two" / hospital.PILE)
    assert len(found) > 100
    assert found.items() <= hashes(pile_dir / hospital.PILE).items()


@pytest.mark.slow
def test_a_directory_that_is_not_empty_is_refused(pile_dir):
    with pytest.raises(ValueError, match="is not empty"):
        hospital.write_pile(SMALL, pile_dir)


def test_program_plants_nothing_in_a_pile(tmp_path):
    flags = ["--style=hospital", "--errors", f"--output_dir={tmp_path / 'D'}"]
    finished = subprocess.run(
        [sys.executable, "-m", "spine_tf.phantom", *flags],
        capture_output=True,
        text=True,
        check=False,
    )

    assert finished.returncode == 1
    assert "are for studies of --style rsna; a hospital's pile has" in finished.stderr
    assert not (tmp_path / "D").exists()


@pytest.mark.slow
def test_identifiers_are_those_of_real_exports(objects):
    for row, dataset in objects:
        assert dataset.SOPInstanceUID == row["sop_uid"] == dataset.file_meta[0x00020003].value
        assert dataset.SOPInstanceUID.is_valid and dataset.SeriesInstanceUID.is_valid
        assert (dataset.StudyInstanceUID, dataset.PatientID) == (
            row["study_uid"],
            row["patient_id"],
        )
        assert dataset.SOPClassUID.name
    images = collections.Counter(row["sop_uid"] for row, _ in objects)
    copies = sum(row["copy"] == "1" for row, _ in objects)
    assert 0 < copies == sum(count - 1 for count in images.values())


@pytest.mark.slow
def test_follow_up_is_of_the_same_patient(objects):
    studies = collections.defaultdict(set)
    for row, _ in objects:
        studies[row["patient_id"]].add(row["study_uid"])

    assert sorted(map(len, studies.values())) == [1, 1, 2]


@pytest.mark.slow
def test_files_of_several_patients_lie_in_one_folder_without_suffix(objects):
    patients = collections.defaultdict(set)
    for row, _ in objects:
        folder = pathlib.PurePosixPath(row["file"])
        if folder.parts[0] == "DICOM":
            patients[folder.parent].add(row["patient_id"])
            assert not folder.suffix

    assert all(len(found) > 1 for found in patients.values())


@pytest.mark.slow
def test_disc_is_listed_by_its_directory(pile_dir):
    disc = fileset.FileSet(pile_dir / hospital.PILE / "CD0002/DICOMDIR")

    rows = [row for row in read_truth(pile_dir) if row["file"].startswith("CD0002/PT")]
    assert sorted(instance.SOPInstanceUID for instance in disc) == sorted(
        row["sop_uid"] for row in rows
    )


@pytest.mark.slow
def test_multi_frame_object_has_a_place_for_each_frame(objects):
    ((row, dataset),) = [(row, data) for row, data in objects if row["frames"] != "1"]

    places = [
        group.PlanePositionSequence[0].ImagePositionPatient[0]
        for group in dataset.PerFrameFunctionalGroupsSequence
    ]
    assert len(set(places)) == int(row["frames"]) == len(dataset.pixel_array)
    assert row["truth"] == sequence.SAGITTAL_T2
    assert len({frame.tobytes() for frame in dataset.pixel_array}) == len(places)


@pytest.mark.slow
def test_one_series_has_tilted_stacks_two_echoes_or_two_acquisitions(objects):
    def kinds_of(*names: str) -> set[int]:
        series = collections.defaultdict(set)
        for row, _ in objects:
            series[row["series_uid"]].add(tuple(row[name] for name in names))
        return {len(found) for found in series.values()}

    assert {1, 5} <= kinds_of("stack")
    assert kinds_of("truth") == {1, 2}
    assert kinds_of("acquisition") == {1, 2}


def test_stripped_examination_says_nothing_of_its_sequences():
    visits = [examination.make_visit(SMALL, index) for index in range(12)]

    stripped = [visit for visit in visits if visit.is_stripped]
    assert len(stripped) == 2 and all(visit.language is None for visit in stripped)
    for visit in stripped:
        scans = examination.make_scans(visit, SMALL, np.random.default_rng(0))
        assert {scan.kind.truth for scan in scans} <= {*KINDS, "localizer"}


@pytest.mark.parametrize("vendor", wording.VENDORS, ids=lambda vendor: vendor.model)
def test_descriptions_fit_a_header_in_every_language(vendor):
    kinds = [
        *scan_kinds.EXTRAS.values(),
        *(kind for each in scan_kinds.CORE.values() for kind in each),
    ]
    for language in (*wording.LANGUAGES, None):
        for kind in kinds:
            text = wording.describe(kind, vendor, language)
            assert len(text) <= 64
            assert text.strip() == text
            assert bool(text) == (language is not None or kind.region != "lumbar")
