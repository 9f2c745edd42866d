"""Converters that are killed, starved and interrupted: the next run gives the same bytes."""

import importlib
import os
import pathlib
import random
import re
import resource
import signal
import subprocess
import sys
import time

import psutil
import pytest

from spine_tf.processes import pool

pytestmark = pytest.mark.usefixtures("ordinary_children")


@pytest.fixture
def run(monkeypatch):
    """Runs a function of pool_tasks.py; on the path, so that spawned workers import it too."""
    monkeypatch.syspath_prepend(pathlib.Path(__file__).parent)

    def run(name, tasks, num_workers=2, **options):
        function = getattr(importlib.import_module("pool_tasks"), name)
        return pool.run_tasks(function, tasks, num_workers=num_workers, name_of=str, **options)

    return run


def test_every_task_gives_its_result(run):
    assert sorted(run("square", list(range(20)))) == [n * n for n in range(20)]
    assert list(run("square", [])) == []


def test_tasks_run_in_as_many_processes_as_asked(run):
    pids = set(run("pid", list(range(9)), num_workers=3))
    assert len(pids) == 3
    assert os.getpid() not in pids
    assert not any(map(psutil.pid_exists, pids))


def test_task_of_a_dead_worker_is_done_by_another(run, tmp_path):
    tasks = [(number, tmp_path / "died") for number in range(6)]
    assert sorted(run("die_at", tasks)) == list(range(6))
    assert (tmp_path / "died").exists()


def test_task_whose_worker_dies_twice_is_named(run):
    with pytest.raises(
        ChildProcessError, match=r"worker of 7 died 2 times \(it ended with status 9\)"
    ):
        list(run("always_die", [7]))


def test_error_of_a_task_is_raised_with_its_traceback(run):
    with pytest.raises(ValueError, match="no 1") as caught:
        list(run("fail", [1]))
    assert "in fail" in caught.value.__notes__[0]


def test_results_come_in_order_when_asked(run, tmp_path):
    tasks = [(number, tmp_path / "died") for number in range(20)]
    assert list(run("die_at", tasks, is_in_order=True)) == list(range(20))
    assert (tmp_path / "died").exists()


def test_few_results_wait_for_the_oldest(run):
    results = list(run("wait_if_first", list(range(20)), is_in_order=True))
    first_end = results[0][1]
    assert [number for number, _ in results] == list(range(20))
    assert sum(end < first_end for _, end in results) == 4 * 2 - 1  # as many as may be ahead


def test_next_task_begins_before_a_result_is_used(run, tmp_path):
    tasks = [tmp_path / "first", tmp_path / "second"]
    results = run("touch", tasks, num_workers=1)
    assert next(results) == tasks[0]
    end = time.monotonic() + 30
    while not tasks[1].exists() and time.monotonic() < end:
        time.sleep(0.01)
    assert tasks[1].exists()


def test_leaving_early_ends_the_workers(run):
    results = run("pid", list(range(50)))
    pid = next(results)
    results.close()
    assert not psutil.pid_exists(pid)


def test_number_of_processors_is_what_this_process_may_use(monkeypatch):
    assert pool.num_cpus() == len(os.sched_getaffinity(0))
    monkeypatch.delattr(os, "sched_getaffinity")  # as on macOS
    assert pool.num_cpus() == os.cpu_count()


@pytest.fixture
def command(small_data_dir):
    """Returns the command that converts the small data set into a directory."""

    def make(output_dir, *flags):
        return [
            sys.executable,
            "-m",
            "spine_tf.convert",
            f"--data_dir={small_data_dir}",
            f"--output_dir={output_dir}",
            "--levels=all",
            "--num_slices=3",
            "--workers=2",
            *flags,
        ]

    return make


@pytest.fixture
def undisturbed(command, tmp_path):
    """The bytes of an undisturbed run."""
    subprocess.run(command(tmp_path / "undisturbed"), check=True, capture_output=True)
    return _bytes_of(tmp_path / "undisturbed")


def _bytes_of(path):
    return {file.name: file.read_bytes() for file in sorted(path.iterdir())}


def _wait_for(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.01)


@pytest.mark.slow
def test_killed_run_is_continued_to_the_same_bytes(command, undisturbed, tmp_path):
    generator = random.Random(0)
    start = time.monotonic()
    subprocess.run(command(tmp_path / "timed"), check=True, capture_output=True)
    seconds = time.monotonic() - start
    output_dir = tmp_path / "r"
    # Once for certain, however busy the machine was while the time was taken; then by chance.
    process = subprocess.Popen(command(output_dir), stderr=subprocess.DEVNULL)
    _wait_for((output_dir / "plan.json").exists)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    for _ in range(6):
        process = subprocess.Popen(command(output_dir), stderr=subprocess.DEVNULL)
        try:
            process.wait(generator.uniform(0.2, 0.9) * seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
    subprocess.run(command(output_dir), check=True, capture_output=True)
    assert _bytes_of(output_dir) == undisturbed


# What an image lies on answers to nobody, as a file server that is gone.
_HANGING = """
import os, time
_open = os.open
def _hang(path, *arguments, **options):
    if str(path).endswith(".dcm"):
        time.sleep(60)
    return _open(path, *arguments, **options)
os.open = _hang
"""


def _heed_signals():
    """Has a test that runs under nohup, or in the background, start what doesn't."""
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)


@pytest.fixture
def stuck(command, tmp_path):
    """A converter whose workers wait for images that never come; ends after the test."""
    (tmp_path / "hanging").mkdir()
    (tmp_path / "hanging" / "sitecustomize.py").write_text(_HANGING)
    paths = [str(tmp_path / "hanging"), os.environ.get("PYTHONPATH", "")]
    process = subprocess.Popen(
        command(tmp_path / "r"),
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        start_new_session=True,
        preexec_fn=_heed_signals,
    )
    _wait_for(lambda: len(psutil.Process(process.pid).children()) == 2)
    time.sleep(0.2)
    yield process
    process.kill()
    process.wait()


@pytest.mark.slow
def test_workers_end_with_a_killed_parent(stuck):
    workers = psutil.Process(stuck.pid).children()
    stuck.kill()
    stuck.wait()
    _, alive = psutil.wait_procs(workers, timeout=5)
    assert not alive


@pytest.mark.slow
@pytest.mark.parametrize(
    ("send", "number", "status", "said"),
    [
        (os.kill, signal.SIGINT, 130, "interrupted"),
        (os.kill, signal.SIGTERM, 143, "stopped by SIGTERM"),
        (os.killpg, signal.SIGTERM, 143, "stopped by SIGTERM"),  # as a scheduler does
        (os.killpg, signal.SIGHUP, 129, "stopped by SIGHUP"),  # as a terminal does
    ],
)
def test_signal_stops_cleanly(stuck, tmp_path, send, number, status, said):
    workers = psutil.Process(stuck.pid).children()
    send(stuck.pid, number)
    _, errors = stuck.communicate(timeout=20)
    assert stuck.returncode == status
    assert errors.endswith(f"error: {said}\n")
    assert "Traceback" not in errors
    assert not any(worker.is_running() for worker in workers)
    assert [path.name for path in (tmp_path / "r").iterdir()] == ["plan.json"]


@pytest.mark.slow
def test_dead_worker_is_replaced_once_then_named(stuck):
    for _ in range(2):
        _wait_for(lambda: len(psutil.Process(stuck.pid).children()) == 2)
        for worker in psutil.Process(stuck.pid).children():
            worker.kill()
        time.sleep(0.5)
    _, errors = stuck.communicate(timeout=20)
    assert stuck.returncode == 1
    assert re.search(r"worker of lumbar_spine-\S+ died 2 times \(it was killed by SIGKILL", errors)


@pytest.mark.slow
def test_second_converter_is_refused_while_the_first_runs(stuck, command, tmp_path):
    second = subprocess.run(command(tmp_path / "r"), capture_output=True, text=True, check=False)
    assert second.returncode == 1
    assert "another converter is at work" in second.stderr


def _limit_file_size():
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))


@pytest.mark.slow
def test_full_disk_is_said_and_survived(command, undisturbed, tmp_path):
    output_dir = tmp_path / "r"
    finished = subprocess.run(
        command(output_dir),
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=_limit_file_size,
    )
    assert finished.returncode == 1
    assert re.search(r"File too large.*make room and run the same command again", finished.stderr)
    assert "Traceback" not in finished.stderr
    written = {path.name for path in pathlib.Path(output_dir).iterdir()}
    assert written <= {"plan.json"}
    subprocess.run(command(output_dir), check=True, capture_output=True)
    assert _bytes_of(output_dir) == undisturbed
