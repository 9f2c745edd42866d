"""One patient: size, curve, discs, and how narrow each of the 25 targets is."""

import dataclasses
from collections.abc import Callable

import numpy as np

from spine_tf import labels
from spine_tf.synthesis import build as build_module, curve, evidence, grading, lesion, surroundings

# s of the top of L1 above the disc L1/L2 reaches up to T11, s below L5/S1 down to S3.
_ABOVE, _BELOW = -95.0, 90.0

CANAL, LEFT_FORAMEN, RIGHT_FORAMEN, LEFT_RECESS, RIGHT_RECESS = range(5)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Patient:
    """The anatomy of one patient; lengths in average adult millimetres, see `scale`.

    Discs are those of T11/T12, T12/L1, the five graded ones, and S1/S2, or more of them: see
    `build`. Vertebra i lies between disc i and disc i + 1.

    Attributes:
        latents: float64 (conditions, levels), standard normal.
        shown: what the anatomy shows of them.
        narrowing: float64 (conditions, levels), 0 open to 1 closed.
        bulge_share: float64 (conditions, levels), how much of a narrowing comes from in front
            (the disc) rather than from behind (facet, flavum).
        spine: the curve of the posterior wall, in the patient's millimetres.
        scale: the patient's millimetres in one average adult millimetre.
        lateral: millimetres to the left by which the spine's middle deviates, along s.
        disc_s, disc_height, degeneration: float64 (discs,), of the discs.
        recess_shift: float64 (2, levels), left and right: both walls of a recess lie so much
            further back.
        recess_s: float64 (2, levels): so far below the disc's middle a recess is narrowest.
        canal_size: depth of the canal against the average.
        facet_size: size of the facet joints against the average, 1.
        body_width: width of the vertebral bodies against the average, 1.
        conus_s: where the spinal cord ends.
        fat_mm: thickness of the fat under the skin of the back.
        sac_loss: float64 (levels,), by which the dural sac is less wide to each side at a disc.
        fatty_muscle: fraction of fat in the muscles of the back.
        build: tables of the vertebrae.
        is_bent: `lateral` changes so much that slices show it.
        around: what differs around the spine; None is the plain one.
        lesions: what is found in it.
    """

    latents: np.ndarray
    shown: evidence.Evidence
    narrowing: np.ndarray
    bulge_share: np.ndarray
    spine: curve.Curve
    scale: float
    lateral: curve.Profile
    disc_s: np.ndarray
    disc_height: np.ndarray
    degeneration: np.ndarray
    recess_shift: np.ndarray
    recess_s: np.ndarray
    canal_size: float
    facet_size: float
    body_width: float
    conus_s: float
    fat_mm: float
    sac_loss: np.ndarray
    fatty_muscle: float
    build: build_module.Build = build_module.USUAL
    is_bent: bool = False
    around: surroundings.Surroundings | None = None
    lesions: tuple[lesion.Lesion, ...] = ()

    @property
    def level_s(self) -> np.ndarray:
        """Middles of the five graded discs."""
        first = self.build.num_above
        return self.disc_s[first : first + build_module.NUM_LEVELS]

    @property
    def sacral_s(self) -> float:
        """Middle of what is left of the disc S1/S2."""
        return float(self.disc_s[self.build.first_sacral + 1])

    def recess_walls(self, side: int, level: int) -> tuple[float, float]:
        """Returns v of the front and the back wall of a subarticular recess.

        Args:
            side: 0 left, 1 right.
            level: index into LEVELS.
        """
        narrowing = self.narrowing[LEFT_RECESS + side, level]
        share = self.bulge_share[LEFT_RECESS + side, level]
        shift = self.recess_shift[side, level]
        closing = 9.0 * narrowing
        return -0.2 + shift + share * closing, 9.8 + shift - (1 - share) * closing

    def foramen_walls(self, side: int, level: int) -> tuple[float, float]:
        """Returns v of the front and the back wall of a neural foramen, as `recess_walls`."""
        narrowing = self.narrowing[LEFT_FORAMEN + side, level]
        share = self.bulge_share[LEFT_FORAMEN + side, level]
        closing = 9.0 * narrowing
        return -1.0 + share * closing, 11.0 - (1 - share) * closing

    def canal_walls(self, level: int) -> tuple[float, float]:
        """Returns v of the front and the back of the dural sac at a disc."""
        narrowing = self.narrowing[CANAL, level]
        share = self.bulge_share[CANAL, level]
        closing = 10.0 * narrowing
        front = 1.3 + (1.5 if level == 4 else 0.0)
        depth = 14.0 * self.canal_size - (1.0 if level == 4 else 0.0)
        return front + share * closing, front + depth - (1 - share) * closing

    def landmark(self, condition: str, level: str) -> np.ndarray:
        """Returns the point that is graded, float64 (3,), in the patient's coordinates (mm)."""
        index = labels.LEVELS.index(level)
        side = {"left": 0, "right": 1, None: 0}[labels.side_of(condition)]
        sign = 1 - 2 * side
        s = float(self.level_s[index])
        if "foraminal" in condition:
            front, back = self.foramen_walls(side, index)
            return self.position(sign * foramen_u(index), (front + back) / 2, s - 5.0)
        if "subarticular" in condition:
            front, back = self.recess_walls(side, index)
            s = s + float(self.recess_s[side, index])
            return self.position(sign * 8.6, (front + back) / 2, s)
        front, back = self.canal_walls(index)
        return self.position(0.0, (front + back) / 2, s)

    def position(self, u: float, v: float, s: float) -> np.ndarray:
        """Returns a point of the frame in the patient's coordinates (mm)."""
        y, z = self.spine.point(v * self.scale, s * self.scale)
        return np.array([u * self.scale + float(self.lateral(np.array(s))), y, z])


def foramen_u(level: int) -> float:
    """Returns how far lateral the middle of a level's foramina lies."""
    return 16.0 + 0.8 * level


def make_patient(
    rng: np.random.Generator,
    latents: np.ndarray | None = None,
    show: evidence.Show = evidence.show_all,
) -> Patient:
    """Draws a patient, with the given latents if there are any.

    Args:
        rng: draws.
        latents: float64 (conditions, levels), standard normal.
        show: what the anatomy shows of them.
    """
    drawn = grading.draw_latents(rng)
    latents = drawn if latents is None else latents
    shown = show(latents)
    narrowing = grading.narrowing(shown.targets)
    degeneration = _degeneration(narrowing, rng)
    disc_height = np.array([5.5, 6.5, 8.5, 9.5, 10.5, 11.5, 10.5, 3.0])
    disc_height = disc_height * rng.normal(1, 0.05, 8) * (1 - 0.35 * degeneration)
    disc_s = _disc_positions(disc_height, rng)
    scale = float(np.clip(rng.normal(1.0, 0.06), 0.86, 1.15))
    return Patient(
        latents=latents,
        shown=shown,
        narrowing=narrowing,
        bulge_share=rng.uniform(0.15, 0.85, narrowing.shape),
        spine=_make_spine(disc_s * scale, rng),
        scale=scale,
        lateral=make_lateral(disc_s, rng),
        disc_s=disc_s,
        disc_height=disc_height,
        degeneration=degeneration,
        recess_shift=rng.normal(0, 0.9, (2, 5)),
        recess_s=rng.normal(0, 1.4, (2, 5)).clip(-3.5, 3.5),
        canal_size=float(np.clip(rng.normal(1, 0.05), 0.88, 1.12)),
        facet_size=float(np.clip(rng.normal(1, 0.08), 0.8, 1.2)),
        body_width=float(np.clip(rng.normal(1, 0.05), 0.88, 1.12)),
        conus_s=float(rng.normal(-8, 9)),
        fat_mm=float(np.clip(rng.gamma(4.0, 4.0) + 4, 5, 45)),
        sac_loss=sac_loss(shown),
        fatty_muscle=float(rng.beta(2, 5)),
    )


def sac_loss(shown: evidence.Evidence) -> np.ndarray:
    """Returns `Patient.sac_loss`: more where the width says something of its own."""
    most_mm = 5.5 if shown.deviation else 2.8
    latents = np.broadcast_to(shown.width, shown.targets.shape)
    return most_mm * grading.narrowing(latents)[CANAL]


def _degeneration(narrowing: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    graded = 0.1 + 0.7 * narrowing.mean(axis=0) + rng.normal(0, 0.18, 5)
    others = rng.uniform(0.0, 0.5, 3)
    return np.concatenate([others[:2], graded, others[2:]]).clip(0, 1)


def _disc_positions(disc_height: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    body_height = np.array([23.0, 25.0, 26.0, 26.5, 27.0, 27.0, 27.0, 27.0])[:7]
    body_height = body_height + rng.normal(0, 0.6, 7)
    gaps = body_height + (disc_height[:-1] + disc_height[1:]) / 2
    positions = np.concatenate([[0.0], np.cumsum(gaps)])
    return positions - positions[2]


def _make_spine(disc_s: np.ndarray, rng: np.random.Generator) -> curve.Curve:
    """Tangent angles at T11/T12 ... S1/S2, in degrees, positive where the spine runs forward."""
    degrees = np.array([6.0, 10.0, 13.0, 12.0, 6.0, -4.0, -22.0, -48.0])
    degrees = degrees * rng.uniform(0.7, 1.2) + rng.normal(0, 2.5)
    knots_s = np.concatenate([[disc_s[0] - 90], disc_s, [disc_s[-1] + 40, disc_s[-1] + 140]])
    knots = np.concatenate([[degrees[0] - 8], degrees, [degrees[-1] - 10, degrees[-1] + 10]])
    return curve.make_curve(knots_s, np.radians(knots))


def make_lateral(disc_s: np.ndarray, rng: np.random.Generator) -> curve.Profile:
    """Draws how a spine deviates a little to the side."""
    amplitude = float(np.clip(rng.normal(0, 2.0), -5, 5))
    phase, offset = rng.uniform(0, 2 * np.pi), rng.normal(0, 1.5)
    return side_profile(disc_s, lambda s: offset + amplitude * np.sin(2 * np.pi * s / 220 + phase))


def side_profile(disc_s: np.ndarray, function: Callable[[np.ndarray], np.ndarray]) -> curve.Profile:
    """Returns the table of a deviation in millimetres, a function of s, over all of a spine."""
    return curve.make_profile(disc_s[0] + _ABOVE, disc_s[-1] + _BELOW, function)
