"""A stored version of an object: immutable, encoded once, decoded on demand.

`wire` is the JSON that GET, LIST and watch send, with the resourceVersion spliced in. The decoded object is kept only
in a bounded cache shared by all entries, so that 100 000 pods do not cost gigabytes. Labels and selectable fields are
taken from the object when first asked for: a server that starts on 100 000 objects parses none of them.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import orjson

from sampan.apiserver.storage.wire import labels_of, resplice

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sampan.api.object import Object

_DECODED_BYTES = 4 << 20
"""Wire bytes of the entries whose decoded form is kept: decoded they take about seven times as much."""

_NO_STRINGS: Mapping[str, str] = {}


class Kind:
    """What all entries of one resource share. selectable: computes the values of the selectable fields."""

    __slots__ = ("selectable",)

    def __init__(self, selectable: Callable[[Object], Mapping[str, str]] | None = None) -> None:
        self.selectable = selectable


_PLAIN = Kind()


class Entry:
    """One object at one revision. fields: the values of the resource's selectable fields."""

    __slots__ = ("__weakref__", "_fields", "_kind", "_labels", "key", "name", "namespace", "revision", "wire")

    def __init__(  # noqa: PLR0917 - the store makes them by the hundred thousand
        self,
        key: str,
        namespace: str,
        name: str,
        revision: int,
        wire: bytes,
        labels: Mapping[str, str] | None = None,
        fields: Mapping[str, str] | None = None,
        kind: Kind = _PLAIN,
    ) -> None:
        self.key = key
        self.namespace = namespace
        self.name = name
        self.revision = revision
        self.wire = wire
        self._labels = labels
        self._fields = fields
        self._kind = kind

    @property
    def resource_version(self) -> str:
        return str(self.revision)

    @property
    def labels(self) -> Mapping[str, str]:
        labels = self._labels
        if labels is None:
            labels = labels_of(self.wire)
            if labels is None:
                labels = self._look()["metadata"].get("labels") or _NO_STRINGS
            self._labels = labels
        return labels

    @property
    def fields(self) -> Mapping[str, str]:
        fields = self._fields
        if fields is None:
            select = self._kind.selectable
            self._fields = fields = _NO_STRINGS if select is None else select(self._look())
        return fields

    @property
    def object(self) -> Object:
        """The decoded object; shared, never to be changed."""
        return _decoded.get(self)

    def copy(self) -> Object:
        """A decoded object of the caller's own."""
        decoded: Object = orjson.loads(self.wire)
        return decoded

    def at(self, revision: int) -> Entry:
        """The same object at another revision."""
        wire = resplice(self.wire, revision)
        return Entry(self.key, self.namespace, self.name, revision, wire, self._labels, self._fields, self._kind)

    def release(self) -> None:
        """Say that this version is superseded: its decoded form is not worth keeping."""
        _decoded.drop(self)

    def _look(self) -> Object:
        """Decode for one look: indexing all objects must not flush the cache of the hot ones."""
        return _decoded.peek(self) or self.copy()


class _Decoded:
    """The most recently used decoded objects, bounded by the size of their wire forms."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._objects: OrderedDict[Entry, Object] = OrderedDict()

    def peek(self, entry: Entry) -> Object | None:
        return self._objects.get(entry)

    def get(self, entry: Entry) -> Object:
        found = self._objects.get(entry)
        if found is not None:
            self._objects.move_to_end(entry)
            return found
        decoded: Object = orjson.loads(entry.wire)
        self._objects[entry] = decoded
        self._size += len(entry.wire)
        while self._size > self._limit and len(self._objects) > 1:
            oldest, _ = self._objects.popitem(last=False)
            self._size -= len(oldest.wire)
        return decoded

    def drop(self, entry: Entry) -> None:
        if self._objects.pop(entry, None) is not None:
            self._size -= len(entry.wire)


_decoded = _Decoded(_DECODED_BYTES)
