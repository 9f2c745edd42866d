"""The picture of a patient: structures painted one over the other, in the frame (u, v, s)."""

import dataclasses

import numpy as np

from spine_tf.phantom import patient as patients


@dataclasses.dataclass(frozen=True, kw_only=True)
class Contrast:
    """Signal of each tissue in one sequence, 0 (black) to 1."""

    fat: float
    muscle: float
    marrow: float
    disc: float
    bone: float
    fluid: float
    nerve: float


def paint(
    patient: patients.Patient,
    contrast: Contrast,
    u: np.ndarray,
    v: np.ndarray,
    s: np.ndarray,
    *,
    edge_mm: float,
) -> np.ndarray:
    """Returns the noise-free signal at points of the frame.

    Args:
        patient: whose spine.
        contrast: signal of the tissues.
        u, v, s: float arrays that broadcast against each other.
        edge_mm: width over which a border is blurred by the size of a pixel.

    Returns:
        float64 of the broadcast shape, in [0, 1].
    """
    scale = patient.scale
    u, v = u / scale, v / scale
    shape = np.broadcast_shapes(u.shape, v.shape, s.shape)
    image = np.full(shape, contrast.muscle)

    def add(distance: np.ndarray, signal: float | np.ndarray) -> None:
        mask = np.clip(0.5 - distance / edge_mm, 0, 1)
        image[...] += mask * (signal - image)

    add(_ellipse(u, v - 12, 24, 14), contrast.bone)
    add(_ellipse(u, v + 17, 25, 17), contrast.marrow)
    for level in range(5):
        _, foramen_left, foramen_right, _, _ = patient.narrowing[:, level]
        half = patient.disc_height[level] / 2
        distance_s = np.abs(s - patient.disc_s[level])
        slab = distance_s - half
        if slab.min() > 10:
            continue
        add(np.maximum(slab, _ellipse(u, v + 17, 26, 18)), contrast.disc)
        for side, narrow in ((1, foramen_left), (-1, foramen_right)):
            if (side * u).max() < 7:
                continue
            hole = _ellipse(side * u - 15, v - 5, 6, 5.5 - 3 * narrow)
            add(np.maximum(hole, distance_s - 10 + 3 * narrow), contrast.fat)
            add(np.maximum(np.hypot(side * u - 15, v - 5) - 2.5, distance_s - 9), contrast.nerve)
    add(_ellipse(u, v - 8, 11, 7.5), contrast.fat)
    nearest = np.abs(s[..., None] - patient.disc_s).argmin(axis=-1)
    fade = np.clip(1.4 - np.abs(s - patient.disc_s[nearest]) / 10, 0, 1)
    canal = patient.narrowing[0][nearest] * fade
    add(_ellipse(u, v - 8 + 0 * canal, 8.5 - 2 * canal, 6.5 - 4.5 * canal), contrast.fluid)
    for side, row in ((1, 3), (-1, 4)):
        narrow = patient.narrowing[row][nearest] * fade
        add(_ellipse(side * u - 9, v - 3.5, 3.5, 3.2 - 3 * narrow), contrast.fluid)
        add(np.hypot(side * u - 9, v - 3.5) - 0.9, contrast.nerve)
    return image


def _ellipse(u: np.ndarray, v: np.ndarray, a: float, b: float | np.ndarray) -> np.ndarray:
    radius = np.sqrt((u / a) ** 2 + (v / b) ** 2)
    return (radius - 1) * np.minimum(a, b)
