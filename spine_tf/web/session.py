"""A study that was read, and what a page does with it: shown, corrected, taken along as files."""

import dataclasses
import json
import threading
from collections.abc import Callable, Sequence
from typing import Any

from spine_tf import labels
from spine_tf.localization import localization
from spine_tf.readings import marking, slice_pictures, study_file, study_page
from spine_tf.rsna import annotations, given_points, markups
from spine_tf.serving import correction, study_reader
from spine_tf.studies import held
from spine_tf.web import refusal
from tfrecords import csv_text, json_object

_JSON, _CSV, _HTML = "application/json", "text/csv; charset=utf-8", "text/html; charset=utf-8"
_ROWS = {
    (condition, level): (c, v)
    for c, condition in enumerate(labels.CONDITIONS)
    for v, level in enumerate(labels.LEVELS)
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class MarkedPoint:
    """A point that a reader marked, as a page sends it.

    Attributes:
        condition, level: names, as in `labels`.
        series_id: digits.
        instance_number: of the image.
        x, y: column and row in pixels; integers are pixel centres.
    """

    condition: str
    level: str
    series_id: str
    instance_number: int
    x: float
    y: float


class Session:
    """One study; its methods may be called by several threads, one after the other."""

    def __init__(
        self, reader: study_reader.StudyReader, study: held.HeldStudy, check: held.Check
    ) -> None:
        """Reads the study.

        Args:
            reader: models and a localiser.
            study: in memory.
            check: called before each image is read; raises what ends the work.
        """
        self._reader, self._study = reader, study
        self._lock = threading.Lock()
        self._given: tuple[annotations.Annotation, ...] = ()
        self._one = reader.read_study(study.checked(check).images, study.study_id, study.series)

    @property
    def num_bytes(self) -> int:
        """How much memory its images take."""
        return self._study.num_bytes

    @property
    def num_images(self) -> int:
        """How many there are."""
        return len(self._study.images.files)

    @property
    def left_out(self) -> dict[str, int]:
        """How many files of the zip were left out, by reason."""
        return dict(self._study.left_out)

    @property
    def unreadable(self) -> tuple[str, ...]:
        """Its images that can't be read."""
        return self._one.result.study.unreadable

    def to_json(self) -> dict[str, Any]:
        """Returns study.json."""
        return study_file.to_json(self._one)

    def correct(self, sent: object) -> None:
        """Takes all points that are marked now; the rows that they change are graded anew.

        Raises:
            refusal.Refusal: they are no list of points on images of this study.
        """
        with self._lock:
            given = tuple(self._annotation(values) for values in _listed(sent))
            if len({(row.condition, row.level) for row in given}) < len(given):
                raise refusal.Refusal(400, "a row is marked twice, expected one point of each")
            self._one = correction.correct(
                self._reader, self._one, self._study.images, self._study.series, given
            )
            self._given = given

    def _annotation(self, values: object) -> annotations.Annotation:
        if not isinstance(values, dict):
            raise refusal.Refusal(400, "a point is no object, expected objects")
        try:
            point = json_object.build(MarkedPoint, values)
            return self._checked(point)
        except ValueError as err:
            raise refusal.Refusal(400, f"a marked point can't be used: {err}") from err

    def _checked(self, point: MarkedPoint) -> annotations.Annotation:
        row = _ROWS.get((point.condition, point.level))
        if row is None:
            raise ValueError(f"{point.condition!r} at {point.level!r} is no row")
        number = point.instance_number
        for stack in self._one.result.study.stacks:
            if str(stack.series_id) == point.series_id and number in stack.numbers:
                rows, columns = stack.headers[stack.numbers.index(number)].shape
                break
        else:
            raise ValueError(f"series {point.series_id!r} has no image {number} here")
        if not (-0.5 <= point.x < columns - 0.5 and -0.5 <= point.y < rows - 0.5):
            raise ValueError(f"x {point.x:g}, y {point.y:g} is off its {columns} x {rows} pixels")
        return annotations.Annotation(
            study_id=self._study.study_id,
            series_id=stack.series_id,
            instance_number=number,
            condition=row[0],
            level=row[1],
            x=point.x,
            y=point.y,
            label=None,
        )

    def report(self) -> str:
        """Returns the sections of the study's page, on which points can be moved."""
        with self._lock:
            marked = [(row.condition, row.level) for row in self._given]
            return study_page.render_parts(self._one, self._pictures(), marked=marked)

    def _pictures(self) -> list[slice_pictures.SlicePicture]:
        return slice_pictures.draw(self._one.result, self._study.images)

    def slice_for(self, row: marking.Row, at: marking.Image | None) -> str:
        """Returns the slice on which a row is marked, see `marking.propose`.

        Raises:
            refusal.Refusal: there is none.
        """
        with self._lock:
            result = self._one.result
            proposal = marking.propose(result, row, at)
            picture = None
            if proposal is not None:
                picture = slice_pictures.draw_slice(result, self._study.images, proposal.row)
        if proposal is None or picture is None:
            raise refusal.Refusal(
                404, "the study has no image that can be shown on which this row could be marked"
            )
        return study_page.render_marking(picture, proposal)

    def file(self, name: str) -> tuple[str, str]:
        """Returns what a file to take along holds, and its media type.

        Raises:
            refusal.Refusal: there is no such file.
        """
        made = self._files.get(name)
        if made is None:
            raise refusal.Refusal(404, f"expected one of {', '.join(self._files)}")
        with self._lock:
            return made()

    @property
    def _files(self) -> dict[str, Callable[[], tuple[str, str]]]:
        return {
            "study.json": lambda: (_as_json(self.to_json()), _JSON),
            "points.csv": lambda: (
                csv_text.to_text(*given_points.to_table(self._one.result.points)),
                _CSV,
            ),
            f"study{markups.SUFFIX}": lambda: (
                _as_json(localization.to_markups(self._one.result) or markups.to_json(())),
                _JSON,
            ),
            "study.html": lambda: (study_page.render(self._one, self._pictures()), _HTML),
        }


def _listed(sent: object) -> Sequence[object]:
    points = sent.get("points") if isinstance(sent, dict) else None
    if not isinstance(points, list) or len(points) > len(_ROWS):
        raise refusal.Refusal(
            400, f'expected {{"points": [...]}} with at most {len(_ROWS)} points in it'
        )
    return points


def _as_json(values: dict[str, Any]) -> str:
    return json.dumps(values, indent=2, ensure_ascii=False) + "\n"
