"""In what two configurations differ, in words."""

from collections.abc import Mapping
from typing import Any


def differences(stored: Any, asked: Any, name: str = "") -> list[str]:
    """Returns one entry a field that differs, such as "training.epochs is 60, now 20".

    Args:
        stored: what was written, as JSON types.
        asked: what is wanted now, as JSON types.
        name: of the field that both are.
    """
    if isinstance(stored, Mapping) and isinstance(asked, Mapping):
        prefix = f"{name}." if name else ""
        return [
            line
            for field in dict.fromkeys([*stored, *asked])
            for line in differences(stored.get(field), asked.get(field), prefix + field)
        ]
    return [] if stored == asked else [f"{name} is {_said(stored)}, now {_said(asked)}"]


def _said(value: Any) -> str:
    return "not set" if value is None else repr(value)
