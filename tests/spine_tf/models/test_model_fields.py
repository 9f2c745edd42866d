"""Every field of every family changes the model that is built."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from spine_tf.configuration import config, family_config, model_configs, overrides
from spine_tf.models import families

_SHAPE = (64, 64, 3)

# Field -> what it is set to besides its default; one more setting where it needs that.
_CHANGES: dict[str, tuple[str, ...]] = {
    "input_mm": ("model.input_mm=30",),
    "input_px": ("model.input_px=32",),
    "condition_input": ("model.condition_input=true",),
    "bias_correction": ("model.bias_correction=0.1",),
    "activation": ("model.activation=gelu",),
    "pooling": ("model.pooling=max",),
    "dropout": ("model.dropout=0.1",),
    "head": ("model.head=ordinal",),
    "width": ("model.width=0.5",),
    "stem_kernel": ("model.stem_kernel=7",),
    "stem_stride": ("model.stem_stride=1",),
    "stem_pool": ("model.stem_pool=false",),
    "stem_filters": ("model.stem_filters=6",),
    "norm": ("model.norm=layer",),
    "norm_momentum": ("model.norm_momentum=0.5",),
    "filters": ("model.filters=[6, 6]",),
    "kernel_size": ("model.kernel_size=5",),
    "grid_px": ("model.grid_px=1",),
    "growth_rate": ("model.growth_rate=5",),
    "blocks": ("model.blocks=[1, 1]",),
    "blocks_per_stage": ("model.blocks_per_stage=2",),
    "compression": ("model.compression=0.9",),
    "slice_pooling": ("model.slice_pooling=lstm",),
    "slice_units": ("model.slice_units=5",),
}
# What makes a family small to build, and equals none of the changes.
_SMALL = {
    "densenet": ("model.blocks=[2, 2]", "model.stem_filters=4"),
    "residual": ("model.filters=[4, 8]",),
    "slices": ("model.filters=[4, 8]",),
}
_UNITS = {"simple": "model.units=5", "dense": "model.units=[5]"}
_FAMILIES = ("simple", "dense", "densenet", "residual", "slices")
_FIELDS = [
    (family, field.name)
    for family in _FAMILIES
    for field in dataclasses.fields(model_configs.MODEL_CONFIGS[family])
    if field.name != "weights"  # what a model begins with, not what it is
]


def _make(family: str, *settings: str) -> family_config.ModelConfig:
    return overrides.apply(config.default_config("multiclass", family), settings).model


def _make_small(family: str, *settings: str) -> family_config.ModelConfig:
    return _make(family, *_SMALL.get(family, ()), *settings)


def _outline(model_config: family_config.ModelConfig) -> str:
    keras.backend.clear_session()
    # Without the seconds that random weights take.
    with keras.StatelessScope(initialize_variables=False):
        return families.build_model(model_config, _SHAPE, 3, record_mm=40.0).to_json()


@pytest.fixture(scope="module")
def outlines() -> dict[str, str]:
    return {family: _outline(_make_small(family)) for family in _FAMILIES}


@pytest.mark.slow
@pytest.mark.parametrize(("family", "field"), _FIELDS)
def test_every_field_changes_the_model(family: str, field: str, outlines: dict[str, str]) -> None:
    settings = (_UNITS[family],) if field == "units" else _CHANGES[field]
    assert _outline(_make_small(family, *settings)) != outlines[family]


@pytest.mark.slow
@pytest.mark.parametrize("family", _FAMILIES)
@pytest.mark.parametrize(
    "settings",
    [
        ("model.norm=layer", "model.width=0.25"),
        ("model.stem_kernel=1", "model.stem_stride=1", "model.bias_correction=0.2"),
        ("model.stem_kernel=9", "model.stem_stride=4", "model.width=1.5"),
    ],
    ids=["layer", "thin stem", "wide stem"],
)
def test_changed_family_still_learns(family: str, settings: tuple[str, ...]) -> None:
    keras.utils.set_random_seed(1)
    model = families.build_model(_make(family, "model.dropout=0", *settings), (32, 32, 1), 3)
    images = np.random.default_rng(0).random((6, 32, 32, 1)).astype(np.float32)
    truth = np.array([0, 1, 2, 0, 1, 2])

    def loss() -> tf.Tensor:
        answers = model(images, training=False)
        return tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(truth, answers))

    with tf.GradientTape() as tape:
        before = loss()
    gradients = tape.gradient(before, model.trainable_variables)
    keras.optimizers.SGD(1e-4).apply(gradients, model.trainable_variables)
    assert float(loss()) < float(before)


@pytest.mark.slow
def test_width_multiplies_every_convolution() -> None:
    for family in ("simple", "residual", "densenet", "slices"):
        narrow, plain = (
            [
                layer.filters
                for layer in families.build_model(made, _SHAPE, 3).layers
                if isinstance(layer, keras.layers.Conv2D)
            ]
            for made in (_make(family, "model.width=0.5"), _make(family))
        )
        assert narrow == [filters // 2 for filters in plain]


def test_stem_is_the_configurations() -> None:
    model = families.build_model(
        _make("residual", "model.stem_kernel=7", "model.stem_stride=1", "model.stem_pool=false"),
        _SHAPE,
        3,
    )
    stem = model.get_layer("stem_conv")
    assert (stem.kernel_size, stem.strides) == ((7, 7), (1, 1))
    assert model.get_layer("stage1_block1_add").output.shape[1:3] == _SHAPE[:2]


def test_layer_normalisation_is_over_the_channels_of_a_place() -> None:
    model = families.build_model(_make("simple", "model.norm=layer"), _SHAPE, 3)
    norm = model.get_layer("block1_norm")
    assert isinstance(norm, keras.layers.LayerNormalization)
    assert norm.gamma.shape == (16,)


@pytest.mark.parametrize(
    ("family", "settings"),
    [
        ("simple", ["model.kernel_size=1"]),
        ("residual", ["model.stem_kernel=1"]),
        ("dense", ["model.stem_kernel=1", "model.stem_stride=2"]),
    ],
)
def test_first_kernel_that_would_crash_tensorflow_is_refused(
    family: str, settings: list[str]
) -> None:
    with pytest.raises(ValueError, match=r"with a first kernel of 1, expected a stride of 1"):
        _make(family, *settings)
