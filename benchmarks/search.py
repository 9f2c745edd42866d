"""Our search against a plain Keras Tuner script, on the same records, space and trials.

    python benchmarks/search.py --records_dir R --part throughput|best|frozen|memory

throughput: trials an hour of the small families, no trial stopped early; plain script against two
    workers. The trials are the same: one seed, one oracle.
best: the time in which the search reaches the plain script's best score, bad trials stopped early.
    It may run more trials than the script, in no more than the script's time.
frozen: as throughput, with a frozen ResNet-50 whose weights are random (none can be downloaded
    everywhere; the arithmetic is the same).
memory: resident memory of the search and its workers over many short trials.
"""

import csv
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

import psutil
from absl import app, flags

_RECORDS_DIR = flags.DEFINE_string("records_dir", None, "Finished conversion.", required=True)
_PART = flags.DEFINE_enum("part", "throughput", ["throughput", "best", "frozen", "memory"], "What.")
_TASK = flags.DEFINE_enum("task", "binary", ["binary", "multiclass"], "Which classes.")
_NUM_TRIALS = flags.DEFINE_integer("num_trials", 30, "Trials of each search.")
_NUM_EPOCHS = flags.DEFINE_integer("num_epochs", 20, "Epochs of a trial.")
_INPUT_PX = flags.DEFINE_integer("input_px", 64, "Side of the models' input.")
_WORKERS = flags.DEFINE_integer("workers", 2, "Workers of our search.")

_HERE = pathlib.Path(__file__).resolve().parent
# Trials of our search for the plain script's score, over the script's own.
_MOST_TIMES = 10
_SMALL_FAMILIES = ("simple", "dense", "residual")


def main(_: list[str]) -> None:
    """Runs one part and prints its figures."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
    with tempfile.TemporaryDirectory() as directory:
        {
            "throughput": _throughput,
            "best": _best,
            "frozen": _frozen,
            "memory": _memory,
        }[_PART.value](pathlib.Path(directory))


def _throughput(directory: pathlib.Path) -> None:
    settings = ["training.patience=0", f"model.input_px={_INPUT_PX.value}"]
    plain = _run_plain(directory / "plain", _SMALL_FAMILIES, settings)
    ours = _run_ours(directory / "ours", _SMALL_FAMILIES, settings, "--noprune")
    _print_rates(plain, ours)
    rows = _rows(directory / "ours")
    spent = sum(float(row["seconds"]) for row in rows)
    overhead = (ours * _WORKERS.value - spent) / len(rows)
    print(f"outside of trials, a trial and worker: {overhead:.2f} s")


def _best(directory: pathlib.Path) -> None:
    settings = [f"model.input_px={_INPUT_PX.value}"]
    plain = _run_plain(directory / "plain", _SMALL_FAMILIES, [*settings, "training.patience=0"])
    target = float((directory / "plain" / "best.txt").read_text("ascii"))
    print(f"plain script: best {target:.4f} after {plain:.0f} s for its {_NUM_TRIALS.value} trials")
    command = _our_command(
        directory / "ours",
        _SMALL_FAMILIES,
        settings,
        f"--max_trials={_MOST_TIMES * _NUM_TRIALS.value}",
        f"--max_minutes={plain / 60}",
    )
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    reached = _wait_for_score(process, directory / "ours", target)
    seconds = time.monotonic() - started
    rows = _rows(directory / "ours")
    print(f"our search: best {rows[0]['objective']} of {len(rows)} trials after {seconds:.0f} s")
    if reached:
        print(f"the plain script's best was reached in {seconds / plain:.2f} of its time")
    else:
        print("the plain script's best was not reached in its time")


def _frozen(directory: pathlib.Path) -> None:
    weights = directory / "resnet50.weights.h5"
    code = "import sys, keras; keras.applications.ResNet50(include_top=False, weights=None)"
    subprocess.run([sys.executable, "-c", f"{code}.save_weights(sys.argv[1])", weights], check=True)
    settings = [f"model.weights={weights}", "training.patience=0", "model.frozen_epochs=10000"]
    settings.append(f"model.input_px={_INPUT_PX.value}")
    plain = _run_plain(directory / "plain", ("resnet50",), settings)
    ours = _run_ours(directory / "ours", ("resnet50",), settings, "--noprune")
    _print_rates(plain, ours)


def _memory(directory: pathlib.Path) -> None:
    samples: list[tuple[int, float, float]] = []
    command = _our_command(directory / "ours", ("simple",), ["model.input_px=32"], "--noprune")
    process = subprocess.Popen(command)
    while process.poll() is None:
        time.sleep(2.0)
        num_done = len(list((directory / "ours" / "trials").glob("*/result.json")))
        try:
            main_process = psutil.Process(process.pid)
            workers = [child.memory_info().rss for child in main_process.children()]
            own = main_process.memory_info().rss
        except psutil.NoSuchProcess:
            break
        samples.append((num_done, own / 2**20, max(workers, default=0) / 2**20))
    for at in range(0, _NUM_TRIALS.value, max(1, _NUM_TRIALS.value // 10)):
        seen = [sample for sample in samples if sample[0] >= at]
        if seen:
            print(f"after {seen[0][0]:3d} trials: search {seen[0][1]:5.0f} MiB, ", end="")
            print(f"largest worker {seen[0][2]:5.0f} MiB")
    print(f"most: search {max(s[1] for s in samples):.0f} MiB, ", end="")
    print(f"worker {max(s[2] for s in samples):.0f} MiB")


def _run_plain(directory: pathlib.Path, families: tuple[str, ...], settings: list[str]) -> float:
    directory.mkdir()
    command = [sys.executable, str(_HERE / "search_plain.py"), str(_RECORDS_DIR.value)]
    command += [str(directory), _TASK.value, ",".join(families), str(_NUM_TRIALS.value)]
    return _timed([*command, str(_NUM_EPOCHS.value), *settings])


def _run_ours(
    directory: pathlib.Path, families: tuple[str, ...], settings: list[str], *flags_: str
) -> float:
    return _timed(_our_command(directory, families, settings, *flags_))


def _our_command(
    directory: pathlib.Path, families: tuple[str, ...], settings: list[str], *flags_: str
) -> list[str]:
    command = [sys.executable, "-m", "tuner", f"--records_dir={_RECORDS_DIR.value}"]
    command += [f"--search_dir={directory}", f"--task={_TASK.value}", "--oracle=random"]
    command += [f"--models={','.join(families)}", f"--max_trials={_NUM_TRIALS.value}"]
    command += [f"--max_epochs={_NUM_EPOCHS.value}", f"--workers={_WORKERS.value}", *flags_]
    return [*command, *(f"--set={setting}" for setting in settings)]


def _timed(command: list[str]) -> float:
    started = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - started


def _print_rates(plain: float, ours: float) -> None:
    for name, seconds in (("plain script", plain), (f"{_WORKERS.value} workers", ours)):
        rate = _NUM_TRIALS.value / seconds * 3600.0
        print(f"{name}: {_NUM_TRIALS.value} trials in {seconds:.0f} s, {rate:.0f} an hour")
    print(f"ratio: {plain / ours:.2f}")


def _rows(directory: pathlib.Path) -> list[dict[str, str]]:
    with (directory / "leaderboard.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def _wait_for_score(
    process: subprocess.Popen[bytes], directory: pathlib.Path, target: float
) -> bool:
    """Waits until a trial has the score, which ends the search, or the search ends by itself."""
    while process.poll() is None:
        time.sleep(0.5)
        if not (directory / "leaderboard.csv").exists():
            continue
        scores = [float(row["objective"]) for row in _rows(directory) if row["objective"]]
        if scores and min(scores) <= target:
            process.send_signal(signal.SIGINT)
            process.wait()
            return True
    return False


if __name__ == "__main__":
    app.run(main)
