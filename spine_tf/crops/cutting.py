"""From annotations to crops: each image is read and decoded once, whatever the rows on it."""

import dataclasses
import functools
import itertools
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from spine_tf.configuration import roi_config
from spine_tf.crops import roi, slice_reader
from spine_tf.dicom import geometry, header, reasons
from spine_tf.processes import pool
from spine_tf.rsna import annotations, layout, sources

# Rows that a worker cuts and hands on at once: its memory stays flat, and its reader's.
_BATCH_ROWS = 64


@dataclasses.dataclass(frozen=True, kw_only=True)
class Crop:
    """One region of interest, and what it was cut from.

    Attributes:
        annotation: the row.
        image: uint16 (roi_px, roi_px, num_slices), stored values, mirrored if so.
        window: 0.5 and 99.5 percentile of what `region.window` says, stored values.
        centers_xy: column and row in pixels of the same place on each slice, float32 values.
        spacing: mm between rows and between columns, float32 values.
        is_mirrored: the image was flipped left-right.
        is_cut_short: as `stacks.Neighbours` has it.
        stack: the whole slices, uint16 (rows, columns) each, not mirrored.
    """

    annotation: annotations.Annotation
    image: np.ndarray
    window: tuple[float, float]
    centers_xy: tuple[tuple[float, float], ...]
    spacing: tuple[float, float]
    is_mirrored: bool
    is_cut_short: bool
    stack: tuple[np.ndarray, ...]

    @property
    def center_xy(self) -> tuple[float, float]:
        """The place on the annotated slice."""
        return self.centers_xy[len(self.centers_xy) // 2]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Batch:
    """Crops of some annotations.

    Attributes:
        rows: n annotations.
        images: uint16 (n, roi_px, roi_px, num_slices), stored values.
        windows: float32 (n, 2).
        rejects: annotations that gave no crop.
        failed: files of theirs that can't be read, sorted.
    """

    rows: list[annotations.Annotation]
    images: np.ndarray
    windows: np.ndarray
    rejects: list[reasons.Reject]
    failed: tuple[str, ...] = ()


def read_crops(
    source: sources.Source,
    rows: Iterable[annotations.Annotation],
    region: roi_config.RoiConfig,
    unreadable: set[str] | None = None,
    failed: set[str] | None = None,
) -> Iterator[Crop | reasons.Reject]:
    """Yields one crop or reject a row, sorted by image.

    Args:
        source: where the images are.
        rows: in any order; their labels are not looked at.
        region: what is cut out.
        unreadable: gets the files of a row's series that could be no neighbour, or gave nothing to
            the series' window, being unreadable.
        failed: gets the files that were asked for their pixels and have none to give.
    """
    reader = slice_reader.SliceReader(
        source,
        region.num_slices,
        unreadable,
        has_series_window=region.window == "series",
        failed=failed,
    )
    by_image = sorted(rows, key=lambda row: row.image)
    for image, group in itertools.groupby(by_image, key=lambda row: row.image):
        members = list(group)
        try:
            stack = reader.read_stack(*image)
        except reasons.Rejected as rejected:
            yield from (reject(source, row, rejected) for row in members)
            continue
        places = []
        for row in members:
            try:
                places.append(_find_place(stack, row, region))
            except reasons.Rejected as rejected:
                yield reject(source, row, rejected)
        for place, bands in zip(places, _find_bands(stack, places, region), strict=True):
            try:
                yield _cut(stack, place, bands, region)
            except reasons.Rejected as rejected:
                yield reject(source, place.annotation, rejected)


def reject(
    source: sources.Source, row: annotations.Annotation, rejected: reasons.Rejected
) -> reasons.Reject:
    """Returns what rejects.csv says of a row whose image gave nothing."""
    return reasons.Reject(
        key=row.key,
        reason=rejected.reason,
        detail=rejected.detail,
        file=layout.image_name(source.side, *row.image),
    )


def cut_batches(
    source: sources.Source,
    rows: Iterable[annotations.Annotation],
    region: roi_config.RoiConfig,
    *,
    num_workers: int,
) -> Iterator[Batch]:
    """Yields crops, whole series together, in the order in which processes finish.

    What is in one batch does not depend on the number of workers.

    Args:
        source, rows, region: as `read_crops` has them.
        num_workers: processes; 0 is this one.
    """
    parts = list(_parts(rows))
    narrowed = source.narrowed({row.image[:2] for part in parts for row in part})
    return pool.run_tasks(
        functools.partial(cut_batch, source=narrowed, region=region),
        parts,
        num_workers=num_workers,
        name_of=lambda part: f"the images from {part[0].key} on",
    )


def _parts(rows: Iterable[annotations.Annotation]) -> Iterator[list[annotations.Annotation]]:
    """Whole series together: a worker then decodes an image once and lists a series once."""
    by_image = sorted(rows, key=lambda row: (row.image, row.condition, row.level, row.x, row.y))
    part: list[annotations.Annotation] = []
    for _, group in itertools.groupby(by_image, key=lambda row: row.image[:2]):
        part.extend(group)
        if len(part) >= _BATCH_ROWS:
            yield part
            part = []
    if part:
        yield part


def cut_batch(
    rows: list[annotations.Annotation], *, source: sources.Source, region: roi_config.RoiConfig
) -> Batch:
    """Cuts the crops of some rows in this process."""
    found, rejects = [], []
    failed: set[str] = set()
    for item in read_crops(source, rows, region, failed=failed):
        if isinstance(item, Crop):
            found.append((item.annotation, item.image, item.window))
        else:
            rejects.append(item)
    shape = (len(found), region.roi_px, region.roi_px, region.num_slices)
    return Batch(
        rows=[row for row, _, _ in found],
        images=np.array([image for _, image, _ in found], np.uint16).reshape(shape),
        windows=np.array([window for _, _, window in found], np.float32).reshape(-1, 2),
        rejects=rejects,
        failed=tuple(sorted(failed)),
    )


def cut(
    stack: slice_reader.Stack, row: annotations.Annotation, region: roi_config.RoiConfig
) -> Crop:
    """Cuts one region out of a decoded stack.

    Raises:
        reasons.Rejected: the coordinate is off the image, or the side can't be told.
    """
    place = _find_place(stack, row, region)
    (bands,) = _find_bands(stack, [place], region)
    return _cut(stack, place, bands, region)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Place:
    """Where a row's crop lies on a stack: fields of `Crop`."""

    annotation: annotations.Annotation
    centers_xy: tuple[tuple[float, float], ...]
    is_mirrored: bool


def _find_place(
    stack: slice_reader.Stack, row: annotations.Annotation, region: roi_config.RoiConfig
) -> _Place:
    center_xy = place_on(stack.header, row)
    return _Place(
        annotation=row,
        is_mirrored=region.mirror_right and geometry.is_mirrored(row.condition, stack.header),
        centers_xy=tuple(_center_on(other, stack.header, center_xy) for other in stack.headers),
    )


def _find_bands(
    stack: slice_reader.Stack, places: Sequence[_Place], region: roi_config.RoiConfig
) -> Iterator[Sequence[roi.Bands]]:
    """Yields the weights of each place's crop, which take a third of the time if made at once."""
    square = roi.Square(
        shape=stack.header.shape,
        spacing=stack.header.spacing,
        roi_mm=region.roi_mm,
        roi_px=region.roi_px,
    )
    bands = square.bands([center_xy for place in places for center_xy in place.centers_xy])
    num_slices = len(stack.slices)
    return (bands[at : at + num_slices] for at in range(0, len(bands), num_slices))


def _cut(
    stack: slice_reader.Stack,
    place: _Place,
    bands: Sequence[roi.Bands],
    region: roi_config.RoiConfig,
) -> Crop:
    crops = roi.crop_stack(stack.slices, bands)
    is_of_crop = region.window == "crop"
    return Crop(
        annotation=place.annotation,
        image=crops[:, ::-1] if place.is_mirrored else crops,
        window=_crop_window(crops, stack, bands) if is_of_crop else stack.window,
        centers_xy=place.centers_xy,
        spacing=stack.header.spacing,
        is_mirrored=place.is_mirrored,
        is_cut_short=stack.is_cut_short,
        stack=stack.slices,
    )


def place_on(image: header.Header, row: annotations.Annotation) -> tuple[float, float]:
    """Returns the annotated column and row in pixels, float32 values.

    Raises:
        reasons.Rejected: it is off the image.
    """
    with np.errstate(over="ignore"):
        x, y = float(np.float32(row.x)), float(np.float32(row.y))
    rows, columns = image.shape
    if not (-0.5 <= x < columns - 0.5 and -0.5 <= y < rows - 0.5):
        raise reasons.Rejected(
            reasons.Reason.OFF_IMAGE,
            f"x {row.x:.9g}, y {row.y:.9g} on an image of {columns} columns and {rows} rows",
        )
    return x, y


def _center_on(
    other: header.Header, center: header.Header, center_xy: tuple[float, float]
) -> tuple[float, float]:
    """Where the place lies on a slice of its stack, float32 values."""
    if other is center:
        return center_xy
    x, y = geometry.project(center_xy, center, other)
    return float(np.float32(x)), float(np.float32(y))


def _crop_window(
    crops: np.ndarray, stack: slice_reader.Stack, bands: Sequence[roi.Bands]
) -> tuple[float, float]:
    """The percentiles of a crop's pixels that show tissue."""
    is_tissue = roi.find_tissue(stack.paddings, bands)
    if not is_tissue.any():
        raise reasons.Rejected(
            reasons.Reason.ALL_PADDING,
            "no pixel of the crop lies on the image and off its padding, so it has no window",
        )
    return roi.window(crops, None if is_tissue.all() else is_tissue)
