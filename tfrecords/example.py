"""tf.train.Example without TensorFlow: one record's values <-> bytes.

The messages are protobuf's, described here in a pool of their own: in the default pool TensorFlow
registers the same names. A map field is on the wire a repeated entry of key and value, and is
described as that, since protobuf promises no order of map entries: the features stand in sorted
order, so equal records are equal bytes.
"""

import functools
from collections.abc import Collection
from typing import Any

import numpy as np
from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    message as message_module,
    message_factory,
)

from tfrecords import schema

_PACKAGE = "tfrecords"
_LISTS = {
    "bytes": "bytes_list",
    "uint16": "bytes_list",
    "float32": "float_list",
    "int64": "int64_list",
}


def serialize(record_schema: schema.Schema, values: dict[str, Any]) -> bytes:
    """Returns a record as a serialised tf.train.Example.

    Raises:
        ValueError: the values don't fit the schema.
    """
    record_schema.check(values)
    message = _example_class()()
    entries = message.features.feature
    for feature in record_schema.features:
        entry = entries.add()
        entry.key = feature.name
        stored = getattr(entry.value, _LISTS[feature.dtype]).value
        stored.extend(_content(feature, values[feature.name]))
    return message.SerializeToString(deterministic=True)


def parse(
    record_schema: schema.Schema, data: bytes, *, skipped: Collection[str] = ()
) -> dict[str, Any]:
    """Returns a record's values: arrays, not to be written into, or int, float and bytes.

    Features that the schema doesn't name are left aside, and cost next to nothing. Of those that
    are skipped kind and size are checked, no more.

    Raises:
        ValueError: no Example, or one without a feature of the schema, or of another kind or size.
    """
    try:
        message = _example_class().FromString(data)
        found = {entry.key: entry.value for entry in message.features.feature}
    except (message_module.DecodeError, UnicodeDecodeError) as err:
        raise ValueError(f"not a tf.train.Example: {err}") from err
    values = {}
    for feature in record_schema.features:
        stored = _stored(feature, found.get(feature.name))
        if feature.name not in skipped:
            values[feature.name] = _decode(feature, stored)
    return values


@functools.cache
def _example_class() -> Any:
    """The message class of tensorflow/core/example/{example,feature}.proto, numbers and all."""
    file = descriptor_pb2.FileDescriptorProto(
        name="tfrecords/example.proto", package=_PACKAGE, syntax="proto3"
    )
    for name, kind in (("BytesList", "BYTES"), ("FloatList", "FLOAT"), ("Int64List", "INT64")):
        _add_field(file.message_type.add(name=name), 1, "value", kind, is_repeated=True)
    feature = file.message_type.add(name="Feature")
    feature.oneof_decl.add(name="kind")
    for number, name in enumerate(("bytes_list", "float_list", "int64_list"), start=1):
        kind = file.message_type[number - 1].name
        _add_field(feature, number, name, kind).oneof_index = 0
    entry = file.message_type.add(name="Entry")
    _add_field(entry, 1, "key", "STRING")
    _add_field(entry, 2, "value", "Feature")
    features = file.message_type.add(name="Features")
    _add_field(features, 1, "feature", "Entry", is_repeated=True)
    _add_field(file.message_type.add(name="Example"), 1, "features", "Features")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.Example"))


def _add_field(
    message: descriptor_pb2.DescriptorProto,
    number: int,
    name: str,
    kind: str,
    *,
    is_repeated: bool = False,
) -> descriptor_pb2.FieldDescriptorProto:
    """Adds a field of a scalar type in capitals, or of a message of the same file."""
    field = message.field.add(name=name, number=number)
    field.label = field.LABEL_REPEATED if is_repeated else field.LABEL_OPTIONAL
    if kind.isupper():
        field.type = getattr(field, f"TYPE_{kind}")
    else:
        field.type, field.type_name = field.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
    return field


def _content(feature: schema.Feature, value: Any) -> Any:
    """A string in a list, or numbers."""
    if feature.dtype == "bytes":
        return [value]
    if feature.dtype == "uint16":
        return [np.asarray(value, "<u2").tobytes()]
    if not feature.shape:
        return [value]
    dtype = np.float32 if feature.dtype == "float32" else np.int64
    return np.asarray(value, dtype).ravel().tolist()


def _stored(feature: schema.Feature, found: Any) -> Any:
    """What the message holds of a feature: one string, or as many numbers as it has."""
    if found is None:
        raise ValueError(f"a record has no feature {feature.name!r}")
    kind = _LISTS[feature.dtype]
    if found.WhichOneof("kind") != kind:
        raise ValueError(f"feature {feature.name!r} is not a {feature.dtype} feature")
    stored = getattr(found, kind).value
    if kind == "bytes_list":
        return _only_string(feature, stored)
    if len(stored) != feature.size:
        raise ValueError(f"{feature.name} has {len(stored)} numbers, expected {feature.size}")
    return stored


def _only_string(feature: schema.Feature, strings: Any) -> bytes:
    if len(strings) != 1:
        raise ValueError(f"{feature.name} has {len(strings)} strings, expected 1")
    content = strings[0]
    if feature.dtype == "uint16" and len(content) != 2 * feature.size:
        raise ValueError(
            f"{feature.name} has {len(content)} bytes, expected {2 * feature.size} "
            f"for uint16 {feature.shape}"
        )
    return content


def _decode(feature: schema.Feature, stored: Any) -> Any:
    if feature.dtype == "bytes":
        return stored
    if feature.dtype == "uint16":
        numbers = np.frombuffer(stored, "<u2").astype(np.uint16, copy=False)
        return numbers.reshape(feature.shape) if feature.shape else numbers[0].item()
    if not feature.shape:
        return stored[0]
    dtype = np.float32 if feature.dtype == "float32" else np.int64
    return np.array(stored, dtype).reshape(feature.shape)
