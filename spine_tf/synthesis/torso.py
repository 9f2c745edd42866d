"""The body around the spine: muscles, vessels, belly, fat, skin, and how a scanner lights it."""

import dataclasses

import numpy as np

from spine_tf.synthesis import (
    patient as patient_module,
    sequence as sequence_module,
    structure,
    surroundings,
    vertebrae,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Torso:
    """Surfaces of the body as tables over z, in the patient's millimetres.

    Attributes:
        z: float64 (n,), increasing.
        spine_y: where the posterior wall of the vertebrae runs.
        fascia_y: back of the muscles.
        skin_y: back of the fat.
        around: what differs in the belly; None is the plain one.
    """

    z: np.ndarray
    spine_y: np.ndarray
    fascia_y: np.ndarray
    skin_y: np.ndarray
    around: surroundings.Surroundings | None = None


def make_torso(patient: patient_module.Patient) -> Torso:
    """Returns the body around a patient's spine."""
    order = np.argsort(patient.spine.z)
    z = np.arange(-320.0, 200.0)
    spine_y = np.interp(z, patient.spine.z[order], patient.spine.y[order])
    window = np.hanning(121)
    smooth = np.convolve(np.pad(spine_y, 60, mode="edge"), window / window.sum(), mode="valid")
    level = float(np.interp(-60.0, z, spine_y))
    fascia_y = 0.45 * smooth + 0.55 * level + 57 * patient.scale
    if patient.around is not None:  # a sacrum that stands out lifts the skin
        fascia_y = np.maximum(fascia_y, smooth + 22 * patient.scale)
    return Torso(
        z=z,
        spine_y=spine_y,
        fascia_y=fascia_y,
        skin_y=fascia_y + patient.fat_mm,
        around=patient.around,
    )


def background(
    torso: Torso,
    sequence: sequence_module.Sequence,
    x: np.ndarray,
    y: np.ndarray,
    z: np.ndarray,
    coarse: np.ndarray,
) -> np.ndarray:
    """Returns the signal where there is no spine, float32 of the slice's shape.

    Args:
        torso: the body.
        sequence: contrast.
        x, y, z: the patient's coordinates, arrays that broadcast to the slice's shape.
        coarse: texture of the belly, of the slice's shape.
    """
    signals = sequence.signals
    depth = y + (x * x) * np.float32(1 / 420) - _at(z, torso.z, torso.fascia_y)
    front = behind_wall(torso, y, z)
    image = np.full(coarse.shape, signals["fat"], np.float32)
    if torso.around is None:
        organs = np.clip(0.6 + 0.7 * coarse, 0, 1) * np.clip((-55 - front) / 8, 0, 1)
        image += organs * (signals["organ"] - signals["fat"])
    else:
        image = surroundings.add_belly(image, torso.around, sequence, front, coarse)
    image *= 1 - 0.8 * np.clip(1.2 - np.abs(depth), 0, 1)
    flank = 0.5 * (signals["muscle"] + signals["fat"]) - signals["fat"]
    image += np.clip(-1 - depth, 0, 1) * np.clip(front / 60 + 0.3, 0, 1) * flank
    skin = depth - _at(z, torso.z, torso.skin_y - torso.fascia_y)
    return image * np.clip(0.5 - skin, 0, 1)


def illumination(
    torso: Torso, sequence: sequence_module.Sequence, x: np.ndarray, y: np.ndarray, z: np.ndarray
) -> np.ndarray:
    """Returns the factor of the coil and the saturation band, 1 at the spine, broadcastable."""
    sensitivity = 0.15 + 0.85 * np.exp(np.minimum(y, 90) / sequence.coil_mm)
    along = np.exp(-(((z - sequence.coil_center_mm) / sequence.coil_length_mm) ** 2))
    front = behind_wall(torso, y, z)
    band = np.clip((-front - 42) / 25, 0, 1) * (1 - sequence.saturation)
    factor = sensitivity * along * (1 - band)
    for amplitude, phase, along_x, along_y, along_z in sequence.bias:
        wave = np.sin(along_x * x + along_y * y + along_z * z + phase)
        factor = factor * np.exp(amplitude * wave)
    return factor.astype(np.float32)


def behind_wall(torso: Torso, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Returns how far back of the vertebrae's posterior wall points lie at their height."""
    return y - _at(z, torso.z, torso.spine_y)


def _at(z: np.ndarray, table_z: np.ndarray, values: np.ndarray) -> np.ndarray:
    index = np.rint(z - table_z[0]).astype(np.int32)
    return values.astype(np.float32).take(index, mode="clip")


def make_muscles(patient: patient_module.Patient) -> list[structure.Structure]:
    """Returns psoas and the muscles of the back, with a septum between their columns."""
    low, high = float(patient.disc_s[0] - 90), patient.sacral_s + 30
    result = []
    for sign in (1, -1):
        result += [_psoas(patient, sign), _quadratus(sign, low, float(patient.level_s[4]))]
        result += _back_muscles(patient, sign, low, high)
    return [*result, _between_processes(low, float(patient.level_s[4]) + 12)]


def make_vessels(patient: patient_module.Patient) -> list[structure.Structure]:
    """Returns aorta, vena cava and the iliac vessels, dark by flow."""
    depth = vertebrae.body_size(patient, patient.build.first_sacral - 2)[1]
    fork, out = float(patient.level_s[3] + patient.build.fork_s), patient.build.vessels_out
    return [
        _vessel(7.0 + out, -depth - 11, 8.5, fork, 1),
        _vessel(11.0 + out, -depth - 9, 9.5, fork + 8, -1),
    ]


def _psoas(patient: patient_module.Patient, sign: int) -> structure.Structure:
    start, end = float(patient.disc_s[patient.build.num_above - 1]), float(patient.level_s[4])

    def distance(u: np.ndarray, v: np.ndarray, s: np.ndarray) -> np.ndarray:
        size = np.clip(0.45 + 0.6 * (s - start) / (end - start), 0.45, 1.05)
        return structure.ellipse(sign * u - 27 - 13 * size, v + 15 + 4 * size, 15 * size, 19 * size)

    return structure.Structure(
        tissue="muscle",
        box=structure.Box(u=structure.sided(sign, 20, 58), v=(-42, 4), s=(start - 90, end + 60)),
        distance=distance,
    )


def _quadratus(sign: int, low: float, high: float) -> structure.Structure:
    def distance(u: np.ndarray, v: np.ndarray, s: np.ndarray) -> np.ndarray:
        return np.maximum(structure.ellipse(sign * u - 58, v - 2, 13.0, 9.0), s - high)

    return structure.Structure(
        tissue="muscle",
        box=structure.Box(u=structure.sided(sign, 45, 72), v=(-8, 12), s=(low, high)),
        distance=distance,
    )


def _back_muscles(
    patient: patient_module.Patient, sign: int, low: float, high: float
) -> list[structure.Structure]:
    columns = ((14.5, 33.5, 13.5, 19.5), (42.0, 31.0, 18.0, 21.0))
    return [
        _column(sign, column, (low, high), patient.fatty_muscle * weight)
        for column, weight in zip(columns, (1.0, 0.6), strict=True)
    ]


def _column(
    sign: int, column: tuple[float, float, float, float], span: tuple[float, float], fat: float
) -> structure.Structure:
    u0, v0, a, b = column

    def distance(u: np.ndarray, v: np.ndarray, s: np.ndarray) -> np.ndarray:
        size = np.clip((span[1] - s) / 75, 0.05, 1)
        return structure.rounded(
            sign * u - u0 * size, v - 16 - (v0 - 16) * size, a * size, b * size
        )

    return structure.Structure(
        tissue="muscle",
        box=structure.Box(u=structure.sided(sign, u0 - a, u0 + a), v=(v0 - b, v0 + b), s=span),
        distance=distance,
        other="fat",
        fraction=0.6 * fat,
    )


def _between_processes(low: float, high: float) -> structure.Structure:
    def distance(u: np.ndarray, v: np.ndarray, s: np.ndarray) -> np.ndarray:
        size = np.clip((high - s) / 30, 0.05, 1)
        return structure.rounded(u, v - 20 - 14 * size, 2.6, 14.0 * size)

    return structure.Structure(
        tissue="ligament",
        box=structure.Box(u=(-3, 3), v=(20, 48), s=(low, high)),
        distance=distance,
        other="fat",
        fraction=0.35,
    )


def _vessel(u0: float, v0: float, radius: float, fork: float, sign: int) -> structure.Structure:
    def distance(u: np.ndarray, v: np.ndarray, s: np.ndarray) -> np.ndarray:
        below = np.clip(s - fork, 0, None)
        first = np.hypot(sign * u - u0 - 0.45 * below, v - v0)
        second = np.hypot(sign * u - u0 + 0.75 * below, v - v0)
        return np.minimum(first, second) - radius * np.where(below > 0, 0.75, 1.0)

    return structure.Structure(
        tissue="vessel",
        box=structure.Box(u=(-60, 60), v=(v0 - 10, v0 + 10), s=(fork - 260, fork + 60)),
        distance=distance,
        rim=1.0,
        rim_tissue="muscle",
    )
