"""tf.train.Example without TensorFlow: one record's values <-> bytes.

The bytes are those of protobuf's deterministic serialisation, with the features in sorted order:
protobuf promises no order of map entries, and equal records have to be equal bytes.
"""

import functools
from typing import Any

import numpy as np

from tfrecords import schema, wire

# Numbers of the fields in tensorflow/core/example/{example,feature}.proto.
_FEATURES = 1
_ENTRY = 1
_KEY, _VALUE = 1, 2
_BYTES_LIST, _FLOAT_LIST, _INT64_LIST = 1, 2, 3
_LIST_VALUE = 1

_KINDS = {
    "bytes": _BYTES_LIST,
    "uint16": _BYTES_LIST,
    "float32": _FLOAT_LIST,
    "int64": _INT64_LIST,
}


def serialize(record_schema: schema.Schema, values: dict[str, Any]) -> bytes:
    """Returns a record as a serialised tf.train.Example.

    Raises:
        ValueError: the values don't fit the schema.
    """
    record_schema.check(values)
    # One join at the end: an image would otherwise be copied at each level of nesting.
    parts: list[bytes] = []
    for feature in record_schema.features:
        content = _content(feature, values[feature.name])
        header = wire.nested_header((_VALUE, _KINDS[feature.dtype], _LIST_VALUE), len(content))
        key = _key_field(feature.name)
        entry = wire.nested_header((_ENTRY,), len(key) + len(header) + len(content))
        parts += entry, key, header, content
    return b"".join((wire.nested_header((_FEATURES,), sum(map(len, parts))), *parts))


def parse(record_schema: schema.Schema, data: bytes) -> dict[str, Any]:
    """Returns a record's values: arrays, or int, float and bytes for scalars.

    Features that the schema doesn't name are left aside.

    Raises:
        ValueError: no Example, or one without a feature of the schema, or of another kind or size.
    """
    try:
        contents = _features(memoryview(data))
    except (ValueError, UnicodeDecodeError) as err:
        raise ValueError(f"not a tf.train.Example: {err}") from err
    return {
        feature.name: _decode(feature, contents.get(feature.name))
        for feature in record_schema.features
    }


@functools.lru_cache(maxsize=4096)
def _key_field(name: str) -> bytes:
    return wire.encode_field(_KEY, name.encode())


def _content(feature: schema.Feature, value: Any) -> bytes:
    """A string, or packed numbers."""
    if feature.dtype == "bytes":
        return value
    if feature.dtype == "uint16":
        return np.asarray(value, "<u2").tobytes()
    if feature.dtype == "float32":
        return np.asarray(value, "<f4").tobytes()
    return b"".join(map(wire.encode_varint, np.asarray(value, np.int64).ravel().tolist()))


def _features(data: memoryview) -> dict[str, tuple[int, memoryview]]:
    result = {}
    for features in _contents(data, _FEATURES):
        for entry in _contents(features, _ENTRY):
            name, value = b"", memoryview(b"")
            for number, _, content in wire.fields(entry):
                if number == _KEY:
                    name = bytes(content)
                elif number == _VALUE:
                    value = content
            kind, content = 0, memoryview(b"")
            for number, _, part in wire.fields(value):
                kind, content = number, part
            result[name.decode()] = kind, content
    return result


def _contents(data: memoryview, wanted: int) -> list[memoryview]:
    return [
        content
        for number, wire_type, content in wire.fields(data)
        if number == wanted and wire_type == wire.LENGTH_DELIMITED
    ]


def _decode(feature: schema.Feature, found: tuple[int, memoryview] | None) -> Any:
    if found is None:
        raise ValueError(f"a record has no feature {feature.name!r}")
    kind, content = found
    if kind != _KINDS[feature.dtype]:
        raise ValueError(f"feature {feature.name!r} is not a {feature.dtype} feature")
    if kind == _BYTES_LIST:
        return _decode_bytes(feature, content)
    numbers = _numbers(kind, content)
    if numbers.size != feature.size:
        raise ValueError(f"{feature.name} has {numbers.size} numbers, expected {feature.size}")
    return numbers.reshape(feature.shape) if feature.shape else numbers[0].item()


def _decode_bytes(feature: schema.Feature, content: memoryview) -> Any:
    strings = _contents(content, _LIST_VALUE)
    if len(strings) != 1:
        raise ValueError(f"{feature.name} has {len(strings)} strings, expected 1")
    if feature.dtype == "bytes":
        return bytes(strings[0])
    if len(strings[0]) != 2 * feature.size:
        raise ValueError(
            f"{feature.name} has {len(strings[0])} bytes, expected {2 * feature.size} "
            f"for uint16 {feature.shape}"
        )
    numbers = np.frombuffer(strings[0], "<u2").astype(np.uint16)
    return numbers.reshape(feature.shape) if feature.shape else numbers[0].item()


def _numbers(kind: int, content: memoryview) -> np.ndarray:
    """Numbers may be packed or not: both are valid, and some writers don't pack."""
    parts = [part for number, _, part in wire.fields(content) if number == _LIST_VALUE]
    if kind == _FLOAT_LIST:
        joined = b"".join(parts)
        return np.frombuffer(joined[: len(joined) // 4 * 4], "<f4").astype(np.float32)
    numbers = []
    for part in parts:
        position = 0
        while position < len(part):
            number, position = wire.decode_int64(part, position)
            numbers.append(number)
    return np.asarray(numbers, np.int64)
