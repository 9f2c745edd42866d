"""Our search against a plain Keras Tuner script, on the same records, space and trials.

    python benchmarks/search.py --records_dir R --part throughput|best|frozen|memory
    python benchmarks/search.py --records_dir R,S --part winner --work_dir W

throughput: trials an hour of the small families, no trial stopped early; plain script against two
    workers. The trials are the same: one seed, one oracle, one recipe.
best: the time in which the search, as it comes (Bayesian, bad trials stopped early), reaches the
    plain script's best score. It may run more trials than the script, in no more than its time.
    The smallest of noisy scores is a matter of luck, so repeat with --seed; the log loss of both
    winners on the test split, which no search opens, is beside it.
frozen: as throughput, with a frozen ResNet-50 whose weights are random (none can be downloaded
    everywhere; the arithmetic is the same).
memory: resident memory of the search and its workers over many short trials.
winner: searches of all records that are given, two classes and three of each, as users make them
    (Bayesian, --folds, the default recipe), then retrained out of fold: does the winner's score lie
    within the interval of its retraining? A search that is finished in W is not made again.
"""

import csv
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

import numpy as np
import psutil
from absl import app, flags

_RECORDS_DIRS = flags.DEFINE_list("records_dir", None, "Finished conversions.", required=True)
_PART = flags.DEFINE_enum(
    "part", "throughput", ["throughput", "best", "frozen", "memory", "winner"], "What."
)
_TASK = flags.DEFINE_enum("task", "binary", ["binary", "multiclass"], "Which classes.")
_NUM_TRIALS = flags.DEFINE_integer("num_trials", 30, "Trials of each search.")
_NUM_EPOCHS = flags.DEFINE_integer("num_epochs", 20, "Epochs of a trial.")
_INPUT_PX = flags.DEFINE_integer("input_px", 64, "Side of the models' input.")
_WORKERS = flags.DEFINE_integer("workers", 2, "Workers of our search.")
_SEED = flags.DEFINE_integer("seed", 0, "Seed of both oracles and of our models.")
_FOLDS = flags.DEFINE_integer("folds", 3, "Folds that score a trial; of winner.")
_FAMILIES = flags.DEFINE_list("models", ["dense", "densenet", "residual"], "Of winner.")
_WORK_DIR = flags.DEFINE_string("work_dir", None, "Where winner keeps its searches.")

_HERE = pathlib.Path(__file__).resolve().parent
# Trials of our search for the plain script's score, over the script's own.
_MOST_TIMES = 10
_SMALL_FAMILIES = ("simple", "dense", "residual")
# How one trains with Keras alone: the recipe of both, so that a trial is the same training.
_RECIPE = (
    "training.batch_size=32",
    "training.schedule=constant",
    "training.warmup_epochs=0",
    "training.gradient_clip=0",
    "training.patience=0",
)


def main(_: list[str]) -> None:
    """Runs one part and prints its figures."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
    if _PART.value == "winner":
        _winner(pathlib.Path(_WORK_DIR.value or tempfile.mkdtemp(prefix="searches_")))
        return
    with tempfile.TemporaryDirectory() as directory:
        {
            "throughput": _throughput,
            "best": _best,
            "frozen": _frozen,
            "memory": _memory,
        }[_PART.value](pathlib.Path(directory))


def _throughput(directory: pathlib.Path) -> None:
    settings = _settings()
    plain = _run_plain(directory / "plain", _SMALL_FAMILIES, settings)
    ours = _run_ours(directory / "ours", _SMALL_FAMILIES, settings, "--noprune")
    _print_rates(plain, ours)
    _print_overhead(directory / "ours", ours)


def _best(directory: pathlib.Path) -> None:
    settings = _settings()
    plain = _run_plain(directory / "plain", _SMALL_FAMILIES, settings)
    target, plain_test = (
        float(text) for text in (directory / "plain" / "best.txt").read_text("ascii").split()
    )
    print(f"plain script: best {target:.4f} after {plain:.0f} s for its {_NUM_TRIALS.value} trials")
    command = _our_command(
        directory / "ours",
        _SMALL_FAMILIES,
        settings,
        f"--max_trials={_MOST_TIMES * _NUM_TRIALS.value}",
        f"--max_minutes={plain / 60}",
        oracle="bayesian",
    )
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    seconds = _wait_for_score(process, directory / "ours", target, started)
    rows = _rows(directory / "ours")
    print(f"our search: best {rows[0]['objective']} of {len(rows)} trials in the script's time")
    if seconds is None:
        print("the plain script's best was not reached in its time")
    else:
        print(f"the plain script's best was reached in {seconds / plain:.2f} of its time")
    own_test = _test_log_loss(directory / "ours", rows[0]["trial_id"])
    print(f"log loss on the test split: plain script {plain_test:.4f}, our search {own_test:.4f}")


def _frozen(directory: pathlib.Path) -> None:
    weights = directory / "resnet50.weights.h5"
    code = "import sys, keras; keras.applications.ResNet50(include_top=False, weights=None)"
    subprocess.run([sys.executable, "-c", f"{code}.save_weights(sys.argv[1])", weights], check=True)
    settings = [*_settings(), f"model.weights={weights}", "model.frozen_epochs=10000"]
    plain = _run_plain(directory / "plain", ("resnet50",), settings)
    ours = _run_ours(directory / "ours", ("resnet50",), settings, "--noprune")
    _print_rates(plain, ours)


def _memory(directory: pathlib.Path) -> None:
    samples: list[tuple[int, float, float]] = []
    settings = [*_RECIPE, "model.input_px=32"]
    command = _our_command(directory / "ours", ("simple",), settings, "--noprune")
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


def _winner(work_dir: pathlib.Path) -> None:
    print(f"searches in {work_dir}")
    print("| records, task | best | its log loss | retrained, out of fold | within |")
    print("|---|---|---|---|---|")
    num_within = []
    for number, records_dir in enumerate(_RECORDS_DIRS.value):
        for task in ("binary", "multiclass"):
            search_dir = work_dir / f"{number}_{task}"
            num_within.append(_print_winner(records_dir, task, search_dir))
    print(f"within the interval of its retraining: {sum(num_within)} of {len(num_within)}")


def _print_winner(records_dir: str, task: str, search_dir: pathlib.Path) -> bool:
    from spine_tf.scoring import summary

    metrics_path = search_dir / "retrained" / "metrics.json"
    if not metrics_path.exists():
        command = _our_command(
            *(search_dir, _FAMILIES.value, [f"model.input_px={_INPUT_PX.value}"]),
            *(f"--folds={_FOLDS.value}", "--retrain", "--resume"),
            oracle="bayesian",
            records_dir=records_dir,
            task=task,
        )
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    best = _rows(search_dir)[0]
    retrained = summary.read(metrics_path).to_frame().loc["log_loss"]
    is_within = bool(retrained["low"] <= float(best["objective"]) <= retrained["high"])
    error = f" +- {float(best['objective_std']):.3f}" if best["objective_std"] else ""
    print(f"| {pathlib.Path(records_dir).name}, {task} | {best['family']} ", end="")
    print(f"| {float(best['objective']):.3f}{error} | {retrained['value']:.3f} ", end="")
    print(f"({retrained['low']:.3f} to {retrained['high']:.3f}) | {is_within} |", flush=True)
    return is_within


def _settings() -> list[str]:
    return [*_RECIPE, f"model.input_px={_INPUT_PX.value}"]


def _run_plain(directory: pathlib.Path, families: tuple[str, ...], settings: list[str]) -> float:
    directory.mkdir()
    command = [sys.executable, str(_HERE / "search_plain.py"), _records_dir()]
    command += [str(directory), _TASK.value, ",".join(families), str(_NUM_TRIALS.value)]
    return _timed([*command, str(_NUM_EPOCHS.value), str(_SEED.value), *settings])


def _run_ours(
    directory: pathlib.Path, families: tuple[str, ...], settings: list[str], *flags_: str
) -> float:
    return _timed(_our_command(directory, families, settings, *flags_))


def _our_command(
    directory: pathlib.Path,
    families: Sequence[str],
    settings: list[str],
    *flags_: str,
    oracle: str = "random",
    records_dir: str | None = None,
    task: str | None = None,
) -> list[str]:
    command = [sys.executable, "-m", "tuner", f"--records_dir={records_dir or _records_dir()}"]
    command += [f"--search_dir={directory}", f"--task={task or _TASK.value}", f"--oracle={oracle}"]
    command += [f"--models={','.join(families)}", f"--max_trials={_NUM_TRIALS.value}"]
    command += [f"--max_epochs={_NUM_EPOCHS.value}", f"--workers={_WORKERS.value}"]
    command += [f"--seed={_SEED.value}", *flags_]
    return [*command, *(f"--set={setting}" for setting in settings)]


def _records_dir() -> str:
    (only,) = _RECORDS_DIRS.value
    return only


def _timed(command: list[str]) -> float:
    started = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - started


def _print_rates(plain: float, ours: float) -> None:
    for name, seconds in (("plain script", plain), (f"{_WORKERS.value} workers", ours)):
        rate = _NUM_TRIALS.value / seconds * 3600.0
        print(f"{name}: {_NUM_TRIALS.value} trials in {seconds:.0f} s, {rate:.0f} an hour")
    print(f"ratio: {plain / ours:.2f}")


def _print_overhead(search_dir: pathlib.Path, seconds: float) -> None:
    """The time of the workers beside `fit`: imports, the oracle, saving, tables, waiting."""
    outcomes = [
        json.loads(path.read_text("utf-8")) for path in search_dir.glob("trials/*/result.json")
    ]
    in_fit = sum(outcome["fit_seconds"] for outcome in outcomes)
    overhead = (seconds * _WORKERS.value - in_fit) / len(outcomes)
    print(f"beyond fit, a trial and worker: {overhead:.2f} s")


def _rows(directory: pathlib.Path) -> list[dict[str, str]]:
    with (directory / "leaderboard.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def _wait_for_score(
    process: subprocess.Popen[bytes], search_dir: pathlib.Path, target: float, started: float
) -> float | None:
    """Waits for the end of the search; returns when a trial had the score, if one had."""
    reached = None
    while process.poll() is None:
        time.sleep(0.5)
        if reached is not None or not (search_dir / "leaderboard.csv").exists():
            continue
        scores = [float(row["objective"]) for row in _rows(search_dir) if row["objective"]]
        if scores and min(scores) <= target:
            reached = time.monotonic() - started
    return reached


def _test_log_loss(search_dir: pathlib.Path, trial_id: str) -> float:
    """The log loss of a trial's model on the test split."""
    import keras

    from spine_tf import labels
    from tfrecords import records

    task = labels.get_task(_TASK.value)
    source = records.open_records(pathlib.Path(_records_dir()))
    test = records.load_examples(source, ["test"], task.severities)
    model = keras.models.load_model(search_dir / "trials" / f"trial_{trial_id}" / "fold_0.keras")
    chosen = model.predict(test.normalized(), verbose=0)[np.arange(len(test)), test.labels]
    return float(-np.log(np.maximum(chosen, 1e-7)).mean())


if __name__ == "__main__":
    app.run(main)
