"""Decoding: from an object as parsed, or from bytes, to normal form, with what strict decoding would say.

`decode` takes a parsed object; `decode_body` takes a request's bytes and words its errors as the API server does.
Cost in the good case: the compiled decoder, and for bytes a parse and a few passes over the text.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import orjson

from sampan.api.errors import BadRequest
from sampan.api.field import go_quote
from sampan.api.gvk import GroupVersionKind
from sampan.api.schema import gojson
from sampan.api.schema.decoders import decoder
from sampan.api.schema.diagnose import diagnose, json_name, merge_duplicates, untyped_duplicates
from sampan.api.schema.gojson import MalformedError
from sampan.api.schema.leaves import Irregular
from sampan.api.schema.typeinfo import is_registered, type_of
from sampan.base.errors import SampanError

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.api.schema.types import TypeInfo

FieldValidation = Literal["Strict", "Warn", "Ignore"]

_INTERNAL_PACKAGES = {"": "core", "events.k8s.io": "core", "flowcontrol.apiserver.k8s.io": "flowcontrol"}
_SCHEME = "pkg/api/legacyscheme/scheme.go:30"


class DecodeError(SampanError):
    """The document cannot be decoded into its type; the text is Go's, which the server's sentence is put around."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """An object in normal form. strict: what strict decoding refuses, in document order, e.g. ``unknown field "x"``."""

    object: Object
    strict: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """A parsed body: the value, and the keys that YAML repeats. text: JSON text whose members may repeat, else None."""

    value: Any
    strict: list[str] = field(default_factory=list)
    text: bytes | None = None


def decode(gvk: GroupVersionKind, raw: Object) -> Decoded:
    """Bring a parsed object of a built-in kind to normal form; `raw` is left as it is and shares no containers.

    Raises DecodeError for a value of a wrong type, LookupError for a kind that is not built in.
    """
    return decode_as(type_of(gvk), raw)


def decode_as(info: TypeInfo, raw: Object) -> Decoded:
    """Decode a parsed object as a given type, see `decode`."""
    seen: list[Any] = []
    try:
        found = decoder(info)(raw, seen)
    except Irregular:
        raise DecodeError(_error_of(info, raw)) from None
    except RecursionError:
        raise DecodeError("exceeded max depth") from None
    return Decoded(object=found, strict=list(diagnose(info, raw).strict)) if seen else Decoded(object=found)


def parse(data: bytes, *, yaml: bool = False) -> Parsed:
    """Parse a body. Raises MalformedError with the parser's text."""
    if yaml:
        from sampan.api.schema import goyaml  # noqa: PLC0415  PyYAML is loaded only for those who send YAML

        document = goyaml.loads(data)
        strict = ["yaml: unmarshal errors:\n  " + "\n  ".join(document.duplicates)] if document.duplicates else []
        return Parsed(value=document.value, strict=strict)
    value = gojson.loads(data)
    try:
        repeated = gojson.may_have_duplicates(data, value)
    except orjson.JSONEncodeError as error:
        raise MalformedError("exceeded max depth") from error
    return Parsed(value=value, text=data if repeated else None)


def duplicates(parsed: Parsed) -> list[str]:
    """List duplicate fields of a document without a type, such as a merge patch: ``duplicate field "data.k"``.

    Raises MalformedError for a document nested too deeply.
    """
    if parsed.text is None:
        return parsed.strict
    try:
        return untyped_duplicates(gojson.loads_pairs(parsed.text))
    except RecursionError:
        raise MalformedError("exceeded max depth") from None


def decode_parsed(info: TypeInfo, parsed: Parsed) -> Decoded:
    """Decode what `parse` gave, duplicates reported and merged as Go merges them. Raises DecodeError."""
    if parsed.text is None:
        decoded = decode_as(info, parsed.value)
        return Decoded(object=decoded.object, strict=parsed.strict + decoded.strict) if parsed.strict else decoded
    try:
        pairs = gojson.loads_pairs(parsed.text)
        diagnosis = diagnose(info, pairs)
        merged = merge_duplicates(info, pairs)
    except RecursionError:
        raise DecodeError("exceeded max depth") from None
    if diagnosis.error:
        raise DecodeError(diagnosis.error)
    decoded = decode_as(info, merged)
    return Decoded(object=decoded.object, strict=list(diagnosis.strict))


def decode_body(
    data: bytes, expected: GroupVersionKind, *, yaml: bool = False, field_validation: FieldValidation = "Warn"
) -> Decoded:
    """Decode a request's body that shall be of a built-in kind; an absent kind or apiVersion means the expected one.

    The result's `strict` holds the warnings to send. Raises BadRequest as the API server words it; with "Strict" also
    for unknown and duplicate fields.
    """
    try:
        parsed = parse(data, yaml=yaml)
        gvk = kind_of(parsed.value, expected)
    except MalformedError as error:
        text = str(error)
        own = text.startswith(("yaml:", "unexpected GroupVersion string"))
        prefix = "" if own else "couldn't get version/kind; json parse error: "
        raise unrecognized(expected.kind, f"{prefix}{text}", data) from None
    info = type_for(gvk, expected)
    try:
        decoded = decode_parsed(info, parsed)
    except DecodeError as error:
        if parsed.text is None and not yaml:  # the spelling of numbers is in the text alone
            error = DecodeError(diagnose(info, gojson.loads_pairs(data)).error or str(error))
        raise cannot_handle(gvk, expected.kind, str(error)) from None
    check_hub(gvk, expected, info)
    if decoded.strict and field_validation == "Strict":
        raise cannot_handle(gvk, expected.kind, f"strict decoding error: {', '.join(decoded.strict)}")
    check_version(gvk, expected)
    decoded.object["kind"] = gvk.kind
    decoded.object["apiVersion"] = gvk.api_version
    return decoded if field_validation == "Warn" else Decoded(object=decoded.object)


def unrecognized(kind: str, why: str, data: bytes) -> BadRequest:
    """Build ``the object provided is unrecognized (must be of type Pod): why (start of the body)``."""
    if not data:
        shown = "<empty>"
    elif data.startswith(b"{"):
        shown = data[:30].decode("utf-8", "replace") + (" ..." if len(data) > 30 else "")
    else:
        shown = data[:30].hex() + (" ..." if len(data) > 30 else "")
    return BadRequest(f"the object provided is unrecognized (must be of type {kind}): {why} ({shown})")


def cannot_handle(gvk: GroupVersionKind, kind: str, why: str) -> BadRequest:
    """Build ``Pod in version "v1" cannot be handled as a Pod: why``."""
    return BadRequest(f"{gvk.kind} in version {go_quote(gvk.version)} cannot be handled as a {kind}: {why}")


def kind_of(value: Any, expected: GroupVersionKind) -> GroupVersionKind:
    """Read apiVersion and kind, taking what is absent from the expected kind.

    Raises MalformedError, as Go does when it reads just these two.
    """
    if value is None:
        return expected
    if not isinstance(value, dict):
        tags = r'APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\""'
        message = f"json: cannot unmarshal {json_name(value)} into Go value of type struct {{ {tags} }}"
        raise MalformedError(message)
    for name in ("apiVersion", "kind"):
        if not isinstance(value.get(name, ""), (str, type(None))):
            where = f"Go struct field .{name} of type string"
            raise MalformedError(f"json: cannot unmarshal {json_name(value[name])} into {where}")
    api_version, kind = value.get("apiVersion") or "", value.get("kind") or expected.kind
    if not api_version:
        return GroupVersionKind(expected.group, expected.version, kind)
    if api_version.count("/") > 1:
        raise MalformedError(f"unexpected GroupVersion string: {api_version}")
    return GroupVersionKind.parse(api_version, kind)


def check_kind(gvk: GroupVersionKind, expected: GroupVersionKind, info: TypeInfo) -> None:
    """Insist that a decoded object is of the expected kind. Raises BadRequest."""
    check_hub(gvk, expected, info)
    check_version(gvk, expected)


def check_hub(gvk: GroupVersionKind, expected: GroupVersionKind, info: TypeInfo) -> None:
    """Insist that the kind converts to the expected one. Raises BadRequest."""
    if why := conversion_error(gvk, expected, info):
        raise cannot_handle(gvk, expected.kind, why)


def conversion_error(gvk: GroupVersionKind, expected: GroupVersionKind, info: TypeInfo) -> str:
    """Say why a kind does not convert to the expected one, in apimachinery's words; "" when it does."""
    if gvk.kind == expected.kind and _hub(gvk.group) == _hub(expected.group):
        return ""
    return f"converting ({_go_name(info)}) to ({_hub(expected.group)}.{expected.kind}): unknown conversion"


def check_version(gvk: GroupVersionKind, expected: GroupVersionKind) -> None:
    """Insist on the expected version. Raises BadRequest."""
    if (gvk.group, gvk.version) != (expected.group, expected.version):
        message = f"the API version in the data ({gvk.api_version}) does not match the expected API version"
        raise BadRequest(f"{message} ({expected.api_version})")


def type_for(gvk: GroupVersionKind, expected: GroupVersionKind) -> TypeInfo:
    """Return the type of the kind a document names. Raises BadRequest for one that is not served."""
    try:
        return type_of(gvk)
    except LookupError:
        if is_registered(gvk):
            check_version(gvk, expected)
        why = f"no kind {go_quote(gvk.kind)} is registered for version {go_quote(gvk.api_version)}"
        raise cannot_handle(gvk, expected.kind, f'{why} in scheme "{_SCHEME}"') from None


def _error_of(info: TypeInfo, raw: Any) -> str:
    return diagnose(info, raw).error or "json: cannot decode the document"


def _go_name(info: TypeInfo) -> str:
    return info.go_type.lstrip("*")


def _hub(group: str) -> str:
    """Tell the package of a group's internal types: the one to which all its versions convert."""
    return _INTERNAL_PACKAGES.get(group, group.partition(".")[0])
