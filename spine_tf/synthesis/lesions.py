"""Fractures, metal and other things that are found in a spine, and how they look."""

import dataclasses

import numpy as np

from spine_tf.synthesis import (
    lesion as lesion_module,
    patient as patient_module,
    structure,
    vertebrae,
)

_SHARES = {
    lesion_module.FRACTURE: 0.15,
    lesion_module.SCREWS: 0.08,
    lesion_module.CAGE: 0.06,
    lesion_module.LAMINECTOMY: 0.06,
    lesion_module.FOCUS: 0.35,
}
_FOCUS_TISSUES = ("fat", "fluid", "cortex", "muscle", "nucleus")


def draw(
    patient: patient_module.Patient, rng: np.random.Generator
) -> tuple[lesion_module.Lesion, ...]:
    """Draws what is found in a patient, most often nothing or little."""
    found: list[lesion_module.Lesion] = []
    first, last = patient.build.num_above - 2, patient.build.first_sacral
    for kind, share in _SHARES.items():
        if rng.random() > share:
            continue
        start = int(rng.integers(first, last))
        if kind == lesion_module.SCREWS:
            size = float(rng.uniform(3.0, 7.0))
            stop = min(start + int(rng.integers(2, 5)), last + 1)
            found += [
                lesion_module.Lesion(kind=kind, index=index, size=size)
                for index in range(start, stop)
            ]
        elif kind == lesion_module.FOCUS:
            found += [_draw_focus(first, last, rng) for _ in range(int(rng.integers(1, 5)))]
        else:
            found.append(
                lesion_module.Lesion(kind=kind, index=start, size=float(rng.uniform(4.0, 13.0)))
            )
    return tuple(found)


def _draw_focus(first: int, last: int, rng: np.random.Generator) -> lesion_module.Lesion:
    u, v, s = rng.uniform(-0.8, 0.8, 3).tolist()
    return lesion_module.Lesion(
        kind=lesion_module.FOCUS,
        index=int(rng.integers(first, last + 1)),
        size=float(rng.uniform(2.0, 8.0)),
        place=(u, v, s),
        tissue=str(rng.choice(_FOCUS_TISSUES)),
    )


def affect(
    patient: patient_module.Patient,
    found: tuple[lesion_module.Lesion, ...],
    rng: np.random.Generator,
) -> patient_module.Patient:
    """Returns the patient with what is found: pressed end plates, missing arches, `lesions`."""
    build = patient.build
    front, middle = list(build.front_loss), list(build.middle_loss)
    length = list(build.spinous_length)
    for lesion in found:
        if lesion.kind == lesion_module.FRACTURE:
            share = float(rng.uniform(0, 1))
            top, bottom = vertebrae.body_span(patient, lesion.index)
            size = min(lesion.size, 0.6 * (bottom - top))
            front[lesion.index], middle[lesion.index] = share * size, (1 - share) * size
        elif lesion.kind in (lesion_module.LAMINECTOMY, lesion_module.SCREWS):
            length[lesion.index] = 0.0
    build = dataclasses.replace(
        build, front_loss=tuple(front), middle_loss=tuple(middle), spinous_length=tuple(length)
    )
    return dataclasses.replace(patient, build=build, lesions=found)


def make_lesions(patient: patient_module.Patient) -> list[structure.Structure]:
    """Returns what is painted over a patient's bones and discs."""
    result: list[structure.Structure] = []
    for lesion in patient.lesions:
        if lesion.kind == lesion_module.FOCUS:
            result.append(_focus(patient, lesion))
        elif lesion.kind == lesion_module.CAGE:
            result.append(_cage(patient, lesion))
        elif lesion.kind == lesion_module.SCREWS:
            result += [_screw(patient, lesion, 1), _screw(patient, lesion, -1)]
    return result


def _focus(patient: patient_module.Patient, lesion: lesion_module.Lesion) -> structure.Structure:
    """A haemangioma, oedema, sclerosis, a node: anything round in a body."""
    half_width, depth = vertebrae.body_size(patient, lesion.index)
    top, bottom = vertebrae.body_span(patient, lesion.index)
    size = lesion.size
    u0, v0 = 0.8 * half_width * lesion.place[0], depth / 2 * (0.7 * lesion.place[1] - 1)
    s0 = (top + bottom) / 2 + (bottom - top) / 2 * lesion.place[2]

    def distance(u: np.ndarray, v: np.ndarray, s: np.ndarray) -> np.ndarray:
        round_part = structure.ellipsoid(u - u0, v - v0, s - s0, (size, size, 0.8 * size))
        return np.maximum(round_part, np.maximum(top + 1 - s, s - bottom + 1))

    return structure.Structure(
        tissue=lesion.tissue,
        box=structure.Box(
            u=(u0 - size, u0 + size), v=(v0 - size, v0 + size), s=(s0 - size, s0 + size)
        ),
        distance=distance,
        other="marrow",
        fraction=0.35,
    )


def _cage(patient: patient_module.Patient, lesion: lesion_module.Lesion) -> structure.Structure:
    half_width, depth = vertebrae.body_size(patient, lesion.index)
    middle = float(patient.disc_s[lesion.index])
    half = float(patient.disc_height[lesion.index]) / 2 + 1

    def distance(u: np.ndarray, v: np.ndarray, s: np.ndarray) -> np.ndarray:
        across = structure.rounded(u, v + depth / 2, 0.6 * half_width, 0.36 * depth)
        return np.maximum(across, np.abs(s - middle) - half)

    return structure.Structure(
        tissue="air",
        box=structure.Box(
            u=(-0.6 * half_width, 0.6 * half_width),
            v=(-0.9 * depth, -0.1 * depth),
            s=(middle - half, middle + half),
        ),
        distance=distance,
    )


def _screw(
    patient: patient_module.Patient, lesion: lesion_module.Lesion, side: int
) -> structure.Structure:
    """The void of a screw through a pedicle and of the rod behind it."""
    u0, s0 = vertebrae.pedicle_place(patient, lesion.index)
    size = lesion.size

    def distance(u: np.ndarray, v: np.ndarray, s: np.ndarray) -> np.ndarray:
        along = np.hypot(side * u - u0 - 0.2 * v, s - s0)
        screw = np.maximum(along, np.abs(v - 3) - 27 + size)
        rod = np.maximum(np.hypot(side * u - u0 - 6, v - 30), np.abs(s - s0) - 18 + size)
        return np.minimum(screw, rod) - size

    return structure.Structure(
        tissue="air",
        box=structure.Box(
            u=structure.sided(side, u0 - size - 6, u0 + size + 12),
            v=(-25, 31 + size),
            s=(s0 - 19, s0 + 19),
        ),
        distance=distance,
    )
