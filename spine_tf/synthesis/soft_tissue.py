"""What surrounds the spine: muscles, ligaments between the spinous processes, great vessels."""

import numpy as np

from spine_tf.synthesis import patient as patient_module, structure, vertebrae
from spine_tf.synthesis.structure import Box, Structure


def make_muscles(patient: patient_module.Patient) -> list[Structure]:
    """Returns psoas and the muscles of the back, with a septum between their columns."""
    low, high = float(patient.disc_s[0] - 90), float(patient.disc_s[-1] + 30)
    result = []
    for sign in (1, -1):
        result += [_psoas(patient, sign), _quadratus(sign, low, float(patient.disc_s[6]))]
        result += _back_muscles(patient, sign, low, high)
    return [*result, _between_processes(low, float(patient.disc_s[6]) + 12)]


def make_vessels(patient: patient_module.Patient) -> list[Structure]:
    """Returns aorta, vena cava and the iliac vessels, dark by flow."""
    depth = vertebrae.body_size(patient, 4)[1]
    fork = float(patient.disc_s[5] - 18)
    return [
        _vessel(7.0, -depth - 11, 8.5, fork, 1),
        _vessel(11.0, -depth - 9, 9.5, fork + 8, -1),
    ]


def _psoas(patient: patient_module.Patient, sign: int) -> Structure:
    start, end = float(patient.disc_s[1]), float(patient.disc_s[6])

    def distance(u: np.ndarray, v: np.ndarray, s: np.ndarray) -> np.ndarray:
        size = np.clip(0.45 + 0.6 * (s - start) / (end - start), 0.45, 1.05)
        return structure.ellipse(sign * u - 27 - 13 * size, v + 15 + 4 * size, 15 * size, 19 * size)

    return Structure(
        tissue="muscle",
        box=Box(u=structure.sided(sign, 20, 58), v=(-42, 4), s=(start - 90, end + 60)),
        distance=distance,
    )


def _quadratus(sign: int, low: float, high: float) -> Structure:
    def distance(u: np.ndarray, v: np.ndarray, s: np.ndarray) -> np.ndarray:
        return np.maximum(structure.ellipse(sign * u - 58, v - 2, 13.0, 9.0), s - high)

    return Structure(
        tissue="muscle",
        box=Box(u=structure.sided(sign, 45, 72), v=(-8, 12), s=(low, high)),
        distance=distance,
    )


def _back_muscles(
    patient: patient_module.Patient, sign: int, low: float, high: float
) -> list[Structure]:
    columns = ((14.5, 33.5, 13.5, 19.5), (42.0, 31.0, 18.0, 21.0))
    return [
        _column(sign, column, (low, high), patient.fatty_muscle * weight)
        for column, weight in zip(columns, (1.0, 0.6), strict=True)
    ]


def _column(
    sign: int, column: tuple[float, float, float, float], span: tuple[float, float], fat: float
) -> Structure:
    u0, v0, a, b = column

    def distance(u: np.ndarray, v: np.ndarray, s: np.ndarray) -> np.ndarray:
        size = np.clip((span[1] - s) / 75, 0.05, 1)
        return structure.rounded(
            sign * u - u0 * size, v - 16 - (v0 - 16) * size, a * size, b * size
        )

    return Structure(
        tissue="muscle",
        box=Box(u=structure.sided(sign, u0 - a, u0 + a), v=(v0 - b, v0 + b), s=span),
        distance=distance,
        other="fat",
        fraction=0.6 * fat,
    )


def _between_processes(low: float, high: float) -> Structure:
    def distance(u: np.ndarray, v: np.ndarray, s: np.ndarray) -> np.ndarray:
        size = np.clip((high - s) / 30, 0.05, 1)
        return structure.rounded(u, v - 20 - 14 * size, 2.6, 14.0 * size)

    return Structure(
        tissue="ligament",
        box=Box(u=(-3, 3), v=(20, 48), s=(low, high)),
        distance=distance,
        other="fat",
        fraction=0.35,
    )


def _vessel(u0: float, v0: float, radius: float, fork: float, sign: int) -> Structure:
    def distance(u: np.ndarray, v: np.ndarray, s: np.ndarray) -> np.ndarray:
        below = np.clip(s - fork, 0, None)
        first = np.hypot(sign * u - u0 - 0.45 * below, v - v0)
        second = np.hypot(sign * u - u0 + 0.75 * below, v - v0)
        return np.minimum(first, second) - radius * np.where(below > 0, 0.75, 1.0)

    return Structure(
        tissue="vessel",
        box=Box(u=(-45, 45), v=(v0 - 10, v0 + 10), s=(fork - 260, fork + 60)),
        distance=distance,
        rim=1.0,
        rim_tissue="muscle",
    )
