"""The manifest: complete or refused."""

import hashlib
import json

import pytest

from tfrecords import manifest

_MANIFEST = manifest.Manifest(
    name="spine",
    config={"roi_px": 64},
    shards=tuple(
        manifest.Shard(file=f"s{i}", split=split, num_examples=i, num_bytes=9, sha256="0")
        for i, split in enumerate(("fold_0", "fold_1", "fold_1", "test"))
    ),
    class_counts={"fold_0": {"a": 1}},
    rejects={"bad_id": 2},
    details={"x": [1]},
)


def test_manifest_comes_back(tmp_path):
    manifest.write_manifest(tmp_path, _MANIFEST)
    assert manifest.read_manifest(tmp_path) == _MANIFEST


def test_splits_and_their_sizes():
    assert _MANIFEST.splits == ("fold_0", "fold_1", "test")
    assert [_MANIFEST.num_examples(split) for split in _MANIFEST.splits] == [0, 3, 3]


def test_sha256_is_the_files(tmp_path):
    manifest.write_manifest(tmp_path, _MANIFEST)
    data = (tmp_path / "manifest.json").read_bytes()
    assert manifest.sha256_of(tmp_path) == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (None, "holds no records, expected a directory that a conversion wrote"),
        ("{", "is not JSON"),
        ("[]", "not an object.*expected a manifest"),
        (json.dumps({"format_version": 7}), "format version 7, this program reads 1"),
        (json.dumps({"format_version": 1}), "name is missing; expected a manifest"),
        (
            json.dumps({"format_version": 1, "shards": [], "x": 1}),
            "no field 'x'.*expected a manifest",
        ),
    ],
)
def test_what_is_no_manifest_is_refused(tmp_path, text, match):
    if text is not None:
        (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(ValueError, match=match):
        manifest.read_manifest(tmp_path)


def test_missing_directory_is_refused(tmp_path):
    with pytest.raises(ValueError, match="is not a directory"):
        manifest.read_manifest(tmp_path / "no")
