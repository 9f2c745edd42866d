"""A study as a row of a plan, for kinds whose records need all of its series."""

import dataclasses
from collections.abc import Iterable

from spine_tf.conversion import kind
from spine_tf.rsna import annotations


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudyRow:
    """A study with the points that its records show.

    Attributes:
        study_id: of the study.
        series: series and description, sorted.
        points: sorted by key, so that the order of a CSV changes nothing.
    """

    study_id: int
    series: tuple[tuple[int, str], ...]
    points: tuple[annotations.Annotation, ...]

    @property
    def key(self) -> str:
        """The study."""
        return str(self.study_id)

    @property
    def image(self) -> tuple[int, ...]:
        """A study is read whole."""
        return (self.study_id,)


def group(found: annotations.Annotations, studies: Iterable[int]) -> list[StudyRow]:
    """Returns a row a study, in ascending order."""
    series: dict[int, list[tuple[int, str]]] = {}
    for (study, series_id), description in found.series.items():
        series.setdefault(study, []).append((series_id, description))
    points: dict[int, list[annotations.Annotation]] = {}
    for row in found.rows:
        points.setdefault(row.study_id, []).append(row)
    return [
        StudyRow(
            study_id=study,
            series=tuple(sorted(series.get(study, ()))),
            points=tuple(sorted(points.get(study, ()), key=lambda row: row.key)),
        )
        for study in sorted(studies)
    ]


def images(rows: Iterable[StudyRow]) -> kind.Images:
    """Returns all images of all series: any header may move a point or a neighbour."""
    return {(row.study_id, series): None for row in rows for series, _ in row.series}
