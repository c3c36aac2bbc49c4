"""An OpenAPI v2 document in gnostic's protobuf, which kubectl reads when it validates, explains and applies.

Only what Kubernetes' documents hold is written: schemas, operations, parameters, responses, security. Field numbers:
gnostic's OpenAPIv2.proto. Values of extensions, enums and defaults travel as YAML text, for which JSON serves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable

    from sampan.api.object import Object

_METHODS = {"get": 2, "put": 3, "post": 4, "delete": 5, "options": 6, "head": 7, "patch": 8}
_SCHEMA_TEXTS = {"$ref": 1, "format": 2, "title": 3, "description": 4, "pattern": 13}
_SCHEMA_INTEGERS = {
    "maxLength": 11, "minLength": 12, "maxItems": 14, "minItems": 15, "uniqueItems": 16, "maxProperties": 17,
    "minProperties": 18, "exclusiveMaximum": 8, "exclusiveMinimum": 10, "readOnly": 27,
}  # fmt: skip
_NON_BODY = {"header": 1, "formData": 2, "query": 3, "path": 4}


def encode(document: Object) -> bytes:
    """Encode a whole document."""
    out = bytearray(_text(1, document.get("swagger", "2.0")))
    info = document.get("info", {})
    out += _bytes(2, _text(1, info.get("title", "")) + _text(2, info.get("version", "")))
    out += encode_more(document.get("definitions", {}), document.get("paths", {}))
    if parameters := document.get("parameters"):
        out += _bytes(10, _named(parameters, _parameter))
    for requirement in document.get("security", ()):
        out += _bytes(12, _named(requirement, lambda scopes: b"".join(_text(1, scope) for scope in scopes)))
    if definitions := document.get("securityDefinitions"):
        out += _bytes(13, _named(definitions, _security))
    return bytes(out)


def encode_more(definitions: Object, paths: Object) -> bytes:
    """Encode more definitions and paths; appended to a document's bytes they join those it has."""
    return _bytes(8, _named(paths, _path_item, field=2)) + _bytes(9, _named(definitions, _schema))


def varint(number: int) -> bytes:
    """Encode an unsigned integer."""
    if number < 0x80:
        return bytes((number,))
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _bytes(field: int, data: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(data)) + data


def _text(field: int, text: str) -> bytes:
    return _bytes(field, text.encode()) if text else b""


def _integer(field: int, number: int) -> bytes:
    return varint(field << 3) + varint(number & 0xFFFFFFFFFFFFFFFF) if number else b""


def _named(members: Object, encode_one: Callable[[Any], bytes], *, field: int = 1) -> bytes:
    return b"".join(_bytes(field, _text(1, name) + _bytes(2, encode_one(value))) for name, value in members.items())


def _any(value: Any) -> bytes:
    return _text(2, orjson.dumps(value).decode())


def _extensions(members: Object, field: int) -> bytes:
    return b"".join(
        _bytes(field, _text(1, name) + _bytes(2, _any(value)))
        for name, value in members.items()
        if name.startswith("x-")
    )


def _schema(schema: Object) -> bytes:
    out = bytearray()
    for name, value in schema.items():
        if (number := _SCHEMA_TEXTS.get(name)) is not None:
            out += _text(number, value)
        elif (number := _SCHEMA_INTEGERS.get(name)) is not None:
            out += _integer(number, int(value))
        elif (encode_member := _SCHEMA_PARTS.get(name)) is not None:
            out += encode_member(value)
    return bytes(out + _extensions(schema, 31))


def _additional_properties(value: Any) -> bytes:
    return _bytes(21, _integer(2, 1) if value is True else b"" if value is False else _bytes(1, _schema(value)))


def _types(value: Any) -> bytes:
    return _bytes(22, b"".join(_text(1, one) for one in ([value] if isinstance(value, str) else value)))


_SCHEMA_PARTS: dict[str, Callable[[Any], bytes]] = {
    "default": lambda value: _bytes(5, _any(value)),
    "required": lambda value: b"".join(_text(19, name) for name in value),
    "enum": lambda value: b"".join(_bytes(20, _any(one)) for one in value),
    "additionalProperties": _additional_properties,
    "type": _types,
    "items": lambda value: _bytes(23, _bytes(1, _schema(value))),
    "allOf": lambda value: b"".join(_bytes(24, _schema(one)) for one in value),
    "properties": lambda value: _bytes(25, _named(value, _schema)),
}


def _path_item(item: Object) -> bytes:
    out = bytearray()
    for name, value in item.items():
        if (number := _METHODS.get(name)) is not None:
            out += _bytes(number, _operation(value))
        elif name == "parameters":
            out += b"".join(_bytes(9, _parameters_item(one)) for one in value)
    return bytes(out + _extensions(item, 10))


def _operation(operation: Object) -> bytes:
    out = bytearray()
    for name, number in (("tags", 1), ("produces", 6), ("consumes", 7), ("schemes", 10)):
        out += b"".join(_text(number, one) for one in operation.get(name, ()))
    out += _text(3, operation.get("description", "")) + _text(5, operation.get("operationId", ""))
    out += b"".join(_bytes(8, _parameters_item(one)) for one in operation.get("parameters", ()))
    out += _bytes(9, _named(operation.get("responses", {}), _response_value))
    return bytes(out + _extensions(operation, 13))


def _parameters_item(parameter: Object) -> bytes:
    if "$ref" in parameter:
        return _bytes(2, _text(1, parameter["$ref"]))
    return _bytes(1, _parameter(parameter))


def _parameter(parameter: Object) -> bytes:
    place = parameter["in"]
    required, description, name = (parameter.get(key) for key in ("required", "description", "name"))
    if place == "body":
        body = _text(1, description or "") + _text(2, name or "") + _text(3, place) + _integer(4, int(required or 0))
        return _bytes(1, body + _bytes(5, _schema(parameter.get("schema", {}))))
    shift = 1 if place in {"query", "formData"} else 0  # these two alone have allowEmptyValue as field 5
    fields = _integer(1, int(required or 0)) + _text(2, place) + _text(3, description or "") + _text(4, name or "")
    fields += _text(5 + shift, parameter.get("type", "")) + _text(6 + shift, parameter.get("format", ""))
    fields += _integer(19 + shift, int(parameter.get("uniqueItems", False)))
    return _bytes(2, _bytes(_NON_BODY[place], fields))


def _response_value(response: Object) -> bytes:
    out = _text(1, response.get("description", ""))
    if "schema" in response:
        out += _bytes(2, _bytes(1, _schema(response["schema"])))
    return _bytes(1, out)


def _security(item: Object) -> bytes:
    texts = _text(1, item.get("type", "")) + _text(2, item.get("name", "")) + _text(3, item.get("in", ""))
    return _bytes(2, texts + _text(4, item.get("description", "")))
