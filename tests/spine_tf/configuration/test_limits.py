"""What a field may hold."""

import dataclasses
from typing import Annotated

import pytest

from spine_tf.configuration import limits


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Layer:
    width: Annotated[int, limits.Range(1, 16)] = 4
    name: str = "any"


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Narrow(_Layer):
    width: Annotated[int, limits.Range(1, 2)] = 1
    norm: Annotated[str, limits.Choice(("batch", "none"))] = "batch"


@pytest.mark.parametrize(
    ("limit", "good", "bad", "message"),
    [
        (limits.Range(0.0, 0.95), 0.95, 0.96, r"it is 0.96, expected 0.0 to 0.95"),
        (limits.Range(1, 16), 1, 0, r"it is 0, expected 1 to 16"),
        (limits.Range(16, 64, or_zero=True), 0, 15, r"it is 15, expected 16 to 64, or 0"),
        (limits.Range(0.0, 1.0), 0.0, float("nan"), r"it is nan, expected 0.0 to 1.0"),
        (limits.Choice(("a", "b")), "b", "c", r"it is 'c', expected one of a, b"),
        (limits.Widths(), (1, 4096), (), r"it is \[\], expected at least one number from 1"),
        (limits.Widths(), (3,), (3, 0), r"it is \[3, 0\], expected at least one number"),
        (limits.Widths(or_none=True), (), (4097,), r"it is \[4097\], expected numbers from 1 to"),
    ],
)
def test_value_within_a_limit_passes_and_one_beyond_is_named(limit, good, bad, message):
    limit.require("it", good)
    with pytest.raises(ValueError, match=message):
        limit.require("it", bad)


def test_limits_of_a_class_are_its_own_before_those_it_inherits():
    assert limits.of(_Layer) == {"width": limits.Range(1, 16)}
    assert limits.of(_Narrow)["width"] == limits.Range(1, 2)
    assert list(limits.of(_Narrow)) == ["width", "norm"]


def test_check_names_the_first_field_beyond_its_limit():
    limits.check(_Narrow())
    with pytest.raises(ValueError, match="width is 3, expected 1 to 2"):
        limits.check(_Narrow(width=3, norm="layer"))
