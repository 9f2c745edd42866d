"""A search on several machines: a worker that dies does not hang the chief."""

import os
import pathlib
import socket
import subprocess
import threading
import time
from collections.abc import Sequence

import pytest

from tuner import chief, oracles, search, search_directory, search_settings

pytestmark = pytest.mark.slow

_TIMEOUT = 300
_SMALL = "model.filters=[4]"


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> str:
    """Keras Tuner's variables for a free port on this machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    monkeypatch.setenv("KERASTUNER_ORACLE_IP", "127.0.0.1")
    monkeypatch.setenv("KERASTUNER_ORACLE_PORT", str(port))
    monkeypatch.setenv("KERASTUNER_TUNER_ID", "chief")
    return f"127.0.0.1:{port}"


def _start_worker(
    tuner_id: str,
    records_dir: pathlib.Path,
    search_dir: pathlib.Path,
    *,
    python: Sequence[str] = ("warm-python", "-m"),
    num_workers: int = 2,
) -> subprocess.Popen:
    command = [*python, "tuner", f"--records_dir={records_dir}"]
    command += [f"--search_dir={search_dir}", "--task=binary", "--models=simple", f"--set={_SMALL}"]
    command += ["--oracle=random", "--max_trials=3", "--max_epochs=2"]
    command.append(f"--workers={num_workers}")
    environment = {**os.environ, "KERASTUNER_TUNER_ID": tuner_id, "TF_CPP_MIN_LOG_LEVEL": "2"}
    return subprocess.Popen(command, env=environment)


def _settings(records_dir: pathlib.Path, search_dir: pathlib.Path) -> search_settings.Settings:
    bases, fixed = search_settings.make_bases("binary", ["simple"], settings=[_SMALL], max_epochs=2)
    return search_settings.Settings(
        search_dir=search_dir,
        records_dir=records_dir,
        task="binary",
        bases=bases,
        fixed=fixed,
        oracle="random",
        max_trials=3,
    )


def test_trial_of_a_lost_worker_is_run_by_another(
    address: str,
    killable: Sequence[str],
    records_dir: pathlib.Path,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(chief, "LOST_SECONDS", 12.0)
    started: list[subprocess.Popen] = []

    def play_workers() -> None:
        started.append(_start_worker("w0", records_dir, tmp_path, python=killable, num_workers=1))
        first = search_directory.trial_dir(tmp_path, "0") / "trial.json"
        while not first.exists():
            time.sleep(0.05)
        started[0].kill()
        started.append(_start_worker("w1", records_dir, tmp_path))

    workers = threading.Thread(target=play_workers)
    workers.start()
    result = search.run(_settings(records_dir, tmp_path), resume=False, overwrite=False)
    workers.join()
    assert started[1].wait(_TIMEOUT) == 0
    assert result.ended_by == search_settings.TRIALS
    assert [entry.status for entry in result.ranked or []] == ["completed"] * 3
    assert (tmp_path / "logs" / "w1.1.log").exists()


def test_worker_may_start_first_and_a_second_chief_is_refused(
    address: str,
    records_dir: pathlib.Path,
    tmp_path: pathlib.Path,
) -> None:
    search_dir = tmp_path / "s"
    worker = _start_worker("w0", records_dir, search_dir)
    time.sleep(3.0)  # it looks for its chief
    assert worker.poll() is None
    assert not search_dir.exists()
    chief_process = _start_worker("chief", records_dir, search_dir)
    while not (search_dir / "secret").exists():
        time.sleep(0.1)
    other_dir = tmp_path / "other"
    other = _start_worker("chief1", records_dir, other_dir)
    assert other.wait(_TIMEOUT) == 1
    for stranger in range(20):
        with socket.create_connection(("127.0.0.1", int(address.partition(":")[2]))) as connection:
            connection.sendall(bytes([stranger]) * 300)
    assert chief_process.wait(_TIMEOUT) == 0
    assert worker.wait(_TIMEOUT) == 0
    assert not list(other_dir.glob("trials/trial_*"))
    rows = (search_dir / "leaderboard.csv").read_text().splitlines()
    assert len(rows) == 4
    assert all(",completed," in row for row in rows[1:])


def test_chief_that_does_not_answer_is_named(address: str, tmp_path: pathlib.Path) -> None:
    bases, _ = search_settings.make_bases("binary", ["simple"])
    chosen = _settings(tmp_path, tmp_path)
    oracle = oracles.make_oracle(
        "random",
        hyperparameters=search.space.make_space(chosen.declare, bases),
        objective=chosen.objective,
        max_trials=1,
        max_epochs=1,
        seed=0,
    )
    with pytest.raises(chief.ChiefLostError, match=f"{address} has not answered for 1 s"):
        chief.Client(oracle, tmp_path, {}).wait_for_chief(1.0)
