"""What comes in: a data set as it is, a pile organized on the way, and ids that are kept."""

import csv
import shutil
import stat

import numpy as np
import pytest

from spine_tf.rsna import sources
from spine_tf.studies import intake

_ORIENTATION = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)


@pytest.fixture
def pile(tmp_path, make_slice):
    """Two patients' sagittal T2, in files of any names."""
    directory = tmp_path / "pile"
    directory.mkdir()
    for patient in range(2):
        for number in range(5):
            pixels = np.random.default_rng([patient, number]).integers(0, 900, (64, 64))
            made = make_slice(
                pixels.astype(np.uint16),
                position=(4.0 * number, 0.0, 0.0),
                orientation=_ORIENTATION,
                spacing=(4.0, 4.0),
                Modality="MR",
                BodyPartExamined="LSPINE",
                SeriesDescription="T2 sag lumbar",
                EchoTime="100",
                RepetitionTime="3000",
                StudyInstanceUID=f"1.2.{patient}",
                SeriesInstanceUID=f"1.2.{patient}.1",
                SOPInstanceUID=f"1.2.{patient}.1.{number}",
                PatientID=f"patient {patient}",
            )
            made.save_as(directory / f"IM{patient}{number}", enforce_file_format=True)
    return directory


def _studies(source):
    text = source.read("test_series_descriptions.csv").decode()
    return {row["study_id"] for row in csv.DictReader(text.splitlines())}


def test_data_set_is_opened_as_it_is(data_set):
    data_set.add_image(5, 50, 1)
    data_dir = data_set.write()
    with intake.opened(data_dir) as found:
        assert (found.source.side, found.in_words) == ("train", "")
    with pytest.raises(ValueError, match=r"--ids is for piles of DICOM, .* leave it out"):
        intake.opened(data_dir, ids=data_dir / "x").__enter__()
    with pytest.raises(ValueError, match="--min_slices is for piles of DICOM"):
        intake.opened(data_dir, min_slices=3).__enter__()


@pytest.mark.slow
def test_pile_is_organized_and_its_ids_stay_where_they_are_kept(pile, tmp_path):
    ids = tmp_path / "kept" / "ids.csv"
    with intake.opened(pile, ids=ids) as found:
        first = _studies(found.source)
        assert isinstance(found.source, sources.Folder)
        place = found.source.directory
        assert "2 studies, 2 Sagittal T2/STIR" in found.in_words
        assert str(ids) in found.in_words
    assert len(first) == 2
    assert not place.exists()
    written = list(csv.DictReader(ids.open()))
    assert {row["original"] for row in written if row["kind"] == "study"} == {"1.2.0", "1.2.1"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in ids.parent.iterdir()} == {0o600}
    archive = shutil.make_archive(str(tmp_path / "zipped"), "zip", pile)
    with intake.opened(type(pile)(archive), ids=ids) as found:
        assert _studies(found.source) == first
    (ids.parent / "ids.csv.key").unlink()
    with pytest.raises(ValueError, match=r"the key of its ids, ids\.csv\.key, is not beside it"):
        intake.opened(pile, ids=ids).__enter__()


@pytest.mark.slow
def test_pile_without_a_study_is_refused_and_says_why(pile, tmp_path):
    with pytest.raises(ValueError, match=r"no series of lumbar MRI .* left out: 10 files .*few"):
        intake.opened(pile, min_slices=6).__enter__()
    run = tmp_path / "run"
    with pytest.raises(ValueError, match="run does not exist; expected a folder or zip of DICOM"):
        intake.opened(run).__enter__()
    run.mkdir()
    with pytest.raises(ValueError, match=r"there is no file in .*run, expected DICOM files"):
        intake.opened(run).__enter__()
    (run / "config.json").write_text("{}")
    with pytest.raises(ValueError, match=r"which is a run that train wrote \(for --run_dir\)"):
        intake.opened(run).__enter__()


@pytest.mark.slow
def test_images_without_the_csvs_are_a_pile_in_a_folder_and_in_a_zip(pile, tmp_path):
    images = tmp_path / "layout" / "train_images" / "1" / "2"
    images.parent.mkdir(parents=True)
    pile.rename(images)
    (images / "notes").write_text("text")
    data_dir = tmp_path / "layout"
    archive = shutil.make_archive(str(tmp_path / "zipped"), "zip", data_dir)
    for place in (data_dir, type(pile)(archive)):
        with intake.opened(place, min_slices=5) as found:
            assert len(_studies(found.source)) == 2
        assert "left out: 1 of 11 files (1 not_dicom)" in found.in_words
        with pytest.raises(ValueError, match=f"--side train has grades, and {place} has none"):
            intake.opened(place, side="train").__enter__()
    (data_dir / "train.csv").write_text("study_id\n")
    assert not intake.is_pile(data_dir)
