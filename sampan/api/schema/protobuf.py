"""``application/vnd.kubernetes.protobuf``: the envelope, lists, and watch frames around protobuf messages.

An object is four magic bytes and a runtime.Unknown that holds apiVersion, kind and the kind's own message. A watch
stream is length-prefixed metav1.WatchEvents without the prefix; the object in each has it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.api.errors import BadRequest
from sampan.api.field import go_quote
from sampan.api.gvk import GroupVersionKind
from sampan.api.schema import protodecode, protoencode
from sampan.api.schema.decode import Decoded, check_kind, decode_as, type_for, unrecognized
from sampan.api.schema.gojson import MalformedError
from sampan.api.schema.typeinfo import META, type_of
from sampan.api.schema.wire import BYTES, block, fields

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sampan.api.object import Object

CONTENT_TYPE = "application/vnd.kubernetes.protobuf"
MAGIC = b"k8s\x00"

_NO_MAGIC = "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]"
_ITEM = b"\x12"


def encode_object(obj: Object) -> bytes:
    """Encode an object in normal form with its envelope. Raises LookupError for a kind that has no message."""
    gvk = GroupVersionKind.parse(obj.get("apiVersion", ""), obj.get("kind", ""))
    return envelope(gvk, encode_message(gvk, obj))


def encode_message(gvk: GroupVersionKind, obj: Object) -> bytes:
    """Encode an object's message alone, as lists hold it. Raises LookupError."""
    try:
        return protoencode.encoder(type_of(gvk).name)(obj)
    except KeyError:
        raise LookupError(f"{gvk.api_version}, Kind={gvk.kind}") from None


def encode_list(gvk: GroupVersionKind, metadata: Object, items: Iterable[bytes]) -> bytes:
    """Encode a list from its items' messages. gvk: the list's; every list type numbers metadata 1 and items 2."""
    parts = [block(b"\x0a", protoencode.encoder(f"{META}.ListMeta")(metadata))]
    parts.extend(block(_ITEM, item) for item in items)
    return envelope(gvk, b"".join(parts))


def envelope(gvk: GroupVersionKind, message: bytes) -> bytes:
    """Wrap a message as Kubernetes does."""
    type_meta = block(b"\x0a", gvk.api_version.encode()) + block(b"\x12", gvk.kind.encode())
    return b"".join((MAGIC, block(b"\x0a", type_meta), block(b"\x12", message), b"\x1a\x00\x22\x00"))


def watch_frame(event_type: str, obj: bytes) -> bytes:
    """Frame one watch event. obj: the object as `encode_object` gives it."""
    raw = block(b"\x0a", obj)
    event = block(b"\x0a", event_type.encode()) + block(b"\x12", raw)
    return len(event).to_bytes(4, "big") + event


def read_watch_frame(frame: bytes) -> tuple[str, Any]:
    """Read a frame, without its length prefix, as type and object. Raises MalformedError."""
    found = {key >> 3: value for key, value in fields(frame) if isinstance(value, bytes)}
    raw = dict(fields(found.get(2, b""))).get(1 << 3 | BYTES, b"")
    assert isinstance(raw, bytes)
    return found.get(1, b"").decode(), decode_object(raw)


def open_envelope(data: bytes, expected: GroupVersionKind | None = None) -> tuple[GroupVersionKind, bytes]:
    """Return an envelope's kind and message; what it leaves out is taken from `expected`. Raises MalformedError."""
    if not data.startswith(MAGIC):
        raise MalformedError(_NO_MAGIC if data else "empty data")
    parts = {key >> 3: value for key, value in fields(data[len(MAGIC) :]) if isinstance(value, bytes)}
    meta = {key >> 3: value.decode() for key, value in fields(parts.get(1, b"")) if isinstance(value, bytes)}
    kind = meta.get(2) or (expected.kind if expected else "")
    if meta.get(1) or expected is None:
        return GroupVersionKind.parse(meta.get(1, ""), kind), parts.get(2, b"")
    return GroupVersionKind(expected.group, expected.version, kind), parts.get(2, b"")


def decode_object(data: bytes) -> Object:
    """Decode an object in its envelope to normal form, of any built-in kind. Raises MalformedError, LookupError."""
    gvk, message = open_envelope(data)
    return _decode_message(gvk, message).object


def decode_body(data: bytes, expected: GroupVersionKind) -> Decoded:
    """Decode a request's body, see `schema.decode_body`. Raises BadRequest as the API server words it."""
    try:
        gvk, message = open_envelope(data, expected)
    except (MalformedError, UnicodeDecodeError) as error:
        raise unrecognized(expected.kind, str(error), data) from None
    info = type_for(gvk, expected)
    try:
        decoded = _decode_message(gvk, message)
    except MalformedError as error:
        why = f"{gvk.kind} in version {go_quote(gvk.version)} cannot be handled as a {expected.kind}: {error}"
        raise BadRequest(why) from None
    check_kind(gvk, expected, info)
    return decoded


def _decode_message(gvk: GroupVersionKind, message: bytes) -> Decoded:
    info = type_of(gvk)
    try:
        raw = protodecode.decoder(info.name)(message)
    except RecursionError:
        raise MalformedError("exceeded max depth") from None
    except MalformedError:
        raise
    except (KeyError, AttributeError, TypeError, ValueError, OverflowError) as error:
        raise MalformedError(f"proto: wrong wireType: {error}") from error
    obj = decode_as(info, raw).object
    return Decoded(object={"kind": gvk.kind, "apiVersion": gvk.api_version, **obj})


def decode_items(data: bytes) -> Sequence[Object]:
    """Decode a list's items; each gets no kind of its own, as in Go."""
    items: Sequence[Object] = decode_object(data).get("items") or ()
    return items
