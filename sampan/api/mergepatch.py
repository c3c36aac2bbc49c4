"""JSON merge patches (RFC 7386), and the patch that leads from one document to another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.api.errors import BadRequest
from sampan.api.jsonpatch import json_name

if TYPE_CHECKING:
    from sampan.api.object import Object


def check(raw: Any) -> Object:
    """Check that a parsed body is a patch. Raises BadRequest."""
    if isinstance(raw, dict):
        return raw
    if raw is None:
        return {}
    raise BadRequest(
        f"error decoding patch: json: cannot unmarshal {json_name(raw)} into Go value of type map[string]interface {{}}"
    )


def apply(document: Any, patch: Any) -> Any:
    """Return the patched document; the one given stays as it is, and parts that did not change are shared with it.

    Raises BadRequest for a patch that is nested too deeply.
    """
    try:
        return _apply(document, patch)
    except RecursionError:
        raise BadRequest("error decoding patch: exceeded max depth") from None


def _apply(document: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    out = dict(document) if isinstance(document, dict) else {}
    for key, value in patch.items():
        if value is None:
            out.pop(key, None)
        else:
            out[key] = _apply(out.get(key), value) if isinstance(value, dict) else value
    return out


def diff(old: Object, new: Object) -> Object:
    """Return the smallest patch that turns old into new. Nulls inside new cannot be expressed, as the RFC says."""
    patch: Object = {key: None for key in old if key not in new}
    for key, value in new.items():
        if key not in old:
            patch[key] = value
            continue
        before = old[key]
        if isinstance(value, dict) and isinstance(before, dict):
            if below := diff(before, value):
                patch[key] = below
        elif value != before or value.__class__ is not before.__class__:
            patch[key] = value
    return patch


def three_way(original: Object, modified: Object, current: Object) -> Object:
    """Return the patch that brings current to modified, taking away only what original had and modified has not."""
    patch: Object = {key: None for key in original if key not in modified}
    for key, value in modified.items():
        live = current.get(key)
        if isinstance(value, dict) and isinstance(live, dict):
            before = original.get(key)
            if below := three_way(before if isinstance(before, dict) else {}, value, live):
                patch[key] = below
        elif value is not None and (value != live or value.__class__ is not live.__class__):
            patch[key] = value
    return patch
