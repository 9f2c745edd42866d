"""What makes two searches the same: configuration, space, data and version."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def digest(identity: Mapping[str, Any]) -> str:
    """Returns the sha256 of an identity."""
    text = json.dumps(identity, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def difference(there: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Returns one text a field that differs, such as "seed is 0 there and 1 now"."""
    before, after = _leaves(there, ""), _leaves(now, "")
    names = sorted(name for name in before.keys() | after.keys() if _differs(before, after, name))
    return [f"{name} is {_text(before, name)} there and {_text(after, name)} now" for name in names]


def _differs(before: Mapping[str, Any], after: Mapping[str, Any], name: str) -> bool:
    return name not in before or name not in after or before[name] != after[name]


def _text(leaves: Mapping[str, Any], name: str) -> str:
    return json.dumps(leaves[name]) if name in leaves else "absent"


def _leaves(value: Any, prefix: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        return {prefix: value}
    leaves: dict[str, Any] = {}
    for name, item in value.items():
        leaves.update(_leaves(item, f"{prefix}.{name}" if prefix else name))
    return leaves
