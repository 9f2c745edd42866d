"""Records of axial slices around a level with its recess points: `convert --kind axial`."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np

from spine_tf import labels
from spine_tf.configuration import record_kind, roi_config
from spine_tf.conversion import landmarks, study_row
from spine_tf.crops import anatomy, imaged_study, known_points, projection, windows
from spine_tf.dicom import geometry
from spine_tf.rsna import annotations
from tfrecords import schema

_CANAL = labels.CONDITIONS[0]
_RECESSES = labels.CONDITIONS[3:]

# Half a vertebra and half a disc: what lies farther off may show the recesses of the next level.
_MOST_MM = 18.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class AxialKind(landmarks.SlicesKind):
    """A record a level and slice that shows a recess or lies beside one; a `kind.Kind` of studies.

    Of the other slices one in eight is taken too, as one of the nearest level, unless they lie so
    far off that another disc may be theirs, which nobody annotated. A record lies
    around the place to which the level's canal point leads; where no sagittal series has one in
    the same frame of reference, around where it should be by the recesses. The points are the
    patient's left and right recess.
    """

    name: ClassVar[str] = record_kind.AXIAL
    description: ClassVar[str] = (
        "Axial slices of lumbar spine MRI at 0.5 mm around a level, with recess points. Written by "
        "spine_tf.convert; manifest.json says how."
    )
    conditions: ClassVar[tuple[str, ...]] = (_CANAL, *_RECESSES)
    needed: ClassVar[tuple[str, ...]] = _RECESSES
    fixed_region: ClassVar[roi_config.RoiConfig | None] = landmarks.region(windows.AXIAL_MM)

    def schema(self) -> schema.Schema:
        """See `landmarks.make_schema`; level is an index into LEVELS."""
        level = schema.Feature(name="level", dtype="int64", class_names=labels.LEVELS)
        return landmarks.make_schema(len(_RECESSES), level)

    def rows(self, found: annotations.Annotations) -> list[study_row.StudyRow]:
        """Returns the studies with a recess point."""
        recesses = {labels.CONDITIONS.index(name) for name in _RECESSES}
        return study_row.group(
            found, {row.study_id for row in found.rows if row.condition in recesses}
        )

    def choose(
        self, study: imaged_study.ImagedStudy, known: Sequence[known_points.KnownPoint]
    ) -> Iterator[landmarks.Look]:
        """See `landmarks.SlicesKind.choose`."""
        for stack in study.axial:
            shown = list(_levels(stack, known))
            if not shown:
                continue
            wanted = [(plane, one) for one in shown for plane in one.planes]
            for plane in landmarks.others(stack, {plane for plane, _ in wanted}):
                distances = [one.distance_mm(stack, plane) for one in shown]
                if min(distances) <= _MOST_MM:
                    wanted.append((plane, shown[distances.index(min(distances))]))
            for plane, one in sorted(wanted, key=lambda pair: (pair[0], pair[1].level)):
                yield _look(stack, plane, one)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _ShownLevel:
    """A level in a stack.

    Attributes:
        level: index into LEVELS.
        sights: left and right recess, None where one isn't known.
        target: mm in the patient, float64 (3,): what records of it lie around.
        planes: that show a recess or lie beside one that does.
    """

    level: int
    sights: Sequence[known_points.Sight | None]
    target: np.ndarray
    planes: set[int]

    def distance_mm(self, stack: imaged_study.SliceStack, plane: int) -> float:
        """From a plane to the nearer recess."""
        return min(
            abs(geometry.locate(sight.point, stack.headers[plane])[1])
            for sight in self.sights
            if sight is not None
        )


def _levels(
    stack: imaged_study.SliceStack, known: Sequence[known_points.KnownPoint]
) -> Iterator[_ShownLevel]:
    for level in range(len(labels.LEVELS)):
        sights = [known_points.sight(stack, known, side, level) for side in _RECESSES]
        planes = landmarks.around([sight for sight in sights if sight is not None], stack)
        if planes:
            canal = known_points.sight(stack, known, _CANAL, level)
            target = (
                _from_recesses(sights)
                if canal is None
                else projection.recess_point(np.array(canal.point), level)
            )
            yield _ShownLevel(level=level, sights=sights, target=target, planes=planes)


def _from_recesses(sights: Sequence[known_points.Sight | None]) -> np.ndarray:
    """Where the canal point would lead to: behind the recesses, on the midline."""
    lateral = (anatomy.RECESS_LATERAL_MM, -anatomy.RECESS_LATERAL_MM)
    middles = [
        np.add(sight.point, (-aside, anatomy.RECESS_IN_FRONT_MM, 0.0))
        for sight, aside in zip(sights, lateral, strict=True)
        if sight is not None
    ]
    found: np.ndarray = np.mean(middles, axis=0)
    return found


def _look(stack: imaged_study.SliceStack, plane: int, one: _ShownLevel) -> landmarks.Look:
    (window,) = windows.around_point(stack, [plane], one.target, windows.AXIAL_MM)
    image = f"{stack.study_id}/{stack.series_id}/{stack.numbers[plane]}"
    return landmarks.Look(
        window=window,
        key=f"{image}/{labels.LEVELS[one.level]}",
        points=one.sights,
        slot=stack.slots[plane],
        more={"level": one.level},
    )
