"""Slices as images of one encoder, and what each way of pooling them can and can't tell apart."""

from typing import Any

import keras
import numpy as np
import pytest

from spine_tf.configuration import model_configs
from spine_tf.models import families, slices

_POOLINGS = ("attention", "lstm", "average", "max")


def _model(pooling: str, num_slices: int = 3, **changes: Any) -> keras.Model:
    keras.utils.set_random_seed(4)
    settings = model_configs.SlicesConfig(
        filters=(4, 8), slice_pooling=pooling, slice_units=6, dropout=0.0, **changes
    )
    return families.build_model(settings, (32, 32, num_slices), 3)


def _images(num_slices: int = 3) -> np.ndarray:
    return np.random.default_rng(0).random((4, 32, 32, num_slices)).astype(np.float32)


def test_slices_become_images_and_come_back_in_their_order() -> None:
    images = _images(5)
    split = slices.SplitSlices()(images)
    np.testing.assert_array_equal(split[1 * 5 + 2, :, :, 0], images[1, :, :, 2])
    means = np.asarray(split).mean(axis=(1, 2))
    joined = slices.JoinSlices(5)(means)
    np.testing.assert_allclose(joined[..., 0], images.mean(axis=(1, 2)), rtol=1e-5)


@pytest.mark.parametrize("pooling", _POOLINGS)
def test_only_the_lstm_sees_the_order_of_the_slices(pooling: str) -> None:
    model = _model(pooling)
    straight, shuffled = (model(_images()[..., order]).numpy() for order in ([0, 1, 2], [1, 2, 0]))
    is_same = np.allclose(straight, shuffled, atol=1e-6)
    assert is_same == (pooling != "lstm")


@pytest.mark.slow
@pytest.mark.parametrize("pooling", _POOLINGS)
def test_one_slice_is_enough_and_every_slice_counts(pooling: str) -> None:
    assert _model(pooling, 1)(_images(1)).shape == (4, 3)
    model, images = _model(pooling), _images()
    for index in range(3):
        changed = images.copy()
        changed[..., index] **= 3
        assert (model(changed).numpy() != model(images).numpy()).any()


def test_attention_is_a_share_of_each_slice_and_weighs_its_features() -> None:
    model = _model("attention")
    outputs = [model.get_layer(name).output for name in ("attention", "slices", "attention_vector")]
    weights, features, vector = keras.Model(model.input, outputs)(_images())
    assert weights.shape == (4, 3, 1)
    np.testing.assert_allclose(np.sum(weights, axis=1), 1.0, atol=1e-6)
    expected = (np.asarray(weights) * np.asarray(features)).sum(axis=1)
    np.testing.assert_allclose(vector, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("pooling", "expected"), [("average", np.mean), ("max", np.max)], ids=["average", "max"]
)
def test_pooling_of_slices_is_what_it_says(pooling: str, expected: Any) -> None:
    model = _model(pooling)
    outputs = [model.get_layer(name).output for name in ("slices", "slice_pool")]
    features, vector = keras.Model(model.input, outputs)(_images())
    np.testing.assert_allclose(vector, expected(np.asarray(features), axis=1), rtol=1e-5)


@pytest.mark.slow
def test_number_of_weights_does_not_depend_on_the_number_of_slices() -> None:
    for pooling in _POOLINGS:
        assert _model(pooling, 3).count_params() == _model(pooling, 7).count_params()


@pytest.mark.slow
def test_width_of_attention_and_lstm_is_the_configurations() -> None:
    for pooling in ("attention", "lstm"):
        sizes = set()
        for units in (4, 8):
            settings = model_configs.SlicesConfig(slice_pooling=pooling, slice_units=units)
            sizes.add(families.build_model(settings, (32, 32, 3), 2).count_params())
        assert len(sizes) == 2


def test_unknown_pooling_is_refused() -> None:
    with pytest.raises(ValueError, match="slice_pooling is 'gru', expected one of attention, lstm"):
        model_configs.SlicesConfig(slice_pooling="gru")
