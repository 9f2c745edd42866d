"""An annotated slice with its neighbours, read and decoded once, whatever the rows on it."""

import collections
import dataclasses

import numpy as np

from spine_tf.crops import roi
from spine_tf.dicom import elements, header as header_module, pixels, reasons, stacks
from spine_tf.rsna import layout, sources

_Slice = tuple[header_module.Header, pixels.Decoded]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stack:
    """An annotated slice with its neighbours, decoded.

    Attributes:
        slices: uint16 (rows, columns) each, stored values on the annotated slice's scale, 0 where
            there is padding.
        paddings: bool (rows, columns) each, where that is; None where there is none.
        headers: the slices' headers.
        window: grey values of the annotated slice, or of all slices of its acquisition.
        is_cut_short: as `stacks.Neighbours` has it.
    """

    slices: tuple[np.ndarray, ...]
    paddings: tuple[np.ndarray | None, ...]
    headers: tuple[header_module.Header, ...]
    window: tuple[float, float]
    is_cut_short: bool

    @property
    def header(self) -> header_module.Header:
        """The annotated slice's header."""
        return self.headers[len(self.headers) // 2]


class SliceReader:
    """Reads stacks; keeps the headers and the decoded slices of the series it is in."""

    def __init__(
        self,
        source: sources.Source,
        num_slices: int,
        unreadable: set[str] | None = None,
        *,
        has_series_window: bool = False,
        failed: set[str] | None = None,
    ) -> None:
        """Takes what is read.

        Args:
            source: where the images are.
            num_slices: how many slices a stack has, odd.
            unreadable: gets the files of a series that could be no neighbour, or gave nothing to
                its window, being unreadable.
            has_series_window: windows are of all slices, which are read once a series.
            failed: gets the files that were asked for their pixels and have none to give.
        """
        self._source = source
        self._num_slices = num_slices
        self._has_series_window = has_series_window
        self._unreadable = set() if unreadable is None else unreadable
        self._failed = set() if failed is None else failed
        self._series = 0, 0
        self._headers: dict[int, header_module.Header] = {}
        self._decoded: collections.OrderedDict[int, _Slice] = collections.OrderedDict()
        self._windows: dict[tuple[object, ...], tuple[float, float]] = {}
        _keep_freed_memory()

    def read_stack(self, study_id: int, series_id: int, instance_number: int) -> Stack:
        """Reads a slice and its neighbours.

        Raises:
            reasons.Rejected: one of the files can't be used.
        """
        self._enter(study_id, series_id)
        center, decoded = self._read(instance_number)
        if decoded.is_padding is not None and decoded.is_padding.all():
            raise reasons.Rejected(
                reasons.Reason.ALL_PADDING, "every pixel of the image is padding"
            )
        found = self._neighbours(instance_number, center)
        read = {instance_number: (center, decoded)}
        for number in found.numbers:
            if number not in read:
                read[number] = self._read_neighbour(number)
        values = {
            number: pixels.stored_values(of_slice, slice_header, center)
            for number, (slice_header, of_slice) in read.items()
        }
        return Stack(
            slices=tuple(values[number] for number in found.numbers),
            paddings=tuple(read[number][1].is_padding for number in found.numbers),
            headers=tuple(read[number][0] for number in found.numbers),
            window=(
                self._series_window(instance_number, center, decoded)
                if self._has_series_window
                else roi.window(values[instance_number], decoded.is_tissue)
            ),
            is_cut_short=found.is_cut_short,
        )

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

    def _enter(self, study_id: int, series_id: int) -> None:
        if self._series != (study_id, series_id):
            self._series = study_id, series_id
            self._headers.clear()
            self._decoded.clear()
            self._windows.clear()

    def _name(self, instance_number: int) -> str:
        return layout.image_name(self._source.side, *self._series, instance_number)

    def _read(self, instance_number: int) -> _Slice:
        if instance_number in self._decoded:
            self._decoded.move_to_end(instance_number)
            return self._decoded[instance_number]
        result = self._decode(self._name(instance_number))
        if self._num_slices > 1:
            self._decoded[instance_number] = result
            if len(self._decoded) > 2 * self._num_slices:
                self._decoded.popitem(last=False)
        return result

    def _decode(self, name: str) -> _Slice:
        try:
            found = elements.read_elements(sources.read_image(self._source, name))
            slice_header = header_module.parse_header(found)
            return slice_header, pixels.decode(found, slice_header)
        except reasons.Rejected:
            self._failed.add(name)
            raise

    def _read_neighbour(self, instance_number: int) -> _Slice:
        """Reads a slice that a row doesn't name, so the reason has to."""
        try:
            return self._read(instance_number)
        except reasons.Rejected as rejected:
            raise reasons.Rejected(
                rejected.reason, f"its neighbour, image {instance_number}: {rejected.detail}"
            ) from rejected

    def _neighbours(self, instance_number: int, center: header_module.Header) -> stacks.Neighbours:
        headers = {instance_number: center}
        if self._num_slices > 1:
            headers = {**self.series_headers(*self._series), **headers}
        return stacks.neighbours(instance_number, headers, self._num_slices)

    def _series_window(
        self, instance_number: int, center: header_module.Header, decoded: pixels.Decoded
    ) -> tuple[float, float]:
        """The percentiles of all slices of the acquisition, on the annotated slice's scale.

        Only a histogram is kept of the slices, and of an acquisition one window a scale, mostly
        one.
        """
        kind = center.acquisition, pixels.scale_of(center)
        if kind not in self._windows:
            counts = _count_tissue(decoded, center, center)
            for number in self._source.instances(*self._series):
                if number == instance_number:
                    continue
                try:
                    other, of_other = self._read(number)
                except reasons.Rejected:
                    self._unreadable.add(self._name(number))
                    continue
                if stacks.is_same_acquisition(center, other):
                    counts += _count_tissue(of_other, other, center)
            self._windows[kind] = roi.histogram_window(counts)
        return self._windows[kind]


def _count_tissue(
    decoded: pixels.Decoded, slice_header: header_module.Header, center: header_module.Header
) -> np.ndarray:
    """How many pixels have each stored value, int64 (65536,)."""
    values = pixels.stored_values(decoded, slice_header, center)
    if decoded.is_tissue is not None:
        values = values[decoded.is_tissue]
    return np.bincount(values.ravel(), minlength=2**16)


def _keep_freed_memory() -> None:
    """Makes the C library keep what one slice has left for the next, up to 16 MB.

    Linux's gives memory back that is more than twice the largest piece freed so far (mallopt(3),
    M_MMAP_THRESHOLD); asking for it again, image by image, takes half the time of decoding.
    """
    bytearray(2**23)
