"""Records as bytes: equal to protobuf's, and refused where they don't fit."""

import hashlib
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from tfrecords import example, schema

_SCHEMA = schema.Schema(
    features=(
        schema.Feature(name="image", dtype="uint16", shape=(2, 3)),
        schema.Feature(name="level", dtype="uint16"),
        schema.Feature(name="window", dtype="float32", shape=(2,)),
        schema.Feature(name="scale", dtype="float32"),
        schema.Feature(name="label", dtype="int64", class_names=("a", "b")),
        schema.Feature(name="counts", dtype="int64", shape=(3,)),
        schema.Feature(name="key", dtype="bytes"),
    )
)


def _varint(value: int) -> bytes:
    """A number on protobuf's wire; a negative one takes ten bytes."""
    value &= 2**64 - 1
    digits = []
    while value > 0x7F:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*digits, value])


def _field(number: int, *parts: bytes) -> bytes:
    """A length-delimited field on protobuf's wire."""
    content = b"".join(parts)
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _values(**changes):
    return {
        "image": np.arange(6, dtype=np.uint16).reshape(2, 3) * 10_000,
        "level": 65_535,
        "window": np.array([0.5, -1e30], np.float32),
        "scale": 0.25,
        "label": 1,
        "counts": [0, -1, 2**62],
        "key": b"1/2\xff",
        **changes,
    }


def test_parse_returns_what_was_serialized():
    parsed = example.parse(_SCHEMA, example.serialize(_SCHEMA, _values()))
    for name, value in _values().items():
        np.testing.assert_array_equal(parsed[name], value)
    assert [type(parsed[name]) for name in ("level", "label", "scale", "key")] == [
        int,
        int,
        float,
        bytes,
    ]


def test_bytes_are_the_golden_ones():
    digest = hashlib.sha256(example.serialize(_SCHEMA, _values())).hexdigest()
    assert digest == "5773807040c1d22b49c1f74ef6933125e97bb1acbe99a86a1c7126fc443e005d"


@settings(deadline=None)
@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=3, max_size=3), st.binary())
def test_bytes_equal_protobufs(counts, key):
    tf = pytest.importorskip("tensorflow")
    data = example.serialize(_SCHEMA, _values(counts=counts, key=key))
    message = tf.train.Example.FromString(data)
    assert message.SerializeToString(deterministic=True) == data
    assert list(message.features.feature["counts"].int64_list.value) == counts


def test_parse_accepts_unpacked_numbers_and_unknown_features():
    unpacked = _field(3, *(b"\x08" + _varint(n) for n in (7, -7)))
    entries = [_field(1, _field(1, name), _field(2, unpacked)) for name in (b"numbers", b"unknown")]
    numbers = schema.Schema(features=(schema.Feature(name="numbers", dtype="int64", shape=(2,)),))
    parsed = example.parse(numbers, _field(1, *entries))
    assert parsed["numbers"].tolist() == [7, -7]


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"image": np.zeros((3, 3), np.uint16)}, "image has shape"),
        ({"key": "text"}, "key is a str, expected bytes"),
        ({"extra": 1}, "a record has .*extra"),
    ],
)
def test_serialize_refuses_values_that_do_not_fit(changes, match):
    with pytest.raises(ValueError, match=match):
        example.serialize(_SCHEMA, _values(**changes))


def _entry(name: bytes, kind: int, content: bytes) -> bytes:
    value = _field(2, _field(kind, content))
    return _field(1, _field(1, _field(1, name), value))


@pytest.mark.parametrize(
    ("dtype", "shape", "data", "match"),
    [
        ("int64", (), b"", "no feature 'x'"),
        ("int64", (), _entry(b"x", 1, b""), "is not a int64 feature"),
        ("int64", (2,), _entry(b"x", 3, b"\x0a\x01\x05"), "1 numbers, expected 2"),
        ("int64", (), _entry(b"x", 3, b"\x0a\x01\x85"), "not a tf.train.Example"),
        ("float32", (2,), _entry(b"x", 2, b"\x0a\x05abcde"), "not a tf.train.Example"),
        ("bytes", (), _entry(b"x", 1, b""), "0 strings, expected 1"),
        ("uint16", (2,), _entry(b"x", 1, b"\x0a\x03abc"), "3 bytes, expected 4"),
        ("int64", (), b"\x0a\x7fabc", "not a tf.train.Example"),
        ("int64", (), b"\x0b", "not a tf.train.Example"),
        ("int64", (), b"\xff" * 11, "not a tf.train.Example"),
        ("int64", (), b"\x80", "not a tf.train.Example"),
        ("int64", (), _entry(b"\xff", 3, b""), "not a tf.train.Example"),
    ],
)
def test_parse_refuses_what_is_no_record(dtype, shape, data, match):
    fields = schema.Schema(features=(schema.Feature(name="x", dtype=dtype, shape=shape),))
    with pytest.raises(ValueError, match=match):
        example.parse(fields, data)


@pytest.mark.parametrize("shape", [(10**30,), (2**20, 2**20), (1,) * 100])
def test_shape_that_no_memory_has_is_refused(shape):
    with pytest.raises(ValueError, match=r"x: shape is .*, expected 268435456 numbers at most"):
        schema.Feature(name="x", dtype="float32", shape=shape)


def test_parse_takes_the_last_of_what_stands_twice():
    one, other = (_entry(b"x", 3, b"\x0a\x01" + digit) for digit in (b"\x05", b"\x06"))
    fields = schema.Schema(features=(schema.Feature(name="x", dtype="int64"),))
    assert example.parse(fields, one + other) == {"x": 6}


@pytest.mark.slow
@pytest.mark.parametrize("version", ["6.31.1", "7.*"])
def test_bytes_and_refusals_are_those_of_other_protobufs(version, tmp_path):
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", tmp_path]
    if subprocess.run([*pip, f"protobuf=={version}"], check=False).returncode:
        assert not os.environ.get("CI"), "a package index is needed where CI is set"
        pytest.skip("no package index to take another protobuf from")
    here = pathlib.Path(__file__)
    code = "import google.protobuf, sys; sys.exit(google.protobuf.__version__[0] != sys.argv[1])"
    tests = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "not protobufs", str(here)]
    path = os.pathsep.join([str(tmp_path), str(here.parents[2])])
    for arguments in (["-c", code, version[0]], tests):
        subprocess.run(
            [sys.executable, *arguments],
            check=True,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": path},
        )


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_parse_of_noise_raises_nothing_but_value_error(data):
    with pytest.raises(ValueError, match=r"feature|Example"):
        example.parse(_SCHEMA, data)
