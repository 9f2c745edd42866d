import dataclasses
import pathlib

import numpy as np
import pytest
from PIL import Image

from spine_tf.synthesis import (
    imaging,
    kspace,
    page,
    patient as patient_module,
    protocol,
    sequence,
    settings,
)


def quiet_sequence(noise: float = 0.0) -> sequence.Sequence:
    drawn = sequence.draw_sequence(sequence.AXIAL_T2, np.random.default_rng(0))
    return dataclasses.replace(drawn, noise=noise, ghost=0.0)


def smooth_image(size: int) -> np.ndarray:
    grid = np.arange(size) - size / 2
    y, x = np.meshgrid(grid, grid, indexing="ij")
    return np.exp(-(x**2 + 2 * y**2) / (size / 6) ** 2).astype(np.float32)


def test_interpolation_keeps_a_smooth_image():
    image = kspace.acquire(smooth_image(64), (96, 96), quiet_sequence(), np.random.default_rng(0))

    exact = smooth_image(960)[::10, ::10]
    assert image.shape == (96, 96)
    assert np.abs(image - exact).max() < 0.02


def test_noise_is_rician():
    empty = np.zeros((256, 256), np.float32)
    image = kspace.acquire(empty, (256, 256), quiet_sequence(0.1), np.random.default_rng(0))

    # Rayleigh where there is no signal: mean = sd * sqrt(pi / 2), ratio of mean to sd 1.91.
    assert image.mean() / image.std() == pytest.approx(1.91, abs=0.05)


def test_ghosts_lie_along_the_columns_and_nowhere_else():
    sharp = np.zeros((64, 64), np.float32)
    sharp[30:34, 30:34] = 1
    ghosted = dataclasses.replace(quiet_sequence(), ghost=0.2, ghost_period=4.0)
    with_ghost = kspace.acquire(sharp, (64, 64), ghosted, np.random.default_rng(0))
    without = kspace.acquire(sharp, (64, 64), quiet_sequence(), np.random.default_rng(0))

    difference = np.abs(with_ghost - without)
    assert difference[:20, 30:34].max() + difference[44:, 30:34].max() > 0.1
    assert difference[30:34, :20].max() < 0.02


def test_stored_pixels_are_in_the_range_of_the_data():
    patient = patient_module.make_patient(np.random.default_rng(0))
    config = settings.PhantomConfig(axial_px=(96,), sagittal_px=(96,))
    scanner = imaging.Scanner(patient, np.random.default_rng(0))

    for series in protocol.make_series(patient, config, 1, np.random.default_rng(0)):
        contrast = sequence.draw_sequence(series.description, np.random.default_rng(0))
        pixels = scanner.image(series.slices[0], contrast, np.random.default_rng(0))
        assert pixels.dtype == np.uint16
        assert pixels.shape == series.slices[0].shape
        assert 300 < pixels.max() < 4096


def test_page_shows_three_severities_beside_their_crops(tmp_path: pathlib.Path):
    (path,) = page.write_pages(tmp_path / "pages", seed=1, num_patients=1)

    picture = np.asarray(Image.open(path).convert("L")).astype(float)
    rows = np.split(picture, 3)
    assert picture.shape == (3 * 420, 6 * 420)
    assert all(row.std() > 30 for row in rows)
    assert np.abs(rows[0] - rows[2]).mean() > 5
