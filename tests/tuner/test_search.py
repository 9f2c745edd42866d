"""The search as a whole, with real workers: trials, failures, kills, budgets, resume."""

import contextlib
import csv
import dataclasses
import os
import pathlib
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import psutil
import pytest
from selenium.webdriver.common.by import By

from spine_tf.configuration import config
from spine_tf.runs import run_directory
from spine_tf.training import trainer
from tfrecords import records
from tuner import search, search_directory, search_settings, trial

pytestmark = pytest.mark.slow

_TIMEOUT = 240.0
# A line of a series, in a chart.
_LINE = "path[style*='stroke: var(--c'][style*='fill: none']"


def _settings(
    records_dir: pathlib.Path,
    search_dir: pathlib.Path,
    *set_values: str,
    max_epochs: int = 2,
    **fields: Any,
) -> search_settings.Settings:
    bases, fixed = search_settings.make_bases(
        "binary", ["simple"], settings=set_values, max_epochs=max_epochs
    )
    defaults: dict[str, Any] = {"oracle": "random", "max_trials": 4}
    return search_settings.Settings(
        search_dir=search_dir,
        records_dir=records_dir,
        task="binary",
        bases=bases,
        fixed=fixed,
        **{**defaults, **fields},
    )


def _run(settings: search_settings.Settings, **flags: bool) -> search.Result:
    return search.run(settings, **{"resume": False, "overwrite": False, **flags})


def _start(
    python: Sequence[str], records_dir: pathlib.Path, search_dir: pathlib.Path, *flags: str
) -> subprocess.Popen:
    command = [*python, "tuner", f"--records_dir={records_dir}"]
    command += [f"--search_dir={search_dir}", "--task=binary", *flags]
    return subprocess.Popen(command, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"})


def _wait_until(is_so: Callable[[], Any]) -> Any:
    end = time.monotonic() + _TIMEOUT
    while time.monotonic() < end:
        result = is_so()
        if result:
            return result
        time.sleep(0.05)
    raise TimeoutError("it did not become so")


def _workers(process: subprocess.Popen | psutil.Process) -> list[psutil.Process]:
    with contextlib.suppress(psutil.NoSuchProcess):
        children = psutil.Process(process.pid).children()
        return [child for child in children if "spawn_main" in " ".join(child.cmdline())]
    return []


def _runs_trial(search_dir: pathlib.Path, trial_id: str) -> bool:
    return search_directory.trial_dir(search_dir, trial_id).exists() and (
        f"trial {trial_id}: " in (search_dir / "logs" / "tuner0.log").read_text("utf-8")
    )


def _table(search_dir: pathlib.Path) -> list[dict[str, str]]:
    with (search_dir / search_directory.LEADERBOARD_FILE).open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def finished(
    records_dir: pathlib.Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[pathlib.Path]:
    """A search of three families, of which one can't be built; its test split is unreadable."""
    base = tmp_path_factory.mktemp("finished")
    copy = base / "records"
    shutil.copytree(records_dir, copy)
    for path in copy.glob("*-test.tfrecord*"):
        path.write_bytes(b"\xff" * path.stat().st_size)
    flags = [
        "--models=simple,dense,resnet50",
        "--set=model.weights=none",
        "--set=model.input_px=16",
        "--set=model.filters=[4]",
    ]
    flags += ["--folds=2", "--workers=2", "--max_trials=6", "--max_epochs=2", "--oracle=random"]
    process = _start(("warm-python", "-m"), copy, base / "search", *flags)
    assert process.wait(_TIMEOUT) == 0
    yield base / "search"


def test_leaderboard_has_every_trial(finished: pathlib.Path) -> None:
    rows = _table(finished)
    assert list(rows[0])[:13] == [
        *("rank", "trial_id", "family", "status", "reason", "objective", "objective_std"),
        *("fold_0", "fold_1", "num_parameters", "epochs", "seconds"),
        "hp.data.augmentation.jitter_mm",
    ]
    assert sorted(row["trial_id"] for row in rows) == list("012345")


def test_trial_that_cannot_be_built_is_recorded_with_its_reason(finished: pathlib.Path) -> None:
    failed = [row for row in _table(finished) if row["family"] == "resnet50"]
    assert failed
    for row in failed:
        assert (row["status"], row["rank"], row["objective"]) == ("failed", "", "")
        assert "at least 32 px" in row["reason"]


def test_objective_is_the_mean_over_the_folds(finished: pathlib.Path) -> None:
    scored = [row for row in _table(finished) if row["objective"]]
    assert scored
    for row in scored:
        folds = [float(row["fold_0"]), float(row["fold_1"])]
        assert float(row["objective"]) == pytest.approx(sum(folds) / 2, abs=1e-5)
        # of two values, s / sqrt(2) is half their distance
        assert float(row["objective_std"]) == pytest.approx(abs(folds[0] - folds[1]) / 2, abs=1e-5)


def test_best_configuration_is_the_first_of_the_leaderboard(finished: pathlib.Path) -> None:
    best = config.read_config(finished / "best.json")
    first = _table(finished)[0]
    assert best == config.read_config(finished / "best" / f"{first['family']}.json")
    assert str(best.model.dropout) == first["hp.model.dropout"]
    assert (best.model.input_px, best.training.epochs, best.task) == (16, 2, "binary")
    assert not (finished / "best" / "resnet50.json").exists()


def test_weights_of_the_best_few_are_kept(finished: pathlib.Path) -> None:
    kept = {path.parent.name for path in finished.glob("trials/*/*.keras")}
    ranked = [row["trial_id"] for row in _table(finished) if row["rank"]]
    assert kept == {f"trial_{trial_id}" for trial_id in ranked[: search_directory.KEPT_TRIALS]}


def test_every_trial_has_a_tensorboard_run(finished: pathlib.Path) -> None:
    assert len(list(finished.glob("tensorboard/trial_*/events*"))) == 6


def test_page_shows_what_the_leaderboard_says(finished: pathlib.Path, browser: Any) -> None:
    rows = _table(finished)

    browser.open(finished / "search.html")

    driver = browser.driver
    shown = [
        [cell.text for cell in row.find_elements(By.TAG_NAME, "td")[1:5]]
        for row in driver.find_elements(By.CSS_SELECTOR, "#trials tbody tr")
    ]
    assert [cells[:3] for cells in shown] == [
        [row["trial_id"], row["family"], row["status"]] for row in rows
    ]
    scores = [float(row["objective"]) for row in rows if row["objective"]]
    # Both are rounded.
    assert [float(cells[3]) for cells in shown[: len(scores)]] == pytest.approx(scores, abs=2e-4)
    best = driver.find_element(By.ID, "best-value").text
    assert float(best) == pytest.approx(scores[0], abs=2e-4)
    lines = driver.find_elements(By.CSS_SELECTOR, f"#curves svg {_LINE}")
    assert len(lines) >= len(scores)
    assert driver.find_elements(By.CSS_SELECTOR, "#hyperparameters svg")
    assert browser.logged() == []


def test_finished_search_can_be_resumed_with_more_trials_only_by_the_same_settings(
    finished: pathlib.Path,
) -> None:
    other = _settings(finished.parent / "records", finished)
    with pytest.raises(ValueError, match="holds another search"):
        _run(other, resume=True)
    with pytest.raises(ValueError, match="--resume or begin anew"):
        _run(other)


def test_killed_search_goes_on_as_if_nothing_had_happened(
    killable: Sequence[str], records_dir: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    others = _workers(psutil.Process())  # what earlier tests keep, such as a decoder of images
    small = "model.filters=[4]"
    undisturbed = _run(_settings(records_dir, tmp_path / "a", small))
    flags = ["--models=simple", f"--set={small}", "--oracle=random"]
    flags += ["--max_trials=4", "--max_epochs=2"]
    process = _start(killable, records_dir, tmp_path / "b", *flags)
    _wait_until(lambda: _runs_trial(tmp_path / "b", "1"))
    _workers(process)[0].kill()
    _wait_until(lambda: _runs_trial(tmp_path / "b", "2"))
    workers = _workers(process)
    process.kill()
    process.wait()
    _wait_until(lambda: not any(worker.is_running() for worker in workers))
    resumed = _run(_settings(records_dir, tmp_path / "b", small), resume=True)
    for here, there in zip(undisturbed.ranked or [], resumed.ranked or [], strict=True):
        assert (here.trial_id, here.values) == (there.trial_id, there.values)
        assert here.score == there.score
    reasons = {row["trial_id"]: row["reason"] for row in _table(tmp_path / "b")}
    assert "run again: its worker process was killed by SIGKILL" in reasons["1"]
    assert set(_workers(psutil.Process())) <= set(others)
    states = [*(tmp_path / "b" / "trials").glob("trial_*/*.json")]
    assert len(states) == 8
    before = [path.read_bytes() for path in states]
    _run(_settings(records_dir, tmp_path / "b", small), resume=True)
    assert [path.read_bytes() for path in states] == before


def test_trial_that_kills_its_worker_twice_is_failed(
    killable: Sequence[str], records_dir: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    flags = ["--models=simple", "--max_trials=2", "--max_epochs=400", "--set=training.patience=0"]
    process = _start(killable, records_dir, tmp_path / "s", *flags)
    killed: set[int] = set()
    log = tmp_path / "s" / "logs" / "tuner0.log"
    for _ in range(2):
        worker = _wait_until(lambda: [w for w in _workers(process) if w.pid not in killed])[0]
        _wait_until(lambda: log.read_text("utf-8").count("trial 0: ") > len(killed))
        killed.add(worker.pid)
        worker.kill()
    _wait_until(lambda: trial.read_outcome(tmp_path / "s", "0"))
    process.terminate()
    process.wait()
    outcome = trial.read_outcome(tmp_path / "s", "0")
    assert outcome is not None
    assert (outcome.status, outcome.fold_scores) == ("failed", ())
    assert "killed by SIGKILL" in outcome.reason
    assert outcome.reason.endswith("twice")


def test_running_trial_ends_in_order_when_the_time_is_over(
    records_dir: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    result = _run(
        _settings(
            *(records_dir, tmp_path / "s", "training.patience=0"),
            max_epochs=10_000,
            max_minutes=0.15,
        )
    )
    assert result.ended_by == search_settings.MINUTES
    (row,) = _table(tmp_path / "s")
    assert (row["status"], row["reason"]) == ("stopped", "the search's time was over")
    assert row["objective"]


def test_search_of_landmarks_goes_on_and_its_best_is_a_configuration_of_train(
    dots_dir: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    fast = ["model.filters=[4, 8]", "model.input_px=0"]
    bases, fixed = search_settings.make_bases("landmarks", ["unet"], settings=fast, max_epochs=1)
    settings = search_settings.Settings(
        search_dir=tmp_path / "s",
        records_dir=dots_dir,
        task="landmarks",
        bases=bases,
        fixed=fixed,
        oracle="random",
        max_trials=1,
    )
    _run(settings)
    _run(dataclasses.replace(settings, max_trials=2), resume=True)
    rows = _table(tmp_path / "s")
    assert [row["status"] for row in rows] == ["completed"] * 2, rows
    best = config.read_config(tmp_path / "s" / "best.json")
    assert str(best.training.learning_rate) == rows[0]["hp.training.learning_rate"]
    trainer.train(best, records.open_records(dots_dir), tmp_path / "w", resume=False)
    assert run_directory.is_run(tmp_path / "w")


def test_more_folds_than_there_are_is_refused(
    records_dir: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    assert "test" in records.open_records(records_dir).splits
    with pytest.raises(
        ValueError, match=r"--folds is 4, but .* has no example in fold_3; its folds"
    ):
        _run(_settings(records_dir, tmp_path, folds=4))
