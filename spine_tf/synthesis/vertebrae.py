"""Bones: vertebral bodies, pedicles, facets, laminae, spinous processes, the sacrum."""

import numpy as np

from spine_tf.synthesis import patient as patient_module, structure
from spine_tf.synthesis.structure import Box, Structure

# Half width and depth of the bodies T12 ... S2 at their end plates.
_HALF_WIDTH = (20.5, 21.5, 22.5, 23.5, 24.5, 25.5, 25.0, 19.0)
_DEPTH = (30.5, 32.0, 33.0, 34.0, 35.0, 35.5, 33.0, 21.0)

_FIRST_SACRAL = 6


def body_size(patient: patient_module.Patient, index: int) -> tuple[float, float]:
    """Returns half width and depth of vertebra `index` (0 is T12, 6 is S1)."""
    return _HALF_WIDTH[index] * patient.body_width, _DEPTH[index] * patient.body_width


def body_span(patient: patient_module.Patient, index: int) -> tuple[float, float]:
    """Returns s of the upper and the lower end plate of vertebra `index`."""
    top = patient.disc_s[index] + patient.disc_height[index] / 2
    if index + 1 == len(patient.disc_s):
        return float(top), float(top + 24)
    bottom = patient.disc_s[index + 1] - patient.disc_height[index + 1] / 2
    return float(top), float(bottom)


def make_bodies(patient: patient_module.Patient) -> list[Structure]:
    """Returns the vertebral bodies with their veins, and the wings of the sacrum."""
    result = _sacral_wings(patient)
    for index in range(len(patient.disc_s)):
        result += [_body(patient, index), _basivertebral_vein(patient, index)]
    return result


def make_pedicles(patient: patient_module.Patient) -> list[Structure]:
    """Returns pedicles and transverse processes of T12 to S1; bodies cover their front ends."""
    result = []
    for index in range(_FIRST_SACRAL + 1):
        for side in (1, -1):
            result += [_transverse_process(patient, index, side), _pedicle(patient, index, side)]
    return result


def make_pedicle_roots(patient: patient_module.Patient) -> list[Structure]:
    """Returns what joins the pedicles to the bodies, painted after both."""
    indices = range(_FIRST_SACRAL + 1)
    return [_pedicle_root(patient, index, side) for index in indices for side in (1, -1)]


def make_arches(patient: patient_module.Patient) -> list[Structure]:
    """Returns laminae and spinous processes of T12 to S1."""
    result = []
    for index in range(_FIRST_SACRAL + 1):
        result += [_lamina(patient, index), _spinous_process(patient, index)]
    return result


def _body(patient: patient_module.Patient, index: int) -> Structure:
    half_width, depth = body_size(patient, index)
    top, bottom = body_span(patient, index)
    middle, half = (top + bottom) / 2, (bottom - top) / 2
    taper = 0.28 if index >= _FIRST_SACRAL else 0.0
    spur = 0.03 * float(patient.degeneration[index])

    def distance(u: np.ndarray, v: np.ndarray, s: np.ndarray) -> np.ndarray:
        t = (s - middle) / half
        t2 = t * t
        size = 0.93 + (0.07 + spur) * t2 - taper * 0.5 * (t + 1)
        b = depth / 2 * size
        radial = structure.rounded(u, v + b, half_width * size, b)
        plate = np.abs(s - middle) - half - 1.4 * np.minimum(radial, 0.0) / b
        return np.maximum(radial, plate)

    return Structure(
        tissue="marrow",
        box=Box(u=(-half_width, half_width), v=(-depth, 1.0), s=(top - 2, bottom + 2)),
        distance=distance,
        rim=0.8,
    )


def _basivertebral_vein(patient: patient_module.Patient, index: int) -> Structure:
    top, bottom = body_span(patient, index)
    middle = (top + bottom) / 2

    def distance(u: np.ndarray, v: np.ndarray, s: np.ndarray) -> np.ndarray:
        height = np.abs(s - middle) - 1.6 * np.clip(1 + (v + 1) / 9, 0, 1)
        return np.maximum(structure.ellipse(u, v + 2, 3.5, 7.5), height)

    return Structure(
        tissue="vein",
        box=Box(u=(-4, 4), v=(-10, 2), s=(middle - 2, middle + 2)),
        distance=distance,
        other="marrow",
        fraction=0.4,
    )


def _sacral_wings(patient: patient_module.Patient) -> list[Structure]:
    top, _ = body_span(patient, _FIRST_SACRAL)

    def distance(u: np.ndarray, v: np.ndarray, s: np.ndarray) -> np.ndarray:
        fall = 0.25 * (np.abs(u) - 20)
        wing = structure.rounded(np.abs(u) - 36, v + 6 - 0.15 * np.abs(u), 20.0, 13.0)
        return np.maximum(wing, np.abs(s - top - 27 - fall) - 24)

    return [
        Structure(
            tissue="marrow",
            box=Box(u=(-58, 58), v=(-26, 20), s=(top + 1, top + 62)),
            distance=distance,
            rim=1.0,
        )
    ]


def _pedicle(patient: patient_module.Patient, index: int, side: int) -> Structure:
    top, bottom = body_span(patient, index)
    u0, s0 = 14.0 + 0.8 * index, top + 0.3 * (bottom - top)

    def distance(u: np.ndarray, v: np.ndarray, s: np.ndarray) -> np.ndarray:
        across = structure.rounded(side * u - u0, s - s0, 4.3, 6.8)
        return np.maximum(across, np.abs(v - 4) - 10)

    return Structure(
        tissue="marrow",
        box=Box(u=structure.sided(side, u0 - 5, u0 + 5), v=(-6.5, 14), s=(s0 - 7, s0 + 7)),
        distance=distance,
        rim=0.8,
    )


def _pedicle_root(patient: patient_module.Patient, index: int, side: int) -> Structure:
    """The marrow that joins pedicle and body without a cortex between them."""
    top, bottom = body_span(patient, index)
    u0, s0 = 14.0 + 0.8 * index, top + 0.3 * (bottom - top)

    def distance(u: np.ndarray, v: np.ndarray, s: np.ndarray) -> np.ndarray:
        across = structure.ellipse(side * u - u0, s - s0, 3.5, 6.0)
        return np.maximum(across, np.abs(v + 1) - 4)

    return Structure(
        tissue="marrow",
        box=Box(u=structure.sided(side, u0 - 4, u0 + 4), v=(-5, 3), s=(s0 - 6, s0 + 6)),
        distance=distance,
    )


def _transverse_process(patient: patient_module.Patient, index: int, side: int) -> Structure:
    top, bottom = body_span(patient, index)
    s0, tip = top + 0.33 * (bottom - top), 38.0 if index else 26.0

    def distance(u: np.ndarray, v: np.ndarray, s: np.ndarray) -> np.ndarray:
        rod = structure.segment(side * u, v, (16.0, 8.0), (tip, 14.0)) - 2.8
        return np.maximum(rod, np.abs(s - s0) - 4.5)

    return Structure(
        tissue="marrow",
        box=Box(u=structure.sided(side, 13, tip + 3), v=(5, 17), s=(s0 - 5, s0 + 5)),
        distance=distance,
        rim=0.9,
    )


def _lamina(patient: patient_module.Patient, index: int) -> Structure:
    top, bottom = body_span(patient, index)
    s0 = top + 0.62 * (bottom - top)
    back = 21.5 * patient.canal_size

    def distance(u: np.ndarray, v: np.ndarray, s: np.ndarray) -> np.ndarray:
        plate = structure.segment(np.abs(u), v, (12.5, back - 7), (0.0, back)) - 2.6
        return np.maximum(plate, np.abs(s - s0 - 0.35 * (v - 18)) - 8.5)

    return Structure(
        tissue="marrow",
        box=Box(u=(-15, 15), v=(back - 10, back + 3), s=(s0 - 13, s0 + 13)),
        distance=distance,
        rim=0.9,
    )


def _spinous_process(patient: patient_module.Patient, index: int) -> Structure:
    top, bottom = body_span(patient, index)
    s0 = top + 0.72 * (bottom - top)
    back = 21.5 * patient.canal_size
    length = (24.0, 26.0, 27.0, 28.0, 26.0, 19.0, 8.0)[index]
    half = (7.5, 8.5, 9.5, 10.0, 9.5, 7.5, 4.5)[index]

    def distance(u: np.ndarray, v: np.ndarray, s: np.ndarray) -> np.ndarray:
        side_on = structure.rounded(
            v - back - length / 2, s - s0 - 0.2 * (v - back), length / 2 + 2, half
        )
        return np.maximum(side_on, np.abs(u) - 2.8)

    return Structure(
        tissue="marrow",
        box=Box(u=(-3, 3), v=(back - 3, back + length + 3), s=(s0 - 12, s0 + 18)),
        distance=distance,
        rim=0.9,
    )
