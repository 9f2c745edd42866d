"""Contrasts and scanners of every kind: each tissue's signal is drawn anew for every study.

A study's tissues keep what is theirs in all of its series; fatty ones go together, and marrow nears
fat with age. A part of the studies has signals that no tissue has, so that what learns from them
goes by shape.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np

from spine_tf.synthesis import sequence as sequence_module

_WEIGHTINGS: Mapping[str, Mapping[str, float]] = {
    sequence_module.SAGITTAL_T1: {"t1": 0.9, "t1_contrast": 0.1},
    sequence_module.SAGITTAL_T2: {"t2": 0.82, "stir": 0.18},
    sequence_module.AXIAL_T2: {"axial": 0.88, "axial_suppressed": 0.12},
}
_FATTY = tuple(name in ("fat", "epidural_fat", "marrow") for name in sequence_module.TISSUES)
_OF_STUDY, _OF_SERIES, _OF_FAT = 0.25, 0.2, 0.3
_UNREAL = 0.08
_BRIGHT_VESSELS = 0.25


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tissues:
    """What is a study's own about the signals of its tissues.

    Attributes:
        offsets: float64 (tissues,), of their logarithms.
        fatty_marrow: share of fat in the marrow beyond the usual one.
        is_unreal: all signals are random.
        has_bright_vessels: blood is seen, not dark by flow.
    """

    offsets: np.ndarray
    fatty_marrow: float
    is_unreal: bool
    has_bright_vessels: bool


def draw_tissues(age: float, rng: np.random.Generator) -> Tissues:
    """Draws those of one study.

    Args:
        age: years.
        rng: draws.
    """
    offsets = rng.normal(0, _OF_STUDY, len(sequence_module.TISSUES))
    offsets += rng.normal(0, _OF_FAT) * np.array(_FATTY)
    return Tissues(
        offsets=offsets,
        fatty_marrow=float(rng.uniform(0, 0.7) * (age - 10) / 80),
        is_unreal=bool(rng.random() < _UNREAL),
        has_bright_vessels=bool(rng.random() < _BRIGHT_VESSELS),
    )


def with_contrast(
    sequence: sequence_module.Sequence, tissues: Tissues, rng: np.random.Generator
) -> sequence_module.Sequence:
    """Returns a series with signals of its own."""
    shares = _WEIGHTINGS[sequence.description]
    weighting = str(rng.choice(list(shares), p=list(shares.values())))
    base = np.array(sequence_module.SIGNALS[weighting])
    spread = tissues.offsets + rng.normal(0, _OF_SERIES, len(base))
    values = base * np.exp(spread) + rng.uniform(0, 0.04, len(base))
    if tissues.is_unreal:
        values = rng.uniform(0.02, 1.1, len(base))
    signals = dict(zip(sequence_module.TISSUES, values.tolist(), strict=True))
    signals["air"] = 0.0
    part = tissues.fatty_marrow
    signals["marrow"] = (1 - part) * signals["marrow"] + part * signals["fat"]
    if tissues.has_bright_vessels:
        signals["vessel"] = float(rng.uniform(0.2, 1.0))
    return dataclasses.replace(sequence, signals=signals)


def with_scanner(
    sequence: sequence_module.Sequence, rng: np.random.Generator
) -> sequence_module.Sequence:
    """Returns a series with noise, blur, ghosts, coil and bias field of another scanner."""
    return dataclasses.replace(
        sequence,
        acquired_mm=sequence.acquired_mm * float(rng.uniform(0.75, 1.6)),
        noise=float(np.exp(rng.uniform(np.log(0.008), np.log(0.09)))),
        coil_mm=float(np.exp(rng.uniform(np.log(60), np.log(600)))),
        saturation=float(rng.uniform(0.05, 1.0)),
        ghost=float(min(rng.exponential(0.03), 0.2)),
        ghost_period=float(rng.uniform(2.1, 14.0)),
        largest=float(rng.uniform(200, 1400)),
        coil_center_mm=float(rng.normal(-70, 45)),
        coil_length_mm=float(rng.uniform(120, 420)),
        bias=tuple(_draw_wave(rng) for _ in range(int(rng.integers(0, 4)))),
        is_phase_across=bool(rng.random() < 0.5),
    )


def _draw_wave(rng: np.random.Generator) -> tuple[float, float, float, float, float]:
    direction = rng.normal(0, 1, 3)
    direction *= 2 * np.pi / rng.uniform(90, 350) / np.linalg.norm(direction)
    x, y, z = direction.tolist()
    return float(rng.normal(0, 0.13)), float(rng.uniform(0, 2 * np.pi)), x, y, z
