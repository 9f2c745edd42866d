"""What a field may hold, stated once: with the field's type, as `Annotated[int, Range(1, 16)]`."""

import abc
import dataclasses
import typing
from collections.abc import Mapping, Sequence
from typing import Any


class Limit(abc.ABC):
    """What values a field takes."""

    @abc.abstractmethod
    def holds(self, value: Any) -> bool:
        """Returns whether a value, which is of the field's type, is within the limit."""

    @abc.abstractmethod
    def in_words(self) -> str:
        """Returns what is expected, such as "0.0 to 0.95"."""

    def require(self, name: str, value: Any) -> None:
        """Raises ValueError, which names the field, for a value that is not within the limit."""
        if not self.holds(value):
            said = list(value) if isinstance(value, tuple) else value
            quoted = repr(said) if isinstance(said, str) else said
            raise ValueError(f"{name} is {quoted}, expected {self.in_words()}")


@dataclasses.dataclass(frozen=True)
class Range(Limit):
    """Numbers from `low` to `high`, both included; with `or_zero` 0 too, for what is off."""

    low: float
    high: float
    or_zero: bool = False

    def holds(self, value: float) -> bool:
        """Returns whether a number is within the range."""
        return self.low <= value <= self.high or (self.or_zero and value == 0)

    def in_words(self) -> str:
        """Returns such as "16 to 1024, or 0"."""
        return f"{self.low} to {self.high}" + (", or 0" if self.or_zero else "")


@dataclasses.dataclass(frozen=True)
class Choice(Limit):
    """One of some names."""

    names: Sequence[str]

    def holds(self, value: str) -> bool:
        """Returns whether it is one of the names."""
        return value in self.names

    def in_words(self) -> str:
        """Returns such as "one of adamw, sgd"."""
        return f"one of {', '.join(self.names)}"


@dataclasses.dataclass(frozen=True)
class Widths(Limit):
    """Widths of layers, a number each, 1 to 4096; none at all only with `or_none`."""

    or_none: bool = False

    def holds(self, value: tuple[int, ...]) -> bool:
        """Returns whether all widths are in range, and enough."""
        return (bool(value) or self.or_none) and all(1 <= width <= 4096 for width in value)

    def in_words(self) -> str:
        """Returns how many numbers of which range are expected."""
        return ("numbers" if self.or_none else "at least one number") + " from 1 to 4096"


def of(cls: type) -> Mapping[str, Limit]:
    """Returns the limits of a dataclass by field, those that it inherits included."""
    hints = typing.get_type_hints(cls, include_extras=True)
    return {
        name: limit
        for name, hint in hints.items()
        for limit in getattr(hint, "__metadata__", ())
        if isinstance(limit, Limit)
    }


def check(made: Any) -> None:
    """Raises ValueError for the first field of a dataclass that is not within its limit."""
    for name, limit in of(type(made)).items():
        limit.require(name, getattr(made, name))
