"""What is known of a pile, on disk: it may hold more files than memory has room for.

An SQLite file in the private directory. What was read from files stays there, so that whatever was
killed goes on, and only new files are read; what was decided is decided anew each time.
"""

import dataclasses
import hashlib
import json
import os
import pathlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from spine_tf.dicom import reasons
from spine_tf.rsna import layout, zip_members
from spine_tf.studies import database, deciding, outcome, pile, pile_image

FILE_NAME = "inventory.sqlite"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT);
CREATE TABLE IF NOT EXISTS files (
    name BLOB PRIMARY KEY, num_bytes INTEGER, version INTEGER, member TEXT, walk INTEGER,
    is_read INTEGER, reason TEXT, detail TEXT) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS unread ON files (name) WHERE NOT is_read;
CREATE TABLE IF NOT EXISTS images (
    name BLOB, frame INTEGER, study TEXT, instance TEXT, header TEXT,
    PRIMARY KEY (name, frame)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_study ON images (study, name, frame);
CREATE INDEX IF NOT EXISTS by_instance ON images (instance, name, frame);
CREATE TABLE IF NOT EXISTS placed (folder TEXT PRIMARY KEY, digest TEXT);
"""
_DECISIONS = """
DROP TABLE IF EXISTS outcomes;
DROP TABLE IF EXISTS series;
DROP TABLE IF EXISTS studies;
CREATE TABLE outcomes (
    name BLOB, frame INTEGER, reason TEXT, detail TEXT, series INTEGER, number INTEGER,
    PRIMARY KEY (name, frame)) WITHOUT ROWID;
CREATE INDEX by_series ON outcomes (series, number);
CREATE TABLE series (
    series INTEGER PRIMARY KEY, study INTEGER, kind TEXT, place INTEGER, geometry TEXT, facts TEXT);
CREATE INDEX by_geometry ON series (geometry);
CREATE INDEX series_of_study ON series (study, place);
CREATE TABLE studies (
    study INTEGER PRIMARY KEY, patient INTEGER, key TEXT, side TEXT, facts TEXT);
"""
_BATCH = 256
_MOST_SAID = 3

_FILE = "files.name, files.num_bytes, files.version, files.member"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Place:
    """Where a series belongs.

    Attributes:
        folder: relative to the data set.
        series: its id.
        num_images: how many it has.
        digest: digest of its files and their numbers.
    """

    folder: str
    series: int
    num_images: int
    digest: str


class Inventory(database.Database):
    """The files of a pile, the images in them, and what was decided of each."""

    def __init__(self, path: pathlib.Path | None) -> None:
        """Opens or makes the file, and forgets what an earlier run decided; None is memory."""
        super().__init__(path, f"{_SCHEMA}{_DECISIONS}")

    def forget_decisions(self) -> None:
        """Forgets what was decided; what was read stays."""
        self._connection.executescript(_DECISIONS)

    def update(self, files: Iterable[pile.File]) -> None:
        """Takes the files that there are now: new and changed ones are unread, others stay.

        What couldn't be read is tried again: rights and networks mend without a change of a file.
        """
        walk = int(self.fact("walk") or 0) + 1
        with self.transaction():
            for file in files:
                self._update(file, walk)
            gone = "SELECT name FROM files WHERE walk != ? OR NOT is_read"
            self.execute(f"DELETE FROM images WHERE name IN ({gone})", (walk,))
            self.execute("DELETE FROM files WHERE walk != ?", (walk,))
            self.note("walk", str(walk))

    def _update(self, file: pile.File, walk: int) -> None:
        member = json.dumps(dataclasses.astuple(file.member)) if file.member else None
        left_out = file.left_out
        self.execute(
            "INSERT INTO files VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (name) DO UPDATE"
            " SET is_read = is_read AND num_bytes = ?2 AND version = ?3 AND NOT ?6"
            f" AND reason IS NOT '{reasons.Reason.UNREADABLE_FILE}' OR ?6,"
            " num_bytes = ?2, version = ?3, member = ?4, walk = ?5,"
            " reason = iif(?6, ?7, reason), detail = iif(?6, ?8, detail)",
            (
                os.fsencode(file.name),
                file.num_bytes,
                file.version,
                member,
                walk,
                left_out is not None,
                left_out.reason if left_out else None,
                left_out.detail if left_out else None,
            ),
        )

    def unread(self) -> database.Lazy[list[pile.File]]:
        """Returns the files that are to be read, in batches."""
        numbered = (
            "SELECT name, row_number() OVER (ORDER BY name) AS n FROM files WHERE NOT is_read"
        )
        found = self.execute(f"SELECT name FROM ({numbered}) WHERE n % {_BATCH} = 1 ORDER BY name")
        starts = [row[0] for row in found]

        def fetch(index: int) -> list[pile.File]:
            rows = self.execute(
                f"SELECT {_FILE} FROM files WHERE NOT is_read AND name >= ? ORDER BY name"
                f" LIMIT {_BATCH}",
                (starts[index],),
            )
            # What comes behind the batch is read at the same time.
            end = starts[index + 1] if index + 1 < len(starts) else None
            return [_file(row) for row in rows if end is None or row[0] < end]

        return database.Lazy(len(starts), fetch)

    def add_read(self, file: pile.File, found: list[pile_image.Entry] | outcome.LeftOut) -> None:
        """Takes what was read from a file."""
        name = os.fsencode(file.name)
        why = (found.reason, found.detail) if isinstance(found, outcome.LeftOut) else (None, None)
        self.execute(
            "UPDATE files SET is_read = 1, reason = ?, detail = ? WHERE name = ?", (*why, name)
        )
        if why[0]:
            self.execute("DELETE FROM images WHERE name = ?", (name,))
        for entry in found if isinstance(found, list) else []:
            values = entry.frame, entry.study, entry.instance, entry.header
            self.execute("INSERT OR REPLACE INTO images VALUES (?, ?, ?, ?, ?)", (name, *values))

    def leave_out_duplicates(self) -> None:
        """Of files that are the same instance, keeps the first by name."""
        self.execute(
            "INSERT INTO outcomes SELECT name, frame, ?, 'the same instance as ' || quote(first),"
            " NULL, NULL FROM (SELECT name, frame, first_value(CAST(name AS TEXT)) OVER same AS"
            " first, row_number() OVER same AS n FROM images"
            " WINDOW same AS (PARTITION BY instance ORDER BY name, frame)) WHERE n > 1",
            (outcome.Reason.DUPLICATE,),
        )

    def studies(self) -> database.Lazy[list[tuple[pile.File, pile_image.Image]]]:
        """Returns the images of each study, without duplicates, in order of their names."""
        found = self.execute("SELECT DISTINCT study FROM images ORDER BY study")
        keys = [row[0] for row in found]

        def fetch(index: int) -> list[tuple[pile.File, pile_image.Image]]:
            rows = self.execute(
                f"SELECT {_FILE}, images.frame, images.header FROM images JOIN files USING (name)"
                " LEFT JOIN outcomes USING (name, frame)"
                " WHERE images.study = ? AND outcomes.reason IS NULL ORDER BY name, frame",
                (keys[index],),
            )
            return [
                (file, pile_image.from_json(file.name, row[4], row[5]))
                for row in rows
                for file in [_file(row)]
            ]

        return database.Lazy(len(keys), fetch)

    def decide(
        self,
        file: str,
        frame: int,
        *,
        left_out: outcome.LeftOut | None = None,
        series: int | None = None,
        number: int | None = None,
    ) -> None:
        """Takes what becomes of an image: a place in a series, or why none."""
        values = (
            os.fsencode(file),
            frame,
            left_out.reason if left_out else None,
            left_out.detail if left_out else None,
            series,
            number,
        )
        self.execute("INSERT OR REPLACE INTO outcomes VALUES (?, ?, ?, ?, ?, ?)", values)

    def add_study(self, study: deciding.Study) -> None:
        """Takes what was decided of a study.

        Raises:
            ValueError: another study or series has its id.
        """
        facts = {
            "accession_numbers": study.accession_numbers,
            "folders": study.folders,
            "series_uids": study.series_uids,
        }
        self._require_new("studies", "study", study.study_id)
        self.execute(
            "INSERT INTO studies VALUES (?, ?, ?, 'test', ?)",
            (study.study_id, study.patient_id, study.key, json.dumps(facts)),
        )
        for place, series in enumerate(study.series):
            self._require_new("series", "series", series.series_id)
            self._add_series(study.study_id, place, series)

    def _require_new(self, table: str, column: str, identity: int) -> None:
        if self.count(table, f"{column} = {identity}"):
            raise ValueError(
                f"two of the {table} have the id {identity} by this key, which happens to one key "
                "in thousands: remove the key in the private directory for a new one"
            )

    def _add_series(self, study_id: int, place: int, series: deciding.Decided) -> None:
        facts = {
            "num_images": len(series.images),
            "plane": series.plane,
            "stacks": series.stacks,
            "rows": series.rows,
            "columns": series.columns,
            "spacing": series.spacing,
            "confidence": series.confidence,
            "left_out": series.left_out.reason if series.left_out else "",
            "why": series.reason,
        }
        values = (series.series_id, study_id, series.kind, place, series.geometry)
        self.execute("INSERT INTO series VALUES (?, ?, ?, ?, ?, ?)", (*values, json.dumps(facts)))
        for number, (file, frame) in enumerate(series.images, start=1):
            self.decide(
                file,
                frame,
                left_out=series.left_out,
                series=series.series_id,
                number=None if series.left_out else number,
            )

    def leave_out_series(self, series: int, why: outcome.LeftOut) -> None:
        """Takes a series out that was kept before."""
        with self.transaction():
            self.execute(
                "UPDATE series SET kind = '',"
                " facts = json_set(facts, '$.left_out', ?2, '$.why', ?3) WHERE series = ?1",
                (series, why.reason, why.detail),
            )
            self.execute(
                "UPDATE outcomes SET reason = ?2, detail = ?3, number = NULL WHERE series = ?1",
                (series, why.reason, why.detail),
            )

    def alike(self) -> database.Lazy[tuple[int, str, list[tuple[pile.File, int, int]]]]:
        """Returns the kept series that lie at the same places as another, with their images."""
        several = (
            "SELECT geometry FROM series WHERE kind != '' GROUP BY geometry HAVING count(*) > 1"
        )
        found = self.execute(
            f"SELECT series, geometry FROM series WHERE kind != '' AND geometry IN ({several})"
            " ORDER BY study, place"
        ).fetchall()
        return database.Lazy(
            len(found), lambda index: (*found[index], self.images_of(found[index][0]))
        )

    def images_of(self, series: int) -> list[tuple[pile.File, int, int]]:
        """Returns file, frame and instance number of the kept images of a series, in order."""
        rows = self.execute(
            f"SELECT {_FILE}, frame, number FROM outcomes JOIN files USING (name)"
            " WHERE series = ? AND outcomes.reason IS NULL ORDER BY number",
            (series,),
        )
        return [(_file(row), row[4], row[5]) for row in rows]

    def kept_images(self, study: int) -> Iterator[tuple[int, int, pile_image.Image]]:
        """Yields series, instance number and header of the kept images of a study."""
        rows = self.execute(
            "SELECT outcomes.series, number, name, frame, header FROM outcomes"
            " JOIN images USING (name, frame) JOIN series USING (series)"
            " WHERE series.study = ? AND number IS NOT NULL",
            (study,),
        )
        for series, number, name, frame, text in rows:
            yield series, number, pile_image.from_json(os.fsdecode(name), frame, text)

    def kept_series(self, side: str) -> list[tuple[int, int, str]]:
        """Returns study, series and kind of the kept series of a side, the best of a kind first."""
        rows = self.execute(
            "SELECT study, series, kind FROM series JOIN studies USING (study)"
            " WHERE kind != '' AND side = ? ORDER BY study, place",
            (side,),
        )
        return rows.fetchall()

    def left_out(self) -> dict[str, int]:
        """Returns how many images, or files without one, are left out, by reason."""
        return {reason: count for reason, count, _ in self._reasons()}

    def details(self) -> dict[str, str]:
        """Returns of each reason what is said of one of its files; the commonest reasons first."""
        return {reason: detail for reason, _, detail in self._reasons()}

    def why_left_out(self) -> str:
        """Returns the reasons that most files have, with what is said of one of them."""
        rows = self._reasons()[:_MOST_SAID]
        return "; ".join(f"{count} {reason}: {detail}" for reason, count, detail in rows)

    def _reasons(self) -> list[tuple[str, int, str]]:
        return self.execute(
            "SELECT coalesce(outcomes.reason, files.reason) AS why, count(*) AS n,"
            " min(coalesce(outcomes.detail, files.detail)) FROM files"
            " LEFT JOIN outcomes USING (name) WHERE why IS NOT NULL GROUP BY why"
            " ORDER BY n DESC, why"
        ).fetchall()

    def num_pixels(self) -> int:
        """Returns how many pixels the images have together, of those that were read."""
        rows = self.execute("SELECT header FROM images")
        headers = (pile_image.from_json("", 0, text).header for (text,) in rows)
        return sum(header.rows * header.columns for header in headers)

    def places(self) -> dict[str, Place]:
        """Returns where each kept series belongs, by its folder."""
        rows = self.execute(
            "SELECT series, study, side FROM series JOIN studies USING (study) WHERE kind != ''"
            " ORDER BY study, place"
        ).fetchall()
        found = {}
        for series, study, side in rows:
            images = self.images_of(series)
            shown = [(file.name, file.num_bytes, file.version, *rest) for file, *rest in images]
            found[layout.series_dir(side, study, series)] = Place(
                folder=layout.series_dir(side, study, series),
                series=series,
                num_images=len(images),
                digest=hashlib.sha256(repr(shown).encode("utf-8", "surrogateescape")).hexdigest(),
            )
        return found

    def placed(self) -> dict[str, str]:
        """Returns what was put into which folder, by its digest; "" for what isn't whole."""
        return dict(self.execute("SELECT folder, digest FROM placed ORDER BY folder"))

    def note_placed(self, folder: str, digest: str | None) -> None:
        """Notes what is in a folder; None for a folder that is gone."""
        if digest is None:
            self.execute("DELETE FROM placed WHERE folder = ?", (folder,))
        else:
            self.execute("INSERT OR REPLACE INTO placed VALUES (?, ?)", (folder, digest))


def _file(row: Sequence[Any]) -> pile.File:
    return pile.File(
        name=os.fsdecode(row[0]),
        num_bytes=row[1],
        version=row[2],
        member=_member(row[3]) if row[3] else None,
    )


def _member(text: str) -> zip_members.Member:
    names = [field.name for field in dataclasses.fields(zip_members.Member)]
    return zip_members.Member(**dict(zip(names, json.loads(text), strict=True)))
