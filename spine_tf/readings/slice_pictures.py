"""The slices of a study as a reader checks them, each with the points that lie on it or near it.

A picture is a plain slice; marks are data beside it, so that a page can draw, print or drag them.
"""

import collections
import dataclasses
from collections.abc import Iterable, Sequence

from PIL import Image

from spine_tf import labels
from spine_tf.crops import imaged_study, slice_reader
from spine_tf.dicom import geometry, reasons
from spine_tf.localization import localization, point_figures
from spine_tf.pages import image
from spine_tf.rsna import annotations, sources

_SAGITTAL_PX, _AXIAL_PX = 440, 320
# Axial slices are cut to what is around the spine.
_AXIAL_MM = 100.0
# So far from a slice a point is still shown on it: foramina of a bent spine, recesses of a level.
_SAGITTAL_NEAR_MM, _AXIAL_NEAR_MM = 12.0, 8.0
_MOST_SLICES = 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mark:
    """A point on a picture.

    Attributes:
        row: the point.
        x, y: column and row on the picture, in its pixels.
        name: its level, or its side.
        is_near: it lies on another slice, and is shown where this one is nearest to it.
    """

    row: annotations.Annotation
    x: float
    y: float
    name: str
    is_near: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class SlicePicture:
    """A slice, or a part of one, with its points.

    Attributes:
        uri: the picture, as an address that carries it.
        width, height: in pixels.
        words: what it shows.
        series_id, instance_number: the slice.
        is_axial: it shows one level, else all of them.
        left, top: where the picture's corner is on the slice, in its pixels.
        pixels: how many pixels of the slice one of the picture is wide and high.
        marks: its points.
    """

    uri: str
    width: int
    height: int
    words: str
    series_id: int
    instance_number: int
    is_axial: bool
    left: float
    top: float
    pixels: tuple[float, float]
    marks: tuple[Mark, ...]


def draw(
    result: localization.StudyResult, source: sources.Source, failed: set[str] | None = None
) -> list[SlicePicture]:
    """Returns the pictures of a study: canal, each side's foramina, then recesses level by level.

    Of a structure the slice with most of its points is shown, and another where some lie too far
    from that; without any, the middle one. A slice that can't be decoded has no picture: its file
    is added to `failed`.
    """
    drawer = _Drawer(result, source, failed)
    found: list[SlicePicture] = []
    for condition in (0, 1, 2):
        rows = [row for row in result.points if row.condition == condition]
        found += drawer.pictures(rows, is_axial=False)
    found = found or drawer.unmarked(result.study.sagittal)
    recesses = [row for row in result.points if row.condition in point_figures.GROUPS["recess"]]
    for level in range(len(labels.LEVELS)):
        rows = [row for row in recesses if row.level == level]
        found += drawer.pictures(rows, is_axial=True)
    return found


def draw_slice(
    result: localization.StudyResult, source: sources.Source, row: annotations.Annotation
) -> SlicePicture | None:
    """Returns the slice that one point lies on, with that point alone; None where unreadable."""
    is_axial = row.condition in point_figures.GROUPS["recess"]
    return _Drawer(result, source).alone(row, is_axial=is_axial)


class _Drawer:
    """Draws the slices of one study."""

    def __init__(
        self,
        result: localization.StudyResult,
        source: sources.Source,
        failed: set[str] | None = None,
    ) -> None:
        self._places = point_figures.Places(result.study)
        self._reader = slice_reader.SliceReader(source, num_slices=1, failed=failed)
        self._study = result.study.study_id

    def pictures(
        self, rows: Sequence[annotations.Annotation], *, is_axial: bool
    ) -> list[SlicePicture]:
        """Returns the slices that show these points."""
        found: list[SlicePicture] = []
        waiting = list(rows)
        for _ in range(_MOST_SLICES):
            if not waiting:
                break
            at = _fullest(waiting)
            seen = {row.key: place for row in rows if (place := self._place(row, at, is_axial))}
            waiting = [row for row in waiting if row.key not in seen]
            shown = [(row, seen[row.key]) for row in rows if row.key in seen]
            picture = self._picture(at, shown, is_axial=is_axial)
            if picture is not None:
                found.append(picture)
        return found

    def unmarked(self, stacks: Sequence[imaged_study.SliceStack]) -> list[SlicePicture]:
        """Returns the middle slice of the first stack."""
        for stack in stacks[:1]:
            number = stack.numbers[len(stack.numbers) // 2]
            picture = self._picture((self._study, stack.series_id, number), (), is_axial=False)
            return [] if picture is None else [picture]
        return []

    def alone(self, row: annotations.Annotation, *, is_axial: bool) -> SlicePicture | None:
        """Returns a point's slice, without any other point."""
        return self._picture(row.image, [(row, (row.x, row.y))], is_axial=is_axial)

    def _place(
        self, row: annotations.Annotation, at: tuple[int, int, int], is_axial: bool
    ) -> tuple[float, float] | None:
        """Where a point is on a slice; None where it is on none near to it."""
        if row.image == at:
            return row.x, row.y
        point, own = self._places.point(row), self._places.plane(row)
        other = self._places.plane(dataclasses.replace(row, series_id=at[1], instance_number=at[2]))
        if point is None or own is None or other is None or own[0].frame != other[0].frame:
            return None
        place, distance = geometry.locate(point.tolist(), other[0].headers[other[1]])
        near = _AXIAL_NEAR_MM if is_axial else _SAGITTAL_NEAR_MM
        return place if abs(distance) <= near else None

    def _picture(
        self,
        at: tuple[int, int, int],
        shown: Sequence[tuple[annotations.Annotation, tuple[float, float]]],
        *,
        is_axial: bool,
    ) -> SlicePicture | None:
        try:
            stack = self._reader.read_stack(*at)
        except reasons.Rejected:
            return None
        box = _box([place for _, place in shown], stack, is_axial=is_axial)
        size = _size(box, stack.header.spacing, _AXIAL_PX if is_axial else _SAGITTAL_PX)
        pixels = (box[2] - box[0]) / size[0], (box[3] - box[1]) / size[1]
        drawn = image.grey(stack.slices[0], stack.window)
        drawn = drawn.resize(size, Image.Resampling.BILINEAR, box=box)
        return SlicePicture(
            uri=image.jpeg_uri(drawn),
            width=size[0],
            height=size[1],
            words=_in_words([row for row, _ in shown], at),
            series_id=at[1],
            instance_number=at[2],
            is_axial=is_axial,
            left=box[0] - 0.5,
            top=box[1] - 0.5,
            pixels=pixels,
            marks=tuple(
                Mark(
                    row=row,
                    x=(x + 0.5 - box[0]) / pixels[0],
                    y=(y + 0.5 - box[1]) / pixels[1],
                    name=_name(row, is_axial=is_axial),
                    is_near=row.image != at,
                )
                for row, (x, y) in shown
            ),
        )


def _fullest(rows: Iterable[annotations.Annotation]) -> tuple[int, int, int]:
    """The image of most rows; of several the first."""
    return collections.Counter(row.image for row in rows).most_common(1)[0][0]


def _box(
    places: Sequence[tuple[float, float]], stack: slice_reader.Stack, *, is_axial: bool
) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of what is shown, in pixels of the slice from its corner."""
    rows, columns = stack.header.shape
    if not is_axial:
        return 0.0, 0.0, float(columns), float(rows)
    spacing = stack.header.spacing
    sides = [
        min(_AXIAL_MM / mm, length)
        for mm, length in zip(spacing[::-1], (columns, rows), strict=True)
    ]
    middle = [sum(part) / len(places) + 0.5 for part in zip(*places, strict=True)]
    left, top = (
        min(max(at - side / 2, 0.0), length - side)
        for at, side, length in zip(middle, sides, (columns, rows), strict=True)
    )
    return left, top, left + sides[0], top + sides[1]


def _size(
    box: tuple[float, float, float, float], spacing: tuple[float, float], side_px: int
) -> tuple[int, int]:
    """Width and height of the picture, its longer side `side_px`; millimetres keep their aspect."""
    width_mm, height_mm = (box[2] - box[0]) * spacing[1], (box[3] - box[1]) * spacing[0]
    scale = side_px / max(width_mm, height_mm)
    return max(round(width_mm * scale), 1), max(round(height_mm * scale), 1)


def _name(row: annotations.Annotation, *, is_axial: bool) -> str:
    if is_axial:
        return labels.side_of(labels.CONDITIONS[row.condition]) or ""
    return labels.in_words(labels.LEVELS[row.level])


def _in_words(rows: Sequence[annotations.Annotation], at: tuple[int, int, int]) -> str:
    if not rows:
        return f"no point was found: series {at[1]}, image {at[2]}"
    names = {0: "spinal canal", 1: "left neural foramina", 2: "right neural foramina"}
    what = names.get(rows[0].condition, "lateral recesses")
    levels = ", ".join(
        labels.in_words(labels.LEVELS[level]) for level in sorted({row.level for row in rows})
    )
    return f"{what}, {levels}: series {at[1]}, image {at[2]}"
