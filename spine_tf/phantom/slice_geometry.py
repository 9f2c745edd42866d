"""Where the pixels of a slice lie in the patient."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True, kw_only=True)
class Slice:
    """A rectangle of pixels in the patient's coordinates (DICOM: x left, y back, z head; mm).

    Attributes:
        position: centre of the first pixel, as in ImagePositionPatient.
        row_direction: unit vector along a row, to the image's right.
        column_direction: unit vector down a column.
        spacing: (row, column) as in PixelSpacing.
        shape: (rows, columns).
        thickness: of the slice.
    """

    position: tuple[float, float, float]
    row_direction: tuple[float, float, float]
    column_direction: tuple[float, float, float]
    spacing: tuple[float, float]
    shape: tuple[int, int]
    thickness: float

    @property
    def normal(self) -> np.ndarray:
        """Unit vector, row direction x column direction."""
        return np.cross(self.row_direction, self.column_direction)

    def project(self, point: np.ndarray) -> tuple[float, float, float]:
        """Returns a point's (x, y) in pixels and its distance from the slice along the normal."""
        offset = np.asarray(point) - np.asarray(self.position)
        x = offset @ np.asarray(self.row_direction) / self.spacing[1]
        y = offset @ np.asarray(self.column_direction) / self.spacing[0]
        return float(x), float(y), float(offset @ self.normal)

    def coordinates(self, depth: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns x, y, z of the pixel centres, as arrays that broadcast to the slice's shape.

        Args:
            depth: millimetres along the normal from the slice's middle.
        """
        rows = np.arange(self.shape[0])[:, None] * self.spacing[0]
        columns = np.arange(self.shape[1])[None, :] * self.spacing[1]
        result = []
        for axis in range(3):
            value = np.full((1, 1), self.position[axis] + depth * self.normal[axis])
            if self.column_direction[axis]:
                value = value + rows * self.column_direction[axis]
            if self.row_direction[axis]:
                value = value + columns * self.row_direction[axis]
            result.append(value)
        return result[0], result[1], result[2]


def centered(
    center: np.ndarray,
    row_direction: np.ndarray,
    column_direction: np.ndarray,
    *,
    size_px: int,
    fov_mm: float,
    thickness: float,
) -> Slice:
    """Returns a square slice around a point.

    The position is rounded to what a header holds, so that geometry read back is the same.
    """
    spacing = round(fov_mm / size_px, 6)
    half = (size_px - 1) / 2 * spacing
    position = center - half * (row_direction + column_direction)
    return Slice(
        position=_rounded(position),
        row_direction=_rounded(row_direction),
        column_direction=_rounded(column_direction),
        spacing=(spacing, spacing),
        shape=(size_px, size_px),
        thickness=thickness,
    )


def _rounded(vector: np.ndarray) -> tuple[float, float, float]:
    x, y, z = (round(float(value), 6) + 0.0 for value in vector)
    return x, y, z
