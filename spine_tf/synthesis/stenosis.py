"""The passages that are graded: canal, foramina, recesses; what lies in them and what closes them.

The canal holds epidural fat and the dural sac with the cord and the roots, with the flavum behind
it. A foramen holds fat around the exiting root, and disc and facet close it. A subarticular recess
lies in front of a facet joint and lets the traversing root pass.
"""

import numpy as np

from spine_tf.synthesis import curve, patient as patient_module, structure

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


def make_epidural_fat(patient: patient_module.Patient) -> list[structure.Structure]:
    """Returns the fat that fills the canal around the sac."""
    depth = 19.0 * patient.canal_size
    end = patient.sacral_s + 40

    def distance(u: np.ndarray, v: np.ndarray, s: np.ndarray) -> np.ndarray:
        return structure.rounded(u, v - depth / 2, 11.5, depth / 2)

    return [
        structure.Structure(
            tissue="epidural_fat",
            box=structure.Box(u=(-12, 12), v=(-0.5, depth + 0.5), s=(patient.disc_s[0] - 90, end)),
            distance=distance,
        )
    ]


def make_sac(patient: patient_module.Patient) -> list[structure.Structure]:
    """Returns dura with fluid, the cord's end and the roots."""
    front, back, width = _sac_profiles(patient)
    top, end = float(patient.disc_s[0] - 90), patient.sacral_s + 25
    box = structure.Box(u=(-10, 10), v=(0, 18), s=(top, end))

    def sac(u: np.ndarray, v: np.ndarray, s: np.ndarray) -> np.ndarray:
        low, high = front(s), back(s)
        return structure.ellipse(u, v - (low + high) / 2, width(s), (high - low) / 2)

    return [
        structure.Structure(tissue="fluid", box=box, distance=sac, rim=0.35, rim_tissue="ligament"),
        _cord(patient, front, back),
        _cauda(patient, front, back, width),
    ]


def make_flavum(patient: patient_module.Patient) -> list[structure.Structure]:
    """Returns the ligamenta flava: bands behind the sac from facet to midline at each disc."""
    return [_flavum(patient, level, side) for level in range(5) for side in (0, 1)]


def _sac_profiles(
    patient: patient_module.Patient,
) -> tuple[curve.Profile, curve.Profile, curve.Profile]:
    """Returns v of the sac's front and back, and its half width, along s."""
    start, stop = float(patient.disc_s[0] - 100), patient.sacral_s + 60
    last = patient.level_s[4]
    knots = np.array([start, patient.level_s[3], last, last + 20, last + 48])
    depth = 14.0 * patient.canal_size
    open_front = np.array([1.3, 1.3, 2.8, 5.0, 7.0])
    open_back = open_front + np.array([depth, depth, depth - 1.0, 9.0, 1.5])
    open_width = np.array([8.8, 9.0, 8.5, 7.0, 1.0])

    def along(values: np.ndarray, changes: list[float]) -> curve.Profile:
        def function(s: np.ndarray) -> np.ndarray:
            result = np.interp(s, knots, values)
            for level_s, change in zip(patient.level_s, changes, strict=True):
                result = result + change * _bump(s, level_s)
            return result

        return curve.make_profile(start, stop, function)

    narrowing = patient.narrowing[patient_module.CANAL]
    share = patient.bulge_share[patient_module.CANAL]
    return (
        along(open_front, list(10.0 * narrowing * share)),
        along(open_back, list(-10.0 * narrowing * (1 - share))),
        along(open_width, list(-patient.sac_loss)),
    )


def _bump(s: np.ndarray, center: float) -> np.ndarray:
    """1 at the centre, fading on both sides."""
    return np.exp(-(((s - center) / _FADE) ** 2))


def _cord(
    patient: patient_module.Patient, front: curve.Profile, back: curve.Profile
) -> structure.Structure:
    end = patient.conus_s

    def distance(u: np.ndarray, v: np.ndarray, s: np.ndarray) -> np.ndarray:
        taper = np.clip((end - s) / 30, 0, 1) ** 0.6
        middle = 0.45 * front(s) + 0.55 * back(s)
        return structure.ellipse(u, v - middle, 4.6 * taper + 0.01, 3.6 * taper + 0.01)

    return structure.Structure(
        tissue="nerve",
        box=structure.Box(u=(-5, 5), v=(2, 16), s=(patient.disc_s[0] - 90, end)),
        distance=distance,
    )


def _cauda(
    patient: patient_module.Patient,
    front: curve.Profile,
    back: curve.Profile,
    width: curve.Profile,
) -> structure.Structure:
    def distance(u: np.ndarray, v: np.ndarray, s: np.ndarray) -> np.ndarray:
        low, high, half_width = front(s), back(s), width(s)
        x, y = np.abs(u), v - (low + high) / 2
        half_depth = (high - low) / 2
        nearest = np.full(np.broadcast_shapes(x.shape, y.shape, s.shape), 99.0, np.float32)
        for across, behind in _ROOTS:
            dx, dy = x - across * half_width * 0.88, y - behind * half_depth * 0.85
            np.minimum(nearest, dx * dx + dy * dy, out=nearest)
        return np.sqrt(nearest) - 0.75

    end = patient.sacral_s + 10
    return structure.Structure(
        tissue="nerve",
        box=structure.Box(u=(-9.5, 9.5), v=(1, 17), s=(patient.conus_s - 25, end)),
        distance=distance,
        other="fluid",
        fraction=0.45,
    )


def _flavum(patient: patient_module.Patient, level: int, side: int) -> structure.Structure:
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

    return structure.Structure(
        tissue="ligament",
        box=structure.Box(
            u=structure.sided(sign, -1, 14),
            v=(inner[1] - 4, max(inner[1], outer[1]) + 4),
            s=(middle - 9, middle + 8),
        ),
        distance=distance,
    )


def make_foraminal_fat(patient: patient_module.Patient) -> list[structure.Structure]:
    """Returns the fat of all foramina, amid the tissue that takes its place as they narrow."""
    result = []
    for level in range(5):
        for side in (0, 1):
            result += [
                _foraminal_lining(patient, level, side),
                _foraminal_fat(patient, level, side),
            ]
    return result


def make_exiting_roots(patient: patient_module.Patient) -> list[structure.Structure]:
    """Returns the root ganglia in the foramina, and the facet that closes in from behind."""
    result = []
    for level in range(5):
        for side in (0, 1):
            result += [_facet_tip(patient, level, side), _ganglion(patient, level, side)]
    return result


def _foraminal_lining(
    patient: patient_module.Patient, level: int, side: int
) -> structure.Structure:
    sign, s0 = 1 - 2 * side, float(patient.level_s[level]) - 5.0
    u0 = patient_module.foramen_u(level)

    def distance(u: np.ndarray, v: np.ndarray, s: np.ndarray) -> np.ndarray:
        # An oblique slice reaches farther sideways, where nothing of it is left.
        size = np.maximum(1.0 - 0.004 * (sign * u - u0) ** 2, 0.1)
        return structure.rounded(v - 5, s - s0, 7.6 * size, 13.5 * size)

    return structure.Structure(
        tissue="muscle",
        box=structure.Box(
            u=structure.sided(sign, u0 - 6, u0 + 6), v=(-2.5, 12.5), s=(s0 - 13, s0 + 13)
        ),
        distance=distance,
        other="annulus",
        fraction=0.3,
    )


def _foraminal_fat(patient: patient_module.Patient, level: int, side: int) -> structure.Structure:
    sign, s0 = 1 - 2 * side, float(patient.level_s[level]) - 5.0
    front, back = patient.foramen_walls(side, level)
    middle, half = (front + back) / 2, 0.62 * (back - front)
    height = 13.5 - 8.0 * patient.narrowing[patient_module.LEFT_FORAMEN + side, level]
    u0 = patient_module.foramen_u(level)

    def distance(u: np.ndarray, v: np.ndarray, s: np.ndarray) -> np.ndarray:
        hole = structure.rounded(v - middle, s - s0, half, height)
        return np.maximum(hole, np.abs(sign * u - u0) - 7)

    return structure.Structure(
        tissue="fat",
        box=structure.Box(
            u=structure.sided(sign, u0 - 7, u0 + 7),
            v=(middle - half, middle + half),
            s=(s0 - height, s0 + height),
        ),
        distance=distance,
    )


def _ganglion(patient: patient_module.Patient, level: int, side: int) -> structure.Structure:
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

    return structure.Structure(
        tissue="nerve",
        box=structure.Box(
            u=structure.sided(sign, u0 - 10, u0 + 10),
            v=(middle - 3.2, middle + 3.2),
            s=(s0 - 8, s0 + 8),
        ),
        distance=distance,
    )


def _facet_tip(patient: patient_module.Patient, level: int, side: int) -> structure.Structure:
    sign, u0 = 1 - 2 * side, patient_module.foramen_u(level)
    _, back = patient.foramen_walls(side, level)
    v0, s0 = back + 4.6, float(patient.level_s[level]) - 1.0

    def distance(u: np.ndarray, v: np.ndarray, s: np.ndarray) -> np.ndarray:
        return structure.ellipsoid(
            sign * u - u0, v - v0 - 0.15 * (s - s0), s - s0, (4.0, 4.6, 10.0)
        )

    return structure.Structure(
        tissue="marrow",
        box=structure.Box(
            u=structure.sided(sign, u0 - 4, u0 + 4), v=(v0 - 6.5, v0 + 6.5), s=(s0 - 10, s0 + 10)
        ),
        distance=distance,
        rim=0.8,
    )


def make_facets(patient: patient_module.Patient) -> list[structure.Structure]:
    """Returns the articular processes and the joint between them, on both sides of each level."""
    joints = [_joint(patient, level, side) for level in range(5) for side in (0, 1)]
    return [part for joint in joints for part in joint]


def make_traversing_roots(patient: patient_module.Patient) -> list[structure.Structure]:
    """Returns the roots that pass the subarticular recesses, flattened where these are narrow."""
    return [_traversing_root(patient, level, side) for level in range(5) for side in (0, 1)]


def _joint(patient: patient_module.Patient, level: int, side: int) -> list[structure.Structure]:
    sign = 1 - 2 * side
    _, back = patient.recess_walls(side, level)
    growth = 1 + 0.35 * patient.narrowing[patient_module.LEFT_RECESS + side, level]
    size = patient.facet_size * growth
    middle = float(patient.level_s[level] + patient.recess_s[side, level])
    upper = (12.8, back + 5.0 * size, 5.6 * size, 5.0 * size, 9.0)
    lower = (9.8, back + 11.8 * size, 4.4 * size, 4.6 * size, 11.0)
    line = ((7.2, back + 7.0 * size), (15.6, back + 10.6 * size))
    return [
        _articular_process(sign, middle - 1, upper),
        _articular_process(sign, middle - 4, lower),
        _joint_space(sign, middle - 2, line),
    ]


def _articular_process(
    sign: int, middle: float, shape: tuple[float, float, float, float, float]
) -> structure.Structure:
    u0, v0, a, b, c = shape

    def distance(u: np.ndarray, v: np.ndarray, s: np.ndarray) -> np.ndarray:
        return structure.ellipsoid(sign * u - u0, v - v0, s - middle, (a, b, c))

    return structure.Structure(
        tissue="marrow",
        box=structure.Box(
            u=structure.sided(sign, u0 - a, u0 + a), v=(v0 - b, v0 + b), s=(middle - c, middle + c)
        ),
        distance=distance,
        rim=0.9,
    )


def _joint_space(
    sign: int, middle: float, line: tuple[tuple[float, float], tuple[float, float]]
) -> structure.Structure:
    def distance(u: np.ndarray, v: np.ndarray, s: np.ndarray) -> np.ndarray:
        return np.maximum(structure.segment(sign * u, v, *line) - 0.6, np.abs(s - middle) - 6)

    return structure.Structure(
        tissue="fluid",
        box=structure.Box(
            u=structure.sided(sign, line[0][0] - 1, line[1][0] + 1),
            v=(line[0][1] - 1, line[1][1] + 1),
            s=(middle - 7, middle + 7),
        ),
        distance=distance,
        other="annulus",
        fraction=0.35,
    )


def _traversing_root(patient: patient_module.Patient, level: int, side: int) -> structure.Structure:
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

    return structure.Structure(
        tissue="nerve",
        box=structure.Box(
            u=structure.sided(sign, 5, 14), v=(middle - 3, middle + 3), s=(s0 - 7, s0 + 17)
        ),
        distance=distance,
    )
