"""Answers as bytes: JSON as it is stored, YAML, Table, PartialObjectMetadata, protobuf, pretty-printed.

The common case, JSON of an entry, is the entry's own bytes. Lists are joined from their items' bytes, whose kind and
apiVersion are cut off: the list says them once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from sampan.api.errors import BadRequest, NotAcceptable
from sampan.apiserver import negotiate
from sampan.apiserver.http import response
from sampan.apiserver.http.response import Response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from sampan.api.errors import APIStatusError
    from sampan.api.object import Object
    from sampan.apiserver.negotiate import Accepted
    from sampan.apiserver.registry.generic import Registry
    from sampan.apiserver.registry.write import Outcome
    from sampan.apiserver.storage.entry import Entry
    from sampan.apiserver.storage.resourcestore import Listing

    Headers = list[tuple[bytes, bytes]]

_TYPES = {media: (b"Content-Type", media.encode()) for media in negotiate.OBJECT_TYPES}
_INCLUDE = ("None", "Metadata", "Object", "")
_META_GROUP = "meta.k8s.io"
_INTERNAL = {"events.k8s.io": "core"}


def warning_headers(warnings: Sequence[str]) -> Headers:
    """Warning headers, each text once: ``299 - "text"``."""
    found: Headers = []
    for text in dict.fromkeys(warnings):
        quoted = text.replace("\\", "\\\\").replace('"', '\\"')
        cleaned = "".join(char if char.isprintable() else " " for char in quoted)
        found.append((b"Warning", f'299 - "{cleaned}"'.encode()))
    return found


def document(obj: Any, accepted: Accepted, *, pretty: bool) -> bytes:
    """Any JSON value in the accepted form."""
    if accepted.media == negotiate.YAML:
        import yaml  # noqa: PLC0415 - only for those who ask for YAML

        dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
        text: str = yaml.dump(obj, Dumper=dumper, default_flow_style=False, allow_unicode=True, width=1 << 30)
        return text.encode()
    if pretty:
        return orjson.dumps(obj, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    return orjson.dumps(obj)


def status_error(error: APIStatusError, accepted: Accepted, *, pretty: bool = False) -> Response:
    """An error as a Status."""
    headers: Headers = [response.NO_CACHE]
    if error.retry_after_seconds is not None:
        headers.append((b"Retry-After", b"%d" % error.retry_after_seconds))
    media = accepted.media
    if media == negotiate.PROTOBUF:
        encoded = _protobuf(error.to_status())
        if encoded is not None:
            return Response(error.code, encoded, [*headers, _TYPES[media]])
        media = negotiate.JSON
    headers.append(_TYPES[media])
    return Response(error.code, document(error.to_status(), negotiate.Accepted(media), pretty=pretty), headers)


def outcome(
    registry: Registry | None, result: Outcome, accepted: Accepted, *, pretty: bool, include: str | None
) -> Response:
    """One object. registry: None for virtual resources, whose objects are sent as they are."""
    headers: Headers = [response.NO_CACHE, _TYPES[accepted.media]]
    entry = result.entry
    if registry is None or (entry is None and result.as_is):
        return Response(result.status, _encode_object(result.object or {}, accepted, pretty=pretty), headers)
    if accepted.transform and not result.as_is:
        obj = registry.view(entry) if entry is not None else result.object or {}
        body = document(transformed(registry, obj, accepted, include), accepted, pretty=pretty)
    elif entry is not None and accepted.media == negotiate.JSON and not pretty:
        body = registry.wire(entry)
    elif entry is not None and accepted.media == negotiate.PROTOBUF:
        body = entry_protobuf(registry, entry)
    else:
        obj = registry.view(entry) if entry is not None else result.object or {}
        body = _encode_object(obj, accepted, pretty=pretty)
    return Response(result.status, body, headers)


def _encode_object(obj: Object, accepted: Accepted, *, pretty: bool) -> bytes:
    if accepted.media != negotiate.PROTOBUF:
        return document(obj, accepted, pretty=pretty)
    encoded = _protobuf(obj)
    if encoded is None:
        raise _no_protobuf()
    return encoded


def _no_protobuf() -> NotAcceptable:
    return NotAcceptable(f"only the following media types are accepted: {', '.join(negotiate.OBJECT_TYPES)}")


def _message(registry: Registry, entry: Entry) -> bytes:
    """An entry's protobuf message in the registry's version. Raises NotAcceptable for kinds that have none."""
    from sampan.api.schema import protobuf  # noqa: PLC0415 - only for those who ask for it

    gvk = registry.gvk
    try:
        if registry.converts:
            return protobuf.encode_message(gvk, registry.view(entry))
        return entry.message(lambda obj: protobuf.encode_message(gvk, obj))
    except LookupError:
        raise _no_protobuf() from None


def entry_protobuf(registry: Registry, entry: Entry) -> bytes:
    """An entry in protobuf, with its envelope. Raises NotAcceptable for kinds that have none."""
    from sampan.api.schema import protobuf  # noqa: PLC0415 - only for those who ask for it

    return protobuf.envelope(registry.gvk, _message(registry, entry))


def _list_protobuf(registry: Registry, entries: Sequence[Entry], metadata: Object) -> bytes:
    from sampan.api.schema import protobuf  # noqa: PLC0415 - only for those who ask for it

    if registry.custom:
        raise _no_protobuf()
    kind = registry.gvk._replace(kind=f"{registry.info.kind}List")
    return protobuf.encode_list(kind, metadata, [_message(registry, entry) for entry in entries])


def _protobuf(obj: Object) -> bytes | None:
    """The protobuf form; None for kinds that have none."""
    from sampan.api.schema import protobuf  # noqa: PLC0415 - only for those who ask for it

    try:
        return protobuf.encode_object(obj)
    except LookupError:
        return None


def transformed(registry: Registry, obj: Object, accepted: Accepted, include: str | None) -> Object:
    """One object as Table or PartialObjectMetadata."""
    if accepted.transform == "PartialObjectMetadata":
        return partial(obj, accepted.version)
    if accepted.transform == "PartialObjectMetadataList":
        raise NotAcceptable(
            "you requested PartialObjectMetadataList, but the requested object is not a list "
            f"({_go_type(registry, registry.info.kind)})"
        )
    metadata = {"resourceVersion": obj["metadata"].get("resourceVersion", "")}
    return table(registry, [obj], metadata, accepted.version, include)


def partial(obj: Object, version: str) -> Object:
    """PartialObjectMetadata of an object."""
    return {"kind": "PartialObjectMetadata", "apiVersion": f"{_META_GROUP}/{version}", "metadata": obj["metadata"]}


def _go_type(registry: Registry, kind: str) -> str:
    group = registry.info.group
    package = _INTERNAL.get(group) or (group.partition(".")[0] if group else "core")
    return f"*{package}.{kind}"


def table(
    registry: Registry, objects: Iterable[Object], metadata: Object, version: str, include: str | None,
    *, with_columns: bool = True,
) -> Object:  # fmt: skip
    """A meta.k8s.io Table of objects. include: "None", "Metadata", "Object"; None when not given."""
    from sampan.api import tables  # noqa: PLC0415 - printers are many

    if include is not None and include not in _INCLUDE:
        message = "must be 'Metadata', 'Object', 'None', or empty"
        raise BadRequest(
            f'Unable to convert to Table as requested: includeObject: Invalid value: "{include}": {message}'
        )
    now = registry.clock.time()
    gvr, printer = registry.info.gvr, registry.printer
    rows = []
    for obj in objects:
        row: Object = {"cells": tables.row(gvr, obj, now) if printer is None else printer.row(obj, now)}
        if include in (None, "", "Metadata"):
            row["object"] = partial(_unversioned(registry, obj), version)
        elif include == "Object":
            row["object"] = obj
        else:
            row["object"] = None
        rows.append(row)
    columns = (tables.columns(gvr) if printer is None else printer.columns) if with_columns else None
    return {
        "kind": "Table", "apiVersion": f"{_META_GROUP}/{version}", "metadata": {k: v for k, v in metadata.items() if v},
        "columnDefinitions": columns, "rows": rows,
    }  # fmt: skip


def _unversioned(registry: Registry, obj: Object) -> Object:
    """An object without the annotations that stand for fields in its version: tables are made of internal types."""
    annotations = obj["metadata"].get("annotations")
    hidden = registry.strategy.version_annotations
    if not annotations or not any(key in annotations for key in hidden):
        return obj
    metadata = {**obj["metadata"], "annotations": {k: v for k, v in annotations.items() if k not in hidden}}
    if not metadata["annotations"]:
        del metadata["annotations"]
    return {**obj, "metadata": metadata}


# -- lists


def list_metadata(listing: Listing) -> Object:
    """ListMeta."""
    metadata: Object = {"resourceVersion": str(listing.revision)}
    if listing.continue_token:
        metadata["continue"] = listing.continue_token
        if listing.remaining is not None:
            metadata["remainingItemCount"] = listing.remaining
    return metadata


def list_json(registry: Registry, entries: Sequence[Entry], metadata: Object) -> bytes:
    """A list joined from its items' own bytes."""
    info = registry.info
    head = b'{"kind":"%bList","apiVersion":"%b","metadata":%b,"items":[' % (
        info.kind.encode(), registry.api_version.encode(), orjson.dumps(metadata),
    )  # fmt: skip
    cut = len(registry.item_prefix)
    parts: list[bytes | memoryview]
    if registry.converts:
        parts = [b"{" + registry.wire(entry)[cut:] for entry in entries]
        return b"%b%b]}" % (head, b",".join(parts))
    if not entries:
        return head + b"]}"
    # One join over views: the items' bytes are copied once.
    parts = [head, b"{"]
    for entry in entries:
        parts.append(memoryview(entry.wire)[cut:])
        parts.append(b",{")
    parts[-1] = b"]}"
    return b"".join(parts)


def listing(registry: Registry, found: Listing, accepted: Accepted, *, pretty: bool, include: str | None) -> Response:
    """A list in the accepted form."""
    metadata = list_metadata(found)
    headers: Headers = [response.NO_CACHE, _TYPES[accepted.media]]
    if not accepted.transform and accepted.media == negotiate.JSON and not pretty:
        return Response(200, list_json(registry, found.entries, metadata), headers)
    if not accepted.transform and accepted.media == negotiate.PROTOBUF:
        return Response(200, _list_protobuf(registry, found.entries, metadata), headers)
    view: Callable[[Entry], Object] = registry.view
    if accepted.transform == "Table":
        obj = table(registry, map(view, found.entries), metadata, accepted.version, include)
    elif accepted.transform == "PartialObjectMetadataList":
        items = [partial(view(entry), accepted.version) for entry in found.entries]
        obj = _list_object("PartialObjectMetadataList", f"{_META_GROUP}/{accepted.version}", metadata, items)
    elif accepted.transform:
        kind = _go_type(registry, f"{registry.info.kind}List")
        raise NotAcceptable(f"you requested PartialObjectMetadata, but the requested object is a list ({kind})")
    else:
        items = [view(entry) if registry.custom else bare(view(entry)) for entry in found.entries]
        obj = _list_object(f"{registry.info.kind}List", registry.api_version, metadata, items)
    return Response(200, document(obj, accepted, pretty=pretty), headers)


def _list_object(kind: str, api_version: str, metadata: Object, items: list[Object]) -> Object:
    return {"kind": kind, "apiVersion": api_version, "metadata": metadata, "items": items}


def bare(obj: Object) -> Object:
    """An object as an item of a list: without kind and apiVersion."""
    return {key: value for key, value in obj.items() if key not in ("kind", "apiVersion")}
