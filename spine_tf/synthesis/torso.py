"""The body around the spine: skin, fat, belly, air, and how a scanner lights them."""

import dataclasses

import numpy as np

from spine_tf.synthesis import patient as patient_module, sequence as sequence_module


@dataclasses.dataclass(frozen=True, kw_only=True)
class Torso:
    """Surfaces of the body as tables over z, in the patient's millimetres.

    Attributes:
        z: float64 (n,), increasing.
        spine_y: where the posterior wall of the vertebrae runs.
        fascia_y: back of the muscles.
        skin_y: back of the fat.
    """

    z: np.ndarray
    spine_y: np.ndarray
    fascia_y: np.ndarray
    skin_y: np.ndarray


def make_torso(patient: patient_module.Patient) -> Torso:
    """Returns the body around a patient's spine."""
    order = np.argsort(patient.spine.z)
    z = np.arange(-320.0, 200.0)
    spine_y = np.interp(z, patient.spine.z[order], patient.spine.y[order])
    window = np.hanning(121)
    smooth = np.convolve(np.pad(spine_y, 60, mode="edge"), window / window.sum(), mode="valid")
    level = float(np.interp(-60.0, z, spine_y))
    fascia_y = 0.45 * smooth + 0.55 * level + 57 * patient.scale
    return Torso(z=z, spine_y=spine_y, fascia_y=fascia_y, skin_y=fascia_y + patient.fat_mm)


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
    front = y - _at(z, torso.z, torso.spine_y)
    image = np.full(coarse.shape, signals["fat"], np.float32)
    organs = np.clip(0.6 + 0.7 * coarse, 0, 1) * np.clip((-55 - front) / 8, 0, 1)
    image += organs * (signals["organ"] - signals["fat"])
    image *= 1 - 0.8 * np.clip(1.2 - np.abs(depth), 0, 1)
    flank = 0.5 * (signals["muscle"] + signals["fat"]) - signals["fat"]
    image += np.clip(-1 - depth, 0, 1) * np.clip(front / 60 + 0.3, 0, 1) * flank
    skin = depth - _at(z, torso.z, torso.skin_y - torso.fascia_y)
    return image * np.clip(0.5 - skin, 0, 1)


def illumination(
    torso: Torso, sequence: sequence_module.Sequence, y: np.ndarray, z: np.ndarray
) -> np.ndarray:
    """Returns the factor of the coil and the saturation band, 1 at the spine, broadcastable."""
    sensitivity = 0.15 + 0.85 * np.exp(np.minimum(y, 90) / sequence.coil_mm)
    along = np.exp(-(((z + 70) / 190) ** 2))
    front = y - _at(z, torso.z, torso.spine_y)
    band = np.clip((-front - 42) / 25, 0, 1) * (1 - sequence.saturation)
    return (sensitivity * along * (1 - band)).astype(np.float32)


def _at(z: np.ndarray, table_z: np.ndarray, values: np.ndarray) -> np.ndarray:
    index = np.rint(z - table_z[0]).astype(np.int32)
    return values.astype(np.float32).take(index, mode="clip")
