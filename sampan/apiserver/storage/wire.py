"""An object's JSON as the store and the wire have it, and the resourceVersion that only the wire has.

The store holds an object without its resourceVersion, which is the revision of the write that stored it. On the wire
it stands behind ``metadata.uid``, as in Go's order of fields. `encode` puts kind, apiVersion and metadata first, and of
the metadata the few plain strings before uid: so the place to splice is found by searching, without parsing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from sampan.api.object import Object

_METADATA = b'"metadata":{'
_UID = b'"uid":"'
_VERSION = b'"resourceVersion":"'
_HEAD = ("name", "generateName", "namespace", "uid")
_UID_WITHIN = 1024
"""Bytes of metadata in which uid must begin: three names of at most 253 bytes stand before it."""


def encode(obj: Object) -> bytes:
    """Encode obj for the store: the resourceVersion left out, keys in an order that `splice` understands."""
    metadata = obj["metadata"]
    head = {key: metadata[key] for key in _HEAD if key in metadata}
    for key, value in metadata.items():
        if key not in head and key != "resourceVersion":
            head[key] = value
    document = {"kind": obj["kind"], "apiVersion": obj["apiVersion"], "metadata": head}
    for key, value in obj.items():
        if key not in document:
            document[key] = value
    return orjson.dumps(document)


def offset(value: bytes) -> int:
    """Tell where a stored value takes its resourceVersion. Raises ValueError when `encode` did not make it."""
    begin = value.find(_METADATA, 0, 512) + len(_METADATA)
    if begin < len(_METADATA):
        raise ValueError("a stored value is not an object of this store")
    uid = value.find(_UID, begin, begin + _UID_WITHIN)
    if uid < 0 or value.find(b"{", begin, uid) >= 0 or value.find(b"[", begin, uid) >= 0:
        return begin
    end = value.find(b'"', uid + len(_UID))
    return begin if value[end - 1] == 0x5C else end + 1


def splice(value: bytes, at: int, revision: int) -> bytes:
    """Put the resourceVersion into a stored value, at its `offset`."""
    if value[at - 1] != 0x7B:
        return b'%b,"resourceVersion":"%d"%b' % (value[:at], revision, value[at:])
    comma = b"" if value[at] == 0x7D else b","
    return b'%b"resourceVersion":"%d"%b%b' % (value[:at], revision, comma, value[at:])


def resplice(wire: bytes, revision: int) -> bytes:
    """Replace the resourceVersion of a wire form that `splice` made."""
    begin = wire.index(_VERSION, wire.index(_METADATA)) + len(_VERSION)
    return b"%b%d%b" % (wire[:begin], revision, wire[wire.index(b'"', begin) :])


def labels_of(wire: bytes) -> dict[str, str] | None:
    """Read ``metadata.labels`` without parsing the rest; None when that takes a parser.

    In a normal-form object the labels are the first thing in metadata that is not a plain value, and their keys and
    values hold no braces.
    """
    begin = wire.find(_METADATA) + len(_METADATA)
    brace = wire.find(b"{", begin)
    if brace < 0 or wire[brace - 9 : brace] != b'"labels":':
        return None
    if wire.find(b"[", begin, brace) >= 0 or wire.find(b"}", begin, brace) >= 0:
        return None
    labels: dict[str, str] = orjson.loads(wire[brace : wire.index(b"}", brace) + 1])
    return labels
