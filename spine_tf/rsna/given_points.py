"""`--points`: a file of points that takes the place of the data set's own coordinates.

It is the seam between what finds points and what uses them: a CSV with the columns of
train_label_coordinates.csv, and perhaps how sure each point is; or what 3D Slicer saved.
"""

import hashlib
import pathlib
import re
from collections.abc import Iterable, Mapping, Sequence

from spine_tf import labels
from spine_tf.rsna import annotations, markups, point_doubts, sources, tables
from tfrecords import json_object, regular_file

_MARKUPS = "points as localize writes them for 3D Slicer"

TABLE_FILE = "points.csv"
"""The points of all studies, in a folder of pages with their markups."""
PLACE_COLUMNS = ("study_id", "series_id", "instance_number", "condition", "level", "x", "y")
COLUMNS = (*PLACE_COLUMNS, *point_doubts.COLUMNS)
_NO_DOUBT = ("1", "0", "1", "0", "")


def read(path: pathlib.Path, source: sources.Source) -> tables.Table:
    """Reads a file of points.

    Args:
        path: a CSV, an .mrk.json, or a folder with those in it, at any depth. A point of markups
            that is as the points.csv of their pages has it keeps what that says of it.
        source: the side that they are of; markups ask its headers.

    Raises:
        ValueError: there is no such file, or it is none of these.
    """
    if path.is_dir():
        found = sorted(path.rglob(f"*{markups.SUFFIX}"))
        if not found and (path / TABLE_FILE).is_file():
            return read(path / TABLE_FILE, source)
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
    written = _rows_of_pages(path)
    if written is not None:
        rows = _with_doubts(rows, written)
        kept = {_key(row) for row in rows}
        others = [row for key, row in written.items() if path.is_dir() and key not in kept]
        rows += [row for row in others if not _has_place(row, source)]
    columns = PLACE_COLUMNS if written is None else COLUMNS
    lines = list(range(1, len(rows) + 1))
    return tables.Table(name=str(path), columns=columns, rows=rows, lines=lines)


def _rows_of_pages(path: pathlib.Path) -> Mapping[tuple[str, ...], list[str]] | None:
    """The rows that were written with markups, by what a markup says too; None where none were."""
    folder = path if path.is_dir() else path.parent
    file = next((one for at in (folder, folder.parent) if (one := at / TABLE_FILE).is_file()), None)
    if file is None:
        return None
    table = tables.parse_table(str(file), _read(file))
    if not set(COLUMNS).issubset(table.columns):
        return None  # somebody's own file of that name
    places = [table.index(name) for name in COLUMNS]
    rows = [[row[at] for at in places] for row in table.rows if table.is_whole(row)]
    return {_key(row): row for row in rows}


def _with_doubts(
    rows: Iterable[list[str]], written: Mapping[tuple[str, ...], list[str]]
) -> list[list[str]]:
    """The rows of markups, in whole where they are as written; of others somebody is sure."""
    return [written.get(_key(row), [*row, *_NO_DOUBT]) for row in rows]


def _key(row: Sequence[str]) -> tuple[str, ...]:
    study, series, instance, condition, level, x, y, *_ = row
    spelled = (re.sub("[ /]", "_", name.lower()) for name in (condition, level))
    return (study, series, instance, *spelled, x, y)


def _has_place(row: Sequence[str], source: sources.Source) -> bool:
    """Whether a point's slice says where it is: markups have no others."""
    study, series, instance = (tables.parse_id(text) for text in row[:3])
    if study is None or series is None or instance is None:
        return False
    return markups.header_with_place(source, (study, series, instance)) is not None


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
            *(_exact(share) for share in (row.confidence, *row.numbering)),
            row.flag,
        ]
        for row in rows
    ]
    return COLUMNS, written


def _exact(share: float) -> str:
    """Four digits, or as many as bring the same number back."""
    short = f"{share:.4f}"
    return short if float(short) == share else repr(float(share))
