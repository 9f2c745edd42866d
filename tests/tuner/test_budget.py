"""Budgets: time, and the disk that weights and states take."""

import pathlib

import pytest

from tuner import budget, directory


def _write(search_dir: pathlib.Path, trial_id: str, name: str, size: int) -> pathlib.Path:
    path = directory.trial_dir(search_dir, trial_id) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))
    return path


def _kept(search_dir: pathlib.Path) -> list[str]:
    return sorted(path.parent.name for path in search_dir.glob("trials/*/*.keras"))


def test_weights_of_the_best_few_are_kept(tmp_path: pathlib.Path) -> None:
    for trial_id in "01234":
        _write(tmp_path, trial_id, "fold_0.keras", 10)
    assert budget.keep_best_weights(tmp_path, list("43210"), max_disk_mb=None)
    assert _kept(tmp_path) == ["trial_2", "trial_3", "trial_4"]


def test_weights_that_a_worker_is_just_writing_are_left_alone(tmp_path: pathlib.Path) -> None:
    for trial_id in "01234":
        _write(tmp_path, trial_id, "fold_0.keras", 10)
    budget.keep_best_weights(tmp_path, list("3210"), max_disk_mb=None)
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
    found = budget.keep_best_weights(tmp_path, list("012"), max_disk_mb=max_disk_mb)
    assert (_kept(tmp_path), found) == (kept, is_within)


def test_state_is_removed_when_nothing_goes_on_from_it(tmp_path: pathlib.Path) -> None:
    for trial_id in "01":
        _write(tmp_path, trial_id, "state_fold_0/checkpoint.npz", 1)
    budget.remove_states(tmp_path, ["1"])
    assert [path.parent.name for path in tmp_path.glob("trials/*/state_fold_0")] == ["trial_1"]


@pytest.mark.parametrize(("max_minutes", "is_over"), [(None, False), (1e-9, True), (60.0, False)])
def test_clock_is_over_at_its_limit(max_minutes: float | None, is_over: bool) -> None:
    clock = budget.Clock(max_minutes=max_minutes)
    assert clock.is_over == is_over
    assert (clock.seconds_left is None) == (max_minutes is None)
