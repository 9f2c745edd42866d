"""audit.html and audit.csv: what was found, first in numbers, then finding by finding."""

import collections
import dataclasses
import pathlib
from collections.abc import Iterable, Sequence

import numpy as np
from PIL import Image

from spine_tf.auditing import audit, finding, point_checks
from spine_tf.crops import roi, slice_reader
from spine_tf.dicom import reasons
from spine_tf.pages import image, template
from spine_tf.rsna import annotations, sources
from tfrecords import atomic

CSV_FILE, PAGE_FILE = "audit.csv", "audit.html"
PICTURES_PER_KIND = 6
ROWS_PER_KIND = 100

_SIDE_PX = 280
_CROP_MM = 50.0


def write(
    report_dir: pathlib.Path,
    audited: audit.Audit,
    source: sources.Source,
    *,
    name: str,
    origin: str = "",
) -> None:
    """Writes the table and the page into a directory, which is made where it is missing.

    Args:
        report_dir: where.
        audited: what to write.
        source: gives the pixels of the pictures.
        name: the data set's name, for the heading.
        origin: what `page_origin` says of the page's making; "" leaves it out.
    """
    report_dir.mkdir(parents=True, exist_ok=True)
    atomic.write_text(report_dir / PAGE_FILE, render(audited, source, name=name, origin=origin))
    atomic.write_text(report_dir / CSV_FILE, finding.to_csv(audited.findings))


def render(audited: audit.Audit, source: sources.Source, *, name: str, origin: str = "") -> str:
    """Returns the page."""
    groups = finding.by_kind(audited.findings)
    shown = {kind: _shown(found) for kind, found in groups.items()}
    rows = [item.row for found in shown.values() for item in found if item.row is not None]
    return template.load("spine_tf.auditing", "audit.html.jinja").render(
        name=name,
        origin=origin,
        audited=audited,
        groups=groups,
        num_studies={kind: finding.num_studies(found) for kind, found in groups.items()},
        passed=[kind for kind in finding.Kind if kind not in groups],
        shown=shown,
        pictures=_draw(source, rows, audited.rows),
        rows_per_kind=ROWS_PER_KIND,
    )


def _shown(found: list[finding.Finding]) -> list[finding.Finding]:
    """The first few that have a point to show."""
    return [item for item in found if item.row is not None][:PICTURES_PER_KIND]


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Picture:
    """A point's slice, and the region around it, each with a cross: data URIs.

    Attributes:
        whole: the slice; the cross of a point off the image is at its edge.
        crop: 50 mm around the point; black outside the image.
    """

    whole: str
    crop: str


def _draw(
    source: sources.Source,
    wanted: Iterable[annotations.Annotation],
    all_rows: Sequence[annotations.Annotation],
) -> dict[str, _Picture]:
    """The pictures of rows by key, with others' points; a slice that can't be decoded has none."""
    reader = slice_reader.SliceReader(source, num_slices=1)
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
        pictures[row.key] = _Picture(whole=_whole(stack, row, others), crop=_crop(stack, row))
    return pictures


def _whole(
    stack: slice_reader.Stack,
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


def _crop(stack: slice_reader.Stack, row: annotations.Annotation) -> str:
    """The point may be anywhere: a region that doesn't touch the image is black."""
    rows, columns = stack.header.shape
    center_xy = (
        float(np.float32(min(max(row.x, -columns), 2 * columns))),
        float(np.float32(min(max(row.y, -rows), 2 * rows))),
    )
    square = roi.Square(
        shape=stack.header.shape,
        spacing=stack.header.spacing,
        roi_mm=_CROP_MM,
        roi_px=_SIDE_PX,
    )
    region = roi.crop_stack(stack.slices, square.bands([center_xy]))
    shown = image.grey(region[:, :, 0], stack.window).convert("RGB")
    image.draw_cross(shown, _SIDE_PX / 2, _SIDE_PX / 2)
    return image.jpeg_uri(shown)


def _scaled(
    row: annotations.Annotation, stack: slice_reader.Stack, width: int, height: int
) -> tuple[float, float]:
    rows, columns = stack.header.shape
    return (row.x + 0.5) * width / columns, (row.y + 0.5) * height / rows
