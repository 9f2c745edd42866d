"""A run directory that begins, or goes on where it was interrupted."""

import pathlib

import pytest

from spine_tf.configuration import config
from spine_tf.runs import run_directory


def test_run_that_was_killed_at_its_first_write_goes_on(tmp_path: pathlib.Path) -> None:
    (tmp_path / "config.json.tmp-123").write_text("{")
    made = config.default_config("binary", "simple")
    assert run_directory.begin(tmp_path, made, {}, resume=True)
    assert config.read_config(tmp_path / "config.json") == made
    (tmp_path / "config.json").rename(tmp_path / "notes.txt")
    with pytest.raises(ValueError, match="holds no run to resume: choose another --run_dir"):
        run_directory.begin(tmp_path, made, {}, resume=True)
