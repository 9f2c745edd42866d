"""The fields of a record: declared once by the writer, read back from the directory."""

import dataclasses
import math
import re
from typing import Any

import numpy as np

# Four times the largest image, 1024 x 1024 x 63; numpy has no more than 2^63, nor 64 dimensions.
_MOST_NUMBERS = 2**28
_MOST_DIMENSIONS = 8
_DTYPES = ("bytes", "float32", "int64", "uint16")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Feature:
    """One field of a record.

    Attributes:
        name: matches [a-z0-9_]+.
        dtype: "int64" and "float32" are stored as such; "uint16" as raw little-endian bytes of the
            whole array; "bytes" is one string of any length.
        shape: the value's shape; () is a scalar. "bytes" is always a scalar.
        class_names: what the values 0, 1, ... of an int64 scalar stand for, if they are classes.
    """

    name: str
    dtype: str
    shape: tuple[int, ...] = ()
    class_names: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        require_name(self.name)
        if self.dtype not in _DTYPES:
            raise ValueError(f"{self.name}: dtype is {self.dtype!r}, expected one of {_DTYPES}")
        if self.dtype == "bytes" and self.shape:
            raise ValueError(f"{self.name}: bytes has shape {self.shape}, expected a scalar")
        if self.class_names is not None and (self.dtype != "int64" or self.shape):
            raise ValueError(f"{self.name}: class names need an int64 scalar")
        if self.class_names is not None and len(set(self.class_names)) != len(self.class_names):
            raise ValueError(f"{self.name}: class names {self.class_names} are not unique")
        if any(size < 1 for size in self.shape):
            raise ValueError(f"{self.name}: shape is {self.shape}, expected sizes of at least 1")
        if len(self.shape) > _MOST_DIMENSIONS or self.size > _MOST_NUMBERS:
            raise ValueError(
                f"{self.name}: shape is {self.shape}, expected {_MOST_NUMBERS} numbers at most, in "
                f"{_MOST_DIMENSIONS} dimensions at most"
            )

    @property
    def size(self) -> int:
        """Numbers in one value."""
        return math.prod(self.shape)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Schema:
    """The fields of every record in a directory, sorted by name."""

    features: tuple[Feature, ...]

    def __post_init__(self) -> None:
        names = [feature.name for feature in self.features]
        if len(set(names)) != len(names):
            raise ValueError(f"features {names} are not unique")
        object.__setattr__(self, "features", tuple(sorted(self.features, key=lambda f: f.name)))

    def __contains__(self, name: object) -> bool:
        return any(feature.name == name for feature in self.features)

    def __getitem__(self, name: str) -> Feature:
        for feature in self.features:
            if feature.name == name:
                return feature
        raise KeyError(f"no feature {name!r}; there are {[f.name for f in self.features]}")

    def check(self, values: dict[str, Any]) -> None:
        """Raises ValueError where the values of one record don't fit the schema."""
        names = {feature.name for feature in self.features}
        if names != set(values):
            raise ValueError(f"a record has {sorted(values)}, expected {sorted(names)}")
        for feature in self.features:
            value = values[feature.name]
            if feature.dtype == "bytes":
                if not isinstance(value, bytes):
                    raise ValueError(f"{feature.name} is a {type(value).__name__}, expected bytes")
            else:
                array = np.asarray(value)
                if array.shape != feature.shape:
                    raise ValueError(
                        f"{feature.name} has shape {array.shape}, expected {feature.shape}"
                    )


def require_name(name: str) -> None:
    """Raises ValueError for what is no name of a feature; files are named after it."""
    if not re.fullmatch("[a-z0-9_]+", name):
        raise ValueError(f"feature {name!r} is no name, expected a-z, 0-9 and _")
