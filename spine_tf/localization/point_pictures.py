"""Slices with their points and levels, as a reader checks them: a few pictures a study."""

import collections
import dataclasses
from collections.abc import Iterable, Sequence

from PIL import Image, ImageDraw, ImageFont

from spine_tf import labels
from spine_tf.crops import slice_reader
from spine_tf.dicom import reasons
from spine_tf.localization import point_figures
from spine_tf.pages import image
from spine_tf.rsna import annotations

_SIDE_PX = 300
# Axial slices are cut to what is around the spine.
_AXIAL_MM = 100.0
_LETTER_PX = 13
_INK, _RIM = (255, 214, 120), (0, 0, 0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SlicePicture:
    """A slice with its points.

    Attributes:
        uri: the picture, as an address that carries it.
        words: what it shows.
    """

    uri: str
    words: str


def draw(
    points: Sequence[annotations.Annotation], reader: slice_reader.SliceReader
) -> list[SlicePicture]:
    """Returns the pictures of a study's points: canal, foramina, then recesses level by level.

    Of a structure on several sagittal slices those with most points are shown; a slice that can't
    be decoded has none.
    """
    found = []
    for group, conditions in point_figures.GROUPS.items():
        rows = [row for row in points if row.condition in conditions]
        for on_slice in _slices(rows, 2 if group == "foramen" else 1, is_axial=group == "recess"):
            picture = _draw(on_slice, reader, is_axial=group == "recess")
            if picture is not None:
                found.append(picture)
    return found


def _slices(
    rows: Iterable[annotations.Annotation], most: int, *, is_axial: bool
) -> list[list[annotations.Annotation]]:
    """The points of the slices that are shown; of axial ones, those of the middle of each level."""
    by_slice = collections.defaultdict(list)
    for row in rows:
        by_slice[row.image, row.level if is_axial else None].append(row)
    fullest = sorted(by_slice.values(), key=lambda one: -len(one))
    if not is_axial:
        return fullest[:most]
    of_level: dict[int, list[annotations.Annotation]] = {}
    for one in fullest:
        of_level.setdefault(one[0].level, one)
    return [of_level[level] for level in sorted(of_level)]


def _draw(
    rows: Sequence[annotations.Annotation], reader: slice_reader.SliceReader, *, is_axial: bool
) -> SlicePicture | None:
    try:
        stack = reader.read_stack(*rows[0].image)
    except reasons.Rejected:
        return None
    (rows_px, columns_px), (down_mm, across_mm) = stack.header.shape, stack.header.spacing
    height_mm, width_mm = rows_px * down_mm, columns_px * across_mm
    scale = _SIDE_PX / max(height_mm, width_mm)
    zoom = max(1.0, max(height_mm, width_mm) / _AXIAL_MM) if is_axial else 1.0
    size = round(width_mm * scale * zoom), round(height_mm * scale * zoom)
    shown = image.grey(stack.slices[0], stack.window).convert("RGB")
    shown = shown.resize(size, Image.Resampling.BILINEAR)
    places = [_scaled(row, stack, size) for row in rows]
    for row, place in zip(rows, places, strict=True):
        _mark(shown, row, place, is_axial=is_axial)
    if is_axial:
        shown = shown.crop(_box(places, size))
    return SlicePicture(uri=image.jpeg_uri(shown), words=_in_words(rows))


def _scaled(
    row: annotations.Annotation, stack: slice_reader.Stack, size: tuple[int, int]
) -> tuple[float, float]:
    rows, columns = stack.header.shape
    return (row.x + 0.5) * size[0] / columns, (row.y + 0.5) * size[1] / rows


def _box(places: Sequence[tuple[float, float]], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """A square around the points, on the picture."""
    middle = [sum(part) / len(places) for part in zip(*places, strict=True)]
    left, top = (
        round(min(max(at - _SIDE_PX / 2, 0), max(length - _SIDE_PX, 0)))
        for at, length in zip(middle, size, strict=True)
    )
    return left, top, left + min(_SIDE_PX, size[0]), top + min(_SIDE_PX, size[1])


def _mark(
    shown: Image.Image,
    row: annotations.Annotation,
    place: tuple[float, float],
    *,
    is_axial: bool,
) -> None:
    """A ring, or a cross where the point is flagged, and the level or side beside it."""
    (image.draw_cross if row.flag else image.draw_ring)(shown, *place)
    name = labels.side_of(labels.CONDITIONS[row.condition]) if is_axial else _level(row)
    x, y = place
    ImageDraw.Draw(shown).text(
        (x - 14, y + 8) if is_axial else (x + 10, y - 8),
        name or "",
        fill=_INK,
        font=ImageFont.load_default(_LETTER_PX),
        stroke_width=2,
        stroke_fill=_RIM,
    )


def _level(row: annotations.Annotation) -> str:
    return labels.LEVELS[row.level].replace("_", "/").upper()


def _in_words(rows: Sequence[annotations.Annotation]) -> str:
    group = point_figures.group_of(rows[0].condition)
    levels = sorted({row.level: _level(row) for row in rows}.items())
    names = {"canal": "spinal canal", "foramen": "neural foramina", "recess": "lateral recesses"}
    return (
        f"{names[group]}, {', '.join(name for _, name in levels)}: series {rows[0].series_id}, "
        f"image {rows[0].instance_number}"
    )
