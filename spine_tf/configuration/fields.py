"""Fields of dataclasses: by the path of their names, and described field by field."""

import dataclasses
import inspect
import re
from collections.abc import Mapping
from typing import Any

from spine_tf.configuration import limits

_KINDS = {bool: "true or false", int: "integer", float: "number", str: "text", tuple: "numbers"}


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Returns the values of nested mappings by the path of their names, such as "model.dropout"."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        path = f"{prefix}{name}"
        found.update(flatten(value, f"{path}.") if isinstance(value, Mapping) else {path: value})
    return found


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
        prefix: what the names begin with, such as "model.".
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
