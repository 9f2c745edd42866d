"""What each tissue looks like in each kind of series, and how scanners differ and distort it."""

import dataclasses
import types
from collections.abc import Mapping

import numpy as np
from scipy import fft

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

# Relative signals of the tissues by weighting, set by eye beside real slices; fluid in T2 is 1.
SIGNALS: Mapping[str, tuple[float, ...]] = types.MappingProxyType(
    {
        "t1": (0.95, 0.9, 0.36, 0.55, 0.08, 0.33, 0.36, 0.17, 0.38, 0.12, 0.5, 0.06, 0.4, 0.0),
        "t1_contrast": (0.95, 0.9, 0.42, 0.6, 0.1, 0.35, 0.38, 0.2, 0.4, 0.2, 1.0, 0.1, 0.6, 0.0),
        "t2": (0.75, 0.65, 0.2, 0.47, 0.07, 0.10, 0.75, 1.0, 0.38, 0.09, 0.75, 0.06, 0.35, 0.0),
        "stir": (0.12, 0.15, 0.3, 0.2, 0.06, 0.12, 0.8, 1.0, 0.45, 0.1, 0.7, 0.06, 0.4, 0.0),
        "axial": (0.75, 0.68, 0.2, 0.45, 0.08, 0.16, 0.45, 1.0, 0.33, 0.09, 0.75, 0.06, 0.35, 0.0),
        "axial_suppressed": (
            *(0.15, 0.2, 0.25, 0.2, 0.07, 0.16, 0.55, 1.0, 0.4, 0.1, 0.7, 0.06, 0.38, 0.0),
        ),
        "pd": (0.95, 0.9, 0.5, 0.62, 0.1, 0.35, 0.62, 0.66, 0.6, 0.15, 0.7, 0.08, 0.6, 0.0),
        "diffusion": (0.05, 0.05, 0.3, 0.15, 0.02, 0.1, 0.25, 0.3, 0.7, 0.05, 0.2, 0.02, 0.3, 0.0),
    }
)
_BASE = types.MappingProxyType({SAGITTAL_T1: "t1", SAGITTAL_T2: "t2", AXIAL_T2: "axial"})
_SUPPRESSED = types.MappingProxyType({SAGITTAL_T2: "stir", AXIAL_T2: "axial_suppressed"})

# Of the T2 series, how many suppress fat.
_SUPPRESSED_FRACTION = 0.1

# Standard deviation of the logarithm of a tissue's signal between scanners.
_SPREAD = 0.16


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sequence:
    """One series' contrast and imperfections.

    Attributes:
        description: as in train_series_descriptions.csv.
        signals: signal of each tissue, fluid or fat being about 1.
        acquired_mm: size of an acquired pixel, before interpolation to the stored matrix.
        noise: standard deviation of the noise in each channel, fluid or fat being about 1.
        coil_mm: distance from the back over which the coil's sensitivity falls to 1 / e.
        saturation: what a band in front of the spine leaves of the signal there.
        ghost: strength of the motion ghosts.
        ghost_period: lines of k-space after which motion repeats.
        largest: stored value of signal 1.
        coil_center_mm, coil_length_mm: z at which the coil is most sensitive, and how far it is.
        bias: waves of the signal's logarithm: (amplitude, phase, radians a mm along x, y, z).
        is_phase_across: ghosts lie along the rows, not along the columns.
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
    coil_center_mm: float = -70.0
    coil_length_mm: float = 190.0
    bias: tuple[tuple[float, float, float, float, float], ...] = ()
    is_phase_across: bool = False


def draw_sequence(description: str, rng: np.random.Generator) -> Sequence:
    """Draws how one scanner takes one kind of series."""
    weighting = _BASE[description]
    if rng.random() < _SUPPRESSED_FRACTION:
        weighting = _SUPPRESSED.get(description, weighting)
    return draw_weighting(description, weighting, rng)


def draw_weighting(
    description: str, weighting: str, rng: np.random.Generator, *, spread: float = _SPREAD
) -> Sequence:
    """Draws how one scanner takes a series of a weighting.

    Args:
        description: as in the series CSV; axial series have smaller pixels.
        weighting: a name of SIGNALS.
        rng: what draws.
        spread: standard deviation of the logarithm of each tissue's signal.
    """
    is_axial = description == AXIAL_T2
    signals = np.array(SIGNALS[weighting]) * np.exp(rng.normal(0, spread, len(TISSUES)))
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


def acquire(
    image: np.ndarray,
    shape: tuple[int, int],
    sequence: Sequence,
    rng: np.random.Generator,
) -> np.ndarray:
    """Returns the magnitude image that is stored, float32 of the given shape.

    The image's lines in k-space are modulated with the motion's period, which gives ghosts along
    the columns; complex noise is added, so that the magnitude has Rician noise; and k-space is
    padded with zeros up to the stored matrix, as scanners do.

    Args:
        image: float32, the acquired matrix, no larger than `shape`.
        shape: the stored matrix.
        sequence: noise and ghosts.
        rng: draws the noise and the phase of the motion.
    """
    noise = rng.standard_normal((2, *image.shape), dtype=np.float32) * np.float32(sequence.noise)
    lines = fft.fft2(image + noise[0] + 1j * noise[1], overwrite_x=True)
    if sequence.is_phase_across:
        lines *= _modulation(image.shape[1], sequence, rng)
    else:
        lines *= _modulation(image.shape[0], sequence, rng)[:, None]
    lines *= _taper(image.shape[0])[:, None] * _taper(image.shape[1])
    padded = _zero_filled(lines, shape)
    gain = np.float32(shape[0] * shape[1] / image.size)
    return np.abs(fft.ifft2(padded, overwrite_x=True)) * gain


def _modulation(num_lines: int, sequence: Sequence, rng: np.random.Generator) -> np.ndarray:
    line = np.arange(num_lines)
    phase = 2 * np.pi * (line / sequence.ghost_period + rng.random())
    return (1 + sequence.ghost * np.exp(1j * phase)).astype(np.complex64)


def _taper(size: int) -> np.ndarray:
    """A filter that falls to one half at the edge of k-space, against ringing."""
    frequency = np.abs(fft.fftfreq(size)) * 2
    return (1 - 0.5 * np.clip((frequency - 0.6) / 0.4, 0, 1) ** 2).astype(np.float32)


def _zero_filled(lines: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    result = np.zeros(shape, np.complex64)
    half_rows, half_columns = lines.shape[0] // 2, lines.shape[1] // 2
    for rows in (slice(0, half_rows), slice(half_rows - lines.shape[0], None)):
        for columns in (slice(0, half_columns), slice(half_columns - lines.shape[1], None)):
            result[rows, columns] = lines[rows, columns]
    return result
