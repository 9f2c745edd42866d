"""The part of protobuf's wire format that tf.train.Example needs."""

import functools
from collections.abc import Iterator

VARINT = 0
FIXED64 = 1
LENGTH_DELIMITED = 2
FIXED32 = 5

_MASK_64 = (1 << 64) - 1


def encode_varint(value: int) -> bytes:
    """Returns an int64 as a varint; negative numbers take ten bytes, as protobuf's do."""
    value &= _MASK_64
    result = bytearray()
    while value > 0x7F:
        result.append((value & 0x7F) | 0x80)
        value >>= 7
    result.append(value)
    return bytes(result)


def encode_field(number: int, *parts: bytes) -> bytes:
    """Returns a length-delimited field whose content is the parts one after the other."""
    return b"".join((nested_header((number,), sum(map(len, parts))), *parts))


@functools.lru_cache(maxsize=4096)
def nested_header(numbers: tuple[int, ...], length: int) -> bytes:
    """Returns what stands before a content that is nested in length-delimited fields.

    Cached: the records of a file have the same few lengths over and over.

    Args:
        numbers: of the fields, the outermost first.
        length: of the content in bytes.
    """
    header = b""
    for number in reversed(numbers):
        size = encode_varint(length + len(header))
        header = bytes([number << 3 | LENGTH_DELIMITED]) + size + header
    return header


def decode_varint(data: memoryview, position: int) -> tuple[int, int]:
    """Returns the unsigned 64-bit number at a position, and the position behind it."""
    result = 0
    for shift in range(0, 70, 7):
        if position >= len(data):
            raise ValueError("a number is cut off")
        byte = data[position]
        position += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result & _MASK_64, position
    raise ValueError("a number has more than ten bytes")


def decode_int64(data: memoryview, position: int) -> tuple[int, int]:
    """Returns the signed 64-bit number at a position, and the position behind it."""
    value, position = decode_varint(data, position)
    return value - (1 << 64) if value >> 63 else value, position


def fields(data: memoryview) -> Iterator[tuple[int, int, memoryview]]:
    """Yields (field number, wire type, content) of a message; a varint's content is its bytes."""
    position = 0
    while position < len(data):
        tag, position = decode_varint(data, position)
        wire_type = tag & 7
        start = position
        if wire_type == VARINT:
            _, position = decode_varint(data, position)
        elif wire_type == LENGTH_DELIMITED:
            length, start = decode_varint(data, position)
            position = start + length
        elif wire_type in (FIXED32, FIXED64):
            position = start + (4 if wire_type == FIXED32 else 8)
        else:
            raise ValueError(f"wire type {wire_type} is not known")
        if position > len(data):
            raise ValueError("a field is cut off")
        yield tag >> 3, wire_type, data[start:position]
