"""Whose grades are whose: the user's rows joined with the studies that were found."""

import collections
import dataclasses
import enum
import json
import math
import pathlib
from collections.abc import Mapping, Sequence

from spine_tf import labels
from spine_tf.dicom import elements
from spine_tf.studies import inventory as inventory_module, label_file, pile_image

Table = list[Sequence[object]]
Target = tuple[int, int]


class Status(enum.StrEnum):
    """What became of a row of the user's labels."""

    MATCHED = "matched"  # its grades are a study's
    UNMATCHED = "unmatched"  # no study is named so
    AMBIGUOUS = "ambiguous"  # several studies are named so
    NO_IMAGES = "no_images"  # of the study no series is kept
    CONFLICTING = "conflicting"  # an earlier row grades a target of the study differently
    BAD_POINT = "bad_point"  # its grades are taken; its point is on no image that is kept


@dataclasses.dataclass(frozen=True, kw_only=True)
class Judged:
    """A row and what became of it."""

    row: label_file.Row
    status: Status
    detail: str
    study: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Matched:
    """The user's labels, joined.

    Attributes:
        rows: all of the file's.
        grades: severities of each study that has any, by target.
        patients: the patients of these studies.
        points: study, series, instance number, target, x, y.
    """

    rows: tuple[Judged, ...] = ()
    grades: Mapping[int, Mapping[Target, int]] = dataclasses.field(default_factory=dict)
    patients: Mapping[int, int] = dataclasses.field(default_factory=dict)
    points: tuple[tuple[int, int, int, Target, float, float], ...] = ()


def match(inventory: inventory_module.Inventory, given: label_file.OwnLabels | None) -> Matched:
    """Joins labels with studies; studies with a grade and a kept series go to the train side."""
    inventory.execute("UPDATE studies SET side = 'test'")
    if given is None:
        return Matched()
    studies = _studies_named(inventory, {_name_of_study(row) for row in given.rows})
    matcher = _Matcher(inventory, studies)
    judged = tuple(map(matcher.judge, given.rows))
    graded = {study: found for study, found in matcher.grades.items() if found}
    patients = {}
    for study in graded:
        inventory.execute("UPDATE studies SET side = 'train' WHERE study = ?", (study,))
        (patients[study],) = inventory.execute(
            "SELECT patient FROM studies WHERE study = ?", (study,)
        ).fetchone()
    return Matched(rows=judged, grades=graded, patients=patients, points=tuple(matcher.points))


def _studies_named(
    inventory: inventory_module.Inventory, wanted: set[tuple[str, str]]
) -> dict[tuple[str, str], set[int]]:
    """Returns the studies of each name that the labels have."""
    found: dict[tuple[str, str], set[int]] = collections.defaultdict(set)
    for study, key, text in inventory.execute("SELECT study, key, facts FROM studies"):
        facts = json.loads(text)
        names = {("study_id", str(study)), ("StudyInstanceUID", json.loads(key)[0])}
        names |= {("AccessionNumber", number) for number in facts["accession_numbers"]}
        names |= {("folder", folder) for folder in facts["folders"]}
        for name in names & wanted:
            found[name].add(study)
    return found


def _name_of_study(row: label_file.Row) -> tuple[str, str]:
    """Column and text; a folder may be spelled ./a, a/ or with the backslashes of Windows."""
    column, text = row.study
    if column != "folder":
        return row.study
    return column, str(pathlib.PurePosixPath(text.replace("\\", "/")))


class _Matcher:
    """Judges one row after the other."""

    def __init__(
        self,
        inventory: inventory_module.Inventory,
        studies: Mapping[tuple[str, str], set[int]],
    ) -> None:
        self._inventory = inventory
        self._studies = studies
        self._first: dict[tuple[int, Target], int] = {}
        self._conflicts: set[tuple[int, Target]] = set()
        self._images: tuple[int, dict[tuple[str, ...], set[tuple[int, int]]]] = -1, {}
        self.grades: dict[int, dict[Target, int]] = collections.defaultdict(dict)
        self.points: list[tuple[int, int, int, Target, float, float]] = []

    def judge(self, row: label_file.Row) -> Judged:
        """Takes a row's grades and point, or says why not."""
        column, text = row.study
        found = self._studies.get(_name_of_study(row), set())
        if len(found) != 1:
            status = Status.AMBIGUOUS if found else Status.UNMATCHED
            detail = f"{len(found)} studies have this {column}" if text else f"{column} is empty"
            if column == "study_id" and text and not found:
                detail += ", the id that series.csv has; StudyInstanceUID is the original"
            return Judged(row=row, status=status, detail=detail)
        (study,) = found
        if not self._inventory.count("series", f"study = {study} AND kind != ''"):
            return Judged(row=row, status=Status.NO_IMAGES, detail="no series is kept", study=study)
        status, detail = self._take_grades(study, row)
        if row.point is not None and row.target is not None and status is Status.MATCHED:
            status, detail = self._take_point(study, row.target, row.point)
        return Judged(row=row, status=status, detail=detail, study=study)

    def _take_grades(self, study: int, row: label_file.Row) -> tuple[Status, str]:
        """Where rows contradict each other, a target has no grade."""
        bad = []
        for target, grade in row.grades.items():
            line = self._first.setdefault((study, target), row.line)
            if line == row.line:
                self.grades[study][target] = grade
            elif (study, target) in self._conflicts or self.grades[study][target] != grade:
                self._conflicts.add((study, target))
                self.grades[study].pop(target, None)
                bad.append(f"{_name(target)} is graded otherwise on line {line}")
        return (Status.CONFLICTING, "; ".join(bad)) if bad else (Status.MATCHED, "")

    def _take_point(
        self, study: int, target: Target, point: label_file.Point
    ) -> tuple[Status, str]:
        if math.isnan(point.x + point.y):
            return Status.BAD_POINT, "x or y is no number"
        if self._images[0] != study:
            self._images = study, self._index(study)
        names = {k: v for k, v in point.image.items() if k != "sopinstanceuid"}
        name = (
            (point.image["sopinstanceuid"],)
            if "sopinstanceuid" in point.image
            else (
                names.get("seriesinstanceuid") or names.get("seriesid", ""),
                names.get("instancenumber", ""),
            )
        )
        found = self._images[1].get(name, set())
        if len(found) != 1:
            expected = "expected SOPInstanceUID, or SeriesInstanceUID and InstanceNumber"
            return Status.BAD_POINT, f"{len(found)} images that are kept are named so; {expected}"
        ((series, number),) = found
        self.points.append((study, series, number, target, point.x, point.y))
        return Status.MATCHED, ""

    def _index(self, study: int) -> dict[tuple[str, ...], set[tuple[int, int]]]:
        """Returns series and number of the kept images of a study by all that may name them."""
        found: dict[tuple[str, ...], set[tuple[int, int]]] = collections.defaultdict(set)
        for series, number, image in self._inventory.kept_images(study):
            series_uid = image.text(elements.SERIES_UID)
            instance = image.text(pile_image.INSTANCE_NUMBER)
            for name in (
                (image.text(pile_image.SOP_INSTANCE),),
                (series_uid, instance),
                (str(series), str(number)),
            ):
                found[name].add((series, number))
        return found


def grade_table(given: Matched) -> Table:
    """Returns train.csv."""
    targets = [(c, v) for c in range(len(labels.CONDITIONS)) for v in range(len(labels.LEVELS))]
    table: Table = [("study_id", "patient_id", *map(_name, targets))]
    for study, grades in sorted(given.grades.items()):
        row = [labels.SEVERITIES[grades[target]] if target in grades else "" for target in targets]
        table.append((study, given.patients[study], *row))
    return table


def point_table(given: Matched, side: str) -> Table:
    """Returns the coordinates CSV of a side, names spelled as the competition does."""
    table: Table = [("study_id", "series_id", "instance_number", "condition", "level", "x", "y")]
    for study, series, number, (condition, level), x, y in sorted(given.points):
        if (study in given.grades) != (side == "train"):
            continue
        words = labels.CONDITIONS[condition].replace("_", " ").title()
        table.append(
            (study, series, number, words, labels.LEVELS[level].upper().replace("_", "/"), x, y)
        )
    return table


def listing(given: Matched) -> Table:
    """Returns what became of every row; it names studies as the user does."""
    table: Table = [("line", "column", "study", "status", "detail", "study_id")]
    for judged in given.rows:
        study = "" if judged.study is None else judged.study
        table.append(
            (judged.row.line, *judged.row.study, judged.status.value, judged.detail, study)
        )
    return table


def counts(given: Matched) -> dict[str, int]:
    """Returns how many rows have each status, those that are matched first."""
    found = collections.Counter(judged.status for judged in given.rows)
    return {status.value: found[status] for status in Status if found[status]}


def _name(target: Target) -> str:
    return f"{labels.CONDITIONS[target[0]]}_{labels.LEVELS[target[1]]}"
