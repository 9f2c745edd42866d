"""What a scanner does to an image: noise, motion ghosts, interpolation to the stored matrix."""

import numpy as np
from scipy import fft

from spine_tf.synthesis import sequence as sequence_module


def acquire(
    image: np.ndarray,
    shape: tuple[int, int],
    sequence: sequence_module.Sequence,
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
    lines *= _modulation(image.shape[0], sequence, rng)[:, None]
    lines *= _taper(image.shape[0])[:, None] * _taper(image.shape[1])
    padded = _zero_filled(lines, shape)
    gain = np.float32(shape[0] * shape[1] / image.size)
    return np.abs(fft.ifft2(padded, overwrite_x=True)) * gain


def _modulation(
    num_lines: int, sequence: sequence_module.Sequence, rng: np.random.Generator
) -> np.ndarray:
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
