"""`--points`: a file of points that takes the place of the data set's own coordinates.

It is the seam between what finds points and what uses them: a CSV with the columns of
train_label_coordinates.csv, and perhaps how sure each point is; or what 3D Slicer saved.
"""

import hashlib
import pathlib
from collections.abc import Iterable, Sequence

from spine_tf import labels
from spine_tf.rsna import annotations, markups, point_doubts, sources, tables
from tfrecords import json_object, regular_file

_MARKUPS = "points as localize writes them for 3D Slicer"

PLACE_COLUMNS = ("study_id", "series_id", "instance_number", "condition", "level", "x", "y")
COLUMNS = (*PLACE_COLUMNS, *point_doubts.COLUMNS)


def read(path: pathlib.Path, source: sources.Source) -> tables.Table:
    """Reads a file of points.

    Args:
        path: a CSV, an .mrk.json, or a folder with those in it, at any depth.
        source: the side that they are of; markups ask its headers.

    Raises:
        ValueError: there is no such file, or it is none of these.
    """
    if path.is_dir():
        found = sorted(path.rglob(f"*{markups.SUFFIX}"))
        if not found:
            raise ValueError(
                f"--points {path} is a folder without {markups.SUFFIX} files; expected some, one "
                f"such file, or a CSV with the columns {', '.join(PLACE_COLUMNS)}"
            )
        return _of_markups(path, found, source)
    if path.name.endswith(markups.SUFFIX):
        return _of_markups(path, [path], source)
    return tables.parse_table(str(path), _read(path))


def fingerprint(path: pathlib.Path, table: tables.Table) -> str:
    """Returns the sha256 of a CSV's bytes, so that a copy of the coordinates CSV is the same.

    Of markups it is that of their rows.
    """
    if path.is_file() and not path.name.endswith(markups.SUFFIX):
        return hashlib.sha256(_read(path)).hexdigest()
    rows = "\n".join(",".join(row) for row in table.rows)
    return hashlib.sha256(rows.encode()).hexdigest()


def _read(path: pathlib.Path) -> bytes:
    try:
        return regular_file.read_bytes(path)
    except FileNotFoundError as err:
        raise ValueError(
            f"--points {path} does not exist; expected a CSV with the columns "
            f"{', '.join(PLACE_COLUMNS)}, or an {markups.SUFFIX} file"
        ) from err
    except OSError as err:
        raise ValueError(f"--points {path} can't be read: {err.strerror or err}") from err


def _of_markups(
    path: pathlib.Path, files: Iterable[pathlib.Path], source: sources.Source
) -> tables.Table:
    rows: list[list[str]] = []
    for file in files:
        content = json_object.read(file, expected=_MARKUPS, mend="save it again in 3D Slicer")
        rows += markups.rows_of(str(file), content, source)
    lines = list(range(1, len(rows) + 1))
    return tables.Table(name=str(path), columns=PLACE_COLUMNS, rows=rows, lines=lines)


def to_table(rows: Iterable[annotations.Annotation]) -> tuple[Sequence[str], list[list[str]]]:
    """Returns the columns and rows of a points CSV; read back, they are the same points."""
    written = [
        [
            str(row.study_id),
            str(row.series_id),
            str(row.instance_number),
            labels.CONDITIONS[row.condition].replace("_", " ").title(),
            labels.LEVELS[row.level].replace("_", "/").upper(),
            repr(row.x),
            repr(row.y),
            f"{row.confidence:.4f}",
            *(f"{share:.4f}" for share in _rounded(row.numbering)),
            row.flag,
        ]
        for row in rows
    ]
    return COLUMNS, written


def _rounded(numbering: Sequence[float]) -> tuple[float, float, float]:
    """To four digits, so that they still sum to 1."""
    below, _, above = (round(share, 4) for share in numbering)
    return below, 1.0 - below - above, above
