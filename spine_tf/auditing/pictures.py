"""Pictures of a point: its slice, and the region around it, each with a cross."""

import base64
import collections
import dataclasses
import io
from collections.abc import Iterable, Sequence

import numpy as np
from PIL import Image, ImageDraw

from spine_tf.auditing import point_checks
from spine_tf.crops import cutting, roi
from spine_tf.dicom import reasons
from spine_tf.rsna import annotations, sources

_SIDE_PX = 280
_CROP_MM = 50.0
_ARM_PX, _GAP_PX, _DOT_PX = 18, 5, 4
_CROSS, _DOT, _RIM = (255, 150, 20), (80, 200, 255), (0, 0, 0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Picture:
    """Two images as data URIs.

    Attributes:
        whole: the slice; the cross of a point off the image is at its edge.
        crop: 50 mm around the point; black outside the image.
    """

    whole: str
    crop: str


def draw(
    source: sources.Source,
    wanted: Iterable[annotations.Annotation],
    all_rows: Sequence[annotations.Annotation],
) -> dict[str, Picture]:
    """Returns the pictures of rows by key; a slice that can't be decoded has none.

    Args:
        source: where the images are.
        wanted: rows to draw.
        all_rows: other points on the same slices are drawn as dots.
    """
    reader = cutting.SliceReader(source, num_slices=1)
    by_image = collections.defaultdict(list)
    for row in all_rows:
        by_image[row.image].append(row)
    pictures = {}
    for row in wanted:
        try:
            stack = reader.read_stack(*row.image)
        except reasons.Rejected:
            continue
        others = [other for other in by_image[row.image] if other != row]
        pictures[row.key] = Picture(whole=_whole(stack, row, others), crop=_crop(stack, row))
    return pictures


def _whole(
    stack: cutting.Stack,
    row: annotations.Annotation,
    others: Iterable[annotations.Annotation],
) -> str:
    rows, columns = stack.header.shape
    size_mm = rows * stack.header.spacing[0], columns * stack.header.spacing[1]
    scale = _SIDE_PX / max(size_mm)
    height, width = (max(1, round(length * scale)) for length in size_mm)
    image = _grey(stack.slices[0], stack.window).resize((width, height), Image.Resampling.BILINEAR)
    drawing = ImageDraw.Draw(image)
    for other in others:
        if point_checks.is_on_image(other, stack.header):
            _draw_dot(drawing, _scaled(other, stack, width, height))
    x, y = _scaled(row, stack, width, height)
    _draw_cross(drawing, min(max(x, 0), width - 1), min(max(y, 0), height - 1))
    return _to_uri(image)


def _crop(stack: cutting.Stack, row: annotations.Annotation) -> str:
    """The point may be anywhere: a region that doesn't touch the image is black."""
    rows, columns = stack.header.shape
    center_xy = (
        float(np.float32(min(max(row.x, -columns), 2 * columns))),
        float(np.float32(min(max(row.y, -rows), 2 * rows))),
    )
    region = roi.crop_stack(
        stack.slices,
        center_xy=center_xy,
        spacing=stack.header.spacing,
        roi_mm=_CROP_MM,
        roi_px=_SIDE_PX,
    )
    image = _grey(region[:, :, 0], stack.window)
    _draw_cross(ImageDraw.Draw(image), _SIDE_PX / 2, _SIDE_PX / 2)
    return _to_uri(image)


def _scaled(
    row: annotations.Annotation, stack: cutting.Stack, width: int, height: int
) -> tuple[float, float]:
    rows, columns = stack.header.shape
    return (row.x + 0.5) * width / columns, (row.y + 0.5) * height / rows


def _grey(values: np.ndarray, window: tuple[float, float]) -> Image.Image:
    low, high = window
    scaled = np.clip((values.astype(np.float64) - low) / max(high - low, 1), 0, 1)
    return Image.fromarray(np.rint(255 * scaled).astype(np.uint8)).convert("RGB")


def _draw_cross(drawing: ImageDraw.ImageDraw, x: float, y: float) -> None:
    """Four arms around a gap, so that what is marked stays visible."""
    for colour, width in ((_RIM, 5), (_CROSS, 3)):
        for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            start = x + dx * _GAP_PX, y + dy * _GAP_PX
            end = x + dx * _ARM_PX, y + dy * _ARM_PX
            drawing.line([start, end], fill=colour, width=width)


def _draw_dot(drawing: ImageDraw.ImageDraw, center: tuple[float, float]) -> None:
    x, y = center
    box = (x - _DOT_PX, y - _DOT_PX, x + _DOT_PX, y + _DOT_PX)
    drawing.ellipse(box, outline=_DOT, width=2)


def _to_uri(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
