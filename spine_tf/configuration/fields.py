"""Dataclasses from JSON values, and single fields of nested ones set by name."""

import dataclasses
import math
import typing
from collections.abc import Mapping
from typing import Any


def build(cls: type, values: Mapping[str, Any], prefix: str) -> Any:
    """Builds a dataclass from JSON types, dataclasses among its fields likewise.

    Args:
        cls: the dataclass.
        values: by field; what is left out keeps its default.
        prefix: of the field names in messages, such as "model.".

    Raises:
        ValueError: a field that does not exist, a value of another type or out of range.
    """
    hints = typing.get_type_hints(cls)
    names = [field.name for field in dataclasses.fields(cls)]
    unknown = sorted(set(values) - set(names))
    if unknown:
        raise ValueError(f"there is no field {prefix}{unknown[0]}; there are {', '.join(names)}")
    arguments = {
        name: _convert(hints[name], value, prefix + name) for name, value in values.items()
    }
    try:
        return cls(**arguments)
    except TypeError as err:
        raise ValueError(f"{prefix or 'configuration'}: {err}") from err
    except ValueError as err:
        raise ValueError(f"{prefix}{err}") from err


def assign(values: dict[str, Any], name: str, value: Any) -> None:
    """Sets one field of nested dictionaries, named such as "model.dropout".

    Raises:
        ValueError: there is no such field; the message lists those there are.
    """
    *parents, leaf = name.split(".")
    target: Any = values
    for parent in parents:
        target = target.get(parent) if isinstance(target, dict) else None
    if not isinstance(target, dict) or leaf not in target or isinstance(target[leaf], dict):
        raise ValueError(f"there is no field {name!r}; there are {', '.join(_leaves(values))}")
    target[leaf] = value


def _convert(hint: Any, value: Any, name: str) -> Any:
    if dataclasses.is_dataclass(value):
        return value
    if dataclasses.is_dataclass(hint) and isinstance(value, Mapping):
        return build(typing.cast(type, hint), value, f"{name}.")
    if typing.get_origin(hint) is tuple and isinstance(value, list | tuple):
        item = typing.get_args(hint)[0]
        return tuple(_convert(item, element, name) for element in value)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if hint is float and is_number and math.isfinite(value):
        return float(value)
    if hint is int and is_number and value == int(value):
        return int(value)
    if hint in (bool, str) and isinstance(value, hint):
        return value
    is_list = typing.get_origin(hint) is tuple
    expected = "list of integers" if is_list else getattr(hint, "__name__", str(hint))
    raise ValueError(f"{name} is {value!r}, expected {expected}")


def _leaves(values: Mapping[str, Any], prefix: str = "") -> list[str]:
    names = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            names.extend(_leaves(value, f"{prefix}{name}."))
        else:
            names.append(prefix + name)
    return names
