"""How fast piles are read, beside a plain loop of pydicom, and what memory a large pile takes.

python benchmarks/organize.py [--dicom_dir D] [--num_examinations 6] [--num_links 100000]

Without --dicom_dir the pile is the phantom's hospital. A header is read and judged, one process,
against `pydicom.dcmread(path, stop_before_pixels=True)` over the same files; CPU time is in
brackets. Then the whole program runs on the pile and on hard links of its files, as many as asked,
and its peak resident memory is printed.
"""

import os
import pathlib
import subprocess
import sys
import tempfile
import time
import warnings

import pydicom
from absl import app, flags

from spine_tf.studies import outcome, pile as pile_module, pile_image
from spine_tf.synthesis import hospital, phantom_config

_DICOM_DIR = flags.DEFINE_string("dicom_dir", None, "Pile; the phantom's hospital by default.")
_NUM_EXAMINATIONS = flags.DEFINE_integer("num_examinations", 6, "Examinations of that hospital.")
_NUM_LINKS = flags.DEFINE_integer("num_links", 100_000, "Hard links of the large pile; 0: none.")
_WORK_DIR = flags.DEFINE_string("work_dir", None, "Where all lies meanwhile.")

_FOLDER_SIZE = 5_000
_ROUNDS = 3


def main(_: list[str]) -> None:
    """Runs both measurements."""
    with tempfile.TemporaryDirectory(dir=_WORK_DIR.value) as name:
        work_dir = pathlib.Path(name)
        if _DICOM_DIR.value:
            dicom_dir = pathlib.Path(_DICOM_DIR.value)
        else:
            config = phantom_config.PhantomConfig(num_studies=_NUM_EXAMINATIONS.value)
            hospital.write_pile(config, work_dir / "hospital", num_workers=os.cpu_count() or 1)
            dicom_dir = work_dir / "hospital" / hospital.PILE
        _measure_headers(pile_module.open_pile(dicom_dir))
        _measure_memory(dicom_dir, work_dir / "S", "the pile")
        if _NUM_LINKS.value:
            links = _link(dicom_dir, work_dir / "links", _NUM_LINKS.value)
            _measure_memory(links, work_dir / "S_links", f"{_NUM_LINKS.value} links")


def _measure_headers(pile: pile_module.Pile) -> None:
    """Alternates between both, so that a busy machine is so to both."""
    listed = [file for file in pile.files() if file.left_out is None]
    read = {file: pile_image.read_entries(pile, file) for file in listed}
    files = [file for file, found in read.items() if not isinstance(found, outcome.LeftOut)]
    seconds = {"pydicom": [0.0, 0.0], "organize": [0.0, 0.0]}
    for _ in range(_ROUNDS):
        for name, loop in (("pydicom", _read_by_pydicom), ("organize", _read_here)):
            start = time.perf_counter(), time.process_time()
            loop(pile, files)
            seconds[name][0] += time.perf_counter() - start[0]
            seconds[name][1] += time.process_time() - start[1]
    for name, (wall, cpu) in seconds.items():
        count = _ROUNDS * len(files)
        print(f"{name:10} {count / wall:8.0f} headers a second [{count / cpu:.0f}]")
    print(f"ratio      {seconds['pydicom'][1] / seconds['organize'][1]:8.2f} of CPU time")


def _read_by_pydicom(pile: pile_module.Pile, files: list[pile_module.File]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for file in files:
            path = pile.path(file)
            if path is not None:
                pydicom.dcmread(path, stop_before_pixels=True)


def _read_here(pile: pile_module.Pile, files: list[pile_module.File]) -> None:
    for file in files:
        pile_image.read_entries(pile, file)


def _link(dicom_dir: pathlib.Path, directory: pathlib.Path, count: int) -> pathlib.Path:
    paths = [path for path in sorted(dicom_dir.rglob("*")) if path.is_file()]
    for number in range(count):
        folder = directory / str(number // _FOLDER_SIZE)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / str(number)).hardlink_to(paths[number % len(paths)])
    return directory


def _measure_memory(dicom_dir: pathlib.Path, output_dir: pathlib.Path, name: str) -> None:
    """Peak of the program itself; its workers hold a batch each."""
    command = [sys.executable, "-m", "spine_tf.organize"]
    command += [f"--dicom_dir={dicom_dir}", f"--output_dir={output_dir}"]
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    scale = 2**20 if sys.platform == "darwin" else 2**10
    seconds = time.perf_counter() - start
    print(f"{name}: {usage.ru_maxrss / scale:.0f} MiB, {seconds:.1f} s, status {status}")


if __name__ == "__main__":
    app.run(main)
