"""Facet joints, the subarticular recess in front of them, and the root that passes through it."""

import numpy as np

from spine_tf.synthesis import patient as patient_module, structure
from spine_tf.synthesis.structure import Box, Structure


def make_facets(patient: patient_module.Patient) -> list[Structure]:
    """Returns the articular processes and the joint between them, on both sides of each level."""
    result = []
    for level in range(5):
        for side in (0, 1):
            result += _joint(patient, level, side)
    return result


def make_traversing_roots(patient: patient_module.Patient) -> list[Structure]:
    """Returns the roots that pass the subarticular recesses, flattened where these are narrow."""
    return [_root(patient, level, side) for level in range(5) for side in (0, 1)]


def _joint(patient: patient_module.Patient, level: int, side: int) -> list[Structure]:
    sign = 1 - 2 * side
    _, back = patient.recess_walls(side, level)
    growth = 1 + 0.35 * patient.narrowing[patient_module.LEFT_RECESS + side, level]
    size = patient.facet_size * growth
    middle = float(patient.level_s[level] + patient.recess_s[side, level])
    upper = (12.8, back + 5.0 * size, 5.6 * size, 5.0 * size, 9.0)
    lower = (9.8, back + 11.8 * size, 4.4 * size, 4.6 * size, 11.0)
    line = ((7.2, back + 7.0 * size), (15.6, back + 10.6 * size))
    return [
        _process(sign, middle - 1, upper),
        _process(sign, middle - 4, lower),
        _gap(sign, middle - 2, line),
    ]


def _process(
    sign: int, middle: float, shape: tuple[float, float, float, float, float]
) -> Structure:
    u0, v0, a, b, c = shape

    def distance(u: np.ndarray, v: np.ndarray, s: np.ndarray) -> np.ndarray:
        return structure.ellipsoid(sign * u - u0, v - v0, s - middle, (a, b, c))

    return Structure(
        tissue="marrow",
        box=Box(
            u=structure.sided(sign, u0 - a, u0 + a), v=(v0 - b, v0 + b), s=(middle - c, middle + c)
        ),
        distance=distance,
        rim=0.9,
    )


def _gap(
    sign: int, middle: float, line: tuple[tuple[float, float], tuple[float, float]]
) -> Structure:
    def distance(u: np.ndarray, v: np.ndarray, s: np.ndarray) -> np.ndarray:
        return np.maximum(structure.segment(sign * u, v, *line) - 0.6, np.abs(s - middle) - 6)

    return Structure(
        tissue="fluid",
        box=Box(
            u=structure.sided(sign, line[0][0] - 1, line[1][0] + 1),
            v=(line[0][1] - 1, line[1][1] + 1),
            s=(middle - 7, middle + 7),
        ),
        distance=distance,
        other="annulus",
        fraction=0.35,
    )


def _root(patient: patient_module.Patient, level: int, side: int) -> Structure:
    sign = 1 - 2 * side
    front, back = patient.recess_walls(side, level)
    middle, gap = (front + back) / 2, back - front
    height = float(np.clip(0.42 * gap, 0.7, 1.8))
    width = 1.9 + 0.4 * (1.8 - height)
    s0 = float(patient.level_s[level])

    def distance(u: np.ndarray, v: np.ndarray, s: np.ndarray) -> np.ndarray:
        path = 8.9 + 0.12 * (s - s0)
        return np.maximum(
            structure.ellipse(sign * u - path, v - middle, width, height), np.abs(s - s0 - 5) - 11
        )

    return Structure(
        tissue="nerve",
        box=Box(u=structure.sided(sign, 5, 14), v=(middle - 3, middle + 3), s=(s0 - 7, s0 + 17)),
        distance=distance,
    )
