"""Kills the converter at random moments: the next run must end with the undisturbed bytes.

python benchmarks/convert_kill.py [--kills 50] [--rows 1000] [--seed 0]
"""

import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import convert_data
from absl import app, flags

_KILLS = flags.DEFINE_integer("kills", 50, "Kills, at least.")
_ROWS = flags.DEFINE_integer("rows", 1000, "Rows of the data set.")
_SEED = flags.DEFINE_integer("seed", 0, "Of the moments.")


def main(_: list[str]) -> None:
    """Kills one conversion after the other, continues each, compares."""
    with tempfile.TemporaryDirectory() as name:
        generator = random.Random(_SEED.value)
        _run(pathlib.Path(name), _KILLS.value, _ROWS.value, generator)


def _run(work_dir: pathlib.Path, num_kills: int, rows: int, generator: random.Random) -> None:
    data_dir = convert_data.write_data(work_dir / "data", rows)
    start = time.monotonic()
    expected = _convert(data_dir, work_dir / "undisturbed")
    seconds = time.monotonic() - start
    killed = runs = 0
    while killed < num_kills:
        output_dir = work_dir / f"r{runs}"
        runs += 1
        # Up to four kills of one directory, so that continued runs are killed too.
        for _ in range(generator.randint(1, 4)):
            killed += _kill_after(generator.uniform(0, 1.1) * seconds, data_dir, output_dir)
        if _convert(data_dir, output_dir) != expected:
            sys.exit(f"after {killed} kills the bytes of {output_dir} differ")
        shutil.rmtree(output_dir)
    print(f"{killed} kills in {runs} conversions of {rows} rows: every directory byte-identical")


def _convert(data_dir: pathlib.Path, output_dir: pathlib.Path) -> dict[str, bytes]:
    command = convert_data.convert_command(data_dir, output_dir)
    subprocess.run(command, check=True, capture_output=True)
    return {path.name: path.read_bytes() for path in output_dir.iterdir()}


def _kill_after(seconds: float, data_dir: pathlib.Path, output_dir: pathlib.Path) -> bool:
    """Returns whether the run was killed before its end."""
    command = convert_data.convert_command(data_dir, output_dir)
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
        return True
    return False


if __name__ == "__main__":
    app.run(main)
