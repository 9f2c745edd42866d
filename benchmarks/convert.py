"""How fast the converter is, beside a notebook's loop on the same files.

python benchmarks/convert.py [--rows 6000] [--work_dir D] [--nonotebook]

Wall time is what counts on a quiet machine; CPU time, in brackets, is what can be compared on a
busy one.
"""

import functools
import os
import pathlib
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import convert_data
import numpy as np
from absl import app, flags

from spine_tf import labels
from spine_tf.conversion import plan, shard_writer
from spine_tf.dicom import elements, header, pixels
from spine_tf.processes import pool
from spine_tf.rsna import layout, sources

_ROWS = flags.DEFINE_integer("rows", 6000, "Rows of the data set.")
_WORK_DIR = flags.DEFINE_string(
    "work_dir", None, "Where the data lie meanwhile; the system's own place by default."
)
_NOTEBOOK = flags.DEFINE_bool("notebook", True, "Measures the notebook's loop too.")

_SETTINGS = plan.Settings(conditions=labels.CONDITIONS[3:], levels=labels.LEVELS)
_HERE = pathlib.Path(__file__).parent
_FULL_SET = 48_692


class Clock:
    """Wall and CPU seconds of a block, children that ended in it included."""

    def __enter__(self) -> "Clock":
        self._start = time.perf_counter(), _cpu_seconds()
        return self

    def __exit__(self, *unused: object) -> None:
        self.wall = time.perf_counter() - self._start[0]
        self.cpu = _cpu_seconds() - self._start[1]


def _cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def main(_: list[str]) -> None:
    """Runs all measurements, one after the other."""
    with tempfile.TemporaryDirectory(dir=_WORK_DIR.value) as name:
        _measure_plan(pathlib.Path(name))
        _measure_conversion(pathlib.Path(name), _ROWS.value, _NOTEBOOK.value)


def _measure_plan(work_dir: pathlib.Path) -> None:
    directory = convert_data.write_csvs(work_dir / "csvs", _FULL_SET, np.random.default_rng(0))
    source = sources.open_source(directory)
    with Clock() as clock:
        made = plan.make_plan(source, _SETTINGS)
    _report(f"plan of {made.num_rows} rows", f"{clock.wall:.2f} s [{clock.cpu:.2f}]")
    with Clock() as clock:
        _run([sys.executable, "-m", "spine_tf.convert", "--help"])
    _report("--help", f"{clock.wall:.2f} s [{clock.cpu:.2f}]")


def _measure_conversion(work_dir: pathlib.Path, num_rows: int, has_notebook: bool) -> None:
    data_dir = convert_data.write_data(work_dir / "data", num_rows)
    source = sources.open_source(data_dir)
    made = plan.make_plan(source, _SETTINGS)
    images = {row.image for part in made.shards for row in part.rows}
    _report("rows, images", f"{made.num_rows}, {len(images)}")
    _decode_all(made, source, 2)  # warms the page cache
    one = _write_all(made, source, work_dir, 1)
    two = _write_all(made, source, work_dir, 2)
    _report("  2 workers over 1", f"{one.wall / two.wall:.2f} x")
    decoding = _decode_all(made, source, 2)
    _report("  the shard phase's rate over that", _ratio(decoding, two))
    whole = _whole_process(data_dir, work_dir)
    if has_notebook:
        loop, process = _notebook(data_dir, work_dir, made.num_rows)
        _report("  the shard phase, 2 workers, over that", _ratio(loop, two))
        _report("  the whole process over the notebook's", _ratio(process, whole))


def _report(name: str, value: str) -> None:
    print(f"{name:42} {value}", flush=True)


def _rate(clock: Clock, num_rows: int) -> str:
    return f"{num_rows / clock.wall:.0f} rows/s [{num_rows / clock.cpu:.0f} a CPU second]"


def _ratio(slow: Clock, fast: Clock) -> str:
    return f"{slow.wall / fast.wall:.2f} x [{slow.cpu / fast.cpu:.2f} x]"


def _write_all(
    made: plan.Plan, source: sources.Source, work_dir: pathlib.Path, num_workers: int
) -> Clock:
    """Step 2 of the conversion."""
    output_dir = work_dir / "shards"
    output_dir.mkdir()
    write = functools.partial(
        write_and_weigh, source=source, output_dir=output_dir, record_kind=_SETTINGS.record_kind
    )
    with Clock() as clock:
        kilobytes = max(_tasks(write, made, num_workers))
    shutil.rmtree(output_dir)
    name = f"shard phase, {num_workers} worker{'s' * (num_workers > 1)}"
    _report(name, f"{_rate(clock, made.num_rows)}, {kilobytes / 1024:.0f} MB a worker")
    return clock


def _decode_all(made: plan.Plan, source: sources.Source, num_workers: int) -> Clock:
    """What the same processes reach where they only read, parse and decode the images."""
    decode = functools.partial(decode_images, source=source)
    with Clock() as clock:
        kilobytes = max(_tasks(decode, made, num_workers))
    name = f"only read, parse, decode, {num_workers} workers"
    _report(name, f"{_rate(clock, made.num_rows)}, {kilobytes / 1024:.0f} MB a worker")
    return clock


def _tasks(
    function: Callable[[plan.Shard], int], made: plan.Plan, num_workers: int
) -> Iterator[int]:
    return pool.run_tasks(function, made.shards, num_workers=num_workers, name_of=str)


def write_and_weigh(part: plan.Shard, **options: Any) -> int:
    """Writes a shard; returns the process's largest memory, in kB."""
    shard_writer.write_shard(part, **options)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def decode_images(part: plan.Shard, source: sources.Source) -> int:
    """Decodes each image of a shard once; returns the process's largest memory, in kB."""
    for image in sorted({row.image for row in part.rows}):
        data = sources.read_image(source, layout.image_name("train", *image))
        found = elements.read_elements(data)
        pixels.decode(found, header.parse_header(found))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _whole_process(data_dir: pathlib.Path, work_dir: pathlib.Path) -> Clock:
    with Clock() as clock:
        _run(convert_data.convert_command(data_dir, work_dir / "whole"))
    _report("whole process, 2 workers", f"{clock.wall:.2f} s [{clock.cpu:.2f}]")
    return clock


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True)


def _notebook(data_dir: pathlib.Path, work_dir: pathlib.Path, num_rows: int) -> tuple[Clock, Clock]:
    """The loop alone, and its process with the import of TensorFlow."""
    command: list[Any] = [
        sys.executable,
        _HERE / "convert_notebook.py",
        data_dir,
        work_dir / "n.tfrecord",
    ]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    with Clock() as process:
        finished = subprocess.run(
            command, check=True, capture_output=True, text=True, env=environment
        )
    loop = Clock()
    loop.wall, loop.cpu = map(float, finished.stdout.split())
    _report("notebook's loop", _rate(loop, num_rows))
    _report("notebook's whole process", f"{process.wall:.2f} s [{process.cpu:.2f}]")
    return loop, process


if __name__ == "__main__":
    app.run(main)
