"""A directory of pages: index.html, points.csv, and of each study a page and files for programs.

P/index.html
P/points.csv              of all studies; --points takes it, or P itself with its markups
P/1234/study.html         a page that asks for nothing
P/1234/study.json         for programs
P/1234/1234.mrk.json      for 3D Slicer, where a slice says where it lies
"""

import dataclasses
import pathlib
from collections.abc import Sequence

from spine_tf.localization import localization, point_controls
from spine_tf.pages import page_origin
from spine_tf.readings import index_page, reading, slice_pictures, study_file, study_page
from spine_tf.rsna import given_points, markups, sources
from tfrecords import atomic, csv_text, output_place, progress

INDEX_FILE, FIGURES_FILE = "index.html", "point_figures.json"
POINTS_FILE = given_points.TABLE_FILE
PAGE_FILE, JSON_FILE = "study.html", "study.json"


def require_place(report_dir: pathlib.Path, origin: str) -> None:
    """Raises ValueError where no report can be written, or one of other data lies there."""
    output_place.require_directory(report_dir, "--report_dir")
    page_origin.require_own(report_dir / INDEX_FILE, origin)
    files = INDEX_FILE, POINTS_FILE, FIGURES_FILE
    output_place.require_inside(report_dir, "--report_dir", files=files)


def write(
    report_dir: pathlib.Path,
    readings: Sequence[reading.Reading],
    source: sources.Source,
    *,
    name: str,
    origin: str,
    compared: point_controls.Comparison | None = None,
) -> None:
    """Writes all pages, the index last; studies of an earlier report that are no more go.

    Args:
        report_dir: where; made where it is missing.
        readings: at least one.
        source: gives the pixels of the pictures.
        name: the data set's name, for the heading.
        origin: what `page_origin` says of the pages' making.
        compared: found points beside given ones, where both are known.
    """
    report_dir.mkdir(parents=True, exist_ok=True)
    _remove_others(report_dir, {str(one.study_id) for one in readings})
    with progress.counting("pages", total=len(readings), unit="study") as count:
        for one in readings:
            _write_study(report_dir / str(one.study_id), one, source)
            count.add()
    points = [row for one in readings for row in one.result.points]
    atomic.write_text(report_dir / POINTS_FILE, csv_text.to_text(*given_points.to_table(points)))
    if compared is not None and compared.tables:
        atomic.write_json(report_dir / FIGURES_FILE, compared.to_json())
    else:  # Those of an earlier call are of other points.
        (report_dir / FIGURES_FILE).unlink(missing_ok=True)
    page = index_page.render(readings, name=name, origin=origin, compared=compared)
    atomic.write_text(report_dir / INDEX_FILE, page)


def _write_study(directory: pathlib.Path, one: reading.Reading, source: sources.Source) -> None:
    directory.mkdir(exist_ok=True)
    failed: set[str] = set()
    pictures = slice_pictures.draw(one.result, source, failed)
    one = dataclasses.replace(one, result=one.result.with_unreadable(failed))
    content = localization.to_markups(one.result)
    path = directory / f"{one.study_id}{markups.SUFFIX}"
    if content is None:
        path.unlink(missing_ok=True)
    else:
        atomic.write_json(path, content)
    atomic.write_json(directory / JSON_FILE, study_file.to_json(one))
    page = study_page.render(one, pictures, index=f"../{INDEX_FILE}")
    atomic.write_text(directory / PAGE_FILE, page)


def _remove_others(report_dir: pathlib.Path, kept: set[str]) -> None:
    """Removes what an earlier call wrote of studies that are not among these."""
    for page in report_dir.glob(f"*/{PAGE_FILE}"):
        directory = page.parent
        if not directory.name.isdecimal() or directory.name in kept:
            continue
        for name in (PAGE_FILE, JSON_FILE, f"{directory.name}{markups.SUFFIX}"):
            (directory / name).unlink(missing_ok=True)
        if not any(directory.iterdir()):
            directory.rmdir()
