"""A search directory: begun once, continued by the same search, overwritten only when asked."""

import json
import pathlib

import pytest

from tuner import directory

_IDENTITY = {"seed": 0, "base": {"dense": {"training": {"epochs": 60}}}}


def test_new_directory_is_begun(tmp_path: pathlib.Path) -> None:
    directory.prepare(tmp_path, _IDENTITY, resume=False, overwrite=False)
    assert directory.read_identity(tmp_path) == _IDENTITY


def test_existing_search_needs_a_word(tmp_path: pathlib.Path) -> None:
    directory.prepare(tmp_path, _IDENTITY, resume=False, overwrite=False)
    with pytest.raises(ValueError, match="--resume or begin anew with --overwrite"):
        directory.prepare(tmp_path, _IDENTITY, resume=False, overwrite=False)
    directory.prepare(tmp_path, _IDENTITY, resume=True, overwrite=False)


def test_another_search_is_refused_with_the_difference(tmp_path: pathlib.Path) -> None:
    directory.prepare(tmp_path, _IDENTITY, resume=False, overwrite=False)
    other = {"seed": 1, "base": {"dense": {"training": {"epochs": 30}}}}
    with pytest.raises(
        ValueError, match=r"base.dense.training.epochs is 60, now 30; seed is 0, now 1\. "
    ):
        directory.prepare(tmp_path, other, resume=True, overwrite=False)


def test_overwrite_removes_the_search(tmp_path: pathlib.Path) -> None:
    directory.prepare(tmp_path, _IDENTITY, resume=False, overwrite=False)
    (tmp_path / directory.TRIALS_DIR / "trial_0").mkdir(parents=True)
    directory.prepare(tmp_path, {"seed": 1}, resume=False, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == [directory.SEARCH_FILE]


def test_overwrite_leaves_what_no_search_wrote(tmp_path: pathlib.Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(ValueError, match=r"holds thesis.tex, which no search wrote"):
        directory.prepare(tmp_path, _IDENTITY, resume=False, overwrite=True)


def test_overwrite_that_was_cut_short_is_repeated_only(tmp_path: pathlib.Path) -> None:
    (tmp_path / directory.TRIALS_DIR).mkdir()
    with pytest.raises(ValueError, match="give --overwrite"):
        directory.prepare(tmp_path, _IDENTITY, resume=True, overwrite=False)


def test_temporary_file_of_a_killed_start_is_nothing(tmp_path: pathlib.Path) -> None:
    (tmp_path / f"{directory.SEARCH_FILE}.tmp-123").touch()
    directory.prepare(tmp_path, _IDENTITY, resume=True, overwrite=False)
    assert directory.read_identity(tmp_path) == _IDENTITY


def test_resume_and_overwrite_exclude_each_other(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ValueError, match="exclude each other"):
        directory.prepare(tmp_path, _IDENTITY, resume=True, overwrite=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "is damaged"), ('{"format_version": 99}', "another format"), (None, "does not exist")],
)
def test_unreadable_search_is_refused(
    tmp_path: pathlib.Path, text: str | None, message: str
) -> None:
    if text is not None:
        (tmp_path / directory.SEARCH_FILE).write_text(text, "utf-8")
    with pytest.raises(ValueError, match=message):
        directory.read_identity(tmp_path)


def test_second_search_is_kept_out(tmp_path: pathlib.Path) -> None:
    with (
        directory.lock(tmp_path),
        pytest.raises(ValueError, match="another search is writing"),
        directory.lock(tmp_path),
    ):
        pass


def test_digest_does_not_depend_on_the_order(tmp_path: pathlib.Path) -> None:
    digests = set()
    for name, identity in (("one", {"a": 1, "b": 2}), ("other", {"b": 2, "a": 1})):
        (tmp_path / name).mkdir()
        directory.prepare(tmp_path / name, identity, resume=False, overwrite=False)
        digests.add(json.loads((tmp_path / name / directory.SEARCH_FILE).read_text())["sha256"])
    assert len(digests) == 1
