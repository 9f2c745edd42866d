"""From annotations to crops: each image is read and decoded once, whatever the rows on it."""

import collections
import dataclasses
import functools
import itertools
from collections.abc import Iterable, Iterator

import numpy as np

from spine_tf.configuration import roi_config
from spine_tf.crops import roi
from spine_tf.dicom import elements, geometry, header as header_module, pixels, reasons
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
        center_xy: column and row in pixels, float32 values.
        spacing: mm between rows and between columns, float32 values.
        is_mirrored: the image was flipped left-right.
        stack: the whole slices, uint16 (rows, columns) each, not mirrored.
    """

    annotation: annotations.Annotation
    image: np.ndarray
    window: tuple[float, float]
    center_xy: tuple[float, float]
    spacing: tuple[float, float]
    is_mirrored: bool
    stack: tuple[np.ndarray, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Batch:
    """Crops of some annotations.

    Attributes:
        rows: n annotations.
        images: uint16 (n, roi_px, roi_px, num_slices), stored values.
        windows: float32 (n, 2).
        rejects: annotations that gave no crop.
    """

    rows: list[annotations.Annotation]
    images: np.ndarray
    windows: np.ndarray
    rejects: list[reasons.Reject]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stack:
    """An annotated slice with its neighbours, decoded.

    Attributes:
        slices: uint16 (rows, columns) each, stored values on the annotated slice's scale.
        window: of the annotated slice, or of its series.
        header: of the annotated slice.
    """

    slices: tuple[np.ndarray, ...]
    window: tuple[float, float]
    header: header_module.Header


def read_crops(
    source: sources.Source,
    rows: Iterable[annotations.Annotation],
    region: roi_config.RoiConfig,
    unreadable: set[str] | None = None,
) -> Iterator[Crop | reasons.Reject]:
    """Yields one crop or reject a row, sorted by image.

    Args:
        source: where the images are.
        rows: in any order; their labels are not looked at.
        region: what is cut out.
        unreadable: gets the files of a row's series that could be no neighbour, or gave nothing to
            the series' window, being unreadable.
    """
    reader = SliceReader(
        source, region.num_slices, unreadable, has_series_window=region.window == "series"
    )
    by_image = sorted(rows, key=lambda row: row.image)
    for image, group in itertools.groupby(by_image, key=lambda row: row.image):
        members = list(group)
        try:
            stack = reader.read_stack(*image)
        except reasons.Rejected as rejected:
            yield from (_reject(source, row, rejected) for row in members)
            continue
        for row in members:
            try:
                yield cut(stack, row, region)
            except reasons.Rejected as rejected:
                yield _reject(source, row, rejected)


def _reject(
    source: sources.Source, row: annotations.Annotation, rejected: reasons.Rejected
) -> reasons.Reject:
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
        num_workers: processes.
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
    for item in read_crops(source, rows, region):
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
    )


def cut(stack: Stack, row: annotations.Annotation, region: roi_config.RoiConfig) -> Crop:
    """Cuts one region out of a decoded stack.

    Raises:
        reasons.Rejected: the coordinate is off the image, or the side can't be told.
    """
    with np.errstate(over="ignore"):
        center_xy = float(np.float32(row.x)), float(np.float32(row.y))
    rows, columns = stack.header.shape
    if not (-0.5 <= center_xy[0] < columns - 0.5 and -0.5 <= center_xy[1] < rows - 0.5):
        raise reasons.Rejected(
            reasons.Reason.OFF_IMAGE,
            f"x {row.x:.9g}, y {row.y:.9g} on an image of {columns} columns and {rows} rows",
        )
    is_mirrored = region.mirror_right and geometry.is_mirrored(row.condition, stack.header)
    crops = roi.crop_stack(
        stack.slices,
        center_xy=center_xy,
        spacing=stack.header.spacing,
        roi_mm=region.roi_mm,
        roi_px=region.roi_px,
    )
    return Crop(
        annotation=row,
        image=crops[:, ::-1] if is_mirrored else crops,
        window=roi.window(crops) if region.window == "crop" else stack.window,
        center_xy=center_xy,
        spacing=stack.header.spacing,
        is_mirrored=is_mirrored,
        stack=stack.slices,
    )


class SliceReader:
    """Reads stacks; keeps the headers and the decoded slices of the series it is in."""

    def __init__(
        self,
        source: sources.Source,
        num_slices: int,
        unreadable: set[str] | None = None,
        *,
        has_series_window: bool = False,
    ) -> None:
        """Args: as `read_crops` has them; a series window reads all slices, once a series."""
        self._source = source
        self._num_slices = num_slices
        self._has_series_window = has_series_window
        self._unreadable = set() if unreadable is None else unreadable
        self._series: tuple[int, int] | None = None
        self._headers: dict[int, header_module.Header] = {}
        self._decoded: collections.OrderedDict[int, tuple[header_module.Header, np.ndarray]] = (
            collections.OrderedDict()
        )
        self._windows: dict[tuple[object, ...], tuple[float, float]] = {}

    def read_stack(self, study_id: int, series_id: int, instance_number: int) -> Stack:
        """Reads a slice and its neighbours.

        Raises:
            reasons.Rejected: one of the files can't be used.
        """
        self._enter(study_id, series_id)
        center, array = self._slice(instance_number)
        values = pixels.stored_values(array, center, center)
        numbers = [instance_number]
        if self._num_slices > 1:
            headers = {**self.series_headers(study_id, series_id), instance_number: center}
            numbers = geometry.neighbours(instance_number, headers, self._num_slices)
        slices = []
        for number in numbers:
            if number == instance_number:
                slices.append(values)
            else:
                other, other_array = self._slice(number)
                slices.append(pixels.stored_values(other_array, other, center))
        window = (
            self._series_window(instance_number, center, array)
            if self._has_series_window
            else roi.window(values)
        )
        return Stack(slices=tuple(slices), window=window, header=center)

    def _series_window(
        self, instance_number: int, center: header_module.Header, center_array: np.ndarray
    ) -> tuple[float, float]:
        """The percentiles of all slices of the series, on the annotated slice's scale.

        Only a histogram is kept of the slices, and of the series one window a scale, mostly one.
        """
        scale = pixels.scale_of(center)
        if scale not in self._windows:
            counts = _count_values(pixels.stored_values(center_array, center, center))
            listed = self._source.instances(*self._series) if self._series else []
            for number in listed:
                if number == instance_number:
                    continue
                try:
                    other, array = self._slice(number)
                except reasons.Rejected:
                    self._unreadable.add(self._name(number))
                    continue
                counts += _count_values(pixels.stored_values(array, other, center))
            self._windows[scale] = roi.histogram_window(counts)
        return self._windows[scale]

    def _enter(self, study_id: int, series_id: int) -> None:
        if self._series != (study_id, series_id):
            self._series = study_id, series_id
            self._headers.clear()
            self._decoded.clear()
            self._windows.clear()

    def _slice(self, instance_number: int) -> tuple[header_module.Header, np.ndarray]:
        if instance_number in self._decoded:
            self._decoded.move_to_end(instance_number)
            return self._decoded[instance_number]
        found = elements.read_elements(
            sources.read_image(self._source, self._name(instance_number))
        )
        slice_header = header_module.parse_header(found)
        result = slice_header, pixels.decode(found, slice_header)
        if self._num_slices > 1:
            self._decoded[instance_number] = result
            if len(self._decoded) > 2 * self._num_slices:
                self._decoded.popitem(last=False)
        return result

    def series_headers(self, study_id: int, series_id: int) -> dict[int, header_module.Header]:
        """Returns the headers of a series; a file that has none is no neighbour of any slice."""
        self._enter(study_id, series_id)
        if not self._headers:
            for number in self._source.instances(study_id, series_id):
                try:
                    self._headers[number] = sources.read_header(self._source, self._name(number))
                except reasons.Rejected:
                    self._unreadable.add(self._name(number))
        return self._headers

    def _name(self, instance_number: int) -> str:
        study_id, series_id = self._series or (0, 0)
        return layout.image_name(self._source.side, study_id, series_id, instance_number)


def _count_values(values: np.ndarray) -> np.ndarray:
    """How many pixels have each stored value, int64 (65536,)."""
    return np.bincount(values.ravel(), minlength=2**16)
