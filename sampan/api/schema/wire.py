"""Protobuf's wire format: varints, tags, and walking a message's fields."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api.schema.gojson import MalformedError

if TYPE_CHECKING:
    from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_MASK = 0xFFFFFFFFFFFFFFFF

SMALL = tuple(bytes((number,)) for number in range(0x80))
"""Varints of one byte."""


def varint(number: int) -> bytes:
    """Encode an integer; negative ones as 64-bit two's complement."""
    if 0 <= number < 0x80:
        return SMALL[number]
    number &= _MASK
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def tag(field: int, wire_type: int) -> bytes:
    """Encode a field's tag."""
    return varint(field << 3 | wire_type)


def block(prefix: bytes, data: bytes) -> bytes:
    """Encode a length-delimited field whose tag is already encoded."""
    size = len(data)
    return prefix + (SMALL[size] if size < 0x80 else varint(size)) + data


def signed(number: int) -> int:
    """Read a varint's value as a signed 64-bit integer."""
    return number - (1 << 64) if number >= 1 << 63 else number


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """Read a varint: its value and the position behind it. Raises MalformedError."""
    result = shift = 0
    while True:
        if at >= len(data):
            raise MalformedError("unexpected EOF")
        byte = data[at]
        at += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result & _MASK, at
        shift += 7
        if shift >= 64:
            raise MalformedError("proto: integer overflow")


def read_field(data: bytes, at: int) -> tuple[int, int | bytes, int]:
    """Read a field: its tag (number << 3 | wire type), its value, the position behind it. Raises MalformedError."""
    key, at = read_varint(data, at)
    wire_type = key & 7
    if key < 8:
        raise MalformedError(f"proto: illegal tag {key >> 3} (wire type {wire_type})")
    if wire_type == VARINT:
        number, at = read_varint(data, at)
        return key, number, at
    if wire_type == BYTES:
        size, at = read_varint(data, at)
    elif wire_type in {FIXED64, FIXED32}:
        size = 8 if wire_type == FIXED64 else 4
    else:
        raise MalformedError(f"proto: illegal wireType {wire_type}")
    if at + size > len(data):
        raise MalformedError("unexpected EOF")
    return key, data[at : at + size], at + size


def fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Walk a message: each field's tag and value, see `read_field`."""
    at, end = 0, len(data)
    while at < end:
        key, value, at = read_field(data, at)
        yield key, value
