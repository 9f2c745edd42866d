import pathlib

import keras
import numpy as np
import pytest

from spine_tf.augmentation import field_of_view, sampler
from spine_tf.configuration import config, model_configs, overrides
from spine_tf.models import families, resampling

_SMALL = model_configs.SimpleConfig(filters=(4,), units=4, input_mm=50.0, input_px=20)


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return families.build_model(_SMALL, (64, 64, 1), 3, record_mm=80.0)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).random((3, 64, 64, 1)).astype(np.float32)


def test_the_network_behind_sees_what_the_sampler_gives(
    model: keras.Model, images: np.ndarray
) -> None:
    view = resampling.view_of(model, None)
    assert view == field_of_view.FieldOfView(record_px=64, record_mm=80.0, input_px=20, pitch=2.0)
    network = resampling.behind(model)
    assert network.input_shape == (None, 20, 20, 1)
    np.testing.assert_allclose(network(sampler.at_rest(images, view)), model(images), atol=1e-6)
    assert [w.path for w in network.trainable_weights] == [w.path for w in model.trainable_weights]


def test_it_is_saved_with_the_model(
    model: keras.Model, images: np.ndarray, tmp_path: pathlib.Path
) -> None:
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras", compile=False)
    np.testing.assert_array_equal(loaded(images), model(images))
    assert resampling.view_of(loaded, None) == resampling.view_of(model, None)


def test_a_model_of_whole_records_has_no_sampler() -> None:
    for settings in ((), ("model.input_px=64",), ("model.input_mm=80",)):
        made = overrides.apply(config.default_config("binary", "simple"), settings)
        built = families.build_model(made.model, (64, 64, 1), 2, record_mm=80.0)
        assert resampling.behind(built) is built
        assert resampling.view_of(built, 80.0) == field_of_view.whole(64, 80.0)
