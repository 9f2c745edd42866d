"""A figure: a value with the ends of its 95 % interval, and the words that both are written in.

One notation for every page, table, log and card: `0.706 (0.620 to 0.790)`; a difference carries its
sign, `+0.013 (-0.020 to +0.044)`; a share may be written in percent, `70.6 % (62.0 to 79.0)`, with
a narrow space that does not break, as on the charts.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

UNDEFINED = "undefined"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Figure:
    """What was measured, and how far it would move with other studies of the same kind.

    Attributes:
        value: None where it is undefined.
        low, high: ends of the interval, both None where there is none.
        reason: why value or interval is missing; empty where nobody asks.
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None
    reason: str = ""

    def __post_init__(self) -> None:
        if (self.low is None) != (self.high is None) or (self.value is None and self.has_interval):
            raise ValueError(
                f"a figure has value {self.value}, low {self.low} and high {self.high}: expected "
                "both ends of an interval or none, and none without a value"
            )

    @property
    def has_interval(self) -> bool:
        """Whether it says how far it would move."""
        return self.low is not None

    @property
    def is_clear(self) -> bool:
        """Whether the interval leaves 0 out; that of a difference says which of two is better."""
        return self.is_above(0.0) or self.is_below(0.0)

    def is_above(self, level: float) -> bool:
        """Returns whether the whole interval lies above a level."""
        return self.low is not None and self.low > level

    def is_below(self, level: float) -> bool:
        """Returns whether the whole interval lies below a level."""
        return self.high is not None and self.high < level

    @property
    def alone(self) -> "Figure":
        """The value without its interval."""
        return Figure(value=self.value)

    def in_words(self, digits: int = 3) -> str:
        """Returns 0.706 (0.620 to 0.790)."""
        return self._written(f".{digits}f")

    def change_in_words(self, digits: int = 3) -> str:
        """Returns +0.013 (-0.020 to +0.044)."""
        return self._written(f"+.{digits}f")

    def in_percent(self, digits: int = 1) -> str:
        """Returns 70.6 % (62.0 to 79.0)."""
        return self._written(f".{digits}f", "\u202f%", scale=100.0)

    def in_points(self, digits: int = 1) -> str:
        """Returns 4.2 points (3.1 to 5.0), of a distance of shares."""
        return self._written(f".{digits}f", " points", scale=100.0)

    def change_in_points(self, digits: int = 1) -> str:
        """Returns +1.3 points (-2.0 to +4.4), of a difference of shares."""
        return self._written(f"+.{digits}f", " points", scale=100.0)

    def _written(self, form: str, unit: str = "", *, scale: float = 1.0) -> str:
        if self.value is None:
            return UNDEFINED
        value = f"{scale * self.value:{form}}{unit}"
        if self.low is None or self.high is None:
            return value
        return f"{value} ({scale * self.low:{form}} to {scale * self.high:{form}})"

    def to_json(self) -> dict[str, Any]:
        """Returns {value, low, high}, and the reason where there is one."""
        found = {"value": self.value, "low": self.low, "high": self.high}
        return {**found, "reason": self.reason} if self.reason else found


def columns(found: Figure | None) -> tuple[float | None, float | None, float | None]:
    """Returns value, low and high, as columns of a table have them; None without a figure."""
    return (found.value, found.low, found.high) if found else (None, None, None)


def as_json(found: Any) -> Any:
    """Returns figures, or mappings, sequences and dataclasses of them, as JSON types.

    A class is written as it says in `to_json`, else with its fields as keys.
    """
    if hasattr(found, "to_json"):
        return found.to_json()
    if dataclasses.is_dataclass(found):
        return {
            field.name: as_json(getattr(found, field.name)) for field in dataclasses.fields(found)
        }
    if isinstance(found, Mapping):
        return {name: as_json(value) for name, value in found.items()}
    if isinstance(found, Sequence) and not isinstance(found, str):
        return [as_json(value) for value in found]
    return found
