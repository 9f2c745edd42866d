"""Fields: dataclasses built from JSON values, nested ones by name, and the checks of a value."""

import dataclasses
import difflib
import math
import typing
from collections.abc import Iterable, Mapping
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
    for name in sorted(set(values) - set(names)):
        raise ValueError(describe_unknown(prefix + name, [prefix + known for known in names]))
    arguments = {
        name: _convert(hints[name], value, prefix + name) for name, value in values.items()
    }
    try:
        return cls(**arguments)
    except TypeError as err:
        raise ValueError(f"{prefix or 'configuration'}: {err}") from err
    except ValueError as err:
        raise ValueError(f"{prefix}{err}") from err


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


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Returns the values of nested mappings by the path of their names, such as "model.dropout"."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        path = f"{prefix}{name}"
        found.update(flatten(value, f"{path}.") if isinstance(value, Mapping) else {path: value})
    return found


def describe_unknown(name: str, known: Iterable[str]) -> str:
    """Says that there is no field of that name, which ones there are, and which was meant."""
    known = list(known)
    nearest = difflib.get_close_matches(name, known, n=1)
    meant = f"; did you mean {nearest[0]}?" if nearest else ""
    return f"there is no field {name!r}; there are {', '.join(known)}{meant}"


def require_range(name: str, value: float, low: float, high: float) -> None:
    """Raises ValueError unless low <= value <= high."""
    if not low <= value <= high:
        raise ValueError(f"{name} is {value}, expected {low} to {high}")


def require_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Raises ValueError unless the value is one of the choices."""
    if value not in choices:
        raise ValueError(f"{name} is {value!r}, expected one of {', '.join(choices)}")


def require_widths(name: str, values: tuple[int, ...]) -> None:
    """Raises ValueError unless there is at least one width and each is 1 to 4096."""
    if not values or min(values) < 1 or max(values) > 4096:
        raise ValueError(f"{name} is {list(values)}, expected at least one number from 1 to 4096")
