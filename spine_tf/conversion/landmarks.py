"""Records of slices with their points, for networks that find points: what both planes share.

A record shows what a localiser looks at: a window of `spine_tf.crops.windows`. Its points are
annotated on its own stack, or carried over from another one through the patient.
"""

import abc
import dataclasses
import hashlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import ClassVar

import numpy as np

from spine_tf.configuration import roi_config
from spine_tf.conversion import kind, study_row
from spine_tf.crops import cutting, imaged_study, known_points, slice_reader, windows
from spine_tf.dicom import reasons
from spine_tf.rsna import layout, sources
from tfrecords import example, schema

# A study gives about twenty records of 0.4 MB.
STUDIES_PER_SHARD = 16

# Of the slices that are neither annotated nor beside such a one, one in so many is taken.
_ONE_IN = 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class Look:
    """A record to be.

    Attributes:
        window: what it shows.
        key: its own.
        points: those of its channels, None where one isn't known: the others' channels are masked.
        slot: of its slice in its stack.
        more: fields of one plane alone.
    """

    window: windows.Window
    key: str
    points: Sequence[known_points.Sight | None]
    slot: int
    more: dict[str, int]


def region(side_mm: float) -> roi_config.RoiConfig:
    """Returns the region of interest that a window is."""
    return roi_config.RoiConfig(
        roi_mm=side_mm,
        roi_px=windows.SIDE_PX,
        num_slices=windows.NUM_SLICES,
        mirror_right=False,
    )


def make_schema(num_points: int, more: schema.Feature) -> schema.Schema:
    """Returns the fields of a record.

    - image: resampled stored values, uint16 (256, 256, 3), not windowed; window: of the whole
      middle slice, as in `record.record_schema`.
    - point_xy: column and row on the image of each point, one after the other; integers are pixel
      centres; a point may lie off it.
    - point_slices: how many slices each point's own slice is off the middle one, from 0.
    - point_known: 1 where a point is known; where it isn't, both others are 0 and say nothing.
    - study_id, series_id, instance_number: the middle slice; center_xy: px (column, row) of the
      image's middle there; pixel_spacing: mm (row, column).
    - key: unique in the directory.

    Args:
        num_points: of a record.
        more: the field of one plane alone.
    """
    side = windows.SIDE_PX
    return schema.Schema(
        features=(
            schema.Feature(name="image", dtype="uint16", shape=(side, side, windows.NUM_SLICES)),
            schema.Feature(name="window", dtype="float32", shape=(2,)),
            schema.Feature(name="point_xy", dtype="float32", shape=(2 * num_points,)),
            schema.Feature(name="point_slices", dtype="float32", shape=(num_points,)),
            schema.Feature(name="point_known", dtype="int64", shape=(num_points,)),
            schema.Feature(name="study_id", dtype="int64"),
            schema.Feature(name="series_id", dtype="int64"),
            schema.Feature(name="instance_number", dtype="int64"),
            schema.Feature(name="center_xy", dtype="float32", shape=(2,)),
            schema.Feature(name="pixel_spacing", dtype="float32", shape=(2,)),
            schema.Feature(name="key", dtype="bytes"),
            more,
        )
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class SlicesKind(abc.ABC):
    """What both planes have in common as a `kind.Kind` of studies, whose labels nobody needs."""

    region: roi_config.RoiConfig

    noun: ClassVar[str] = "study"
    read_at_once: ClassVar[str] = "studies"
    rows_per_shard: ClassVar[int] = STUDIES_PER_SHARD
    needs_labels: ClassVar[bool] = False
    has_classes: ClassVar[bool] = False

    @abc.abstractmethod
    def schema(self) -> schema.Schema:
        """Returns the fields of a record, see `make_schema`."""

    @abc.abstractmethod
    def choose(
        self, study: imaged_study.ImagedStudy, known: Sequence[known_points.KnownPoint]
    ) -> Iterator[Look]:
        """Chooses a study's records, those of a series together, ascending along the normal."""

    def images(self, rows: Iterable[study_row.StudyRow]) -> kind.Images:
        """See `study_row.images`."""
        return study_row.images(rows)

    def read(
        self, source: sources.Source, rows: Iterable[study_row.StudyRow], unreadable: set[str]
    ) -> Iterator[kind.Made | reasons.Reject]:
        """Yields the records of studies, points that have no place, slices that can't be used."""
        reader = slice_reader.SliceReader(source, windows.NUM_SLICES, unreadable)
        fields = self.schema()
        for row in rows:
            study = imaged_study.read(source, row.study_id, dict(row.series))
            unreadable.update(study.unreadable)
            known, rejects = known_points.place(source, study, row.points)
            yield from rejects
            for look in self.choose(study, known):
                try:
                    crop = windows.cut(look.window, reader)
                except reasons.Rejected as rejected:
                    yield _reject(source, look, rejected)
                    continue
                yield kind.Made(
                    row=row.key,
                    key=look.key,
                    data=_serialize(look, crop, fields),
                    is_cut_short=crop.is_cut_short,
                )


def _reject(source: sources.Source, look: Look, rejected: reasons.Rejected) -> reasons.Reject:
    window = look.window
    image = window.study_id, window.series_id, window.instance_number
    return reasons.Reject(
        key=look.key,
        reason=rejected.reason,
        detail=rejected.detail,
        file=layout.image_name(source.side, *image),
    )


def _serialize(look: Look, crop: cutting.Crop, fields: schema.Schema) -> bytes:
    window = look.window
    return example.serialize(
        fields,
        {
            "image": crop.image,
            "window": np.array(crop.window, np.float32),
            **_targets(look),
            "study_id": window.study_id,
            "series_id": window.series_id,
            "instance_number": window.instance_number,
            "center_xy": np.array(crop.center_xy, np.float32),
            "pixel_spacing": np.array(crop.spacing, np.float32),
            "key": look.key.encode(),
            **look.more,
        },
    )


def _targets(look: Look) -> dict[str, np.ndarray]:
    count = len(look.points)
    places = np.zeros((count, 2), np.float32)
    slices, known = np.zeros(count, np.float32), np.zeros(count, np.int64)
    for index, sight in enumerate(look.points):
        if sight is not None:
            places[index], _ = look.window.locate(sight.point)
            slices[index], known[index] = sight.slices_from(look.slot), 1
    return {"point_xy": places.ravel(), "point_slices": slices, "point_known": known}


def around(sights: Iterable[known_points.Sight], stack: imaged_study.SliceStack) -> set[int]:
    """Returns the planes that show points, and the planes beside them.

    A point that is carried over is shown by the nearest plane, unless it lies beyond the stack or
    in a gap of it.
    """
    slots = stack.slots
    shown = {round(sight.at) for sight in sights} & set(slots)
    return {
        plane
        for plane, slot in enumerate(slots)
        if not shown.isdisjoint((slot - 1, slot, slot + 1))
    }


def others(stack: imaged_study.SliceStack, taken: Collection[int]) -> list[int]:
    """Returns one in eight of a stack's other planes, by a hash of the image."""
    return [
        plane
        for plane, number in enumerate(stack.numbers)
        if plane not in taken and _is_chosen(f"{stack.study_id}/{stack.series_id}/{number}")
    ]


def _is_chosen(image: str) -> bool:
    return hashlib.sha256(image.encode()).digest()[0] % _ONE_IN == 0
