"""The bias-field layer: what a coil's shading added is gone, what the anatomy shows stays."""

import pathlib
from typing import Any

import keras
import numpy as np
import pytest
from scipy import ndimage

from spine_tf.configuration import model_configs
from spine_tf.models import bias_field, families


def _correct(images: np.ndarray, sigma: float = 0.1) -> np.ndarray:
    return np.asarray(bias_field.BiasFieldCorrection(sigma)(images.astype(np.float32)))


def _anatomy(side: int = 32) -> np.ndarray:
    """Fine texture around one half, (1, side, side, 1)."""
    return 0.5 + 0.1 * np.random.default_rng(0).standard_normal((1, side, side, 1))


def test_correction_is_that_of_a_gaussian_normalised_inside_the_image() -> None:
    image = np.random.default_rng(1).random((20, 24))
    low, inside = (
        ndimage.gaussian_filter(
            each, (0.1 * 20, 0.1 * 24), mode="constant", truncate=3.0, radius=(6, 8)
        )
        for each in (image, np.ones_like(image))
    )
    expected = np.minimum(image * (image.mean() + 0.05) / (low / inside + 0.05), 1.0)
    found = _correct(image[np.newaxis, ..., np.newaxis])
    np.testing.assert_allclose(found[0, ..., 0], expected, atol=1e-5)


def test_even_image_stays_as_it_is_up_to_its_border() -> None:
    image = np.full((1, 32, 32, 1), 0.4)
    np.testing.assert_allclose(_correct(image), image, atol=1e-5)


def test_shading_is_taken_out() -> None:
    shading = np.linspace(0.4, 1.0, 32)[np.newaxis, :, np.newaxis, np.newaxis]
    plain, shaded = _anatomy(), _anatomy() * shading

    def slope(image: np.ndarray) -> float:
        rows = image.mean(axis=(0, 2, 3))
        return float(np.polyfit(np.arange(32), rows / rows.mean(), 1)[0])

    # The floor leaves a fifth of it.
    assert abs(slope(_correct(shaded))) < 0.25 * abs(slope(shaded))
    # What is left of each pixel against its surroundings is the texture.
    same = np.corrcoef(_correct(plain).ravel(), _correct(shaded).ravel())[0, 1]
    assert same > 0.95


def test_slices_are_corrected_each_by_itself() -> None:
    images = np.random.default_rng(2).random((2, 32, 32, 3))
    together = _correct(images)
    for index in range(3):
        alone = _correct(images[..., index : index + 1])
        np.testing.assert_allclose(together[..., index : index + 1], alone, atol=1e-6)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_empty_and_full_images_are_finite(value: float) -> None:
    found = _correct(np.full((1, 16, 16, 1), value))
    np.testing.assert_allclose(found, value, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["simple", "slices"])
def test_model_carries_the_correction_and_survives_saving(
    family: str, tmp_path: pathlib.Path
) -> None:
    images = np.random.default_rng(0).random((2, 32, 32, 3)).astype(np.float32)
    answers = []
    for sigma in (0.0, 0.1, 0.3):
        keras.utils.set_random_seed(0)
        changes: dict[str, Any] = {"filters": (4,), "bias_correction": sigma}
        settings = model_configs.MODEL_CONFIGS[family](**changes)
        model = families.build_model(settings, (32, 32, 3), 2)
        answers.append(model(images).numpy())
        path = tmp_path / f"{sigma}.keras"
        model.save(path)
        loaded = keras.models.load_model(
            path, compile=False, custom_objects=dict(families.CUSTOM_LAYERS)
        )
        np.testing.assert_array_equal(loaded(images), answers[-1])
    assert (answers[0] != answers[1]).any()
    assert (answers[1] != answers[2]).any()


def test_sigma_below_a_pixel_or_two_is_refused() -> None:
    with pytest.raises(ValueError, match=r"bias_correction is 0.001, expected 0.02 to 1.0"):
        model_configs.SimpleConfig(bias_correction=0.001)
