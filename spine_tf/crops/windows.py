"""What a network looks at: a square of a slice, and the one map between grid, slice and patient.

A window is a region of interest as `spine_tf.crops.roi` cuts it, of 256 pixels a side: sagittal
256 mm around the slice's middle, axial 128 mm around a place. Grid positions are (column, row);
integers are pixel centres.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from spine_tf.configuration import roi_config
from spine_tf.crops import cutting, imaged_study, slice_reader
from spine_tf.dicom import geometry, header as header_module
from spine_tf.rsna import annotations

SIDE_PX = 256
SAGITTAL_MM, AXIAL_MM = 256.0, 128.0
NUM_SLICES = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Window:
    """A square on a slice and on its neighbours.

    Attributes:
        study_id, series_id, instance_number: the middle slice.
        header: header of the middle slice.
        center_xy: the square's middle, column and row in the slice's pixels, float32 values.
        side_mm: the square's side in mm.
    """

    study_id: int
    series_id: int
    instance_number: int
    header: header_module.Header
    center_xy: tuple[float, float]
    side_mm: float

    @property
    def pixel_mm(self) -> float:
        """Side of a pixel of the grid."""
        return self.side_mm / SIDE_PX

    def on_slice(self, grid_xy: tuple[float, float]) -> tuple[float, float]:
        """Returns the place on the slice of a place on the grid, column and row in its pixels."""
        x, y = (
            center + ((at + 0.5) / SIDE_PX - 0.5) * self.side_mm / spacing
            for at, center, spacing in zip(
                grid_xy, self.center_xy, reversed(self.header.spacing), strict=True
            )
        )
        return x, y

    def on_grid(self, place_xy: tuple[float, float]) -> tuple[float, float]:
        """Returns the place on the grid of a place on the slice."""
        x, y = (
            ((at - center) * spacing / self.side_mm + 0.5) * SIDE_PX - 0.5
            for at, center, spacing in zip(
                place_xy, self.center_xy, reversed(self.header.spacing), strict=True
            )
        )
        return x, y

    def in_patient(self, grid_xy: tuple[float, float]) -> np.ndarray:
        """Returns where a place on the grid is in the patient, float64 (3,), mm."""
        point = geometry.to_patient(self.header, self.on_slice(grid_xy))
        if point is None:
            raise ValueError("a window on a slice without a position, expected one")
        return np.array(point)

    def locate(self, point: Sequence[float]) -> tuple[tuple[float, float], float]:
        """Returns a patient's point on the grid, perhaps off it, and its mm along the normal."""
        place_xy, distance = geometry.locate(point, self.header)
        return self.on_grid(place_xy), distance


def around_middles(stack: imaged_study.SliceStack, side_mm: float) -> list[Window]:
    """Returns the windows of all planes of a stack, each around the middle of its slice."""
    return [
        _make(stack, index, ((one.columns - 1) / 2, (one.rows - 1) / 2), side_mm)
        for index, one in enumerate(stack.headers)
    ]


def around_point(
    stack: imaged_study.SliceStack, planes: Sequence[int], point: np.ndarray, side_mm: float
) -> list[Window]:
    """Returns windows around a patient's point on planes of a stack, given by index."""
    return [
        _make(stack, index, geometry.locate(point.tolist(), stack.headers[index])[0], side_mm)
        for index in planes
    ]


def _make(
    stack: imaged_study.SliceStack, index: int, center_xy: tuple[float, float], side_mm: float
) -> Window:
    one = stack.headers[index]
    # A window lies on its image, however far off that a point is projected.
    x = min(max(center_xy[0], 0.0), one.columns - 1.0)
    y = min(max(center_xy[1], 0.0), one.rows - 1.0)
    return Window(
        study_id=stack.study_id,
        series_id=stack.series_id,
        instance_number=stack.numbers[index],
        header=one,
        center_xy=(float(np.float32(x)), float(np.float32(y))),
        side_mm=side_mm,
    )


def cut(window: Window, reader: slice_reader.SliceReader) -> cutting.Crop:
    """Reads the pixels of a window: `image` uint16 (256, 256, 3) and `window` of the middle slice.

    Args:
        window: where.
        reader: reads the data set's slices, made for `NUM_SLICES`.

    Raises:
        reasons.Rejected: the file can't be used.
    """
    stack = reader.read_stack(window.study_id, window.series_id, window.instance_number)
    place = annotations.Annotation(
        study_id=window.study_id,
        series_id=window.series_id,
        instance_number=window.instance_number,
        condition=0,
        level=0,
        x=window.center_xy[0],
        y=window.center_xy[1],
        label=None,
    )
    region = roi_config.RoiConfig(
        roi_mm=window.side_mm, roi_px=SIDE_PX, num_slices=NUM_SLICES, mirror_right=False
    )
    return cutting.cut(stack, place, region)
