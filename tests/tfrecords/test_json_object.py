"""JSON that someone else wrote: made into what is expected, or refused in one sentence."""

import dataclasses
import enum
import functools
import json
import os
import pathlib
import resource
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from tfrecords import json_object


class _Kind(enum.StrEnum):
    PLAIN = "plain"


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Part:
    size: int

    def __post_init__(self) -> None:
        if self.size < 0:
            raise ValueError(f"size is {self.size}, expected at least 0")


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Whole:
    name: str
    share: float
    parts: tuple[_Part, ...] = ()
    counts: Mapping[str, int] = dataclasses.field(default_factory=dict)
    matrix: Sequence[Sequence[int]] = ()
    kind: _Kind = _Kind.PLAIN
    limit: float | None = None
    rest: Any = None
    is_new: bool = False


_WHOLE = _Whole(
    name="a",
    share=0.5,
    parts=(_Part(size=1), _Part(size=2)),
    counts={"x": 3},
    matrix=((1, 2), (3, 4)),
    limit=2.0,
    rest=[{"y": None}],
)
_VALUES = json.loads(json.dumps(dataclasses.asdict(_WHOLE)))


def _read(path: pathlib.Path) -> _Whole:
    make = functools.partial(json_object.build, _Whole)
    return json_object.read_as(make, path, expected="a whole", mend="make it again")


def test_dataclass_comes_back_from_its_file(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "whole.json"
    path.write_text(json.dumps(_VALUES))
    assert _read(path) == _WHOLE


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": 3}, "name is 3, expected a text"),
        ({"share": "half"}, "share is 'half', expected a number"),
        ({"share": True}, "share is True, expected a number"),
        ({"share": float("nan")}, "share is nan, expected a number"),
        ({"share": 1e999}, "share is inf, expected a number"),
        ({"parts": {}}, "parts is {}, expected a list, in which each is an object"),
        ({"parts": [{"size": 1}, 2]}, "parts is 2, expected an object"),
        ({"parts": [{"size": -1}]}, "parts.size is -1, expected at least 0"),
        ({"parts": [{"sise": 1}]}, "no field 'parts.sise'.*did you mean parts.size"),
        ({"parts": [{}]}, "parts.size is missing"),
        ({"counts": {"x": 0.5}}, "counts.x is 0.5, expected an integer"),
        ({"matrix": [[1], 2]}, "matrix is 2, expected a list"),
        ({"kind": "odd"}, "'odd' is not a valid"),
        ({"limit": []}, r"limit is \[\], expected a number"),
        ({"is_new": 1}, "is_new is 1, expected true or false"),
        ({"name": "x" * 500, "share": None}, "share is None"),
    ],
)
def test_value_of_another_type_is_named(
    tmp_path: pathlib.Path, changes: dict[str, Any], message: str
) -> None:
    path = tmp_path / "whole.json"
    path.write_text(json.dumps({**_VALUES, **changes}))
    with pytest.raises(ValueError, match=rf"whole.json: .*{message}.*; expected a whole: make it"):
        _read(path)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, "does not exist; expected a whole"),
        (b"", "is not JSON"),
        (b"{", "is not JSON"),
        (b"[]", r"holds \[\], not an object"),
        (b"3", "holds 3, not an object"),
        (b'"' + b"x" * 999 + b'"', r"holds 'x+\.\.\., not an object"),
        (b"[" * 100_000, "is nested too deeply"),
        (b'{"a": ' * 100_000, "is nested too deeply"),
        (b'{"a": ' + b"1" * 5000 + b"}", "is not JSON"),
        (b"\xff\xfe\xfa", "is not JSON"),
        (b'{"a": "\xff"}', "is not JSON"),
    ],
)
def test_file_without_an_object_is_refused(
    tmp_path: pathlib.Path, data: bytes | None, message: str
) -> None:
    path = tmp_path / "whole.json"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(ValueError, match=f"whole.json.*{message}"):
        _read(path)


def test_file_that_cannot_be_read_is_named(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ValueError, match="is a directory, expected a regular file; expected a"):
        _read(tmp_path)
    with pytest.raises(ValueError, match=r"can't be read \(.+\); expected a whole"):
        _read(tmp_path / ("x" * 300))


def test_file_that_is_larger_than_any_of_ours_is_not_read(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "whole.json"
    with path.open("wb") as file:
        os.truncate(file.fileno(), 2**34)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match="has more than 268435456 bytes; expected a whole"):
        _read(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 700 * 1024


def test_file_that_asks_for_more_memory_than_there_is_is_refused(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "whole.json"
    path.write_bytes(b'{"a": [' + b"[]," * 10_000_000 + b"0]}")
    code = (
        "import pathlib, resource, sys\n"
        "from tfrecords import json_object\n"
        "resource.setrlimit(resource.RLIMIT_AS, (2**29, 2**29))\n"
        "try:\n"
        "    json_object.read(pathlib.Path(sys.argv[1]), expected='a whole', mend='make it')\n"
        "except ValueError as err:\n"
        "    print(err)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    assert "asks for more memory than there is; expected a whole: make it" in done.stdout


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=5,
)


@settings(max_examples=60, deadline=None)
@given(name=st.sampled_from(sorted(_VALUES)), value=_JSON)
def test_any_value_is_taken_or_named(name: str, value: Any) -> None:
    try:
        made = json_object.build(_Whole, {**_VALUES, name: value})
    except ValueError as err:
        assert name in str(err) or "valid" in str(err)
    else:
        assert isinstance(made, _Whole)
        hash(made.parts)
