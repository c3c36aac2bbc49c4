"""A stored version of an object: immutable, encoded once, decoded on demand.

`wire` is the JSON that GET, LIST and watch send, with the resourceVersion spliced in. The decoded object is kept only
in a bounded cache shared by all entries, so that 100 000 pods do not cost gigabytes.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sampan.api.object import Object

_DECODED_LIMIT = 2048
"""Entries whose decoded form is kept: a few thousand pods are some tens of megabytes, and hot objects are few."""

_NO_STRINGS: Mapping[str, str] = {}


class Entry:
    """One object at one revision. fields: the values of the resource's selectable fields."""

    __slots__ = ("__weakref__", "fields", "key", "labels", "name", "namespace", "revision", "wire")

    def __init__(
        self,
        key: str,
        namespace: str,
        name: str,
        revision: int,
        wire: bytes,
        labels: Mapping[str, str] = _NO_STRINGS,
        fields: Mapping[str, str] = _NO_STRINGS,
    ) -> None:
        self.key = key
        self.namespace = namespace
        self.name = name
        self.revision = revision
        self.wire = wire
        self.labels = labels
        self.fields = fields

    @property
    def resource_version(self) -> str:
        return str(self.revision)

    @property
    def object(self) -> Object:
        """The decoded object; shared, never to be changed."""
        found = _decoded.get(self)
        if found is not None:
            _decoded.move_to_end(self)
            return found
        decoded: Object = orjson.loads(self.wire)
        _decoded[self] = decoded
        if len(_decoded) > _DECODED_LIMIT:
            _decoded.popitem(last=False)
        return decoded

    def copy(self) -> Object:
        """A decoded object of the caller's own."""
        decoded: Object = orjson.loads(self.wire)
        return decoded


_decoded: OrderedDict[Entry, Object] = OrderedDict()
