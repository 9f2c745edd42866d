"""Pictures of a point: its slice, and the region around it, each with a cross."""

import collections
import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np
from PIL import Image

from spine_tf.auditing import point_checks
from spine_tf.crops import cutting, roi
from spine_tf.dicom import reasons
from spine_tf.pages import image
from spine_tf.rsna import annotations, sources

_SIDE_PX = 280
_CROP_MM = 50.0


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
    shown = image.grey(stack.slices[0], stack.window).convert("RGB")
    shown = shown.resize((width, height), Image.Resampling.BILINEAR)
    for other in others:
        if point_checks.is_on_image(other, stack.header):
            image.draw_ring(shown, *_scaled(other, stack, width, height))
    x, y = _scaled(row, stack, width, height)
    image.draw_cross(shown, min(max(x, 0), width - 1), min(max(y, 0), height - 1))
    return image.jpeg_uri(shown)


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
    shown = image.grey(region[:, :, 0], stack.window).convert("RGB")
    image.draw_cross(shown, _SIDE_PX / 2, _SIDE_PX / 2)
    return image.jpeg_uri(shown)


def _scaled(
    row: annotations.Annotation, stack: cutting.Stack, width: int, height: int
) -> tuple[float, float]:
    rows, columns = stack.header.shape
    return (row.x + 0.5) * width / columns, (row.y + 0.5) * height / rows
