"""A `Stored` made from a decoded object: what transports without a cache of their own hand out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sampan.api.object import Object
    from sampan.client.interface import Stored

_NO_LABELS: Mapping[str, str] = {}


class Item:
    """One version of one object, held decoded."""

    __slots__ = ("name", "namespace", "object", "resource_version")

    def __init__(self, obj: Object) -> None:
        metadata: dict[str, Any] = obj.get("metadata") or {}
        self.object = obj
        self.namespace: str = metadata.get("namespace", "")
        self.name: str = metadata.get("name", "")
        self.resource_version: str = metadata.get("resourceVersion", "")

    @property
    def labels(self) -> Mapping[str, str]:
        return (self.object.get("metadata") or {}).get("labels") or _NO_LABELS


def copy_object(obj: Object) -> Object:
    """Copy a JSON object deeply, several times faster than `copy.deepcopy`."""
    copied: Object = orjson.loads(orjson.dumps(obj))
    return copied


def key(item: Stored) -> str:
    """``namespace/name``, or ``name`` for a cluster-scoped object."""
    return f"{item.namespace}/{item.name}" if item.namespace else item.name
