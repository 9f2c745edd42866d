"""Vertebral bodies, pedicles, arches, the sacrum, and the discs, which bulge where they narrow."""

import numpy as np

from spine_tf.synthesis import build as build_module, patient as patient_module, structure


def body_size(patient: patient_module.Patient, index: int) -> tuple[float, float]:
    """Returns half width and depth of vertebra `index`."""
    build = patient.build
    return build.half_width[index] * patient.body_width, build.depth[index] * patient.body_width


def body_span(patient: patient_module.Patient, index: int) -> tuple[float, float]:
    """Returns s of the upper and the lower end plate of vertebra `index`."""
    top = patient.disc_s[index] + patient.disc_height[index] / 2
    if index + 1 == len(patient.disc_s):
        return float(top), float(top + patient.build.end_height)
    bottom = patient.disc_s[index + 1] - patient.disc_height[index + 1] / 2
    return float(top), float(bottom)


def make_bodies(patient: patient_module.Patient) -> list[structure.Structure]:
    """Returns the vertebral bodies with their veins, and the wings of the sacrum."""
    result = _sacral_wings(patient)
    for index in range(len(patient.disc_s)):
        result += [_body(patient, index), _basivertebral_vein(patient, index)]
    return result


def make_pedicles(patient: patient_module.Patient) -> list[structure.Structure]:
    """Returns pedicles and transverse processes down to S1; bodies cover their front ends."""
    result = []
    for index in range(patient.build.first_sacral + 1):
        for side in (1, -1):
            result += [_transverse_process(patient, index, side), _pedicle(patient, index, side)]
    return result


def make_pedicle_roots(patient: patient_module.Patient) -> list[structure.Structure]:
    """Returns what joins the pedicles to the bodies, painted after both."""
    indices = range(patient.build.first_sacral + 1)
    return [_pedicle_root(patient, index, side) for index in indices for side in (1, -1)]


def make_arches(patient: patient_module.Patient) -> list[structure.Structure]:
    """Returns laminae and spinous processes down to S1."""
    result = []
    for index in range(patient.build.first_sacral + 1):
        result.append(_lamina(patient, index))
        if patient.build.spinous_length[index]:
            result.append(_spinous_process(patient, index))
    return result


def _body(patient: patient_module.Patient, index: int) -> structure.Structure:
    half_width, depth = body_size(patient, index)
    top, bottom = body_span(patient, index)
    middle, half = (top + bottom) / 2, (bottom - top) / 2
    taper = patient.build.taper[index]
    hollow = patient.build.concavity
    front, pressed = patient.build.front_loss[index], patient.build.middle_loss[index]
    spur = 0.03 * float(patient.degeneration[index])

    def distance(u: np.ndarray, v: np.ndarray, s: np.ndarray) -> np.ndarray:
        t = (s - middle) / half
        t2 = t * t
        size = 0.93 + (0.07 + spur) * t2 - taper * 0.5 * (t + 1)
        b = depth / 2 * size
        radial = structure.rounded(u, v + b, half_width * size, b)
        plate = np.abs(s - middle) - half
        if front or pressed:
            forward = np.clip(-v / depth, 0, 1)
            pressed_top = top + front * forward + 4 * pressed * forward * (1 - forward)
            plate = np.maximum(plate, pressed_top - s)
        return np.maximum(radial, plate - hollow * np.minimum(radial, 0.0) / b)

    return structure.Structure(
        tissue="marrow",
        box=structure.Box(u=(-half_width, half_width), v=(-depth, 1.0), s=(top - 2, bottom + 2)),
        distance=distance,
        rim=patient.build.cortex,
    )


def _basivertebral_vein(patient: patient_module.Patient, index: int) -> structure.Structure:
    top, bottom = body_span(patient, index)
    middle = (top + bottom) / 2

    def distance(u: np.ndarray, v: np.ndarray, s: np.ndarray) -> np.ndarray:
        height = np.abs(s - middle) - 1.6 * np.clip(1 + (v + 1) / 9, 0, 1)
        return np.maximum(structure.ellipse(u, v + 2, 3.5, 7.5), height)

    return structure.Structure(
        tissue="vein",
        box=structure.Box(u=(-4, 4), v=(-10, 2), s=(middle - 2, middle + 2)),
        distance=distance,
        other="marrow",
        fraction=0.4,
    )


def _sacral_wings(patient: patient_module.Patient) -> list[structure.Structure]:
    top, _ = body_span(patient, patient.build.first_sacral)

    def distance(u: np.ndarray, v: np.ndarray, s: np.ndarray) -> np.ndarray:
        fall = 0.25 * (np.abs(u) - 20)
        wing = structure.rounded(np.abs(u) - 36, v + 6 - 0.15 * np.abs(u), 20.0, 13.0)
        return np.maximum(wing, np.abs(s - top - 27 - fall) - 24)

    return [
        structure.Structure(
            tissue="marrow",
            box=structure.Box(u=(-58, 58), v=(-26, 20), s=(top + 1, top + 62)),
            distance=distance,
            rim=1.0,
        )
    ]


def _pedicle(patient: patient_module.Patient, index: int, side: int) -> structure.Structure:
    u0, s0 = pedicle_place(patient, index)

    def distance(u: np.ndarray, v: np.ndarray, s: np.ndarray) -> np.ndarray:
        across = structure.rounded(side * u - u0, s - s0, 4.3, 6.8)
        return np.maximum(across, np.abs(v - 4) - 10)

    return structure.Structure(
        tissue="marrow",
        box=structure.Box(
            u=structure.sided(side, u0 - 5, u0 + 5), v=(-6.5, 14), s=(s0 - 7, s0 + 7)
        ),
        distance=distance,
        rim=0.8,
    )


def pedicle_place(patient: patient_module.Patient, index: int) -> tuple[float, float]:
    """Returns |u| and s of the middle of a vertebra's pedicles."""
    top, bottom = body_span(patient, index)
    # As wide at T12 as above it.
    number = max(index - patient.build.num_above + 2, 0)
    return 14.0 + 0.8 * number, top + 0.3 * (bottom - top)


def _pedicle_root(patient: patient_module.Patient, index: int, side: int) -> structure.Structure:
    """The marrow that joins pedicle and body without a cortex between them."""
    u0, s0 = pedicle_place(patient, index)

    def distance(u: np.ndarray, v: np.ndarray, s: np.ndarray) -> np.ndarray:
        across = structure.ellipse(side * u - u0, s - s0, 3.5, 6.0)
        return np.maximum(across, np.abs(v + 1) - 4)

    return structure.Structure(
        tissue="marrow",
        box=structure.Box(u=structure.sided(side, u0 - 4, u0 + 4), v=(-5, 3), s=(s0 - 6, s0 + 6)),
        distance=distance,
    )


def _transverse_process(
    patient: patient_module.Patient, index: int, side: int
) -> structure.Structure:
    top, bottom = body_span(patient, index)
    s0, tip = top + 0.33 * (bottom - top), patient.build.transverse_tip[index]

    def distance(u: np.ndarray, v: np.ndarray, s: np.ndarray) -> np.ndarray:
        rod = structure.segment(side * u, v, (16.0, 8.0), (tip, 14.0)) - 2.8
        return np.maximum(rod, np.abs(s - s0) - 4.5)

    return structure.Structure(
        tissue="marrow",
        box=structure.Box(u=structure.sided(side, 13, tip + 3), v=(5, 17), s=(s0 - 5, s0 + 5)),
        distance=distance,
        rim=0.9,
    )


def _lamina(patient: patient_module.Patient, index: int) -> structure.Structure:
    top, bottom = body_span(patient, index)
    s0 = top + 0.62 * (bottom - top)
    back = 21.5 * patient.canal_size

    def distance(u: np.ndarray, v: np.ndarray, s: np.ndarray) -> np.ndarray:
        plate = structure.segment(np.abs(u), v, (12.5, back - 7), (0.0, back)) - 2.6
        return np.maximum(plate, np.abs(s - s0 - 0.35 * (v - 18)) - 8.5)

    return structure.Structure(
        tissue="marrow",
        box=structure.Box(u=(-15, 15), v=(back - 10, back + 3), s=(s0 - 13, s0 + 13)),
        distance=distance,
        rim=0.9,
    )


def _spinous_process(patient: patient_module.Patient, index: int) -> structure.Structure:
    top, bottom = body_span(patient, index)
    s0 = top + 0.72 * (bottom - top)
    back = 21.5 * patient.canal_size
    build = patient.build
    length, half = build.spinous_length[index], build.spinous_half[index]
    slant, beside = build.spinous_slant[index], build.spinous_u[index]

    def distance(u: np.ndarray, v: np.ndarray, s: np.ndarray) -> np.ndarray:
        side_on = structure.rounded(
            v - back - length / 2, s - s0 - slant * (v - back), length / 2 + 2, half
        )
        return np.maximum(side_on, np.abs(u - beside) - 2.8)

    return structure.Structure(
        tissue="marrow",
        box=structure.Box(
            u=(beside - 3, beside + 3),
            v=(back - 3, back + length + 3),
            s=(s0 - 12, s0 + 12 + 30 * slant),
        ),
        distance=distance,
        rim=0.9,
    )


def make_discs(patient: patient_module.Patient) -> list[structure.Structure]:
    """Returns annulus and nucleus of every disc."""
    result = []
    for index in range(len(patient.disc_s)):
        result += [_annulus(patient, index), _nucleus(patient, index)]
        if patient.degeneration[index] < 0.75:
            result.append(_cleft(patient, index))
    return result


def _bulge(patient: patient_module.Patient, level: int, u: np.ndarray) -> np.ndarray:
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


def _annulus(patient: patient_module.Patient, index: int) -> structure.Structure:
    half_width, depth = _disc_size(patient, index)
    middle, half = patient.disc_s[index], patient.disc_height[index] / 2
    level = index - patient.build.num_above
    is_graded = 0 <= level < build_module.NUM_LEVELS
    # The disc fills what a pressed end plate below it leaves.
    sunk = patient.build.front_loss[index] + patient.build.middle_loss[index]

    def distance(u: np.ndarray, v: np.ndarray, s: np.ndarray) -> np.ndarray:
        b = depth / 2
        if is_graded:
            reach = _bulge(patient, level, u)
            v = v - reach * np.clip(1 + v / 12, 0, 1)
        radial = structure.rounded(u, v + b, half_width, b)
        overhang = 1.5 - 0.5 * np.clip(v, 0, 4)
        flat = np.abs(s - middle) - half
        if sunk:
            flat = np.maximum(middle - half - s, s - middle - half - sunk)
        return np.maximum(radial, flat - overhang)

    return structure.Structure(
        tissue="annulus",
        box=structure.Box(
            u=(-half_width - 1, half_width + 1),
            v=(-depth - 1, 11),
            s=(middle - half - 2, middle + half + 2 + sunk),
        ),
        distance=distance,
    )


def _nucleus(patient: patient_module.Patient, index: int) -> structure.Structure:
    half_width, depth = _disc_size(patient, index)
    middle, half = patient.disc_s[index], patient.disc_height[index] / 2

    def distance(u: np.ndarray, v: np.ndarray, s: np.ndarray) -> np.ndarray:
        x, y, z = u / (0.66 * half_width), (v + 0.53 * depth) / (0.33 * depth), s - middle
        z = z / (half + 0.6)
        return (np.sqrt(x * x + y * y + z * z) - 1) * half

    return structure.Structure(
        tissue="nucleus",
        box=structure.Box(
            u=(-0.7 * half_width, 0.7 * half_width),
            v=(-0.9 * depth, -0.15 * depth),
            s=(middle - half - 1, middle + half + 1),
        ),
        distance=distance,
        other="annulus",
        fraction=float(patient.degeneration[index]) ** 0.7,
    )


def _cleft(patient: patient_module.Patient, index: int) -> structure.Structure:
    half_width, depth = _disc_size(patient, index)
    middle = patient.disc_s[index]

    def distance(u: np.ndarray, v: np.ndarray, s: np.ndarray) -> np.ndarray:
        inside = structure.ellipse(u, v + 0.53 * depth, 0.5 * half_width, 0.25 * depth)
        return np.maximum(inside, np.abs(s - middle) - 0.5)

    return structure.Structure(
        tissue="annulus",
        box=structure.Box(
            u=(-0.5 * half_width, 0.5 * half_width),
            v=(-0.8 * depth, -0.25 * depth),
            s=(middle - 1, middle + 1),
        ),
        distance=distance,
        other="nucleus",
        fraction=0.3,
    )


def _disc_size(patient: patient_module.Patient, index: int) -> tuple[float, float]:
    half_width, depth = body_size(patient, index)
    reach = patient.build.disc_reach[index]
    return half_width * reach, depth * reach
