"""Crops as they come, put together to the levels that a model of levels is asked about."""

import collections
import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from spine_tf import labels
from spine_tf.crops import cutting
from spine_tf.dicom import reasons
from spine_tf.rsna import annotations
from spine_tf.serving import spec

Place = tuple[int, int]
"""Study and level."""
Descriptions = Mapping[tuple[int, int], str]
"""(study, series) -> its description."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Level:
    """A level of a study by its views.

    Attributes:
        study_id, level: which.
        rows: whose crops it is seen by, and further points of the same views.
        image: uint16 (views, px, px, slices), 0 where a view is missing.
        window: float32 (2 * views,).
        present: int64 (views,).
    """

    study_id: int
    level: int
    rows: tuple[annotations.Annotation, ...]
    image: np.ndarray
    window: np.ndarray
    present: np.ndarray


class Gathering:
    """Holds the crops of levels until the last one of a level has come."""

    def __init__(
        self,
        served: spec.Spec,
        rows: Sequence[annotations.Annotation],
        descriptions: Descriptions,
    ) -> None:
        """Takes what will come.

        Args:
            served: whose views are asked for.
            rows: whose crops come, each in a batch or as a reject.
            descriptions: of the rows' series.
        """
        self._served, self._descriptions = served, descriptions
        self._awaited = collections.Counter((row.study_id, row.level) for row in rows)
        self._found: dict[Place, list[tuple[annotations.Annotation, np.ndarray, np.ndarray]]] = {}

    def add(self, batch: cutting.Batch) -> Iterator[Level]:
        """Takes crops in and yields the levels that are whole now; those without a crop never."""
        for row, image, window in zip(batch.rows, batch.images, batch.windows, strict=True):
            self._found.setdefault((row.study_id, row.level), []).append((row, image, window))
            yield from self._count((row.study_id, row.level))
        for reject in batch.rejects:
            yield from self._count(_place(reject))

    def _count(self, place: Place) -> Iterator[Level]:
        self._awaited[place] -= 1
        if self._awaited[place] == 0 and place in self._found:
            yield self._assemble(place)

    def _assemble(self, place: Place) -> Level:
        shape = self._served.image_shape
        image = np.zeros(shape, np.uint16)
        window = np.tile(np.array([0.0, 1.0], np.float32), (shape[0], 1))
        present = np.zeros(shape[0], np.int64)
        found = self._found.pop(place)
        for row, crop, of_crop in found:
            view = self._view(row)
            # Of several points of a view the first is looked at, as the converter does.
            if view is not None and not present[view]:
                image[view], window[view], present[view] = crop, of_crop, 1
        return Level(
            study_id=place[0],
            level=place[1],
            rows=tuple(row for row, _, _ in found),
            image=image,
            window=window.ravel(),
            present=present,
        )

    def _view(self, row: annotations.Annotation) -> int | None:
        """The view that a row is of: that of its kind of series, where several have its condition.

        None where there is none of its condition.
        """
        condition = labels.CONDITIONS[row.condition]
        views = [
            (place, series)
            for place, (name, series) in enumerate(self._served.views)
            if name == condition
        ]
        if len(views) < 2:
            return views[0][0] if views else None
        given = self._descriptions.get((row.study_id, row.series_id))
        return next((place for place, series in views if series == given), None)


def graded(
    level: Level, conditions: Sequence[str]
) -> Iterator[tuple[int, annotations.Annotation, bool]]:
    """Yields the rows that a level's answers are of.

    Args:
        level: that was answered.
        conditions: of the answers, in order.

    Yields:
        The place of the condition among them, a row, and whether it is a point of the condition's
        own. A condition without one is graded by the other views; where those lie stands for it.
    """
    for place, name in enumerate(conditions):
        condition = labels.CONDITIONS.index(name)
        own = [row for row in level.rows if row.condition == condition]
        if own:
            yield place, own[0], True
        else:
            yield place, dataclasses.replace(level.rows[0], condition=condition), False


def _place(reject: reasons.Reject) -> Place:
    study, _, _, _, level = reject.key.split("/")
    return int(study), labels.LEVELS.index(level)


def inputs(levels: Sequence[Level]) -> dict[str, np.ndarray]:
    """Returns levels as the inputs of `serving_default`, by name."""
    return {
        "image": np.stack([one.image for one in levels]),
        "window": np.stack([one.window for one in levels]),
        "present": np.stack([one.present for one in levels]),
        "level": np.array([one.level for one in levels], np.int64),
    }
