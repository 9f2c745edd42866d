import hashlib
import pathlib

import pandas as pd
import pydicom
import pytest

from spine_tf.phantom import dataset, settings

SMALL = settings.PhantomConfig(
    num_studies=3,
    num_test_studies=1,
    axial_px=(96,),
    axial_fov_mm=(80.0, 90.0),
    sagittal_px=(96,),
    sagittal_slices=5,
)


def hashes(directory: pathlib.Path) -> dict[str, str]:
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def studies_dir(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    directory = tmp_path_factory.mktemp("phantom")
    dataset.write_studies(SMALL, directory)
    return directory


def test_two_workers_write_the_same_bytes_as_one(studies_dir, tmp_path):
    dataset.write_studies(SMALL, tmp_path / "two", num_workers=2)

    assert hashes(tmp_path / "two") == hashes(studies_dir)


def test_every_coordinate_lies_on_its_image(studies_dir):
    rows = pd.read_csv(studies_dir / "train_label_coordinates.csv")

    for row in rows.itertuples():
        path = f"train_images/{row.study_id}/{row.series_id}/{row.instance_number}.dcm"
        header = pydicom.dcmread(studies_dir / path, stop_before_pixels=True)
        assert -0.5 <= row.x < header.Columns - 0.5
        assert -0.5 <= row.y < header.Rows - 0.5


def test_a_directory_that_is_not_empty_is_refused(tmp_path):
    (tmp_path / "note.txt").write_text("mine")

    with pytest.raises(ValueError, match="is not empty"):
        dataset.write_studies(SMALL, tmp_path)
