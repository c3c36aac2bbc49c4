"""Decoders of protobuf messages, compiled once per message type: from bytes to the JSON value they stand for.

The result is not yet in normal form (Go writes zeros out): the JSON decoder brings it there, so that both encodings
give the same object. Raw JSON inside a message is parsed; an object that is protobuf itself is decoded in turn.
"""

from __future__ import annotations

import base64
import struct
from typing import TYPE_CHECKING, Any

import orjson

from sampan.api import times
from sampan.api.schema import data
from sampan.api.schema.gojson import MalformedError
from sampan.api.schema.protoencode import INT_OR_STRING, QUANTITY, RAW_EXTENSION, RAW_JSON, is_wrapper
from sampan.api.schema.typeinfo import APIEXTENSIONS, META
from sampan.api.schema.wire import BYTES, FIXED64, VARINT, fields, read_field, read_varint, signed

if TYPE_CHECKING:
    from collections.abc import Callable

    Decode = Callable[[bytes], Any]
    Store = Callable[[dict[str, Any], Any], None]
    Step = tuple[int, str, Callable[..., Any]]

_SINGLE, _REPEATED, _STORE = range(3)
"""What a step does with a value: set the member, append to it, or hand it to a function with the object."""

_ZERO_TIME = -62135596800

_decoders: dict[str, Decode] = {}


def decoder(message: str) -> Decode:
    """Return a message type's decoder. It raises MalformedError."""
    found = _decoders.get(message)
    if found is None:
        found = _decoders[message] = _SPECIAL.get(message) or _compile(message)
    return found


def _compile(message: str) -> Decode:  # noqa: C901  see its inner function
    if is_wrapper(message):
        return lambda content: [_text(value) for key, value in fields(content) if key == 1 << 3 | BYTES]
    steps: dict[int, Step] = {}

    def decode(content: bytes) -> Any:  # noqa: C901, PLR0912  the hot loop: small fields are read in place
        if not steps:
            for number, wire, label, kind in data.messages()[message]:
                steps.update(_steps(number, wire, label, kind))
        out: dict[str, Any] = {}
        at, end = 0, len(content)
        while at < end:
            key = content[at]
            value: Any = content[at + 1] if at + 1 < end else 0x80
            if key < 0x80 and value < 0x80 and key & 7 == BYTES:
                at += 2 + value
                if at > end:
                    raise MalformedError("unexpected EOF")
                value = content[at - value : at]
            elif key < 0x80 and value < 0x80 and key & 7 == VARINT and key > 7:
                at += 2
            else:
                key, value, at = read_field(content, at)
            step = steps.get(key)
            if step is None:
                continue
            action, name, read = step
            if action == _SINGLE:
                out[name] = read(value)
            elif action == _REPEATED:
                if name in out:
                    out[name].append(read(value))
                else:
                    out[name] = [read(value)]
            else:
                read(out, value)
        return out

    return decode


def _steps(number: int, wire: str | None, label: str, kind: str) -> dict[int, Step]:
    """Make what to do with a field's value, by tag."""
    if label == "map":
        return {number << 3 | BYTES: (_STORE, "", _map_store(str(wire), kind))}
    wire_type, read = _reader(kind)
    if wire is None:
        return {number << 3 | BYTES: (_STORE, "", lambda out, value: out.update(read(value)))}
    if label == "repeated":
        found: dict[int, Step] = {number << 3 | wire_type: (_REPEATED, wire, read)}
        if wire_type == VARINT:
            found[number << 3 | BYTES] = (_STORE, "", _packed_store(wire, read))
        return found
    return {number << 3 | wire_type: (_SINGLE, wire, read)}


def _packed_store(wire: str, read: Callable[[Any], Any]) -> Store:
    def store(out: dict[str, Any], value: Any) -> None:
        found, at = out.setdefault(wire, []), 0
        while at < len(value):
            number, at = read_varint(value, at)
            found.append(read(number))

    return store


def _map_store(wire: str, kind: str) -> Store:
    wire_type, read = _reader(kind)
    value_key = 2 << 3 | wire_type
    zero: Any = "" if kind in {"string", "bytes"} else {}

    def store(out: dict[str, Any], entry: Any) -> None:
        key, item = "", zero
        for tag, value in fields(entry):
            if tag == 1 << 3 | BYTES:
                key = _text(value)
            elif tag == value_key:
                item = read(value)
        out.setdefault(wire, {})[key] = item

    return store


def _reader(kind: str) -> tuple[int, Callable[[Any], Any]]:
    if "." in kind:
        return BYTES, _lazy(kind)
    return _SCALARS[kind]


def _lazy(kind: str) -> Decode:
    """Look the decoder up on first use: types may contain themselves."""
    found: list[Decode] = []

    def decode(content: bytes) -> Any:
        if not found:
            found.append(decoder(kind))
        return found[0](content)

    return decode


def _text(value: Any) -> str:
    return str(value, "utf-8", "replace")


def _int32(value: Any) -> int:
    low: int = value & 0xFFFFFFFF
    return low - (1 << 32) if low >= 1 << 31 else low


_SCALARS: dict[str, tuple[int, Callable[[Any], Any]]] = {
    "string": (BYTES, _text),
    "bytes": (BYTES, lambda value: base64.b64encode(value).decode()),
    "int32": (VARINT, _int32),
    "int64": (VARINT, signed),
    "bool": (VARINT, bool),
    "double": (FIXED64, lambda value: struct.unpack("<d", value)[0]),
}


def _time_parts(content: bytes) -> tuple[int, int] | None:
    if not content:
        return None
    found = {key >> 3: value for key, value in fields(content) if isinstance(value, int)}
    seconds, nanos = signed(found.get(1, 0)), _int32(found.get(2, 0))
    return None if seconds == _ZERO_TIME and not nanos else (seconds, nanos)


def _time(content: bytes) -> Any:
    parts = _time_parts(content)
    return None if parts is None else times.format_time(parts[0])


def _microtime(content: bytes) -> Any:
    parts = _time_parts(content)
    if parts is None:
        return None
    return f"{times.format_time(parts[0])[:-1]}.{parts[1] // 1000:06d}Z"


def _quantity(content: bytes) -> Any:
    if len(content) < 0x82 and content[:1] == b"\x0a" and content[1] == len(content) - 2:
        return content[2:].decode() or "0"
    return next((_text(value) for key, value in fields(content) if key == 1 << 3 | BYTES), "0") or "0"


def _int_or_string(content: bytes) -> Any:
    found = {key >> 3: value for key, value in fields(content)}
    return _text(found.get(3, b"")) if found.get(1) else _int32(found.get(2, 0))


def _raw(content: bytes) -> bytes:
    return next((value for key, value in fields(content) if key == 1 << 3 | BYTES and isinstance(value, bytes)), b"")


def _raw_json(content: bytes) -> Any:
    raw = _raw(content)
    if not raw:
        return None
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise MalformedError(f"json: error calling MarshalJSON: {error}") from error


def _raw_extension(content: bytes) -> Any:
    raw = _raw(content)
    if raw.startswith(b"k8s\x00"):
        from sampan.api.schema.protobuf import decode_object  # noqa: PLC0415  the envelope's module builds on this one

        return decode_object(raw)
    return _raw_json(content)


def _parts(content: bytes) -> dict[int, list[Any]]:
    found: dict[int, list[Any]] = {}
    for key, value in fields(content):
        found.setdefault(key >> 3, []).append(value)
    return found


def _schema(content: bytes) -> Any:
    return decoder(f"{APIEXTENSIONS}.JSONSchemaProps")(content)


def _schema_or_array(content: bytes) -> Any:
    parts = _parts(content)
    if 2 in parts:
        return [_schema(item) for item in parts[2]]
    return _schema(parts[1][-1]) if 1 in parts else None


def _schema_or_bool(content: bytes) -> Any:
    parts = _parts(content)
    return _schema(parts[2][-1]) if 2 in parts else bool(parts.get(1, [0])[-1])


def _schema_or_strings(content: bytes) -> Any:
    parts = _parts(content)
    if 2 in parts:
        return [_text(item) for item in parts[2]]
    return _schema(parts[1][-1]) if 1 in parts else None


_SPECIAL: dict[str, Decode] = {
    QUANTITY: _quantity,
    INT_OR_STRING: _int_or_string,
    f"{META}.Time": _time,
    f"{META}.MicroTime": _microtime,
    **dict.fromkeys(RAW_JSON, _raw_json),
    RAW_EXTENSION: _raw_extension,
    f"{APIEXTENSIONS}.JSONSchemaPropsOrArray": _schema_or_array,
    f"{APIEXTENSIONS}.JSONSchemaPropsOrBool": _schema_or_bool,
    f"{APIEXTENSIONS}.JSONSchemaPropsOrStringArray": _schema_or_strings,
}
