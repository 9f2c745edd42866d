"""Records of sagittal slices with canal and foramen points: `convert --kind sagittal`."""

import dataclasses
import functools
import itertools
from collections.abc import Iterator, Sequence
from typing import ClassVar

from spine_tf import labels
from spine_tf.configuration import record_kind, roi_config
from spine_tf.conversion import landmarks, study_row
from spine_tf.crops import anatomy, imaged_study, known_points, windows
from spine_tf.dicom import geometry
from spine_tf.rsna import annotations
from tfrecords import schema

_CANAL, *_FORAMINA = labels.CONDITIONS[:3]
_LEVELS = range(len(labels.LEVELS))
_SERIES_KINDS = ("T1", "T2")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SagittalKind(landmarks.SlicesKind):
    """A record a slice that shows a point or lies beside one; a `kind.Kind` of studies.

    Of all other slices one in eight is taken too. The points are canal, then foramen, L1/L2 to
    L5/S1 each; of both foramina of a level the one that is nearer in slices.
    """

    name: ClassVar[str] = record_kind.SAGITTAL
    description: ClassVar[str] = (
        "Sagittal slices of lumbar spine MRI at 1 mm, with canal and foramen points. Written by "
        "spine_tf.convert; manifest.json says how."
    )
    conditions: ClassVar[tuple[str, ...]] = (_CANAL, *_FORAMINA)
    needed: ClassVar[tuple[str, ...]] = conditions
    fixed_region: ClassVar[roi_config.RoiConfig | None] = landmarks.region(windows.SAGITTAL_MM)

    def schema(self) -> schema.Schema:
        """See `landmarks.make_schema`; series_kind says which weighting the series has."""
        series_kind = schema.Feature(name="series_kind", dtype="int64", class_names=_SERIES_KINDS)
        return landmarks.make_schema(2 * len(labels.LEVELS), series_kind)

    def rows(self, found: annotations.Annotations) -> list[study_row.StudyRow]:
        """Returns the studies with a point."""
        return study_row.group(found, {row.study_id for row in found.rows})

    def choose(
        self, study: imaged_study.ImagedStudy, known: Sequence[known_points.KnownPoint]
    ) -> Iterator[landmarks.Look]:
        """See `landmarks.SlicesKind.choose`."""
        for stack in study.sagittal:
            see = functools.partial(known_points.sight, stack, known)
            canal = [see(_CANAL, level) for level in _LEVELS]
            foramina = [[see(side, level) for side in _FORAMINA] for level in _LEVELS]
            seen = [sight for sight in itertools.chain(canal, *foramina) if sight is not None]
            if not seen:
                continue
            near = landmarks.around(seen, stack)
            squares = windows.around_middles(stack, windows.SAGITTAL_MM)
            for plane in sorted((*near, *landmarks.others(stack, near))):
                yield landmarks.Look(
                    window=squares[plane],
                    key=f"{stack.study_id}/{stack.series_id}/{stack.numbers[plane]}",
                    points=[*canal, *(_nearer(stack, plane, sides) for sides in foramina)],
                    slot=stack.slots[plane],
                    more={"series_kind": int(not stack.is_t1)},
                )


def _nearer(
    stack: imaged_study.SliceStack, plane: int, sides: Sequence[known_points.Sight | None]
) -> known_points.Sight | None:
    """The foramen that is nearer to a plane.

    Where one side alone is known, planes beyond the midline may show the other one: there nothing
    is known.
    """
    left, right = sides
    if left is not None and right is not None:
        return min(left, right, key=lambda sight: sight.slices_from(stack.slots[plane]))
    one = left or right
    if one is None:
        return None
    _, along_normal = geometry.locate(one.point, stack.headers[plane])
    toward_left = -along_normal * stack.normal[0]
    is_beyond = (-toward_left if left else toward_left) > anatomy.FORAMEN_LATERAL_MM
    return None if is_beyond else one
