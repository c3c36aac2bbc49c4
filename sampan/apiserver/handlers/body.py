"""Request bodies: size and media type, then the object in normal form with its defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.api import schema
from sampan.api.errors import BadRequest, UnsupportedMediaType
from sampan.api.schema import DecodeError
from sampan.apiserver import negotiate

if TYPE_CHECKING:
    from sampan.api.gvk import GroupVersionKind
    from sampan.api.object import Object
    from sampan.apiserver.handlers.call import Call

_UNKNOWN = "the body of the request was in an unknown format - accepted media types include: "


def media_type(call: Call) -> str:
    """The body's media type; raises UnsupportedMediaType."""
    text = call.content_type
    if text in ("", negotiate.JSON):
        return negotiate.JSON
    media = text.partition(";")[0].strip().lower()
    if media not in negotiate.OBJECT_TYPES:
        raise UnsupportedMediaType(_UNKNOWN + ", ".join(negotiate.OBJECT_TYPES))
    return media


def decode(call: Call, kind: GroupVersionKind, validation: str) -> Object:
    """The body as an object of a kind, in normal form, without defaults. Raises BadRequest, UnsupportedMediaType."""
    body = call.body
    if not isinstance(body, bytes):
        return _from_object(body, kind)
    media = media_type(call)
    if media == negotiate.PROTOBUF:
        from sampan.api.schema import protobuf  # noqa: PLC0415 - only for those who send it

        return protobuf.decode_body(body, kind).object
    decoded = schema.decode_body(body, kind, yaml=media == negotiate.YAML, field_validation=validation or "Warn")  # type: ignore[arg-type]
    call.warnings += decoded.strict
    return decoded.object


def _from_object(body: Any, kind: GroupVersionKind) -> Object:
    try:
        obj = schema.decode(kind, body).object
    except DecodeError as error:
        raise schema.cannot_handle(kind, kind.kind, str(error)) from None
    if body.get("kind", kind.kind) != kind.kind or body.get("apiVersion", kind.api_version) != kind.api_version:
        raise BadRequest(
            f"the API version in the data ({body.get('apiVersion')}) does not match the expected API version "
            f"({kind.api_version})"
        )
    obj["kind"], obj["apiVersion"] = kind.kind, kind.api_version
    return obj


def decode_main(call: Call, validation: str) -> Object:
    """The body as an object of the resource itself, with defaults."""
    registry = call.registry
    if registry.custom:
        return _decode_custom(call, validation)
    obj = decode(call, registry.gvk, validation)
    registry.strategy.default(obj)
    return obj


def _decode_custom(call: Call, validation: str) -> Object:
    registry: Any = call.registry
    media = media_type(call) if isinstance(call.body, bytes) else negotiate.JSON
    if media == negotiate.PROTOBUF:
        raise UnsupportedMediaType(_UNKNOWN + f"{negotiate.JSON}, {negotiate.YAML}")
    decoded = registry.decode_request(call.body, yaml=media == negotiate.YAML, validation=validation)
    call.warnings += decoded.strict
    found: Object = decoded.object
    return found
