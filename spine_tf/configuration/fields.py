"""Fields: dataclasses built from JSON values, nested ones by name, and described field by field."""

import dataclasses
import difflib
import inspect
import math
import re
import typing
from collections.abc import Iterable, Mapping
from typing import Any

from spine_tf.configuration import limits

_KINDS = {bool: "true or false", int: "integer", float: "number", str: "text", tuple: "numbers"}


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
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and _fits(value)
    if hint is float and is_number:
        return float(value)
    if hint is int and is_number and value == int(value):
        return int(value)
    if hint in (bool, str) and isinstance(value, hint):
        return value
    is_list = typing.get_origin(hint) is tuple
    expected = "list of integers" if is_list else getattr(hint, "__name__", str(hint))
    raise ValueError(f"{name} is {value!r}, expected {expected}")


def _fits(value: float) -> bool:
    """Whether a number is finite, and no larger than a float can be."""
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Description:
    """A field, told to a reader.

    Attributes:
        name: path of names, such as "model.dropout".
        value: as JSON types.
        kind: what it may hold, such as "number, 0.0 to 0.95".
        meaning: one or more sentences.
    """

    name: str
    value: Any
    kind: str
    meaning: str


def describe(made: Any, prefix: str = "") -> list[Description]:
    """Returns all fields of a dataclass, those of the dataclasses in it likewise.

    Args:
        made: the dataclass; fields are documented under "Attributes:" of its docstring, or of that
            of a class which it inherits from.
        prefix: of the names, such as "model.".
    """
    meanings = _meanings(type(made))
    found = []
    for field in dataclasses.fields(made):
        name, value = prefix + field.name, getattr(made, field.name)
        if dataclasses.is_dataclass(value):
            found += describe(value, f"{name}.")
        else:
            found.append(
                Description(
                    name=name,
                    value=list(value) if isinstance(value, tuple) else value,
                    kind=_kind(type(made), field.name, value),
                    meaning=meanings.get(field.name, ""),
                )
            )
    return found


def _kind(cls: type, name: str, value: Any) -> str:
    limit = limits.of(cls).get(name)
    if limit is None:
        return _KINDS[type(value)]
    if isinstance(limit, limits.Range):
        return f"{_KINDS[type(value)]}, {limit.in_words()}"
    return limit.in_words()


def _meanings(cls: type) -> dict[str, str]:
    """Parses "name: text" of the Attributes, a subclass's text before that of its bases."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        _, _, attributes = (inspect.cleandoc(base.__doc__ or "")).partition("Attributes:\n")
        entries = re.split(r"^    (?=\S)", attributes, flags=re.MULTILINE)
        for names, colon, text in (entry.partition(":") for entry in entries):
            if colon:
                found.update(dict.fromkeys(names.split(", "), " ".join(text.split())))
    return found
