"""Structural schemas as CEL's types, and values as CEL's values.

Behaviour: apiserver, package cel/common (schema declarations, values). Bounds of sizes come from maxLength, maxItems
and maxProperties; where there are none, from what fits into a request.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING, Any

from sampan.api.cel import types as t
from sampan.api.cel.errors import CelError
from sampan.api.structural.schema import Structural

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sampan.api.cel.types import Type

REQUEST_BYTES = 3 * 1024 * 1024
"""The largest request, by which what is unbounded is bounded."""

_RESERVED = frozenset(
    {
        "true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if", "import",
        "let", "loop", "package", "namespace", "return", "var", "void", "while",
    }
)  # fmt: skip
_SIZES = {"duration": 32, "date": 10, "date-time": 21, "byte": REQUEST_BYTES - 2}
_CONVERTED = frozenset({"date", "date-time", "duration", "byte"})


def escape(name: str) -> str | None:
    """A property's name as expressions write it; None when they cannot."""
    if name in _RESERVED:
        return f"__{name}__"
    if re.fullmatch(r"[a-zA-Z_.\-/][a-zA-Z0-9_.\-/]*", name) is None:
        return None
    name = name.replace("__", "__underscores__").replace(".", "__dot__")
    return name.replace("-", "__dash__").replace("/", "__slash__")


def cel_type(schema: Structural, *, is_root: bool = False) -> Type | None:
    """The type of a node's values; None for what expressions cannot see."""
    key = "cel_root" if is_root else "cel"
    if key not in schema.cache:
        schema.cache[key] = _build(schema, is_root=is_root or schema.embedded)
    found: Type | None = schema.cache[key]
    return found


def _build(schema: Structural, *, is_root: bool) -> Type | None:
    if schema.int_or_string:
        return t.DYN.sized(_string_size(schema))
    kind = schema.type
    if kind == "object" or is_root:
        return _object(schema, is_root=is_root)
    if kind == "array":
        items = cel_type(schema.items) if schema.items is not None else None
        return None if items is None else t.list_of(items, max_items(schema))
    if kind == "string":
        return _string(schema)
    if kind in ("integer", "number", "boolean"):
        return {"integer": t.INT, "number": t.DOUBLE, "boolean": t.BOOL}[kind]
    return t.DYN if schema.preserve else None


def _object(schema: Structural, *, is_root: bool) -> Type | None:
    if isinstance(schema.additional, Structural) and not schema.properties:
        value = cel_type(schema.additional)
        return None if value is None else t.map_of(t.STRING.sized(REQUEST_BYTES - 2), value, max_items(schema))
    if schema.preserve and not schema.properties and not is_root and schema.additional is None:
        return t.object_type("object", dict)

    def fields() -> Mapping[str, Type]:
        found: dict[str, Type] = {}
        for name, child in schema.properties.items():
            escaped, kind = escape(name), cel_type(child)
            if escaped is not None and kind is not None:
                found[escaped] = kind
        if is_root:
            string = t.STRING.sized(REQUEST_BYTES - 2)
            names = {"name": t.STRING.sized(253), "generateName": t.STRING.sized(253)}
            found.update(apiVersion=string, kind=string, metadata=t.object_type("object", lambda: names))
        return found

    return t.object_type("object", fields)


def _string_size(schema: Structural) -> int:
    longest = schema.raw.get("maxLength")
    if longest is not None:
        return max(0, int(longest)) * 4  # characters are up to four bytes long
    enum = schema.raw.get("enum")
    if enum:
        return max((len(one) for one in enum if isinstance(one, str)), default=0)
    return _SIZES.get(schema.raw.get("format") or "", REQUEST_BYTES - 2)


def _string(schema: Structural) -> Type:
    form = schema.raw.get("format")
    if form == "byte":
        longest = schema.raw.get("maxLength")
        return t.BYTES.sized(longest if longest is not None else REQUEST_BYTES - 2)
    if form == "duration":
        return t.DURATION
    if form in ("date", "date-time"):
        return t.TIMESTAMP
    return t.STRING.sized(_string_size(schema))


def min_bytes(schema: Structural) -> int:
    """The fewest bytes of JSON that a value takes."""
    if schema.default is not None and schema.raw.get("default") is not None:
        return 0  # an absent value is there as well
    if schema.nullable:
        return 4 if schema.type != "string" else 2
    kind = schema.type
    if kind == "object":
        required = set(schema.raw.get("required") or ())
        return 2 + sum(
            len(name) + 4 + min_bytes(child) for name, child in schema.properties.items() if name in required
        )
    if kind in ("array", "string"):
        return 2
    return 4 if kind == "boolean" else 1


def max_items(schema: Structural) -> int:
    """The most items or entries that an array or map may have."""
    if schema.type == "array":
        most = schema.raw.get("maxItems")
        if most is not None:
            return max(0, int(most))
        size = min_bytes(schema.items) if schema.items is not None else 0
        return (REQUEST_BYTES - 2) // (size + 1)
    most = schema.raw.get("maxProperties")
    if most is not None:
        return max(0, int(most))
    size = min_bytes(schema.additional) if isinstance(schema.additional, Structural) else 0
    return (REQUEST_BYTES - 2) // (size + 6)


# -- values


def needs_conversion(schema: Structural) -> bool:
    """Whether values look different to expressions than in JSON."""
    known: bool | None = schema.cache.get("cel_converts")
    if known is None:
        own = schema.type == "number" or (schema.type == "string" and schema.raw.get("format") in _CONVERTED)
        known = own or any(needs_conversion(child) for child in schema.children())
        schema.cache["cel_converts"] = known
    return known


def cel_value(schema: Structural, value: Any) -> Any:
    """A value of JSON as expressions see it."""
    if not needs_conversion(schema):
        return value
    if value.__class__ is dict:
        return {
            name: item if (child := schema.member(name)) is None else cel_value(child, item)
            for name, item in value.items()
        }
    if value.__class__ is list:
        items = schema.items
        return value if items is None else [cel_value(items, item) for item in value]
    if schema.int_or_string:
        return value
    if schema.type == "number" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if schema.type == "string" and isinstance(value, str):
        return _formatted(schema.raw.get("format"), value)
    return value


def _formatted(form: str | None, value: str) -> Any:
    from sampan.api.cel.standard import parse_duration, parse_timestamp  # noqa: PLC0415 - only for those who need it

    try:
        if form == "byte":
            return base64.b64decode(value)
        if form == "duration":
            return parse_duration(value)
        if form == "date-time":
            return parse_timestamp(value)
        if form == "date":
            return parse_timestamp(f"{value}T00:00:00Z")
    except (CelError, binascii.Error, ValueError):
        return value
    return value
