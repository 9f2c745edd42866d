"""The series of a study: which slices are taken, in which order they are numbered."""

import dataclasses

import numpy as np

from spine_tf.phantom import patient as patients
from spine_tf.phantom import settings, slice_geometry

SAGITTAL_T1, SAGITTAL_T2, AXIAL_T2 = "Sagittal T1", "Sagittal T2/STIR", "Axial T2"

# Fractions of series that are numbered the other way round, counted in the RSNA 2024 data.
_AXIAL_REVERSED = 0.12
_SAGITTAL_REVERSED = 698 / 1965


@dataclasses.dataclass(frozen=True, kw_only=True)
class Series:
    """Slices of one kind; slice i is instance i + 1."""

    series_id: int
    description: str
    slices: tuple[slice_geometry.Slice, ...]


def make_series(
    patient: patients.Patient,
    config: settings.PhantomConfig,
    first_series_id: int,
    rng: np.random.Generator,
) -> tuple[Series, ...]:
    """Returns the three series of a study."""
    sagittal = [_sagittal_slices(patient, config, rng) for _ in range(2)]
    stacks = [_axial_slices(patient, config, rng), *sagittal]
    fractions = (_AXIAL_REVERSED, _SAGITTAL_REVERSED, _SAGITTAL_REVERSED)
    return tuple(
        Series(
            series_id=first_series_id + index,
            description=description,
            slices=tuple(stack[::-1] if rng.random() < fraction else stack),
        )
        for index, (description, stack, fraction) in enumerate(
            zip((AXIAL_T2, SAGITTAL_T1, SAGITTAL_T2), stacks, fractions, strict=True)
        )
    )


def _sagittal_slices(
    patient: patients.Patient, config: settings.PhantomConfig, rng: np.random.Generator
) -> list[slice_geometry.Slice]:
    size_px = int(rng.choice(config.sagittal_px))
    fov_mm = rng.uniform(*config.sagittal_fov_mm)
    step = 44.0 / (config.sagittal_slices - 1)
    y, z = patient.spine.point(0.0, float(patient.disc_s[2]))
    offsets = (np.arange(config.sagittal_slices) - (config.sagittal_slices - 1) / 2) * step
    return [
        slice_geometry.centered(
            np.array([offset, y, z]),
            np.array([0.0, 1.0, 0.0]),
            np.array([0.0, 0.0, -1.0]),
            size_px=size_px,
            fov_mm=fov_mm,
            thickness=round(0.9 * step, 2),
        )
        for offset in offsets
    ]


def _axial_slices(
    patient: patients.Patient, config: settings.PhantomConfig, rng: np.random.Generator
) -> list[slice_geometry.Slice]:
    size_px = int(rng.choice(config.axial_px))
    fov_mm = rng.uniform(*config.axial_fov_mm)
    count = config.axial_slices_per_level
    slices = []
    for disc_s in patient.disc_s:
        tangent = np.array([0.0, *patient.spine.tangent(float(disc_s))])
        down = np.array([0.0, -tangent[2], tangent[1]])
        shift = rng.uniform(-1.0, 1.0)
        for offset in (np.arange(count) - (count - 1) / 2) * 4.0 + shift:
            y, z = patient.spine.point(8.0, float(disc_s))
            center = np.array([0.0, y, z]) + offset * tangent
            slices.append(
                slice_geometry.centered(
                    center,
                    np.array([1.0, 0.0, 0.0]),
                    down,
                    size_px=size_px,
                    fov_mm=fov_mm,
                    thickness=4.0,
                )
            )
    return slices
