"""What each tissue looks like in each kind of series, and how scanners differ."""

import dataclasses
import types
from collections.abc import Mapping

import numpy as np

SAGITTAL_T1, SAGITTAL_T2, AXIAL_T2 = "Sagittal T1", "Sagittal T2/STIR", "Axial T2"

TISSUES = (
    "fat",
    "epidural_fat",
    "muscle",
    "marrow",
    "cortex",
    "annulus",
    "nucleus",
    "fluid",
    "nerve",
    "ligament",
    "vein",
    "vessel",
    "organ",
    "air",
)

# Relative signals, set by eye beside real slices; fluid in T2 is 1.
_T1 = (0.95, 0.9, 0.36, 0.55, 0.08, 0.33, 0.36, 0.17, 0.38, 0.12, 0.5, 0.06, 0.4, 0.0)
_T2 = (0.75, 0.65, 0.2, 0.47, 0.07, 0.10, 0.75, 1.0, 0.38, 0.09, 0.75, 0.06, 0.35, 0.0)
_STIR = (0.12, 0.15, 0.3, 0.2, 0.06, 0.12, 0.8, 1.0, 0.45, 0.1, 0.7, 0.06, 0.4, 0.0)
_AXIAL = (0.75, 0.68, 0.2, 0.45, 0.08, 0.16, 0.45, 1.0, 0.33, 0.09, 0.75, 0.06, 0.35, 0.0)
_AXIAL_SUPPRESSED = (0.15, 0.2, 0.25, 0.2, 0.07, 0.16, 0.55, 1.0, 0.4, 0.1, 0.7, 0.06, 0.38, 0.0)
_BASE = types.MappingProxyType({SAGITTAL_T1: _T1, SAGITTAL_T2: _T2, AXIAL_T2: _AXIAL})
_SUPPRESSED = types.MappingProxyType({SAGITTAL_T2: _STIR, AXIAL_T2: _AXIAL_SUPPRESSED})

# Of the T2 series, how many suppress fat.
_SUPPRESSED_FRACTION = 0.1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sequence:
    """One series' contrast and imperfections.

    Attributes:
        description: as in train_series_descriptions.csv.
        signals: of each tissue.
        acquired_mm: size of an acquired pixel, before interpolation to the stored matrix.
        noise: standard deviation of the noise in each channel, fluid or fat being about 1.
        coil_mm: distance from the back over which the coil's sensitivity falls to 1 / e.
        saturation: what a band in front of the spine leaves of the signal there.
        ghost: strength of the motion ghosts.
        ghost_period: lines of k-space after which motion repeats.
        largest: stored value of signal 1.
    """

    description: str
    signals: Mapping[str, float]
    acquired_mm: float
    noise: float
    coil_mm: float
    saturation: float
    ghost: float
    ghost_period: float
    largest: float


def draw_sequence(description: str, rng: np.random.Generator) -> Sequence:
    """Draws how one scanner takes one kind of series."""
    is_axial = description == AXIAL_T2
    base = _BASE[description]
    if rng.random() < _SUPPRESSED_FRACTION:
        base = _SUPPRESSED.get(description, base)
    signals = np.array(base) * np.exp(rng.normal(0, 0.16, len(TISSUES)))
    return Sequence(
        description=description,
        signals=dict(zip(TISSUES, signals.tolist(), strict=True)),
        acquired_mm=rng.uniform(0.55, 0.75) if is_axial else rng.uniform(0.75, 0.95),
        noise=float(rng.uniform(0.02, 0.05)),
        coil_mm=float(rng.uniform(80, 200)),
        saturation=float(rng.uniform(0.25, 0.9)),
        ghost=float(max(0.0, rng.normal(0.0, 0.03))),
        ghost_period=float(rng.uniform(2.5, 6.0)),
        largest=float(rng.uniform(500, 1200)),
    )
