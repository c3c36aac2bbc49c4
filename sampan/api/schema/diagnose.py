"""Says what is wrong with a document, in the words and the order of Go's JSON decoder.

Runs only on documents that the compiled decoders found irregular, or that may hold duplicate fields. It walks the
document in its own order with the type beside it, and gives the first type error and all strict errors: unknown fields
and duplicates. Behaviour: sigs.k8s.io/json, `UnmarshalStrict`.
"""

from __future__ import annotations

import binascii
from typing import TYPE_CHECKING, Any

from sampan.api import quantity, times
from sampan.api.field import go_quote
from sampan.api.schema.leaves import INT32, INT64, go_base64
from sampan.api.schema.typeinfo import APIEXTENSIONS
from sampan.api.schema.types import TypeInfo

if TYPE_CHECKING:
    from collections.abc import Iterable

_MAX_STRICT = 100
_UINT8 = range(256)
_LONGEST_INTEGER = 40
"""Digits beyond any that an int64 has; Python refuses to convert thousands."""
"""Strict errors that Go's decoder collects at most."""

_PARSERS = {"quantity": quantity.canonical, "time": times.canonical, "microtime": times.canonical_micro,
            "duration": times.canonical_duration}  # fmt: skip


class Pairs(list[tuple[str, Any]]):
    """A JSON object as its members in document order, duplicates included."""


class Number(str):
    """A JSON number as written."""

    __slots__ = ()


class _AbortError(Exception):
    """A type that decodes itself refused the value: decoding ends at once."""


class Diagnosis:
    """What was found. error: the decoder's message, "" if the document decodes. strict: messages, in order."""

    __slots__ = ("_fields", "_path", "_struct", "error", "strict")

    def __init__(self) -> None:
        self.error = ""
        self.strict: dict[str, None] = {}
        self._struct = ""
        self._fields: list[str] = []
        self._path: list[str] = []

    def walk(self, info: TypeInfo, value: Any) -> None:
        if value is None:
            return
        if info.name in _SELF_DECODING:
            self._self_decoding(info, value)
        elif info.kind == "struct":
            self._struct_value(info, value)
        elif info.kind == "map":
            self._map(info, value)
        elif info.kind == "list":
            self._list(info, value)
        elif info.go_type == "interface {}":
            self._untyped(value)
        else:
            self._leaf(info, value)

    def _untyped(self, value: Any) -> None:
        """Look for duplicates only: an interface takes any value."""
        if isinstance(value, Pairs):
            self._map(_UNTYPED_MAP, value)
        elif isinstance(value, list):
            self._list(_UNTYPED_LIST, value)

    def _strict(self, problem: str, key: str) -> None:
        if len(self.strict) < _MAX_STRICT:
            path = "".join(self._path)
            self.strict[f"{problem} field {go_quote(f'{path}.{key}' if path else key)}"] = None

    def _mismatch(self, what: str, info: TypeInfo | str) -> None:
        if not self.error:
            self.error = self._mismatch_text(what, info if isinstance(info, str) else info.go_type.lstrip("*"))

    def _mismatch_text(self, what: str, go_type: str) -> str:
        if self._struct:
            place = f"struct field {self._struct}.{'.'.join(self._fields)}"
            return f"json: cannot unmarshal {what} into Go {place} of type {go_type}"
        return f"json: cannot unmarshal {what} into Go value of type {go_type}"

    def _struct_value(self, info: TypeInfo, value: Any) -> None:
        members = members_of(value)
        if members is None:
            self._mismatch(json_name(value), info)
            return
        fields, seen = info.fields, set()
        outer, name = self._struct, info.go_type.rpartition(".")[2]
        for key, item in members:
            field = fields.get(key)
            if field is None:
                self._strict("unknown", key)
                continue
            if key in seen:
                self._strict("duplicate", key)
            seen.add(key)
            self._struct = name
            self._fields.append(key)
            self._path.append(f".{key}" if self._path else key)
            self.walk(field.type, item)
            self._path.pop()
            self._fields.pop()
            self._struct = outer

    def _map(self, info: TypeInfo, value: Any) -> None:
        members = members_of(value)
        if members is None:
            self._mismatch(json_name(value), info)
            return
        assert info.elem is not None
        seen = set()
        for key, item in members:
            if key in seen:
                self._strict("duplicate", key)
            seen.add(key)
            self._path.append(f".{key}" if self._path else key)
            self.walk(info.elem, item)
            self._path.pop()

    def _list(self, info: TypeInfo, value: Any) -> None:
        if not isinstance(value, list) or isinstance(value, Pairs):
            self._mismatch(json_name(value), info)
            return
        assert info.elem is not None
        for index, item in enumerate(value):
            self._path.append(f"[{index}]")
            self.walk(info.elem, item)
            self._path.pop()

    def _leaf(self, info: TypeInfo, value: Any) -> None:
        kind = info.kind
        if kind in _PARSERS or kind == "intorstring":
            self._self_decoding(info, value)
        elif kind in {"int32", "int64", "float64"}:
            self._number(info, value)
        elif kind == "bytes":
            self._bytes(info, value)
        elif kind == "bool":
            if not isinstance(value, bool):
                self._mismatch(json_name(value), info)
        elif kind == "string" and (not isinstance(value, str) or isinstance(value, Number)):
            self._mismatch(json_name(value), info)

    def _number(self, info: TypeInfo, value: Any) -> None:
        if json_name(value) != "number":
            self._mismatch(json_name(value), info)
        elif info.kind != "float64":
            text = str(value)
            limits = INT32 if info.kind == "int32" else INT64
            if not _is_within(text, limits):
                self._mismatch(f"number {text}", info)

    def _bytes(self, info: TypeInfo, value: Any) -> None:
        if isinstance(value, str) and not isinstance(value, Number):
            try:
                go_base64(value)
            except (binascii.Error, ValueError):
                if not self.error:
                    self.error = f"illegal base64 data at input byte {corrupt_base64_at(value)}"
        elif not isinstance(value, list) or isinstance(value, Pairs):
            self._mismatch(json_name(value), info)
        else:
            for item in value:
                if item is not None and json_name(item) != "number":
                    self._mismatch(json_name(item), "uint8")
                elif item is not None and not _is_within(str(item), _UINT8):
                    self._mismatch(f"number {item}", "uint8")

    def _self_decoding(self, info: TypeInfo, value: Any) -> None:
        """Types with an UnmarshalJSON of their own: their error ends decoding and wins over earlier mismatches."""
        what = json_name(value)
        if info.kind == "intorstring":
            if what == "number" and not _is_within(str(value), INT32):
                raise _AbortError(self._mismatch_text(f"number {value}", "int32"))
            if what not in {"number", "string"}:
                raise _AbortError(self._mismatch_text(what, "int32"))
        elif info.kind in _PARSERS:
            if info.kind != "quantity" and what != "string":
                raise _AbortError(self._mismatch_text(what, "string"))
            try:
                _PARSERS[info.kind](json_text(value) if info.kind == "quantity" else value)
            except ValueError as error:
                raise _AbortError(str(error)) from error
        elif info.name.endswith("OrBool") and what not in {"bool", "object"}:
            raise _AbortError("boolean or JSON schema expected")


_UNTYPED = TypeInfo("any", go_type="interface {}")
_UNTYPED_MAP = TypeInfo("map", go_type="map[string]interface {}", elem=_UNTYPED)
_UNTYPED_LIST = TypeInfo("list", go_type="[]interface {}", elem=_UNTYPED)
_SELF_DECODING = frozenset(f"{APIEXTENSIONS}.JSONSchemaPropsOr{what}" for what in ("Array", "Bool", "StringArray"))


def diagnose(info: TypeInfo, document: Any) -> Diagnosis:
    """Walk a document: plain JSON values, or `Pairs` and `Number` where order and spelling shall count."""
    found = Diagnosis()
    try:
        found.walk(info, document)
    except _AbortError as error:
        found.error = str(error)
    return found


def untyped_duplicates(document: Any) -> list[str]:
    """List the duplicate fields of a document that has no type (a patch), as strict decoding words them."""
    return list(diagnose(_UNTYPED, document).strict)


def members_of(value: Any) -> Iterable[tuple[str, Any]] | None:
    """Return an object's members, None for anything else."""
    if isinstance(value, Pairs):
        return value
    return value.items() if isinstance(value, dict) else None


def json_name(value: Any) -> str:
    """Name a value's JSON type as Go's errors do."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, (int, float, Number)):
        return "number"
    if isinstance(value, str):
        return "string"
    return "object" if isinstance(value, (dict, Pairs)) else "array"


def json_text(value: Any) -> str:
    """Give the text that a quantity's parser would be handed."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, (str, int, float)) else "{}"


def corrupt_base64_at(text: str) -> int:
    """Find the byte at which Go's decoder of standard, padded base64 gives up."""
    alphabet = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
    count = 0
    data = text.encode()
    for position, byte in enumerate(data):
        char = chr(byte)
        if char in "\r\n":
            continue
        if char in alphabet:
            count += 1
        elif char == "=" and count % 4 >= 2:
            return _corrupt_padding(data, position, count % 4)
        else:
            return position
    return len(data) - count % 4 if count % 4 else len(data)


def _corrupt_padding(data: bytes, position: int, have: int) -> int:
    rest = position + 1
    while rest < len(data) and data[rest] in b"\r\n":
        rest += 1
    if have == 2:
        if rest == len(data):
            return len(data)
        if data[rest] != ord("="):
            return rest - 1
        rest += 1
    while rest < len(data) and data[rest] in b"\r\n":
        rest += 1
    return rest


def merge_duplicates(info: TypeInfo | None, value: Any) -> Any:
    """Turn `Pairs` into dicts, and numbers into Python's.

    As in Go, a repeated struct or map is decoded into the first, other values replace it, and null changes nothing.
    """
    if isinstance(value, Pairs):
        return _merge_members(info, value, {})
    if isinstance(value, list):
        elem = info.elem if info is not None and info.kind == "list" else None
        return [merge_duplicates(elem, item) for item in value]
    if isinstance(value, Number):
        return number_of(value)
    return value


def _merge_members(info: TypeInfo | None, pairs: Pairs, into: dict[str, Any]) -> dict[str, Any]:
    for key, item in pairs:
        child = None
        if info is not None and info.kind == "struct" and key in info.fields:
            child = info.fields[key].type
        elif info is not None and info.kind == "map":
            child = info.elem
        old = into.get(key)
        if item is None and old is not None:
            continue
        merges = child is not None and child.kind in {"struct", "map"} and info is not None and info.kind == "struct"
        if merges and isinstance(old, dict) and isinstance(item, Pairs):
            _merge_members(child, item, old)
        else:
            into[key] = merge_duplicates(child, item)
    return into


def number_of(text: str) -> int | float:
    """Parse a number as an interface gets it: an int64 if it is one, else a float."""
    found = _integer(text)
    return float(text) if found is None or found not in INT64 else found


def _is_within(text: str, limits: range) -> bool:
    found = _integer(text)
    return found is not None and found in limits  # a range looks for what is no integer one by one


def _integer(text: str) -> int | None:
    """The integer that a JSON number spells; None for fractions, exponents and what no 64 bits hold by far."""
    digits = text.removeprefix("-")
    return int(text) if len(digits) <= _LONGEST_INTEGER and digits.isdigit() else None
