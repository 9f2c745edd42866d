"""A search space: Keras Tuner hyperparameters, each named after the configuration field it sets.

Every family has its own conditional scope, so `residual/model.dropout` and `dense/model.dropout`
are two hyperparameters; the part after the last "/" is the field. All are declared up front.
"""

import dataclasses
import json
from collections.abc import Collection, Mapping
from typing import Any

import keras_tuner

from spine_tf.augmentation import field_of_view
from spine_tf.configuration import config, fields, overrides
from tfrecords import records
from tuner import adapter, search_settings, space_presets

FAMILY = "family"
_ORACLE_OWN = "tuner/"
_SIDE = "model.input_mm"


def make_space(
    declare: space_presets.Declare,
    bases: Mapping[str, config.Config],
    fixed: Collection[str] = (),
    *,
    source: records.Records | None = None,
) -> keras_tuner.HyperParameters:
    """Declares the space of several families.

    Args:
        declare: declares one family's hyperparameters.
        bases: family -> the configuration that is varied; its values become the defaults.
        fixed: fields that keep their base value, though the space has them.
        source: the records; what a model can't see in them is left out of `model.input_mm`.

    Raises:
        ValueError: a hyperparameter that is no field of its family, or has a value it can't take.
    """
    declared = keras_tuner.HyperParameters()
    declared.Choice(FAMILY, list(bases))
    for family, base in bases.items():
        with declared.conditional_scope(FAMILY, [family]), declared.name_scope(family):
            declare(declared, base)
    result = keras_tuner.HyperParameters()
    for hyperparameter in _without_fixed(declared.space, bases, fixed):
        result.merge([_with_base_default(hyperparameter, bases)])
    _check_values(result, bases)
    return result if source is None else _within_records(result, bases, source)


def _within_records(
    space: keras_tuner.HyperParameters,
    bases: Mapping[str, config.Config],
    source: records.Records,
) -> keras_tuner.HyperParameters:
    """Leaves out the sides of a region that the records don't hold."""
    result = keras_tuner.HyperParameters()
    for hyperparameter in space.space:
        if field_of(hyperparameter.name) == _SIDE and isinstance(hyperparameter, adapter.Choice):
            base = bases[hyperparameter.name.partition("/")[0]]
            declared = hyperparameter.get_config()
            declared["values"] = [mm for mm in declared["values"] if _is_held(base, mm, source)]
            hyperparameter = adapter.Choice.from_config(declared)
        result.merge([hyperparameter])
    return result


def _is_held(base: config.Config, side_mm: float, source: records.Records) -> bool:
    if side_mm == base.model.input_mm:
        return True
    try:
        field_of_view.make(
            dataclasses.replace(base.model, input_mm=side_mm),
            source.image_shape[-2],
            field_of_view.record_mm(source),
        )
    except ValueError:
        return False
    return True


def to_config(values: Mapping[str, Any], bases: Mapping[str, config.Config]) -> config.Config:
    """Returns the configuration that a set of active hyperparameter values stands for.

    Raises:
        ValueError: a value, or a combination of values, that the configuration refuses.
    """
    family = values[FAMILY]
    return overrides.apply(
        bases[family],
        [f"{field_of(name)}={_text(value)}" for name, value in values_of(values, family).items()],
    )


def values_of(values: Mapping[str, Any], family: str) -> dict[str, Any]:
    """Returns the values of one family's hyperparameters, in the order of their names."""
    return {name: values[name] for name in sorted(values) if name.startswith(f"{family}/")}


def field_of(name: str) -> str:
    """Returns the configuration field that a hyperparameter sets."""
    return name.rpartition("/")[2]


def families_of(space: keras_tuner.HyperParameters) -> tuple[str, ...]:
    """Returns the families of a space, in the order they were asked for."""
    return tuple(space.space[0].values)


def default_values(space: keras_tuner.HyperParameters, family: str) -> dict[str, Any]:
    """Returns the active values of a family's base configuration."""
    defaults = keras_tuner.HyperParameters()
    for hyperparameter in space.space:
        defaults.merge([hyperparameter])
        if hyperparameter.name == FAMILY:
            defaults.values[FAMILY] = family
    return dict(defaults.values)


def active_values(hyperparameters: keras_tuner.HyperParameters) -> dict[str, Any]:
    """Returns a trial's active values, and the oracle's own; a message may carry inactive ones."""
    kept = {name: v for name, v in hyperparameters.values.items() if name.startswith(_ORACLE_OWN)}
    given = hyperparameters.values
    declared = sorted(hyperparameters.space, key=lambda hp: len(hp.conditions))
    for hyperparameter in declared:
        is_active = all(condition.is_active(kept) for condition in hyperparameter.conditions)
        if is_active and hyperparameter.name in given:
            kept[hyperparameter.name] = given[hyperparameter.name]
    return kept


def describe(space: keras_tuner.HyperParameters) -> list[dict[str, Any]]:
    """Returns the space as JSON types, for the identity of a search."""
    return json.loads(json.dumps([_describe(item) for item in space.space]))


def _describe(hyperparameter: adapter.HyperParameter) -> dict[str, Any]:
    return {"type": type(hyperparameter).__name__, **hyperparameter.get_config()}


def _without_fixed(
    hyperparameters: list[adapter.HyperParameter],
    bases: Mapping[str, config.Config],
    fixed: Collection[str],
) -> list[adapter.HyperParameter]:
    """Leaves out fixed fields, and what is conditional on another value of a fixed field."""
    kept = []
    for hyperparameter in hyperparameters:
        family = hyperparameter.name.partition("/")[0]
        if search_settings.is_fixed(family, field_of(hyperparameter.name), fixed):
            continue
        gone = [
            item
            for item in hyperparameter.conditions
            if search_settings.is_fixed(family, field_of(item.name), fixed)
        ]
        if all(_base_value(bases[family], field_of(item.name)) in item.values for item in gone):
            hyperparameter.conditions = [
                item for item in hyperparameter.conditions if item not in gone
            ]
            kept.append(hyperparameter)
    return kept


def _with_base_default(
    hyperparameter: adapter.HyperParameter, bases: Mapping[str, config.Config]
) -> adapter.HyperParameter:
    """Makes the base configuration's value the default, and a possible value, where it can be."""
    if hyperparameter.name == FAMILY or isinstance(hyperparameter, adapter.Fixed):
        return hyperparameter
    family = hyperparameter.name.partition("/")[0]
    base = _base_value(bases[family], field_of(hyperparameter.name))
    declared = hyperparameter.get_config()
    if isinstance(hyperparameter, adapter.Choice):
        values = list(declared["values"])
        declared["values"] = values if base in values else [base, *values]
    elif isinstance(hyperparameter, adapter.Int | adapter.Float):
        is_linear = declared["sampling"] == "linear"
        if declared["step"] is not None or not (is_linear or base > 0):
            return hyperparameter
        declared["min_value"] = min(declared["min_value"], base)
        declared["max_value"] = max(declared["max_value"], base)
    declared["default"] = base
    return type(hyperparameter).from_config(declared)


def _base_value(base: config.Config, field: str) -> Any:
    values = fields.flatten(config.to_dict(base))
    if field not in values:
        raise ValueError(
            f"the search space has a hyperparameter {field!r}, which is no field of the "
            f"{base.model.family} configuration: name each after a field, as --set does"
        )
    value = values[field]
    return json.dumps(value) if isinstance(value, list) else value


def _check_values(space: keras_tuner.HyperParameters, bases: Mapping[str, config.Config]) -> None:
    """Sets every extreme value once, so that a wrong space is refused at the start."""
    for hyperparameter in space.space:
        if hyperparameter.name == FAMILY:
            continue
        family = hyperparameter.name.partition("/")[0]
        for value in _extremes(hyperparameter):
            try:
                to_config({FAMILY: family, hyperparameter.name: value}, bases)
            except ValueError as err:
                raise ValueError(
                    f"the search space offers {hyperparameter.name}={value!r}: {err}"
                ) from err


def _extremes(hyperparameter: adapter.HyperParameter) -> list[Any]:
    if isinstance(hyperparameter, adapter.Choice):
        return list(hyperparameter.values)
    if isinstance(hyperparameter, adapter.Int | adapter.Float):
        return [hyperparameter.min_value, hyperparameter.max_value]
    return [hyperparameter.default]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
