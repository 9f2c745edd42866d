"""One patient: size, curve, discs, and how narrow each of the 25 targets is."""

import dataclasses

import numpy as np

from spine_tf import labels
from spine_tf.phantom import curve, latent


@dataclasses.dataclass(frozen=True, kw_only=True)
class Patient:
    """The spine of one patient in the frame of `curve`; lengths in millimetres.

    Attributes:
        latents: float64 (conditions, levels), standard normal.
        narrowing: float64 (conditions, levels), 0 open to 1 closed.
        spine: the curve of the posterior wall.
        scale: size against the average adult's.
        disc_s: float64 (levels,), where each disc's middle lies on the curve.
        disc_height: float64 (levels,).
    """

    latents: np.ndarray
    narrowing: np.ndarray
    spine: curve.Curve
    scale: float
    disc_s: np.ndarray
    disc_height: np.ndarray

    def landmark(self, condition: str, level: str) -> np.ndarray:
        """Returns the point that is graded, float64 (3,), in the patient's coordinates."""
        level_index = labels.LEVELS.index(level)
        side = {"left": 1.0, "right": -1.0, None: 0.0}[labels.side_of(condition)]
        if "foraminal" in condition:
            u, v, s = 15.0, 5.0, -2.0
        elif "subarticular" in condition:
            u, v, s = 8.5, 3.5, 0.0
        else:
            u, v, s = 0.0, 5.0, 0.0
        s_patient = self.disc_s[level_index] + s * self.scale
        y, z = self.spine.point(v * self.scale, s_patient)
        return np.array([side * u * self.scale, y, z])


def make_patient(rng: np.random.Generator) -> Patient:
    """Draws a patient."""
    latents = latent.draw_latents(rng)
    narrowing = latent.narrowing(latents)
    scale = float(np.clip(rng.normal(1.0, 0.06), 0.85, 1.15))
    disc_height = scale * (np.array([8.0, 9.0, 10.0, 11.0, 10.0]) + rng.normal(0, 0.7, 5))
    disc_height *= 1 - 0.35 * narrowing[1:3].mean(axis=0)
    body_height = scale * (np.array([26.0, 26.5, 27.0, 27.0]) + rng.normal(0, 0.7, 4))
    gaps = body_height + (disc_height[:-1] + disc_height[1:]) / 2
    disc_s = np.concatenate([[0.0], np.cumsum(gaps)])
    return Patient(
        latents=latents,
        narrowing=narrowing,
        spine=_make_spine(disc_s, rng),
        scale=scale,
        disc_s=disc_s,
        disc_height=disc_height,
    )


def _make_spine(disc_s: np.ndarray, rng: np.random.Generator) -> curve.Curve:
    degrees = np.array([12.0, 14.0, 10.0, 2.0, -9.0, -26.0, -48.0, -60.0])
    degrees = degrees * rng.uniform(0.7, 1.2) + rng.normal(0, 2.0)
    knots_s = np.concatenate([[-120.0], disc_s, [disc_s[-1] + 40, disc_s[-1] + 130]])
    return curve.make_curve(knots_s, np.radians(degrees))
