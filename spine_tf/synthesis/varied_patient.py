"""Patients of every kind: four to six lumbar vertebrae, transitions, curves, ages, wear, belly.

What is drawn is wider than in people, so that what learns from it meets people as a part of it. The
numbering stays that of a radiologist who has no other picture: the lowest formed disc is L5/S1. A
disc is formed where it reaches over its end plates; what is left of a disc in the sacrum is
thin, or reaches over a part of them.
"""

import dataclasses

import numpy as np

from spine_tf.synthesis import (
    build as build_module,
    curve,
    evidence,
    grading,
    patient as patient_module,
    surroundings,
)

NONE, SACRALISED, LUMBARISED = "none", "sacralised_l5", "lumbarised_s1"

_NUM_ABOVE, _NUM_SACRAL_DISCS = 6, 5
_LUMBAR_SHARES = {4: 0.12, 5: 0.74, 6: 0.14}
_TRANSITIONAL = {SACRALISED: 0.12, LUMBARISED: 0.12}
_SACRAL_NAMES = ("S1", "S2", "S3", "S4", "S5", "Co1")

# From the sixth disc above L1/L2 to L5/S1, then to S5/Co1; vertebrae are those below these discs.
_HALF_WIDTH = (17.5, 18.0, 19.0, 19.8, 20.5, 21.5, 22.5, 23.5, 24.5, 25.5, 25.0)
_DEPTH = (28.5, 29.0, 29.5, 30.0, 30.5, 32.0, 33.0, 34.0, 35.0, 35.5, 33.0)
_SACRAL_HALF_WIDTH, _SACRAL_DEPTH = (19.0, 15.0, 13.0, 11.0, 6.0), (23.0, 17.0, 13.0, 10.0, 8.0)
_BODY_HEIGHT = (19.0, 20.0, 21.0, 22.0, 23.0, 25.0, 26.0, 26.5, 27.0, 27.0)
_SACRAL_HEIGHT = (29.0, 24.0, 20.0, 17.0, 15.0)
_DISC_HEIGHT = (4.0, 4.5, 4.5, 5.0, 5.5, 6.5, 8.5, 9.5, 10.5, 11.5, 10.5)
# Of the tangent, positive where the spine runs forward; discs L5/S1 lie at 18 to 71 degrees in
# people who lie on their backs.
_DEGREES = (-11.0, -8.0, -4.0, 1.0, 5.0, 9.0, 12.0, 11.0, 4.0, -10.0, -34.0)
_SACRAL_DEGREES = (-48.0, -48.0, -32.0, -8.0, 20.0)
_SPINOUS_LENGTH = (20.0, 20.0, 21.0, 22.0, 24.0, 26.0, 27.0, 28.0, 26.0, 19.0, 8.0)
_SPINOUS_HALF = (5.0, 5.5, 6.0, 6.5, 7.5, 8.5, 9.5, 10.0, 9.5, 7.5, 4.5)
_SPINOUS_SLANT = (0.9, 0.8, 0.6, 0.4, 0.25, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Kind:
    """What a reader who sees the whole spine says of a patient.

    Attributes:
        num_lumbar: vertebrae between thorax and sacrum.
        transition: NONE, SACRALISED or LUMBARISED: a vertebra that is partly of the other kind, of
            five lumbar ones; the disc below a sacralised L5 is low but formed, that below a
            lumbarised S1 is high but reaches over a part of the end plates.
        age: years.
    """

    num_lumbar: int = 5
    transition: str = NONE
    age: float = 50.0


USUAL = Kind()


def draw_kind(rng: np.random.Generator) -> Kind:
    """Draws one patient's kind."""
    num_lumbar = int(rng.choice(list(_LUMBAR_SHARES), p=list(_LUMBAR_SHARES.values())))
    shares = _TRANSITIONAL if num_lumbar == build_module.NUM_LEVELS else {}
    names = [*shares, NONE]
    transition = rng.choice(names, p=[*shares.values(), 1 - sum(shares.values())])
    return Kind(num_lumbar=num_lumbar, transition=str(transition), age=float(rng.uniform(18, 88)))


def draw_patient(
    kind: Kind, rng: np.random.Generator, show: evidence.Show
) -> patient_module.Patient:
    """Draws a patient of a kind whose spine deviates little to the side; `show` as usual."""
    latents = grading.draw_latents(rng)
    shown = show(latents)
    narrowing = grading.narrowing(shown.targets)
    degeneration = _degeneration(kind, narrowing, rng)
    disc_height, disc_reach = _discs(kind, degeneration, rng)
    disc_s = _disc_positions(disc_height, rng)
    scale = float(np.clip(rng.normal(1.0, 0.1), 0.74, 1.28))
    old = (kind.age - 18) / 70
    return patient_module.Patient(
        latents=latents,
        shown=shown,
        narrowing=narrowing,
        bulge_share=rng.uniform(0.15, 0.85, narrowing.shape),
        spine=_make_spine(kind, disc_s * scale, rng),
        scale=scale,
        lateral=patient_module.make_lateral(disc_s, rng),
        disc_s=disc_s,
        disc_height=disc_height,
        degeneration=degeneration,
        recess_shift=rng.normal(0, 0.9, (2, 5)),
        recess_s=rng.normal(0, 1.4, (2, 5)).clip(-3.5, 3.5),
        canal_size=_about_one(0.1, rng),
        facet_size=_about_one(0.12, rng),
        body_width=_about_one(0.08, rng),
        # The cord ends at the true L1/L2.
        conus_s=float(rng.normal(-8 + 34 * (5 - kind.num_lumbar), 11)),
        fat_mm=float(np.clip(rng.gamma(2.5, 8.0) + 3, 4, 70)),
        sac_loss=patient_module.sac_loss(shown),
        fatty_muscle=float(np.clip(rng.beta(2, 5) + 0.5 * old * rng.random(), 0, 1)),
        build=_make_build(kind, disc_reach, rng),
        around=surroundings.draw(rng),
    )


def bend(patient: patient_module.Patient, rng: np.random.Generator) -> patient_module.Patient:
    """Returns the patient, every third one with scoliosis of up to 28 mm."""
    if rng.random() > 0.35:
        return patient
    size, length = rng.uniform(5, 28), rng.uniform(190, 330)
    phase = rng.uniform(0, 2 * np.pi)
    lateral = patient_module.side_profile(
        patient.disc_s, lambda s: size * np.sin(2 * np.pi * s / length + phase)
    )
    return dataclasses.replace(patient, lateral=lateral, is_bent=True)


def _about_one(deviation: float, rng: np.random.Generator) -> float:
    return float(np.clip(rng.normal(1, deviation), 1 - 2.5 * deviation, 1 + 2.5 * deviation))


def _degeneration(kind: Kind, narrowing: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Of all discs: age wears them all, and narrowing goes with it, as in every patient."""
    wear = 0.55 * (kind.age - 18) / 70 + rng.normal(0, 0.15)
    graded = 0.45 * narrowing.mean(axis=0) + rng.normal(0.1, 0.2, build_module.NUM_LEVELS)
    above = rng.normal(0.05, 0.18, _NUM_ABOVE)
    sacral = rng.uniform(0.1, 1.0, _NUM_SACRAL_DISCS)
    return np.concatenate([above + wear, graded + wear, sacral]).clip(0, 1)


def _discs(
    kind: Kind, degeneration: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the heights of the discs, and how far they reach over their end plates."""
    sacral = np.array([rng.uniform(0.8, 3.2), *rng.uniform(0.3, 2.0, _NUM_SACRAL_DISCS - 1)])
    height = np.concatenate([_DISC_HEIGHT, sacral])
    height = height * rng.normal(1, 0.1, len(height)).clip(0.7, 1.3)
    height *= (1 - 0.55 * degeneration) * _about_one(0.12, rng)
    reach = np.full(len(height), 1.02)
    first = len(_DISC_HEIGHT)
    reach[first:] = rng.uniform(0.5, 1.0, _NUM_SACRAL_DISCS)
    if kind.transition == SACRALISED:
        height[first - 1] = rng.uniform(3.5, 5.5)
    elif kind.transition == LUMBARISED:
        height[first], reach[first] = rng.uniform(3.5, 6.0), rng.uniform(0.55, 0.8)
    return height, reach


def _disc_positions(disc_height: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    body = np.array([*_BODY_HEIGHT, *_SACRAL_HEIGHT])
    body = body * rng.normal(1, 0.035, len(body)) * _about_one(0.07, rng)
    gaps = body + (disc_height[:-1] + disc_height[1:]) / 2
    positions = np.concatenate([[0.0], np.cumsum(gaps)])
    return positions - positions[_NUM_ABOVE]


def _make_spine(kind: Kind, disc_s: np.ndarray, rng: np.random.Generator) -> curve.Curve:
    """Kyphosis above, lordosis, and a sacrum that comes back forward below."""
    upper = np.array(_DEGREES) * rng.uniform(0.5, 1.45)
    sacral = np.array(_SACRAL_DEGREES) * rng.uniform(0.6, 1.15) + rng.normal(0, 6)
    sacral = np.minimum(sacral, upper[-1] + np.array([-4.0, 0.0, 20.0, 50.0, 90.0]))
    if kind.transition == LUMBARISED:
        sacral[0] = 0.5 * (upper[-1] + sacral[0])
    elif kind.transition == SACRALISED:
        upper[-2] = 0.5 * (upper[-2] + upper[-1])
    degrees = np.concatenate([upper, sacral]) + rng.normal(0, 4)
    degrees += rng.normal(0, 1.8, len(degrees))
    knots_s = np.concatenate([[disc_s[0] - 90], disc_s, [disc_s[-1] + 25, disc_s[-1] + 120]])
    ends = degrees[-1] + np.array([20.0, 30.0])
    return curve.make_curve(knots_s, np.radians(np.concatenate([[degrees[0] - 8], degrees, ends])))


def _make_build(kind: Kind, disc_reach: np.ndarray, rng: np.random.Generator) -> build_module.Build:
    num_spinous = len(_SPINOUS_LENGTH)
    long, beside = _about_one(0.15, rng), rng.normal(0, 2)
    return build_module.Build(
        names=_names(kind.num_lumbar),
        num_above=_NUM_ABOVE,
        half_width=(*_HALF_WIDTH, *_SACRAL_HALF_WIDTH),
        depth=(*_DEPTH, *_SACRAL_DEPTH),
        taper=_tapers(kind, len(disc_reach), rng),
        concavity=float(rng.uniform(0.5, 2.8)),
        cortex=float(rng.uniform(0.5, 1.2)),
        end_height=float(rng.uniform(10, 18)),
        disc_reach=_floats(disc_reach),
        front_loss=(0.0,) * len(disc_reach),
        middle_loss=(0.0,) * len(disc_reach),
        spinous_length=_floats(np.array(_SPINOUS_LENGTH) * long),
        spinous_half=_floats(np.array(_SPINOUS_HALF) * rng.normal(1, 0.12, num_spinous)),
        spinous_slant=_floats(np.array(_SPINOUS_SLANT) + rng.normal(0, 0.08, num_spinous)),
        spinous_u=_floats(beside + rng.normal(0, 1.2, num_spinous)),
        transverse_tip=(26.0,) * (num_spinous - kind.num_lumbar - 1)
        + (38.0,) * (kind.num_lumbar + 1),
        vessels_out=float(rng.uniform(-3, 14)),
        fork_s=float(rng.normal(-18 + 17 * (5 - kind.num_lumbar), 9)),
    )


def _names(num_lumbar: int) -> tuple[str, ...]:
    """Names from the uppermost vertebra to the coccyx."""
    lumbar = [f"L{number}" for number in range(1, num_lumbar + 1)]
    num_thoracic = len(_SPINOUS_LENGTH) - 1 - num_lumbar
    thoracic = [f"T{number}" for number in range(13 - num_thoracic, 13)]
    return (*thoracic, *lumbar, *_SACRAL_NAMES)


def _tapers(kind: Kind, count: int, rng: np.random.Generator) -> tuple[float, ...]:
    """The sacrum's bodies get smaller towards their lower ends; a lumbarised one is square."""
    tapers = np.zeros(count)
    first = len(_DISC_HEIGHT) - 1
    tapers[first + 1 :] = rng.uniform(0.18, 0.3, count - first - 1)
    if kind.transition == LUMBARISED:
        tapers[first] = rng.uniform(0.08, 0.18)
    return _floats(tapers)


def _floats(values: np.ndarray) -> tuple[float, ...]:
    return tuple(values.tolist())
