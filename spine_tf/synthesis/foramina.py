"""Neural foramina: fat around the exiting root, closed by disc and facet as they narrow."""

import numpy as np

from spine_tf.synthesis import patient as patient_module, structure
from spine_tf.synthesis.structure import Box, Structure


def make_foraminal_fat(patient: patient_module.Patient) -> list[Structure]:
    """Returns the fat of all foramina, amid the tissue that takes its place as they narrow."""
    result = []
    for level in range(5):
        for side in (0, 1):
            result += [_lining(patient, level, side), _fat(patient, level, side)]
    return result


def make_exiting_roots(patient: patient_module.Patient) -> list[Structure]:
    """Returns the root ganglia in the foramina, and the facet that closes in from behind."""
    result = []
    for level in range(5):
        for side in (0, 1):
            result += [_facet_tip(patient, level, side), _ganglion(patient, level, side)]
    return result


def _lining(patient: patient_module.Patient, level: int, side: int) -> Structure:
    sign, s0 = 1 - 2 * side, float(patient.level_s[level]) - 5.0
    u0 = patient_module.foramen_u(level)

    def distance(u: np.ndarray, v: np.ndarray, s: np.ndarray) -> np.ndarray:
        size = 1.0 - 0.004 * (sign * u - u0) ** 2
        return structure.rounded(v - 5, s - s0, 7.6 * size, 13.5 * size)

    return Structure(
        tissue="muscle",
        box=Box(u=structure.sided(sign, u0 - 6, u0 + 6), v=(-2.5, 12.5), s=(s0 - 13, s0 + 13)),
        distance=distance,
        other="annulus",
        fraction=0.3,
    )


def _fat(patient: patient_module.Patient, level: int, side: int) -> Structure:
    sign, s0 = 1 - 2 * side, float(patient.level_s[level]) - 5.0
    front, back = patient.foramen_walls(side, level)
    middle, half = (front + back) / 2, 0.62 * (back - front)
    height = 13.5 - 8.0 * patient.narrowing[patient_module.LEFT_FORAMEN + side, level]
    u0 = patient_module.foramen_u(level)

    def distance(u: np.ndarray, v: np.ndarray, s: np.ndarray) -> np.ndarray:
        hole = structure.rounded(v - middle, s - s0, half, height)
        return np.maximum(hole, np.abs(sign * u - u0) - 7)

    return Structure(
        tissue="fat",
        box=Box(
            u=structure.sided(sign, u0 - 7, u0 + 7),
            v=(middle - half, middle + half),
            s=(s0 - height, s0 + height),
        ),
        distance=distance,
    )


def _ganglion(patient: patient_module.Patient, level: int, side: int) -> Structure:
    sign, u0 = 1 - 2 * side, patient_module.foramen_u(level)
    front, back = patient.foramen_walls(side, level)
    middle, half = (front + back) / 2, (back - front) / 2
    thickness = float(np.clip(0.75 * half, 1.2, 3.0))
    s0 = float(patient.level_s[level]) - 8.0
    s0 += 3.0 * float(patient.narrowing[patient_module.LEFT_FORAMEN + side, level])

    def distance(u: np.ndarray, v: np.ndarray, s: np.ndarray) -> np.ndarray:
        lateral = sign * u - u0
        across = structure.ellipse(v - middle, s - s0 - 0.4 * lateral, thickness, 3.2)
        return np.maximum(across, np.abs(lateral) - 10)

    return Structure(
        tissue="nerve",
        box=Box(
            u=structure.sided(sign, u0 - 10, u0 + 10),
            v=(middle - 3.2, middle + 3.2),
            s=(s0 - 8, s0 + 8),
        ),
        distance=distance,
    )


def _facet_tip(patient: patient_module.Patient, level: int, side: int) -> Structure:
    sign, u0 = 1 - 2 * side, patient_module.foramen_u(level)
    _, back = patient.foramen_walls(side, level)
    v0, s0 = back + 4.6, float(patient.level_s[level]) - 1.0

    def distance(u: np.ndarray, v: np.ndarray, s: np.ndarray) -> np.ndarray:
        return structure.ellipsoid(
            sign * u - u0, v - v0 - 0.15 * (s - s0), s - s0, (4.0, 4.6, 10.0)
        )

    return Structure(
        tissue="marrow",
        box=Box(
            u=structure.sided(sign, u0 - 4, u0 + 4), v=(v0 - 6.5, v0 + 6.5), s=(s0 - 10, s0 + 10)
        ),
        distance=distance,
        rim=0.8,
    )
