"""How long a study takes from DICOM to 25 grades and a page, by phase, once models are loaded.

    python benchmarks/studies.py --model_dir E --data_dir D [--localizer_dir L] [--calls 5]

E grades all conditions and levels. Points that are not given are found by L, or the localiser in E,
or the package's own. The fastest of several calls counts for each phase and study; the median over
the studies is printed, in this process alone, as a server answers, beside the most memory that the
process had until then. After it, once: a pile of the same files is organized.
"""

import collections
import dataclasses
import pathlib
import resource
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np
from absl import app, flags

from spine_tf.crops import cutting, imaged_study, slice_reader, windows
from spine_tf.localization import finder as finder_module, heatmaps, localization
from spine_tf.readings import slice_pictures, study_page
from spine_tf.rsna import annotations, layout, sources
from spine_tf.serving import grader as grader_module, study_reader
from spine_tf.studies import intake

_MODEL_DIR = flags.DEFINE_string("model_dir", None, "An export.", required=True)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Studies in the RSNA layout.", required=True)
_LOCALIZER_DIR = flags.DEFINE_string("localizer_dir", None, "Finds points where none are given.")
_STUDIES = flags.DEFINE_integer("studies", 4, "The first so many.")
_CALLS = flags.DEFINE_integer("calls", 5, "Calls of each phase.")

# ru_maxrss is in KiB on Linux, in bytes on macOS.
_RSS_PER_MIB = 2**20 if sys.platform == "darwin" else 2**10

_Result = TypeVar("_Result")


def main(_: list[str]) -> None:
    """Prints the phases."""
    data_dir = pathlib.Path(_DATA_DIR.value)
    source = sources.open_for_prediction(data_dir)
    found = annotations.read_annotations(source, has_labels=False)
    series = localization.series_of_studies(found.series)
    given = localization.by_study(found.rows)
    with grader_module.opened([pathlib.Path(_MODEL_DIR.value)]) as graders:
        localizer_dir = pathlib.Path(_LOCALIZER_DIR.value) if _LOCALIZER_DIR.value else None
        finder = finder_module.choose(localizer_dir, [one.directory for one in graders])
        reader = study_reader.StudyReader(graders=graders, finder=finder)
        phases = _Phases()
        for study in list(series)[: _STUDIES.value]:
            _measure(phases, reader, source, study, series[study], given.get(study, []))
    for name, seconds in phases.seconds.items():
        print(f"{name:28}{statistics.median(seconds):7.3f} s{phases.peak_mib[name]:8.0f} MiB")
    study = next(iter(series))
    images = data_dir / layout.images_dir(source.side) / str(study)
    files = sorted(path.resolve() for path in images.rglob("*.dcm"))
    print(f"{f'organizing a pile of {len(files)} files':28}{_organize(files):7.3f} s")


class _Phases:
    """Seconds of each phase, a study each, and the most memory until its first end."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = collections.defaultdict(list)
        self.peak_mib: dict[str, float] = {}

    def fastest(self, name: str, function: Callable[[], _Result]) -> _Result:
        """Measures a phase, and returns what its last call does."""
        taken = []
        for _ in range(_CALLS.value):
            start = time.perf_counter()
            result = function()
            taken.append(time.perf_counter() - start)
        self.add(name, min(taken))
        return result

    def add(self, name: str, seconds: float) -> None:
        """Adds a phase of a study."""
        self.seconds[name].append(seconds)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        self.peak_mib.setdefault(name, peak / _RSS_PER_MIB)


def _measure(
    phases: _Phases,
    reader: study_reader.StudyReader,
    source: sources.Source,
    study: int,
    series: Mapping[int, str],
    given: list[annotations.Annotation],
) -> None:
    (grader,) = reader.graders
    images = phases.fastest("headers", lambda: imaged_study.read(source, study, series))
    if reader.finder is not None and not given:
        _find(phases, reader.finder, source, images)
    one = reader.read_study(source, study, series, given=given)
    rows = one.result.points
    batches = phases.fastest(
        "crops",
        lambda: list(cutting.cut_batches(source, rows, grader.served.roi, num_workers=0)),
    )
    phases.fastest(
        "grades",
        lambda: [grader.answer(batch) for batch in batches],
    )
    pictures = phases.fastest("pictures", lambda: slice_pictures.draw(one.result, source))
    phases.fastest("page", lambda: study_page.render(one, pictures))

    def whole() -> str:
        read = reader.read_study(source, study, series, given=given)
        return study_page.render(read, slice_pictures.draw(read.result, source))

    phases.fastest("all of it", whole)


def _find(
    phases: _Phases,
    finder: finder_module.Finder,
    source: sources.Source,
    study: imaged_study.ImagedStudy,
) -> None:
    """Finding points: reading the windows, asking the networks, decoding their heatmaps."""
    drawn: list[_Drawn] = []

    def draw(reader: slice_reader.SliceReader) -> _Drawn:
        drawn.append(_Drawn(finder.draw(reader)))
        return drawn[-1]

    timed = dataclasses.replace(finder, draw=draw)
    phases.fastest("points, all of it", lambda: timed.find(source, study))

    def read() -> None:
        reader = slice_reader.SliceReader(source, windows.NUM_SLICES)
        for window in drawn[-1].windows:
            windows.cut(window, reader)

    phases.fastest("points, read", read)
    total, reading = (phases.seconds[f"points, {name}"][-1] for name in ("all of it", "read"))
    asking = min(one.seconds for one in drawn)
    phases.add("points, networks", asking - reading)
    phases.add("points, decode", total - asking)


class _Drawn:
    """Draws heatmaps as another source does; knows of what, and how long that took."""

    def __init__(self, source: heatmaps.Source) -> None:
        self._source = source
        self.windows: list[windows.Window] = []
        self.seconds = 0.0

    def sagittal(self, asked: Sequence[windows.Window]) -> np.ndarray:
        """See `heatmaps.Source`."""
        return self._timed(self._source.sagittal, asked)

    def axial(self, asked: Sequence[windows.Window]) -> np.ndarray:
        """See `heatmaps.Source`."""
        return self._timed(self._source.axial, asked)

    def _timed(
        self,
        draw: Callable[[Sequence[windows.Window]], np.ndarray],
        asked: Sequence[windows.Window],
    ) -> np.ndarray:
        start = time.perf_counter()
        result = draw(asked)
        self.seconds += time.perf_counter() - start
        self.windows += asked
        return result


def _organize(files: list[pathlib.Path]) -> float:
    with tempfile.TemporaryDirectory() as name:
        pile = pathlib.Path(name, "pile")
        pile.mkdir()
        for number, path in enumerate(files):
            shutil.copy(path, pile / f"IM{number}")
        start = time.perf_counter()
        with intake.opened(pile, num_workers=2):
            return time.perf_counter() - start


if __name__ == "__main__":
    app.run(main)
