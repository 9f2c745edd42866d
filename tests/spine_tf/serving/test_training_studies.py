import pathlib

import pytest

from spine_tf.serving import training_studies


def test_studies_of_training_are_known_and_not_written(tmp_path: pathlib.Path) -> None:
    training_studies.write(tmp_path, [4003253, 4646740])
    assert training_studies.known_of(tmp_path, [4646740, 7, 4646740]) == [4646740]
    assert "4646740" not in (tmp_path / training_studies.FILE).read_text("utf-8")


def test_export_of_an_earlier_version_knows_none(tmp_path: pathlib.Path) -> None:
    assert training_studies.known_of(tmp_path, [7]) == []


def test_damaged_file_is_named(tmp_path: pathlib.Path) -> None:
    (tmp_path / training_studies.FILE).write_text('{"sha256": 3}', "utf-8")
    with pytest.raises(ValueError, match=r"train_studies.json has sha256 3, expected a list"):
        training_studies.known_of(tmp_path, [7])
