"""Objects of JSON: read from a file in one way, and made into dataclasses whose types they have.

A file that was cut off, edited or swapped gives one sentence: the file, the field, what came, what
was expected, and what mends it.
"""

import collections.abc
import dataclasses
import difflib
import enum
import json
import math
import pathlib
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from tfrecords import regular_file

MAX_BYTES = 2**28
"""What no file of ours comes near; a larger one is not read at all."""

_Made = TypeVar("_Made")

_WORDS = {
    bool: "true or false",
    int: "an integer",
    float: "a number",
    str: "a text",
    type(None): "null",
}


def read(path: pathlib.Path, *, expected: str, mend: str) -> dict[str, Any]:
    """Returns the object that a file holds.

    Args:
        path: the JSON file.
        expected: what it should be, such as "the figures that train writes".
        mend: what to do where it is damaged, such as "train the run again".

    Raises:
        ValueError: there is no such file, it can't be read, or it holds no JSON object; names it.
    """
    try:
        values = json.loads(regular_file.read_bytes(path, MAX_BYTES))
    except FileNotFoundError as err:
        raise ValueError(f"{path} does not exist; expected {expected}") from err
    except regular_file.UnfitFile as err:
        raise ValueError(f"{err}; expected {expected}") from err
    except OSError as err:
        raise ValueError(f"{path} can't be read ({err.strerror}); expected {expected}") from err
    except (RecursionError, MemoryError) as err:
        raise ValueError(
            f"{path} is nested too deeply, or asks for more memory than there is; expected "
            f"{expected}: {mend}"
        ) from err
    except ValueError as err:
        raise ValueError(f"{path} is not JSON ({err}); expected {expected}: {mend}") from err
    if not isinstance(values, dict):
        raise ValueError(
            f"{path} holds {in_words(values)}, not an object; expected {expected}: {mend}"
        )
    return values


def read_as(
    make: Callable[[dict[str, Any]], _Made], path: pathlib.Path, *, expected: str, mend: str
) -> _Made:
    """Reads a file and returns what `make` makes of its object; see `read`.

    Raises:
        ValueError: as `read`, or `make` does not take it: a field is missing or of another type.
    """
    values = read(path, expected=expected, mend=mend)
    try:
        return make(values)
    except KeyError as err:
        raise ValueError(f"{path} has no {err.args[0]!r}; expected {expected}: {mend}") from err
    except (ValueError, TypeError, AttributeError, OverflowError) as err:
        raise ValueError(f"{path}: {err}; expected {expected}: {mend}") from err


def build(cls: type[_Made], values: Mapping[str, Any], prefix: str = "") -> _Made:
    """Builds a dataclass from JSON types, dataclasses among its fields likewise.

    A class with a `from_json` is made by it.

    Args:
        cls: the dataclass.
        values: by field; what is left out keeps its default.
        prefix: what field names in messages begin with, such as "model.".

    Raises:
        ValueError: a field that is missing or does not exist, a value of another type or out of
            range; numbers are finite.
    """
    hints, fields = typing.get_type_hints(cls), dataclasses.fields(typing.cast(Any, cls))
    names = [field.name for field in fields]
    for name in sorted(set(values) - set(names)):
        raise ValueError(describe_unknown(prefix + name, [prefix + known for known in names]))
    for field in fields:
        if field.name not in values and _is_required(field):
            raise ValueError(f"{prefix}{field.name} is missing")
    arguments = {name: convert(hints[name], value, prefix + name) for name, value in values.items()}
    try:
        return cls(**arguments)
    except ValueError as err:
        raise ValueError(f"{prefix}{err}") from err


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is field.default_factory is dataclasses.MISSING


def convert(hint: Any, value: Any, name: str) -> Any:
    """Returns a JSON value as the type that a hint asks for; lists become tuples.

    Raises:
        ValueError: it is of another type; says its name.
    """
    if dataclasses.is_dataclass(value) or hint is Any:
        return value
    origin, items = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _convert_union(items, value, name)
    if origin in (tuple, collections.abc.Sequence) and isinstance(value, list | tuple):
        return tuple(convert(items[0], each, name) for each in value)
    if isinstance(value, Mapping):
        if origin in (dict, collections.abc.Mapping):
            return {key: convert(items[1], each, f"{name}.{key}") for key, each in value.items()}
        if hasattr(hint, "from_json"):
            return hint.from_json(value)
        if dataclasses.is_dataclass(hint):
            return build(typing.cast(type, hint), value, f"{name}.")
    return _convert_plain(hint, value, name)


def _convert_union(hints: tuple[Any, ...], value: Any, name: str) -> Any:
    if value is None and type(None) in hints:
        return None
    (hint,) = (each for each in hints if each is not type(None))
    return convert(hint, value, name)


def _convert_plain(hint: Any, value: Any, name: str) -> Any:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and _fits(value)
    if hint is float and is_number:
        return float(value)
    if hint is int and is_number and value == int(value):
        return int(value)
    if hint in (bool, str) and isinstance(value, hint):
        return value
    if isinstance(hint, type) and issubclass(hint, enum.Enum) and isinstance(value, str):
        return hint(value)
    raise ValueError(f"{name} is {in_words(value)}, expected {_hint_in_words(hint)}")


def _fits(value: float) -> bool:
    """Whether a number is finite, and no larger than a float can be."""
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _hint_in_words(hint: Any) -> str:
    origin, items = typing.get_origin(hint), typing.get_args(hint)
    if origin in (tuple, collections.abc.Sequence):
        return f"a list, in which each is {_hint_in_words(items[0])}"
    return _WORDS.get(hint, "an object")


def in_words(value: Any, longest: int = 80) -> str:
    """Returns a value as it would stand in a program, cut where it is long."""
    text = repr(value)
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def describe_unknown(name: str, known: Iterable[str]) -> str:
    """Says that there is no field of that name, which ones there are, and which was meant."""
    known = list(known)
    nearest = difflib.get_close_matches(name, known, n=1)
    meant = f"; did you mean {nearest[0]}?" if nearest else ""
    return f"there is no field {name!r}{meant}; there are {', '.join(known)}"
