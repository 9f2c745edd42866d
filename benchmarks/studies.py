"""How long a study takes from DICOM to 25 grades and a page, by phase, once models are loaded.

    python benchmarks/studies.py --model_dir E --data_dir D [--localizer_dir L] [--calls 5]

E grades all conditions and levels. Studies without points need L, or one in E. The fastest of
several calls counts for each phase and study; the median over the studies is printed, in this
process alone, as a server answers. Before it, once: a pile of the same files is organized.
"""

import collections
import pathlib
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

from absl import app, flags

from spine_tf.crops import cutting, imaged_study
from spine_tf.localization import finder as finder_module, localization
from spine_tf.readings import slice_pictures, study_page
from spine_tf.rsna import annotations, layout, sources
from spine_tf.serving import grader as grader_module, study_reader
from spine_tf.studies import intake

_MODEL_DIR = flags.DEFINE_string("model_dir", None, "An export.", required=True)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Studies in the RSNA layout.", required=True)
_LOCALIZER_DIR = flags.DEFINE_string("localizer_dir", None, "Finds points where none are given.")
_STUDIES = flags.DEFINE_integer("studies", 4, "The first so many.")
_CALLS = flags.DEFINE_integer("calls", 5, "Calls of each phase.")

_Result = TypeVar("_Result")
_Seconds = dict[str, float]


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
        phases = [
            _measure(reader, source, study, series[study], given.get(study, []))
            for study in list(series)[: _STUDIES.value]
        ]
    for name in phases[0]:
        print(f"{name:28}{statistics.median(each[name] for each in phases):7.3f} s")
    study = next(iter(series))
    files = sorted((data_dir / layout.images_dir(source.side) / str(study)).rglob("*.dcm"))
    print(f"{f'organizing a pile of {len(files)} files':28}{_organize(files):7.3f} s")


def _measure(
    reader: study_reader.StudyReader,
    source: sources.Source,
    study: int,
    series: Mapping[int, str],
    given: list[annotations.Annotation],
) -> _Seconds:
    seconds: _Seconds = collections.defaultdict(float)
    (grader,) = reader.graders
    images = _fastest(seconds, "headers", lambda: imaged_study.read(source, study, series))
    finder = reader.finder
    if finder is not None and not given:
        _fastest(seconds, "points", lambda: finder.find(source, images))
    one = reader.read_study(source, study, series, given=given)
    rows = one.result.points
    batches = _fastest(
        seconds,
        "crops",
        lambda: list(cutting.cut_batches(source, rows, grader.served.roi, num_workers=0)),
    )
    _fastest(
        seconds,
        "grades",
        lambda: [grader.answer(batch, is_competition_weighted=False) for batch in batches],
    )
    pictures = _fastest(seconds, "pictures", lambda: slice_pictures.draw(one.result, source))
    _fastest(seconds, "page", lambda: study_page.render(one, pictures))

    def whole() -> str:
        read = reader.read_study(source, study, series, given=given)
        return study_page.render(read, slice_pictures.draw(read.result, source))

    _fastest(seconds, "all of it", whole)
    return seconds


def _fastest(seconds: _Seconds, name: str, function: Callable[[], _Result]) -> _Result:
    taken = []
    for _ in range(_CALLS.value):
        start = time.perf_counter()
        result = function()
        taken.append(time.perf_counter() - start)
    seconds[name] = min(taken)
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
