"""The series of a study: which slices are taken, in which order they are numbered.

Frequencies are counts of the RSNA 2024 data: numbering against the usual direction, a second axial
series, images that are not square, stacks of one series that differ in size.
"""

import dataclasses
from typing import NamedTuple

import numpy as np

from spine_tf.synthesis import patient as patient_module, phantom_config, sequence

_AXIAL_REVERSED = 0.12
_SAGITTAL_REVERSED = 698 / 1965
_SECOND_AXIAL = 0.18
_STRAIGHT_AXIAL = 0.2
_MIXED_SIZES = 0.03
_NARROW_SAGITTAL = 0.14

_SAGITTAL_WIDTH_MM = 44.0

# A point is in view so far from the border, so many thicknesses from the middle of a slice.
_BORDER_MM, _SEEN = 4.0, 0.72


@dataclasses.dataclass(frozen=True, kw_only=True)
class Slice:
    """A rectangle of pixels in the patient's coordinates (DICOM: x left, y back, z head; mm).

    Attributes:
        position: centre of the first pixel, as in ImagePositionPatient.
        row_direction: unit vector along a row, to the image's right.
        column_direction: unit vector down a column.
        spacing: (row, column) as in PixelSpacing.
        shape: (rows, columns).
        thickness: the slice's thickness in mm.
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


def _num_pixels(size: int, spacing: float, pixel_mm: float) -> int:
    return min(size, 2 * round(size * spacing / pixel_mm / 2))


class Found(NamedTuple):
    """Where a series shows a point: number of the slice from 0, and x, y in its pixels."""

    place: int
    x: float
    y: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Series:
    """Slices of one kind; slice i is instance i + 1."""

    series_id: int
    description: str
    slices: tuple[Slice, ...]

    def nearest(self, point: np.ndarray) -> int:
        """Returns the index of the slice that is nearest to a point of the patient (mm)."""
        distances = [abs(plane.project(point)[2]) for plane in self.slices]
        return distances.index(min(distances))

    def find(self, point: np.ndarray) -> Found | None:
        """Returns where a point is seen, None where it lies beyond all slices or their borders."""
        index = self.nearest(point)
        plane = self.slices[index]
        x, y, distance = plane.project(point)
        border_x, border_y = _BORDER_MM / plane.spacing[1], _BORDER_MM / plane.spacing[0]
        is_inside = border_x <= x <= plane.shape[1] - 1 - border_x
        is_inside = is_inside and border_y <= y <= plane.shape[0] - 1 - border_y
        # A slice shows what is in it, and there is a gap between slices.
        if not is_inside or abs(distance) > _SEEN * plane.thickness:
            return None
        return Found(index, x, y)


def make_series(
    patient: patient_module.Patient,
    config: phantom_config.PhantomConfig,
    first_series_id: int,
    rng: np.random.Generator,
) -> tuple[Series, ...]:
    """Returns one or two axial series, sagittal T1 and sagittal T2."""
    is_straight = rng.random() < _STRAIGHT_AXIAL
    axial = straight_stack if is_straight else angled_stacks
    stacks = [(sequence.AXIAL_T2, axial(patient, config, rng))]
    if rng.random() < _SECOND_AXIAL:
        stacks.append((sequence.AXIAL_T2, angled_stacks(patient, config, rng)))
    for description in (sequence.SAGITTAL_T1, sequence.SAGITTAL_T2):
        stacks.append((description, sagittal_stack(patient, config, rng)))
    return tuple(
        Series(
            series_id=first_series_id + index,
            description=description,
            slices=numbered(description, stack, rng),
        )
        for index, (description, stack) in enumerate(stacks)
    )


def numbered(description: str, stack: list[Slice], rng: np.random.Generator) -> tuple[Slice, ...]:
    """Returns a stack's slices in the order of their numbers, at times the other way round."""
    is_axial = description == sequence.AXIAL_T2
    reversed_fraction = _AXIAL_REVERSED if is_axial else _SAGITTAL_REVERSED
    return tuple(stack[::-1] if rng.random() < reversed_fraction else stack)


def sagittal_stack(
    patient: patient_module.Patient, config: phantom_config.PhantomConfig, rng: np.random.Generator
) -> list[Slice]:
    """Slices from the patient's right to the left, turned a little in their plane."""
    rows = int(rng.choice(config.sagittal_px))
    columns = (
        2 * round(rows * rng.uniform(0.6, 0.8) / 2) if _happens(_NARROW_SAGITTAL, rng) else rows
    )
    fov_mm = rng.uniform(*config.sagittal_fov_mm)
    step = _SAGITTAL_WIDTH_MM / (config.sagittal_slices - 1)
    center = patient.position(0.0, 5.0, float(patient.level_s[2])) + rng.normal(0, 3, 3)
    center[0] = rng.normal(0, 1)
    turn = rng.normal(0, 0.03)
    row_direction = np.array([0.0, np.cos(turn), np.sin(turn)])
    column_direction = np.array([0.0, np.sin(turn), -np.cos(turn)])
    offsets = (np.arange(config.sagittal_slices) - (config.sagittal_slices - 1) / 2) * step
    return [
        centered(
            center + np.array([offset, 0.0, 0.0]),
            row_direction,
            column_direction,
            shape=(rows, columns),
            spacing=fov_mm / rows,
            thickness=round(0.9 * step, 2),
        )
        for offset in offsets
    ]


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


def angled_stacks(
    patient: patient_module.Patient, config: phantom_config.PhantomConfig, rng: np.random.Generator
) -> list[Slice]:
    """A few slices parallel to each disc, from head to feet: stacks of five orientations."""
    count, step = config.axial_slices_per_level, rng.uniform(3.6, 4.6)
    is_mixed = _happens(_MIXED_SIZES, rng)
    size = _axial_size(config, rng)
    slices = []
    for s in patient.level_s:
        size = _axial_size(config, rng) if is_mixed else size
        first = rng.uniform(-1.0, 1.0) - (count - 1) / 2 * step
        distances = [first + index * step for index in range(count)]
        slices += _axial_slices(patient, float(s), rng.normal(0, 0.04), distances, size, step)
    return slices


def straight_stack(
    patient: patient_module.Patient, config: phantom_config.PhantomConfig, rng: np.random.Generator
) -> list[Slice]:
    """One stack of parallel slices over all levels, as the disc L4/L5 lies."""
    step = rng.uniform(5.0, 6.0)
    s = float(patient.level_s[3])
    above = float(patient.level_s[3] - patient.level_s[0]) * patient.scale + 12
    below = float(patient.level_s[4] - patient.level_s[3]) * patient.scale + 12
    distances = list(np.arange(-above, below, step))
    return _axial_slices(patient, s, rng.normal(0, 0.04), distances, _axial_size(config, rng), step)


def _axial_size(
    config: phantom_config.PhantomConfig, rng: np.random.Generator
) -> tuple[int, float]:
    return int(rng.choice(config.axial_px)), float(rng.uniform(*config.axial_fov_mm))


def _axial_slices(
    patient: patient_module.Patient,
    s: float,
    tilt: float,
    distances: list[float],
    size: tuple[int, float],
    step: float,
) -> list[Slice]:
    """Slices across the spine at s.

    Args:
        patient: whose spine.
        s: where the plane at distance 0 meets the curve.
        tilt: radians against a plane at right angles to the curve.
        distances: millimetres towards the feet.
        size: side in pixels and in millimetres.
        step: distance of neighbours.
    """
    tangent_y, tangent_z = patient.spine.tangent(s * patient.scale)
    angle = np.arctan2(-tangent_y, -tangent_z) + tilt
    down = np.array([0.0, np.cos(angle), -np.sin(angle)])
    towards_feet = np.array([0.0, -np.sin(angle), -np.cos(angle)])
    center = patient.position(0.0, 10.0, s)
    return [
        centered(
            center + distance * towards_feet,
            np.array([1.0, 0.0, 0.0]),
            down,
            shape=(size[0], size[0]),
            spacing=size[1] / size[0],
            thickness=round(0.88 * step, 2),
        )
        for distance in distances
    ]


def _happens(probability: float, rng: np.random.Generator) -> bool:
    return bool(rng.random() < probability)
