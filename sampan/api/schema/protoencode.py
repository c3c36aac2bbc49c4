"""Encoders of protobuf messages, compiled once per message type from the generated field lists.

An encoder takes an object in normal form and writes the fields it finds; what Go would write as an explicit zero is
left out, which decodes to the same. Embedded structs are messages of their own; their fields lie in the same JSON
object.
"""

from __future__ import annotations

import base64
import struct
from typing import TYPE_CHECKING, Any

import orjson

from sampan.api import times
from sampan.api.schema import data
from sampan.api.schema.typeinfo import APIEXTENSIONS, META
from sampan.api.schema.wire import BYTES, FIXED64, SMALL, VARINT, block, tag, varint

if TYPE_CHECKING:
    from collections.abc import Callable

    Encode = Callable[[Any], bytes]
    Step = tuple[int, bytes, Encode]

QUANTITY = "k8s.io.apimachinery.pkg.api.resource.Quantity"
INT_OR_STRING = "k8s.io.apimachinery.pkg.util.intstr.IntOrString"
RAW_EXTENSION = "k8s.io.apimachinery.pkg.runtime.RawExtension"
RAW_JSON = frozenset({RAW_EXTENSION, f"{APIEXTENSIONS}.JSON", f"{META}.FieldsV1"})

_TEXT, _MESSAGE, _FIELD = range(3)
"""What a step does with a member: write its text behind the prefix; or its message; or leave all to the function."""

_encoders: dict[str, Encode] = {}


def encoder(message: str) -> Encode:
    """Return a message type's encoder: from a JSON value to the message's bytes, without tag or length."""
    found = _encoders.get(message)
    if found is None:
        found = _encoders[message] = _SPECIAL.get(message) or _compile(message)
    return found


def _compile(message: str) -> Encode:  # noqa: C901  the inner loop is kept in one place for speed
    fields = data.messages()[message]
    if is_wrapper(message):
        prefix = tag(1, BYTES)
        return lambda value: b"".join(block(prefix, item.encode()) for item in value)
    steps: dict[str, Step] = {}
    embedded: list[Encode] = []

    def prepare() -> None:
        for number, wire, label, kind in fields:
            if wire is None:
                embedded.append(_embedded(number, kind))
            else:
                steps[wire] = _step(number, label, kind)

    def encode(value: Any) -> bytes:
        if not steps and not embedded:
            prepare()  # here, not above: types may contain themselves
        parts = []
        for key, item in value.items():
            step = steps.get(key)
            if step is None or item is None:
                continue
            action, prefix, write = step
            if action == _TEXT:
                inner = item.encode()
            elif action == _MESSAGE:
                inner = write(item)
            else:
                parts.append(write(item))
                continue
            size = len(inner)
            parts.append(prefix + (SMALL[size] if size < 0x80 else varint(size)) + inner)
        if embedded:
            parts.extend([inner(value) for inner in embedded])
        return b"".join(parts)

    return encode


def _step(number: int, label: str, kind: str) -> Step:
    prefix = tag(number, BYTES)
    if label == "map":
        return (_FIELD, b"", _map(number, kind))
    if label == "repeated":
        return (_FIELD, b"", _repeated(number, kind))
    if kind == "string":
        return (_TEXT, prefix, bytes)
    if "." in kind:
        return (_MESSAGE, prefix, encoder(kind))
    return (_FIELD, b"", _value(number, kind))


def is_wrapper(message: str) -> bool:
    """Whether the message stands for a list (ExtraValue, Verbs), which JSON shows bare."""
    alias = data.types().get(message)
    return isinstance(alias, str) and alias.startswith("[]")


def _embedded(number: int, kind: str) -> Encode:
    prefix, encode = tag(number, BYTES), encoder(kind)

    def write(value: Any) -> bytes:
        inner = encode(value)
        return block(prefix, inner) if inner else b""

    return write


def _repeated(number: int, kind: str) -> Encode:
    if "." in kind:
        prefix, encode = tag(number, BYTES), encoder(kind)
        return lambda items: b"".join([block(prefix, encode({} if item is None else item)) for item in items])
    write = _value(number, kind)
    return lambda items: b"".join([write(item) for item in items])


def _value(number: int, kind: str) -> Encode:
    if kind == "string":
        prefix = tag(number, BYTES)
        return lambda value: block(prefix, value.encode())
    if kind in {"int32", "int64"}:
        prefix = tag(number, VARINT)
        return lambda value: prefix + varint(value)
    if kind == "bool":
        yes, no = tag(number, VARINT) + b"\x01", tag(number, VARINT) + b"\x00"
        return lambda value: yes if value else no
    if kind == "bytes":
        prefix = tag(number, BYTES)
        return lambda value: block(prefix, base64.b64decode(value))
    if kind == "double":
        prefix = tag(number, FIXED64)
        return lambda value: prefix + struct.pack("<d", value)
    prefix, encode = tag(number, BYTES), encoder(kind)
    return lambda value: block(prefix, encode(value))


def _map(number: int, kind: str) -> Encode:
    prefix, key_prefix = tag(number, BYTES), tag(1, BYTES)
    write = _value(2, kind)

    def encode(members: Any) -> bytes:
        return b"".join(
            [
                block(prefix, block(key_prefix, key.encode()) + (b"" if item is None else write(item)))
                for key, item in sorted(members.items())
            ]
        )

    return encode


def _time(value: Any) -> bytes:
    seconds, nanos = times.parse_exact(value)
    return b"\x08" + varint(seconds) + b"\x10" + varint(nanos)


def _int_or_string(value: Any) -> bytes:
    if value.__class__ is str:
        return b"\x08\x01\x10\x00" + block(b"\x1a", value.encode())
    return b"\x08\x00\x10" + varint(value) + b"\x1a\x00"


def _raw_json(value: Any) -> bytes:
    return block(b"\x0a", orjson.dumps(value))


def _quantity(value: Any) -> bytes:
    return block(b"\x0a", value.encode())


def _schema(value: Any) -> bytes:
    return block(b"\x0a", encoder(f"{APIEXTENSIONS}.JSONSchemaProps")(value))


def _schema_or_array(value: Any) -> bytes:
    if value.__class__ is list:
        encode = encoder(f"{APIEXTENSIONS}.JSONSchemaProps")
        return b"".join(block(b"\x12", encode(item)) for item in value)
    return _schema(value)


def _schema_or_bool(value: Any) -> bytes:
    if value.__class__ is bool:
        return b"\x08\x01" if value else b"\x08\x00"
    return b"\x08\x01" + block(b"\x12", encoder(f"{APIEXTENSIONS}.JSONSchemaProps")(value))


def _schema_or_strings(value: Any) -> bytes:
    if value.__class__ is list:
        return b"".join(block(b"\x12", item.encode()) for item in value)
    return _schema(value)


_SPECIAL: dict[str, Encode] = {
    QUANTITY: _quantity,
    INT_OR_STRING: _int_or_string,
    f"{META}.Time": _time,
    f"{META}.MicroTime": _time,
    **dict.fromkeys(RAW_JSON, _raw_json),
    f"{APIEXTENSIONS}.JSONSchemaPropsOrArray": _schema_or_array,
    f"{APIEXTENSIONS}.JSONSchemaPropsOrBool": _schema_or_bool,
    f"{APIEXTENSIONS}.JSONSchemaPropsOrStringArray": _schema_or_strings,
}
