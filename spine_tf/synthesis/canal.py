"""The spinal canal: epidural fat, dural sac, cord, roots, and the flavum behind it."""

import numpy as np

from spine_tf.synthesis import patient as patient_module, profile, structure
from spine_tf.synthesis.structure import Box, Structure

# Where the roots of the cauda equina lie in the sac: fractions of its half width and half depth.
_ROOTS = (
    (0.75, 0.1),
    (0.62, 0.48),
    (0.38, 0.72),
    (0.12, 0.8),
    (0.42, 0.35),
    (0.15, 0.45),
    (0.8, -0.25),
    (0.55, 0.0),
)
_FADE = 6.5


def make_epidural_fat(patient: patient_module.Patient) -> list[Structure]:
    """Returns the fat that fills the canal around the sac."""
    depth = 19.0 * patient.canal_size
    end = float(patient.disc_s[-1] + 40)

    def distance(u: np.ndarray, v: np.ndarray, s: np.ndarray) -> np.ndarray:
        return structure.rounded(u, v - depth / 2, 11.5, depth / 2)

    return [
        Structure(
            tissue="epidural_fat",
            box=Box(u=(-12, 12), v=(-0.5, depth + 0.5), s=(patient.disc_s[0] - 90, end)),
            distance=distance,
        )
    ]


def make_sac(patient: patient_module.Patient) -> list[Structure]:
    """Returns dura with fluid, the cord's end and the roots."""
    front, back, width = _sac_profiles(patient)
    top, end = float(patient.disc_s[0] - 90), float(patient.disc_s[-1] + 25)
    box = Box(u=(-10, 10), v=(0, 18), s=(top, end))

    def sac(u: np.ndarray, v: np.ndarray, s: np.ndarray) -> np.ndarray:
        low, high = front(s), back(s)
        return structure.ellipse(u, v - (low + high) / 2, width(s), (high - low) / 2)

    return [
        Structure(tissue="fluid", box=box, distance=sac, rim=0.35, rim_tissue="ligament"),
        _cord(patient, front, back),
        _cauda(patient, front, back, width),
    ]


def make_flavum(patient: patient_module.Patient) -> list[Structure]:
    """Returns the ligamenta flava: bands behind the sac from facet to midline at each disc."""
    return [_flavum(patient, level, side) for level in range(5) for side in (0, 1)]


def _sac_profiles(
    patient: patient_module.Patient,
) -> tuple[profile.Profile, profile.Profile, profile.Profile]:
    """Returns v of the sac's front and back, and its half width, along s."""
    start, stop = float(patient.disc_s[0] - 100), float(patient.disc_s[-1] + 60)
    last = patient.disc_s[6]
    knots = np.array([start, patient.disc_s[5], last, last + 20, last + 48])
    depth = 14.0 * patient.canal_size
    open_front = np.array([1.3, 1.3, 2.8, 5.0, 7.0])
    open_back = open_front + np.array([depth, depth, depth - 1.0, 9.0, 1.5])
    open_width = np.array([8.8, 9.0, 8.5, 7.0, 1.0])

    def along(values: np.ndarray, changes: list[float]) -> profile.Profile:
        def function(s: np.ndarray) -> np.ndarray:
            result = np.interp(s, knots, values)
            for level_s, change in zip(patient.level_s, changes, strict=True):
                result = result + change * profile.bump(s, level_s, _FADE)
            return result

        return profile.make_profile(start, stop, function)

    narrowing = patient.narrowing[patient_module.CANAL]
    share = patient.bulge_share[patient_module.CANAL]
    return (
        along(open_front, list(10.0 * narrowing * share)),
        along(open_back, list(-10.0 * narrowing * (1 - share))),
        along(open_width, list(-2.8 * narrowing)),
    )


def _cord(
    patient: patient_module.Patient, front: profile.Profile, back: profile.Profile
) -> Structure:
    end = patient.conus_s

    def distance(u: np.ndarray, v: np.ndarray, s: np.ndarray) -> np.ndarray:
        taper = np.clip((end - s) / 30, 0, 1) ** 0.6
        middle = 0.45 * front(s) + 0.55 * back(s)
        return structure.ellipse(u, v - middle, 4.6 * taper + 0.01, 3.6 * taper + 0.01)

    return Structure(
        tissue="nerve",
        box=Box(u=(-5, 5), v=(2, 16), s=(patient.disc_s[0] - 90, end)),
        distance=distance,
    )


def _cauda(
    patient: patient_module.Patient,
    front: profile.Profile,
    back: profile.Profile,
    width: profile.Profile,
) -> Structure:
    def distance(u: np.ndarray, v: np.ndarray, s: np.ndarray) -> np.ndarray:
        low, high, half_width = front(s), back(s), width(s)
        x, y = np.abs(u), v - (low + high) / 2
        half_depth = (high - low) / 2
        nearest = np.full(np.broadcast_shapes(x.shape, y.shape, s.shape), 99.0, np.float32)
        for across, behind in _ROOTS:
            dx, dy = x - across * half_width * 0.88, y - behind * half_depth * 0.85
            np.minimum(nearest, dx * dx + dy * dy, out=nearest)
        return np.sqrt(nearest) - 0.75

    end = float(patient.disc_s[-1] + 10)
    return Structure(
        tissue="nerve",
        box=Box(u=(-9.5, 9.5), v=(1, 17), s=(patient.conus_s - 25, end)),
        distance=distance,
        other="fluid",
        fraction=0.45,
    )


def _flavum(patient: patient_module.Patient, level: int, side: int) -> Structure:
    sign, middle = 1 - 2 * side, float(patient.level_s[level])
    _, recess_back = patient.recess_walls(side, level)
    _, sac_back = patient.canal_walls(level)
    inner = (11.5, recess_back + 1.6)
    outer = (0.8, max(sac_back + 4.0, recess_back + 4.0))
    recess = patient.narrowing[patient_module.LEFT_RECESS + side, level]
    half = 1.3 + 0.7 * patient.narrowing[patient_module.CANAL, level] + 0.3 * recess

    def distance(u: np.ndarray, v: np.ndarray, s: np.ndarray) -> np.ndarray:
        band = structure.segment(sign * u, v, inner, outer) - half
        return np.maximum(band, np.abs(s - middle + 1) - 8)

    return Structure(
        tissue="ligament",
        box=Box(
            u=structure.sided(sign, -1, 14),
            v=(inner[1] - 4, max(inner[1], outer[1]) + 4),
            s=(middle - 9, middle + 8),
        ),
        distance=distance,
    )
