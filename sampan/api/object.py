"""API objects: wire-spelled dicts, and the few accessors that all code shares.

An object in *normal form* is what encoding the Go struct would give: zero values omitted or present exactly as the
type's JSON options say, quantities and times in canonical spelling, unknown fields gone.
"""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]
"""An API object, or any JSON object inside one; wire spelling."""


def namespace_of(obj: Object) -> str:
    """Tell the namespace, "" for a cluster-scoped object."""
    result: str = obj.get("metadata", {}).get("namespace", "")
    return result


def name_of(obj: Object) -> str:
    """Tell the name, "" when none is set."""
    result: str = obj.get("metadata", {}).get("name", "")
    return result


def uid_of(obj: Object) -> str:
    """Tell the uid, "" when none is set."""
    result: str = obj.get("metadata", {}).get("uid", "")
    return result


def labels_of(obj: Object) -> dict[str, str]:
    """Return the labels; the object's own dict, not to be changed."""
    result: dict[str, str] = obj.get("metadata", {}).get("labels") or {}
    return result


def annotations_of(obj: Object) -> dict[str, str]:
    """Return the annotations; the object's own dict, not to be changed."""
    result: dict[str, str] = obj.get("metadata", {}).get("annotations") or {}
    return result


def key_of(obj: Object) -> str:
    """Tell ``namespace/name``, or ``name`` for a cluster-scoped object."""
    namespace = namespace_of(obj)
    return f"{namespace}/{name_of(obj)}" if namespace else name_of(obj)


def controller_of(obj: Object) -> Object | None:
    """Return the ownerReference with ``controller: true``, if there is one."""
    for reference in obj.get("metadata", {}).get("ownerReferences") or ():
        if reference.get("controller"):
            found: Object = reference
            return found
    return None
