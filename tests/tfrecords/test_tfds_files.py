"""The schema in TFDS's files: back as it was, refused where it is damaged."""

import json

import pytest

from tfrecords import schema, tfds_files

_SCHEMA = schema.Schema(
    features=(
        schema.Feature(name="image", dtype="uint16", shape=(4, 4, 1)),
        schema.Feature(name="label", dtype="int64", class_names=("Normal/Mild", "Severe")),
        schema.Feature(name="window", dtype="float32", shape=(2,)),
        schema.Feature(name="study_id", dtype="int64"),
        schema.Feature(name="key", dtype="bytes"),
    )
)


def test_schema_comes_back(tmp_path):
    written = tfds_files.write_schema(tmp_path, _SCHEMA)
    assert sorted(written) == sorted(path.name for path in tmp_path.iterdir())
    assert tfds_files.read_schema(tmp_path) == _SCHEMA


def test_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"features\.json does not exist"):
        tfds_files.read_schema(tmp_path)


def test_missing_labels_are_named(tmp_path):
    tfds_files.write_schema(tmp_path, _SCHEMA)
    (tmp_path / "label.labels.txt").unlink()
    with pytest.raises(ValueError, match=r"label\.labels\.txt does not exist"):
        tfds_files.read_schema(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", "{}", json.dumps({"featuresDict": {"features": 3}})])
def test_damage_is_refused(tmp_path, text):
    (tmp_path / "features.json").write_text(text)
    with pytest.raises(ValueError, match=r"json.*; expected the fields of the records: conv"):
        tfds_files.read_schema(tmp_path)
