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
        a, b = self.row_direction, self.column_direction
        return np.array(
            [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
        )

    def project(self, point: np.ndarray) -> tuple[float, float, float]:
        """Returns a point's (x, y) in pixels and its distance from the slice along the normal."""
        offset = [float(p - q) for p, q in zip(point, self.position, strict=True)]
        x = sum(a * b for a, b in zip(offset, self.row_direction, strict=True))
        y = sum(a * b for a, b in zip(offset, self.column_direction, strict=True))
        distance = sum(a * float(b) for a, b in zip(offset, self.normal, strict=True))
        return x / self.spacing[1], y / self.spacing[0], distance

    def resampled(self, pixel_mm: float) -> "Slice":
        """Returns the same slice with pixels of at least that size; the first pixel stays."""
        rows = _num_pixels(self.shape[0], self.spacing[0], pixel_mm)
        columns = _num_pixels(self.shape[1], self.spacing[1], pixel_mm)
        spacing = (
            self.spacing[0] * self.shape[0] / rows,
            self.spacing[1] * self.shape[1] / columns,
        )
        return dataclasses.replace(self, shape=(rows, columns), spacing=spacing)

    def coordinates(self, depth: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns x, y, z of the pixel centres, as arrays that broadcast to the slice's shape.

        Args:
            depth: millimetres along the normal from the slice's middle.
        """
        rows = np.arange(self.shape[0])[:, None] * self.spacing[0]
        columns = np.arange(self.shape[1])[None, :] * self.spacing[1]
        result = []
        normal = self.normal
        for axis in range(3):
            value = np.full((1, 1), self.position[axis] + depth * normal[axis])
            if self.column_direction[axis]:
                value = value + rows * self.column_direction[axis]
            if self.row_direction[axis]:
                value = value + columns * self.row_direction[axis]
            result.append(value.astype(np.float32))
        return result[0], result[1], result[2]


def centered(
    center: np.ndarray,
    row_direction: np.ndarray,
    column_direction: np.ndarray,
    *,
    shape: tuple[int, int],
    spacing: float,
    thickness: float,
) -> Slice:
    """Returns a slice of square pixels around a point.

    The position is rounded to what a header holds, so that geometry read back is the same.
    """
    spacing = round(spacing, 6)
    down, across = ((size - 1) / 2 * spacing for size in shape)
    position = center - across * row_direction - down * column_direction
    return Slice(
        position=_rounded(position),
        row_direction=_rounded(row_direction),
        column_direction=_rounded(column_direction),
        spacing=(spacing, spacing),
        shape=shape,
        thickness=thickness,
    )


def _rounded(vector: np.ndarray) -> tuple[float, float, float]:
    x, y, z = (round(float(value), 6) + 0.0 for value in vector)
    return x, y, z


def _num_pixels(size: int, spacing: float, pixel_mm: float) -> int:
    return min(size, 2 * round(size * spacing / pixel_mm / 2))
