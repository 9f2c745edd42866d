"""Worker processes: when they are renewed and restarted, and what each may take."""

import importlib
import pathlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from spine_tf.configuration import config
from tuner import trial, workers


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> Iterator[Callable]:
    """Starts a pool of workers that do what a function of worker_tasks.py does."""
    monkeypatch.syspath_prepend(pathlib.Path(__file__).parent)
    started = []

    def start(name: str, num_workers: int = 1, gpus: tuple[str, ...] = ()) -> workers.Pool:
        monkeypatch.setattr(
            workers, "_work", getattr(importlib.import_module("worker_tasks"), name)
        )
        setup = workers.Setup(
            search_dir=tmp_path, records_dir=tmp_path, folds=1, max_parameters=None
        )
        tuner_ids = [f"tuner{index}" for index in range(num_workers)]
        started.append(workers.Pool(tuner_ids, setup, tmp_path, gpus))
        return started[-1]

    yield start
    for pool in started:
        pool.close()


def _processes(pool: workers.Pool, told: list[dict[str, Any]]) -> list[str]:
    """Runs a job for each; returns the processes that did them."""
    found = []
    for index, values in enumerate(told):
        pool.idle()[0].give(trial.Job(trial_id=str(index), config=values, objective="log_loss"))
        while pool.busy():
            events: list[Any] = pool.wait(60.0)
            found += [event.outcome.reason for event in events]
    return found


def test_process_is_renewed_after_some_trials(
    start: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "TRIALS_PER_PROCESS", 2)
    first, second, third = _processes(start("answer"), [{}] * 3)
    assert first == second != third


@pytest.mark.parametrize(
    ("told", "is_renewed"),
    [
        ({"memory_mb": 1000.0}, False),
        ({"memory_mb": 1200.0}, True),  # it has grown by more than 1 GiB
        ({"is_healthy": False}, True),
    ],
)
def test_worn_process_is_renewed(start: Callable, told: dict[str, Any], is_renewed: bool) -> None:
    _, second, third = _processes(start("answer"), [{}, told, {}])
    assert (second != third) == is_renewed


def test_process_that_never_starts_ends_the_search(start: Callable) -> None:
    message = r"tuner0: its worker process ended with status 3 .*3 times before it took a trial"
    with pytest.raises(workers.WorkersFailedError, match=message):
        _processes(start("end_at_once"), [{}])


def test_full_disk_ends_the_search_and_fails_no_trial(start: Callable) -> None:
    configuration = config.to_dict(config.default_config("binary", "simple"))
    with pytest.raises(OSError, match=r"No space left on device: 'fold_0.keras'"):
        _processes(start("fill_the_disk"), [configuration])


def test_search_side_imports_nothing_that_counts_threads_or_takes_a_gpu() -> None:
    code = (
        "import sys, tuner.workers\n"
        "sys.exit(any(name in sys.modules for name in ('numpy', 'tensorflow', 'keras')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("num_workers", "seen", "said"),
    [
        (1, ["4"], "workers: 1, GPUs: 2, of which --workers 2 would take all: tuner0 on 4"),
        (2, ["4", "7"], "workers: 2, GPUs: 2: tuner0 on 4, tuner1 on 7"),
        (3, ["4", "7", "4"], "GPUs: 2, which some of them share: tuner0 on 4, tuner1 on 7, tuner2"),
    ],
)
def test_each_worker_sees_a_gpu_of_its_own_as_long_as_there_are_some(
    start: Callable,
    caplog: pytest.LogCaptureFixture,
    num_workers: int,
    seen: list[str],
    said: str,
) -> None:
    caplog.set_level("INFO", logger="absl")
    pool = start("answer", num_workers=num_workers, gpus=("4", "7"))
    for worker in pool.idle():
        worker.give(trial.Job(trial_id="0", config={"tells_gpu": True}, objective="log_loss"))
    found: dict[str, str] = {}
    while pool.busy():
        found |= {event.tuner_id: event.outcome.reason for event in pool.wait(60.0)}
    assert [found[name] for name in sorted(found)] == seen
    assert said in caplog.text


@pytest.mark.parametrize("threads", [0, 2])
def test_several_workers_share_out_threads(threads: int) -> None:
    environment = workers._environment(threads, None)
    assert environment.get("OMP_NUM_THREADS") == (str(threads) if threads else None)
    assert "CUDA_VISIBLE_DEVICES" not in environment


def test_memory_is_read_where_there_is_no_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    with_proc = workers._resident_bytes()
    assert with_proc > 10e6
    read_text = pathlib.Path.read_text

    def refuse(path: pathlib.Path, *arguments: Any) -> str:
        if str(path).startswith("/proc"):
            raise FileNotFoundError(2, "No such file or directory", str(path))
        return read_text(path, *arguments)

    monkeypatch.setattr(pathlib.Path, "read_text", refuse)
    assert workers._resident_bytes() >= 0.9 * with_proc  # the most that it ever was
