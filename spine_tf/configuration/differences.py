"""In what two configurations differ, in words."""

from collections.abc import Mapping, Sequence
from typing import Any

_MOST_SAID = 5


def differences(stored: Any, asked: Any, name: str = "") -> list[str]:
    """Returns one entry a field that differs, such as "training.epochs is 60, now 20".

    A field that is missing is one that is not set; a mapping that is missing is an empty one.

    Args:
        stored: what was written, as JSON types.
        asked: what is wanted now, as JSON types.
        name: dotted name of the field that both are.
    """
    if _is_mapping_or_none(stored) and _is_mapping_or_none(asked):
        stored, asked = stored or {}, asked or {}
        prefix = f"{name}." if name else ""
        return [
            line
            for field in dict.fromkeys([*stored, *asked])
            for line in differences(stored.get(field), asked.get(field), prefix + field)
        ]
    return [] if stored == asked else [f"{name} is {_said(stored)}, now {_said(asked)}"]


def _is_mapping_or_none(value: Any) -> bool:
    return value is None or isinstance(value, Mapping)


def _said(value: Any) -> str:
    return "not set" if value is None else repr(value)


def in_words(found: Sequence[str]) -> str:
    """Returns the first of the differences as one clause, and how many more there are."""
    more = len(found) - _MOST_SAID
    return "; ".join(found[:_MOST_SAID]) + (f"; and {more} more" if more > 0 else "")
