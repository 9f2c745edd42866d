"""How well a localiser finds and names discs of real images whose centres somebody marked.

    python benchmarks/localizer_discs.py --data_dir D --localizer_dir L --first 12 [--pictures P]

D is in the RSNA layout with spinal canal points at the centres of discs. A canal point lies behind
its disc, so what counts is the distance along the spine, less its median at each level. A name is
right where the marked disc that is nearest along the spine has it. P gets a picture of each study
in which a disc was not found or has another name: rings are marked discs, dots the found points, a
level a colour. `studies.py` has the seconds and the memory of a study by phase.
"""

import pathlib
import time

import numpy as np
from absl import app, flags
from PIL import Image, ImageDraw

from spine_tf import labels
from spine_tf.crops import slice_reader
from spine_tf.dicom import geometry
from spine_tf.localization import finder as finder_module, localization, point_figures
from spine_tf.rsna import annotations, sources

_DATA_DIR = flags.DEFINE_string("data_dir", "", "Data set.")
_LOCALIZER_DIR = flags.DEFINE_string("localizer_dir", "", "Directory of the localiser.")
_FIRST = flags.DEFINE_integer("first", None, "So many studies alone, the first by id.")
_AFTER = flags.DEFINE_integer("after", 0, "Leaves out so many studies, the first by id.")
_NAMES = flags.DEFINE_bool("names", False, "Prints the names of each study's discs.")
_PICTURES = flags.DEFINE_string("pictures", None, "Folder for pictures of what is wrong.")

_COLOURS = ("#ff4040", "#ff9a20", "#f0f020", "#30e030", "#30e0f0")
_PICTURE_PX = 640


def main(_: list[str]) -> None:
    """Prints the figures."""
    source = sources.open_source(pathlib.Path(_DATA_DIR.value))
    read = annotations.read_annotations(source, has_labels=False)
    given, series = localization.by_study(read.rows), localization.series_of_studies(read.series)
    chosen = sorted(given)[_AFTER.value :][: _FIRST.value]
    finder = finder_module.choose(
        pathlib.Path(_LOCALIZER_DIR.value) if _LOCALIZER_DIR.value else None
    )
    start, offsets = time.monotonic(), []
    for study in chosen:
        result = localization.read_study(source, study, series[study], finder=finder)
        rows = _offsets(result, given[study])
        offsets += rows
        num_right = sum(is_right for *_, is_right in rows)
        if _PICTURES.value and num_right < len(given[study]):
            _draw(source, result, given[study], pathlib.Path(_PICTURES.value))
        if _NAMES.value:
            found = " ".join(f"{labels.LEVELS[level]}:{along:+.1f}" for level, along, _ in rows)
            why = {gap.reason.value for gap in result.gaps if gap.condition == 0}
            print(f"{study}: {found} {' '.join(sorted(why))}")
    seconds = time.monotonic() - start
    _print(offsets, sum(len(given[study]) for study in chosen), seconds / len(chosen))


def _offsets(
    result: localization.StudyResult, given: list[annotations.Annotation]
) -> list[tuple[int, float, bool]]:
    """Level, mm along the spine towards the feet, and whether the name is right, of each point."""
    places = point_figures.Places(result.study)
    marked = sorted((row.level, places.point(row)) for row in given)
    levels, centers = [level for level, _ in marked], np.array([point for _, point in marked])
    along = np.gradient(centers, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    rows = []
    for row in result.points:
        point = places.point(row)
        if row.condition != 0 or row.level not in levels or point is None:
            continue
        ways = ((point - centers) * along).sum(axis=1)
        index = levels.index(row.level)
        rows.append((row.level, float(ways[index]), int(np.abs(ways).argmin()) == index))
    return rows


def _draw(
    source: sources.Source,
    result: localization.StudyResult,
    given: list[annotations.Annotation],
    directory: pathlib.Path,
) -> None:
    """Writes the slice that has most of the marked discs, with the canal points beside it."""
    images = [row.image for row in given]
    image_of = max(images, key=images.count)
    stack = slice_reader.SliceReader(source, 1).read_stack(*image_of)
    picture, scale = _picture(stack)
    canvas = ImageDraw.Draw(picture)
    for row in (row for row in given if row.image == image_of):
        canvas.ellipse(_box(row.x * scale[0], row.y * scale[1], 9), outline=_COLOURS[row.level])
    places = point_figures.Places(result.study)
    for row in (row for row in result.points if row.condition == 0):
        point = places.point(row)
        if point is None:
            continue
        # A point may be on another slice: it is shown where this one is nearest to it.
        (x, y), _ = geometry.locate(point.tolist(), stack.headers[0])
        x, y = x * scale[0], y * scale[1]
        canvas.ellipse(_box(x, y, 4), fill=_COLOURS[row.level])
        words = f"{labels.in_words(labels.LEVELS[row.level])} {row.confidence:.2f}"
        canvas.text((x + 8, y - 6), words, fill=_COLOURS[row.level])
    directory.mkdir(parents=True, exist_ok=True)
    picture.save(directory / f"{image_of[0]}.png")


def _picture(stack: slice_reader.Stack) -> tuple[Image.Image, tuple[float, float]]:
    """A slice in its shape in mm, and how wide and high a pixel of it is there."""
    low, high = stack.window
    grey = np.clip((stack.slices[0] - low) / max(high - low, 1.0), 0, 1)
    lengths = np.array(grey.shape) * stack.headers[0].spacing
    rows, columns = np.rint(lengths * _PICTURE_PX / lengths.max()).astype(int).tolist()
    picture = Image.fromarray((255 * grey).astype(np.uint8)).convert("RGB")
    scale = columns / grey.shape[1], rows / grey.shape[0]
    return picture.resize((columns, rows)), scale


def _box(x: float, y: float, radius: float) -> tuple[float, float, float, float]:
    return x - radius, y - radius, x + radius, y + radius


def _print(rows: list[tuple[int, float, bool]], num_marked: int, seconds: float) -> None:
    if not any(is_right for *_, is_right in rows):
        print(f"no point with the right name for {num_marked} discs; {seconds:.2f} s a study")
        return
    ways = np.array([way for _, way, is_right in rows if is_right])
    at = np.array([level for level, _, is_right in rows if is_right])
    for level in np.unique(at):
        ways[at == level] -= np.median(ways[at == level])
    right = np.mean([is_right for *_, is_right in rows])
    print(
        f"{len(rows)} of {num_marked} discs have a point, {right:.3f} of them the right name; "
        f"along the spine, less the median of a level: median {np.median(np.abs(ways)):.1f} mm, "
        f"90 % within {np.percentile(np.abs(ways), 90):.1f} mm; {seconds:.2f} s a study"
    )


if __name__ == "__main__":
    app.run(main)
