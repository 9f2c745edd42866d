"""Intervertebral discs: annulus, nucleus, and the bulges that narrow canal, recess and foramen."""

import numpy as np

from spine_tf.synthesis import patient as patient_module, structure, vertebrae
from spine_tf.synthesis.structure import Box, Structure

_FIRST_GRADED, _LAST_GRADED = 2, 6


def make_discs(patient: patient_module.Patient) -> list[Structure]:
    """Returns annulus and nucleus of every disc."""
    result = []
    for index in range(len(patient.disc_s)):
        result += [_annulus(patient, index), _nucleus(patient, index)]
        if patient.degeneration[index] < 0.75:
            result.append(_cleft(patient, index))
    return result


def bulge(patient: patient_module.Patient, level: int, u: np.ndarray) -> np.ndarray:
    """Returns how far a graded disc reaches behind the posterior wall at each u."""
    canal_front, _ = patient.canal_walls(level)
    center = canal_front - (2.8 if level == 4 else 1.3)
    result = center * np.exp(-((u / 5.5) ** 2))
    for side, sign in ((0, 1), (1, -1)):
        recess, foramen = (
            patient.recess_walls(side, level)[0],
            patient.foramen_walls(side, level)[0],
        )
        result = result + (recess + 0.5) * np.exp(-(((sign * u - 9.3) / 4.0) ** 2))
        lateral = patient_module.foramen_u(level)
        result = result + (foramen + 2.5) * np.exp(-(((sign * u - lateral - 1) / 4.5) ** 2))
    return result


def _annulus(patient: patient_module.Patient, index: int) -> Structure:
    half_width, depth = _size(patient, index)
    middle, half = patient.disc_s[index], patient.disc_height[index] / 2
    is_graded = _FIRST_GRADED <= index <= _LAST_GRADED

    def distance(u: np.ndarray, v: np.ndarray, s: np.ndarray) -> np.ndarray:
        b = depth / 2
        if is_graded:
            reach = bulge(patient, index - _FIRST_GRADED, u)
            v = v - reach * np.clip(1 + v / 12, 0, 1)
        radial = structure.rounded(u, v + b, half_width, b)
        overhang = 1.5 - 0.5 * np.clip(v, 0, 4)
        return np.maximum(radial, np.abs(s - middle) - half - overhang)

    return Structure(
        tissue="annulus",
        box=Box(
            u=(-half_width - 1, half_width + 1),
            v=(-depth - 1, 11),
            s=(middle - half - 2, middle + half + 2),
        ),
        distance=distance,
    )


def _nucleus(patient: patient_module.Patient, index: int) -> Structure:
    half_width, depth = _size(patient, index)
    middle, half = patient.disc_s[index], patient.disc_height[index] / 2

    def distance(u: np.ndarray, v: np.ndarray, s: np.ndarray) -> np.ndarray:
        x, y, z = u / (0.66 * half_width), (v + 0.53 * depth) / (0.33 * depth), s - middle
        z = z / (half + 0.6)
        return (np.sqrt(x * x + y * y + z * z) - 1) * half

    return Structure(
        tissue="nucleus",
        box=Box(
            u=(-0.7 * half_width, 0.7 * half_width),
            v=(-0.9 * depth, -0.15 * depth),
            s=(middle - half - 1, middle + half + 1),
        ),
        distance=distance,
        other="annulus",
        fraction=float(patient.degeneration[index]) ** 0.7,
    )


def _cleft(patient: patient_module.Patient, index: int) -> Structure:
    half_width, depth = _size(patient, index)
    middle = patient.disc_s[index]

    def distance(u: np.ndarray, v: np.ndarray, s: np.ndarray) -> np.ndarray:
        inside = structure.ellipse(u, v + 0.53 * depth, 0.5 * half_width, 0.25 * depth)
        return np.maximum(inside, np.abs(s - middle) - 0.5)

    return Structure(
        tissue="annulus",
        box=Box(
            u=(-0.5 * half_width, 0.5 * half_width),
            v=(-0.8 * depth, -0.25 * depth),
            s=(middle - 1, middle + 1),
        ),
        distance=distance,
        other="nucleus",
        fraction=0.3,
    )


def _size(patient: patient_module.Patient, index: int) -> tuple[float, float]:
    half_width, depth = vertebrae.body_size(patient, index)
    return half_width * 1.02, depth * 1.02
