"""Records of all views of a level each: `convert --kind level`."""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar

import numpy as np

from spine_tf import labels
from spine_tf.configuration import record_kind, roi_config
from spine_tf.conversion import kind, roi_kind
from spine_tf.crops import cutting
from spine_tf.dicom import reasons
from spine_tf.rsna import annotations, sources
from tfrecords import example, schema

_NUM_VIEWS = len(labels.CONDITIONS)
_NO_LABEL = -1


@dataclasses.dataclass(frozen=True, kw_only=True)
class LevelRow:
    """A level of a study.

    Attributes:
        study_id: the study.
        level: index into LEVELS.
        points: those of the level, sorted by key, so that the order of a CSV changes nothing.
        grades: a severity a condition, -1 where there is none.
    """

    study_id: int
    level: int
    points: tuple[annotations.Annotation, ...]
    grades: tuple[int, ...]

    @property
    def key(self) -> str:
        """study/level."""
        return f"{self.study_id}/{labels.LEVELS[self.level]}"

    @property
    def image(self) -> tuple[int, ...]:
        """The levels of a study lie on the same slices."""
        return (self.study_id,)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LevelKind:
    """A record a study and level that has a grade or a point; a `kind.Kind` of levels.

    Its views are regions of interest around the level's points, one a condition in the order of
    CONDITIONS: spinal canal (sagittal T2), left and right foramen (sagittal T1), left and right
    recess (axial T2). Of several points of a condition the first is taken that gives a crop.
    """

    region: roi_config.RoiConfig

    name: ClassVar[str] = record_kind.LEVEL
    noun: ClassVar[str] = "level"
    read_at_once: ClassVar[str] = "studies"
    description: ClassVar[str] = (
        "Levels of the lumbar spine, five regions of interest of MRI each. Written by "
        "spine_tf.convert; manifest.json says how."
    )
    conditions: ClassVar[tuple[str, ...]] = labels.CONDITIONS
    needed: ClassVar[tuple[str, ...]] = conditions
    fixed_region: ClassVar[roi_config.RoiConfig | None] = None
    # Their crops are five times those of as many regions of interest.
    rows_per_shard: ClassVar[int] = 128
    needs_labels: ClassVar[bool] = False
    has_classes: ClassVar[bool] = False

    def schema(self) -> schema.Schema:
        """Returns the fields of a record; those of five values have one a view.

        - image: uint16 (5, roi_px, roi_px, num_slices), as in `record.record_schema`; 0 where
          there is no view.
        - window: float32 (10,), low and high of each view; 0 and 1 where there is none.
        - present: 1 where there is a view.
        - label: index into SEVERITIES, -1 where there is no grade, whether there is a view or not.
        - mirrored: 1 where the crop was flipped left-right.
        - level: index into LEVELS; study_id: of the CSV; key: `study/level`.
        """
        px, slices = self.region.roi_px, self.region.num_slices
        views = (_NUM_VIEWS,)
        return schema.Schema(
            features=(
                schema.Feature(name="image", dtype="uint16", shape=(_NUM_VIEWS, px, px, slices)),
                schema.Feature(name="window", dtype="float32", shape=(2 * _NUM_VIEWS,)),
                schema.Feature(name="present", dtype="int64", shape=views),
                schema.Feature(name="label", dtype="int64", shape=views),
                schema.Feature(name="mirrored", dtype="int64", shape=views),
                schema.Feature(name="level", dtype="int64", class_names=labels.LEVELS),
                schema.Feature(name="study_id", dtype="int64"),
                schema.Feature(name="key", dtype="bytes"),
            )
        )

    def rows(self, found: annotations.Annotations) -> list[LevelRow]:
        """Returns the levels with a grade or a point, ascending."""
        points: dict[tuple[int, int], list[annotations.Annotation]] = {}
        for row in found.rows:
            points.setdefault((row.study_id, row.level), []).append(row)
        graded = {(study, level) for study, _, level in found.severities}
        return [
            LevelRow(
                study_id=study,
                level=level,
                points=tuple(sorted(points.get((study, level), ()), key=lambda row: row.key)),
                grades=tuple(
                    found.severities.get((study, condition, level), _NO_LABEL)
                    for condition in range(_NUM_VIEWS)
                ),
            )
            for study, level in sorted(graded | points.keys())
        ]

    def images(self, rows: Iterable[LevelRow]) -> kind.Images:
        """See `roi_kind.annotated_images`."""
        points = itertools.chain.from_iterable(row.points for row in rows)
        return roi_kind.annotated_images(points, self.region)

    def read(
        self, source: sources.Source, rows: Iterable[LevelRow], unreadable: set[str]
    ) -> Iterator[kind.Made | reasons.Reject]:
        """Yields a record a row, and the points that gave no view."""
        fields = self.schema()
        by_study = sorted(rows, key=lambda row: (row.study_id, row.level))
        for _, group in itertools.groupby(by_study, key=lambda row: row.study_id):
            levels = list(group)
            points = itertools.chain.from_iterable(row.points for row in levels)
            views: dict[tuple[int, int], cutting.Crop] = {}
            for crop in cutting.read_crops(source, points, self.region, unreadable):
                if isinstance(crop, reasons.Reject):
                    yield crop
                    continue
                target = crop.annotation.level, crop.annotation.condition
                if target not in views or crop.annotation.key < views[target].annotation.key:
                    # The slices that it was cut from are not needed any more.
                    views[target] = dataclasses.replace(crop, stack=())
            for row in levels:
                of_level = {c: crop for (level, c), crop in views.items() if level == row.level}
                yield kind.Made(
                    row=row.key,
                    key=row.key,
                    data=_serialize(row, of_level, fields),
                    is_cut_short=any(crop.is_cut_short for crop in of_level.values()),
                )


def _serialize(row: LevelRow, views: Mapping[int, cutting.Crop], fields: schema.Schema) -> bytes:
    image = np.zeros(fields["image"].shape, np.uint16)
    window = np.tile(np.array([0, 1], np.float32), (_NUM_VIEWS, 1))
    present, mirrored = np.zeros((2, _NUM_VIEWS), np.int64)
    for condition, crop in views.items():
        image[condition], window[condition] = crop.image, crop.window
        present[condition], mirrored[condition] = 1, crop.is_mirrored
    return example.serialize(
        fields,
        {
            "image": image,
            "window": window.ravel(),
            "present": present,
            "label": np.array(row.grades, np.int64),
            "mirrored": mirrored,
            "level": row.level,
            "study_id": row.study_id,
            "key": row.key.encode(),
        },
    )
