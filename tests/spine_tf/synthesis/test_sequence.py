import dataclasses

import numpy as np
import pytest

from spine_tf.synthesis import sequence


def quiet_sequence(noise: float = 0.0) -> sequence.Sequence:
    drawn = sequence.draw_sequence(sequence.AXIAL_T2, np.random.default_rng(0))
    return dataclasses.replace(drawn, noise=noise, ghost=0.0)


def smooth_image(size: int) -> np.ndarray:
    grid = np.arange(size) - size / 2
    y, x = np.meshgrid(grid, grid, indexing="ij")
    return np.exp(-(x**2 + 2 * y**2) / (size / 6) ** 2).astype(np.float32)


def test_interpolation_keeps_a_smooth_image():
    image = sequence.acquire(smooth_image(64), (96, 96), quiet_sequence(), np.random.default_rng(0))

    exact = smooth_image(960)[::10, ::10]
    assert image.shape == (96, 96)
    assert np.abs(image - exact).max() < 0.02


def test_noise_is_rician():
    empty = np.zeros((256, 256), np.float32)
    image = sequence.acquire(empty, (256, 256), quiet_sequence(0.1), np.random.default_rng(0))

    # Rayleigh where there is no signal: mean = sd * sqrt(pi / 2), ratio of mean to sd 1.91.
    assert image.mean() / image.std() == pytest.approx(1.91, abs=0.05)


def test_ghosts_lie_along_the_columns_and_nowhere_else():
    sharp = np.zeros((64, 64), np.float32)
    sharp[30:34, 30:34] = 1
    ghosted = dataclasses.replace(quiet_sequence(), ghost=0.2, ghost_period=4.0)
    with_ghost = sequence.acquire(sharp, (64, 64), ghosted, np.random.default_rng(0))
    without = sequence.acquire(sharp, (64, 64), quiet_sequence(), np.random.default_rng(0))

    difference = np.abs(with_ghost - without)
    assert difference[:20, 30:34].max() + difference[44:, 30:34].max() > 0.1
    assert difference[30:34, :20].max() < 0.02
