"""A search directory: begun once, continued by the same search, overwritten only when asked."""

import json
import pathlib

import pytest

from tuner import search_directory

_IDENTITY = {"seed": 0, "base": {"dense": {"training": {"epochs": 60}}}}


def test_new_directory_is_begun(tmp_path: pathlib.Path) -> None:
    search_directory.prepare(tmp_path, _IDENTITY, resume=False, overwrite=False)
    assert search_directory.read_identity(tmp_path) == _IDENTITY


def test_existing_search_needs_a_word(tmp_path: pathlib.Path) -> None:
    search_directory.prepare(tmp_path, _IDENTITY, resume=False, overwrite=False)
    with pytest.raises(ValueError, match="--resume or begin anew with --overwrite"):
        search_directory.prepare(tmp_path, _IDENTITY, resume=False, overwrite=False)
    search_directory.prepare(tmp_path, _IDENTITY, resume=True, overwrite=False)


def test_another_search_is_refused_with_the_difference(tmp_path: pathlib.Path) -> None:
    search_directory.prepare(tmp_path, _IDENTITY, resume=False, overwrite=False)
    other = {"seed": 1, "base": {"dense": {"training": {"epochs": 30}}}}
    with pytest.raises(
        ValueError, match=r"base.dense.training.epochs is 60, now 30; seed is 0, now 1\. "
    ):
        search_directory.prepare(tmp_path, other, resume=True, overwrite=False)


def test_overwrite_removes_the_search(tmp_path: pathlib.Path) -> None:
    search_directory.prepare(tmp_path, _IDENTITY, resume=False, overwrite=False)
    (tmp_path / search_directory.TRIALS_DIR / "trial_0").mkdir(parents=True)
    search_directory.prepare(tmp_path, {"seed": 1}, resume=False, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == [search_directory.SEARCH_FILE]


def test_overwrite_leaves_what_no_search_wrote(tmp_path: pathlib.Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(ValueError, match=r"holds thesis.tex, which no search wrote"):
        search_directory.prepare(tmp_path, _IDENTITY, resume=False, overwrite=True)


def test_overwrite_that_was_cut_short_is_repeated_only(tmp_path: pathlib.Path) -> None:
    (tmp_path / search_directory.TRIALS_DIR).mkdir()
    with pytest.raises(ValueError, match="give --overwrite"):
        search_directory.prepare(tmp_path, _IDENTITY, resume=True, overwrite=False)


def test_temporary_file_of_a_killed_start_is_nothing(tmp_path: pathlib.Path) -> None:
    (tmp_path / f"{search_directory.SEARCH_FILE}.tmp-123").touch()
    search_directory.prepare(tmp_path, _IDENTITY, resume=True, overwrite=False)
    assert search_directory.read_identity(tmp_path) == _IDENTITY


def test_resume_and_overwrite_exclude_each_other(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ValueError, match="exclude each other"):
        search_directory.prepare(tmp_path, _IDENTITY, resume=True, overwrite=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ('{"format_version": 99}', "another format"),
        (None, "does not exist"),
    ],
)
def test_unreadable_search_is_refused(
    tmp_path: pathlib.Path, text: str | None, message: str
) -> None:
    if text is not None:
        (tmp_path / search_directory.SEARCH_FILE).write_text(text, "utf-8")
    with pytest.raises(ValueError, match=message):
        search_directory.read_identity(tmp_path)


def test_second_search_is_kept_out(tmp_path: pathlib.Path) -> None:
    with (
        search_directory.hold(tmp_path),
        pytest.raises(ValueError, match=r"another search is at work .* another --search_dir"),
        search_directory.hold(tmp_path),
    ):
        pass


def test_digest_does_not_depend_on_the_order(tmp_path: pathlib.Path) -> None:
    digests = set()
    for name, identity in (("one", {"a": 1, "b": 2}), ("other", {"b": 2, "a": 1})):
        (tmp_path / name).mkdir()
        search_directory.prepare(tmp_path / name, identity, resume=False, overwrite=False)
        digests.add(
            json.loads((tmp_path / name / search_directory.SEARCH_FILE).read_text())["sha256"]
        )
    assert len(digests) == 1


def _write(search_dir: pathlib.Path, trial_id: str, name: str, size: int) -> pathlib.Path:
    path = search_directory.trial_dir(search_dir, trial_id) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))
    return path


def _kept(search_dir: pathlib.Path) -> list[str]:
    return sorted(path.parent.name for path in search_dir.glob("trials/*/*.keras"))


def test_weights_of_the_best_few_are_kept(tmp_path: pathlib.Path) -> None:
    for trial_id in "01234":
        _write(tmp_path, trial_id, "fold_0.keras", 10)
    assert search_directory.keep_best_weights(tmp_path, list("43210"), max_disk_mb=None)
    assert _kept(tmp_path) == ["trial_2", "trial_3", "trial_4"]


def test_weights_that_a_worker_is_just_writing_are_left_alone(tmp_path: pathlib.Path) -> None:
    for trial_id in "01234":
        _write(tmp_path, trial_id, "fold_0.keras", 10)
    search_directory.keep_best_weights(tmp_path, list("3210"), max_disk_mb=None)
    assert _kept(tmp_path) == ["trial_1", "trial_2", "trial_3", "trial_4"]


@pytest.mark.parametrize(
    ("max_disk_mb", "kept", "is_within"),
    [
        (4.0, ["trial_0", "trial_1", "trial_2"], True),
        (2.5, ["trial_0", "trial_1"], True),
        (1.5, ["trial_0"], True),
        (0.5, ["trial_0"], False),
    ],
)
def test_disk_budget_costs_weights_before_it_ends_the_search(
    tmp_path: pathlib.Path, max_disk_mb: float, kept: list[str], is_within: bool
) -> None:
    for trial_id in "012":
        _write(tmp_path, trial_id, "fold_0.keras", 2**20)
    found = search_directory.keep_best_weights(tmp_path, list("012"), max_disk_mb=max_disk_mb)
    assert (_kept(tmp_path), found) == (kept, is_within)


def test_state_is_removed_when_nothing_goes_on_from_it(tmp_path: pathlib.Path) -> None:
    for trial_id in "01":
        _write(tmp_path, trial_id, "state_fold_0/checkpoint.npz", 1)
    search_directory.remove_states(tmp_path, ["1"])
    assert [path.parent.name for path in tmp_path.glob("trials/*/state_fold_0")] == ["trial_1"]
