"""Search spaces: every hyperparameter is a configuration field, the defaults are the base."""

import pathlib
from typing import Any

import keras_tuner
import pytest

from spine_tf.configuration import config, overrides
from spine_tf.training import tasks
from tfrecords import records
from tuner import search_settings, space, space_presets


def _bases(task: str, *set_values: str) -> tuple[dict[str, config.Config], frozenset[str]]:
    return search_settings.make_bases(task, config.families_of(task), settings=set_values)


@pytest.mark.parametrize("preset", space_presets.PRESETS)
@pytest.mark.parametrize("task", ["binary", "multiclass", "levels", "landmarks"])
def test_default_values_are_the_base_configuration(task: str, preset: str) -> None:
    bases, fixed = _bases(task)
    hyperparameters = space.make_space(space_presets.PRESETS[preset], bases, fixed)
    for family, base in bases.items():
        values = space.default_values(hyperparameters, family)
        assert space.to_config(values, bases) == base
        assert {name.partition("/")[0] for name in values} == {"family", family}


def test_values_reach_the_configuration() -> None:
    bases, _ = _bases("binary")
    values: dict[str, Any] = {"family": "residual", "residual/model.filters": "[8, 16]"}
    values |= {"residual/sgd/training.learning_rate": 0.02, "residual/training.optimizer": "sgd"}
    made = space.to_config(values, bases)
    assert made.model.filters == (8, 16)  # type: ignore[attr-defined]
    assert (made.training.optimizer, made.training.learning_rate) == ("sgd", 0.02)


def test_conditional_hyperparameter_is_active_under_its_parent_only() -> None:
    bases, _ = _bases("binary")
    hyperparameters = space.make_space(space_presets.declare_full, bases)
    values = space.default_values(hyperparameters, "simple")
    assert "simple/adamw/training.learning_rate" in values
    assert "simple/sgd/training.learning_rate" not in values
    assert "simple/training.focal_gamma" not in values


def test_ordinal_head_is_searched_for_three_classes_only() -> None:
    for task, is_searched in (("binary", False), ("multiclass", True)):
        hyperparameters = space.make_space(space_presets.declare_small, _bases(task)[0])
        assert ("simple/model.head" in [hp.name for hp in hyperparameters.space]) == is_searched


def test_every_choice_of_a_network_of_points_has_an_effect(dots_dir: pathlib.Path) -> None:
    # The windows have 32 px, and no room for a model of 128.
    bases, fixed = _bases("landmarks", "model.filters=[4, 8, 8]", "model.input_px=0")
    source = records.open_records(dots_dir)
    for preset in space_presets.PRESETS.values():
        made = space.make_space(preset, bases, fixed, source=source)
        for hyperparameter in made.space[1:]:
            # What has no meaning for points is refused there.
            values = {"family": "unet", hyperparameter.name: hyperparameter.random_sample(0)}
            tasks.make_task(space.to_config(values, bases), source)


def test_pretrained_backbone_is_searched_head_first() -> None:
    bases, fixed = _bases("binary")
    assert bases["resnet50"].model.frozen_epochs == space_presets.HEAD_ONLY  # type: ignore[attr-defined]
    hyperparameters = space.make_space(space_presets.declare_full, bases, fixed)
    values = space.default_values(hyperparameters, "resnet50")
    # Augmentation of images and fine-tuning change nothing while features are cached.
    assert not [name for name in values if "augmentation" in name or "fine_tune" in name]
    names = [hp.name for hp in hyperparameters.space]
    assert "resnet50/data.augmentation.shift" in names
    assert "resnet50/model.trainable_blocks" in names


def test_random_start_has_no_transfer_hyperparameters() -> None:
    bases, fixed = _bases("binary", "model.weights=none")
    hyperparameters = space.make_space(space_presets.declare_full, bases, fixed)
    names = [hp.name for hp in hyperparameters.space if hp.name.startswith("resnet50/")]
    assert not [name for name in names if "frozen" in name or "trainable" in name]
    assert "data.augmentation.shift" in {space.field_of(name) for name in names}


@pytest.mark.parametrize(
    ("set_values", "sides"),
    [((), [0.0, 30.0, 40.0, 50.0]), (("model.input_px=24",), [0.0, 40.0, 50.0])],
)
def test_sides_that_the_records_lack_are_not_searched(
    records_dir: pathlib.Path, set_values: tuple[str, ...], sides: list[float]
) -> None:
    bases, fixed = _bases("binary", "model.weights=none", *set_values)
    # 50 mm on 32 px: 30 mm have 19 px there.
    source = records.open_records(records_dir)
    made = space.make_space(space_presets.declare_small, bases, fixed, source=source)
    (found,) = (hp for hp in made.space if hp.name == "dense/model.input_mm")
    assert found.values == sides


def test_set_field_is_not_searched_and_keeps_its_value() -> None:
    bases, fixed = _bases("binary", "model.dropout=0.1")
    hyperparameters = space.make_space(space_presets.declare_small, bases, fixed)
    assert not any(hp.name.endswith("model.dropout") for hp in hyperparameters.space)
    assert bases["dense"].model.dropout == 0.1


def test_set_field_of_one_family_is_searched_for_the_others() -> None:
    bases, fixed = _bases("binary", "dense:model.dropout=0.1")
    hyperparameters = space.make_space(space_presets.declare_small, bases, fixed)
    names = [hp.name for hp in hyperparameters.space]
    assert "dense/model.dropout" not in names
    assert "simple/model.dropout" in names


def test_set_parent_frees_the_children_of_its_value_and_drops_the_others() -> None:
    bases, fixed = _bases("binary", "training.optimizer=sgd", "training.loss=cross_entropy")
    hyperparameters = space.make_space(space_presets.declare_full, bases, fixed)
    names = [hp.name for hp in hyperparameters.space if hp.name.startswith("dense/")]
    assert "dense/sgd/training.learning_rate" in names
    assert "dense/adamw/training.learning_rate" not in names
    assert "dense/training.focal_gamma" not in names


def test_base_value_outside_the_space_becomes_part_of_it() -> None:
    bases, _ = search_settings.make_bases(
        "binary",
        ["simple"],
        start=overrides.apply(
            config.default_config("binary", "simple"),
            ["model.units=100", "training.learning_rate=0.05"],
        ),
    )
    hyperparameters = space.make_space(space_presets.declare_full, bases)
    assert (
        space.to_config(space.default_values(hyperparameters, "simple"), bases) == bases["simple"]
    )


def test_unknown_field_is_refused() -> None:
    def declare(hp: keras_tuner.HyperParameters, base: config.Config) -> None:
        hp.Choice("model.fitlers", [1, 2])

    with pytest.raises(ValueError, match=r"'model.fitlers', which is no field of the simple"):
        space.make_space(declare, _bases("binary")[0])


def test_impossible_value_is_refused_before_the_search() -> None:
    def declare(hp: keras_tuner.HyperParameters, base: config.Config) -> None:
        hp.Float("model.dropout", 0.0, 1.5)

    with pytest.raises(ValueError, match=r"model.dropout=1.5: .*expected 0.0 to 0.95"):
        space.make_space(declare, _bases("binary")[0])
