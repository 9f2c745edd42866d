"""What organize writes down: the layout's CSVs, what was decided of series, and what is private."""

import collections
import contextlib
import dataclasses
import io
import json
import os
import pathlib
from collections.abc import Iterable, Iterator, Sequence

from spine_tf.rsna import layout
from spine_tf.studies import inventory as inventory_module, own_labels
from tfrecords import atomic, csv_text

SERIES_FILE = "series.csv"
INFO_FILE = "organize.json"
IDS_FILE = "ids.csv"
FILES_FILE = "organize.csv"
LABELS_FILE = "labels.csv"

KINDS = ("Sagittal T1", "Sagittal T2/STIR", "Axial T2")

_SERIES_COLUMNS = (
    *("study_id", "series_id", "series_description", "choice", "confidence", "reason", "left_out"),
    *("num_images", "stacks", "plane", "rows", "columns", "row_spacing", "column_spacing"),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Summary:
    """What a pile became.

    Attributes:
        num_files: in the pile.
        num_studies: kept.
        num_series: kept, by kind.
        lacking: studies without a series of a kind, by kind.
        left_out: files by reason.
        details: what is said of one file of each reason.
        why_left_out: the commonest reasons, in words.
        labels: rows of the user's labels by what became of them.
        num_labelled: studies on the train side.
        num_points: how many points these studies have.
        num_patients: whose studies these are; a fold has whole patients.
    """

    num_files: int
    num_studies: int
    num_series: dict[str, int]
    lacking: dict[str, int]
    left_out: dict[str, int]
    details: dict[str, str]
    why_left_out: str
    labels: dict[str, int]
    num_labelled: int
    num_points: int
    num_patients: int


def remove(output_dir: pathlib.Path) -> None:
    """Removes what says that a data set is whole, before its images change."""
    for name in _names():
        (output_dir / name).unlink(missing_ok=True)


def _names() -> list[str]:
    of_sides = [file(side) for side in layout.SIDES for file in _SIDE_CSVS]
    return [INFO_FILE, SERIES_FILE, layout.LABELS_CSV, *of_sides]


_SIDE_CSVS = (layout.series_csv, layout.coordinates_csv)
_KEPT = "study IN (SELECT study FROM series WHERE kind != '')"


def write(
    inventory: inventory_module.Inventory,
    given: own_labels.Matched,
    output_dir: pathlib.Path,
    private_dir: pathlib.Path,
    min_slices: int,
) -> Summary:
    """Writes all tables, the one that says how it was made last; those of no use any more go.

    Of a pile without a study there is what is private alone, and no data set.
    """
    _write_table(private_dir / FILES_FILE, _file_rows(inventory))
    _write_table(private_dir / IDS_FILE, _id_rows(inventory))
    if given.rows:
        _write_table(private_dir / LABELS_FILE, own_labels.listing(given))
    else:
        (private_dir / LABELS_FILE).unlink(missing_ok=True)
    public = {SERIES_FILE: _series_rows(inventory)}
    sides = _sides(inventory)
    for side in set(layout.SIDES) - set(sides):
        _remove_empty(output_dir / layout.images_dir(side))
    if not sides:
        remove(output_dir)
        _remove_empty(output_dir)
        return _summarize(inventory, given)
    for side in sides:
        (output_dir / layout.images_dir(side)).mkdir(parents=True, exist_ok=True)
        public[layout.series_csv(side)] = _description_rows(inventory, side)
        points = own_labels.point_table(given, side)
        if side == "train" or len(points) > 1:
            public[layout.coordinates_csv(side)] = iter(points)
    if given.grades:
        public[layout.LABELS_CSV] = iter(own_labels.grade_table(given))
    for name in _names():
        if name in public:
            _write_table(output_dir / name, public[name])
        elif name != INFO_FILE:
            (output_dir / name).unlink(missing_ok=True)
    summary = _summarize(inventory, given)
    made = {"made_by": "spine_tf.organize", "min_slices": min_slices}
    kept = {"num_studies": summary.num_studies, "num_series": summary.num_series}
    atomic.write_json(output_dir / INFO_FILE, {**made, **kept})
    return summary


def _sides(inventory: inventory_module.Inventory) -> list[str]:
    """Those that have studies."""
    found = inventory.execute(f"SELECT DISTINCT side FROM studies WHERE {_KEPT} ORDER BY side")
    return [side for (side,) in found]


def _remove_empty(directory: pathlib.Path) -> None:
    with contextlib.suppress(OSError):  # it was never there, or holds what is not ours
        directory.rmdir()


def _write_table(path: pathlib.Path, rows: Iterable[Sequence[object]]) -> None:
    with atomic.open_binary(path) as file:
        text = io.TextIOWrapper(file, "utf-8", "backslashreplace", newline="", write_through=True)
        csv_text.write(text, rows)
        text.detach()


def _series_rows(inventory: inventory_module.Inventory) -> Iterator[Sequence[object]]:
    """All series of the studies that have one that is kept: also why others are not."""
    yield _SERIES_COLUMNS
    choices: collections.Counter[tuple[int, str]] = collections.Counter()
    query = f"SELECT study, series, kind, facts FROM series WHERE {_KEPT} ORDER BY study, place"
    for study, series, kind, text in inventory.execute(query):
        facts = json.loads(text)
        choices[study, kind] += 1
        yield (
            *(study, series, kind, choices[study, kind] if kind else ""),
            *(f"{facts['confidence']:.2f}", facts["why"], facts["left_out"]),
            *(facts["num_images"], facts["stacks"], facts["plane"], facts["rows"]),
            *(facts["columns"], *(f"{mm:.4g}" for mm in facts["spacing"])),
        )


def _description_rows(
    inventory: inventory_module.Inventory, side: str
) -> Iterator[Sequence[object]]:
    yield ("study_id", "series_id", "series_description")
    yield from inventory.kept_series(side)


def _id_rows(inventory: inventory_module.Inventory) -> Iterator[Sequence[object]]:
    """What the ids stand for, of what is kept."""
    yield ("kind", "id", "original", "patient", "study_id")
    for study, patient, key, text in inventory.execute(
        f"SELECT study, patient, key, facts FROM studies WHERE {_KEPT} ORDER BY study"
    ):
        uid, name = json.loads(key)
        yield ("study", study, uid, name, study)
        yield ("patient", patient, name, name, study)
        for series, series_uid in sorted(json.loads(text)["series_uids"].items()):
            yield ("series", series, series_uid, name, study)


def _file_rows(inventory: inventory_module.Inventory) -> Iterator[Sequence[object]]:
    """What became of every file, and of every frame of one of many."""
    columns = ("reason", "detail", "study_id", "series_id", "instance_number")
    yield ("file", "frame", "outcome", *columns)
    rows = inventory.execute(
        "SELECT name, outcomes.frame, coalesce(outcomes.reason, files.reason),"
        " coalesce(outcomes.detail, files.detail), study, series, number FROM files"
        " LEFT JOIN outcomes USING (name) LEFT JOIN series USING (series)"
        " ORDER BY name, outcomes.frame"
    )
    for name, frame, reason, detail, study, series, number in rows:
        where = (study or "", series or "", number or "")
        outcome = "left out" if reason else "kept"
        yield (_shown(os.fsdecode(name)), frame or "", outcome, reason, detail, *where)


def _shown(name: str) -> str:
    """A file's name on one line."""
    return name.replace("\n", "\\n").replace("\r", "\\r")


def _summarize(inventory: inventory_module.Inventory, given: own_labels.Matched) -> Summary:
    num_studies = inventory.count("studies", _KEPT)
    num_series, lacking = {}, {}
    for kind in KINDS:
        num_series[kind] = inventory.count("series", f"kind = '{kind}'")
        having = f"SELECT count(DISTINCT study) FROM series WHERE kind = '{kind}'"
        lacking[kind] = num_studies - inventory.execute(having).fetchone()[0]
    return Summary(
        num_files=inventory.count("files"),
        num_studies=num_studies,
        num_series=num_series,
        lacking=lacking,
        left_out=inventory.left_out(),
        details=inventory.details(),
        why_left_out=inventory.why_left_out(),
        labels=own_labels.counts(given),
        num_labelled=len(given.grades),
        num_patients=len(set(given.patients.values())),
        num_points=sum(study in given.grades for study, *_ in given.points),
    )
