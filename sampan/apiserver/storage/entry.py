"""A stored version of an object: immutable, encoded once, decoded on demand.

`wire` is the JSON that GET, LIST and watch send, with the resourceVersion spliced in. The decoded object is kept only
in a bounded cache shared by all entries, so that 100 000 pods do not cost gigabytes. Labels and selectable fields are
taken from the object when first asked for: a server that starts on 100 000 objects parses none of them.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Generic, TypeVar

import orjson

from sampan.apiserver.storage.wire import labels_of, resplice

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sampan.api.object import Object

T = TypeVar("T")

_DECODED_BYTES = 4 << 20
"""Wire bytes of the entries whose decoded form is kept: decoded they take about seven times as much."""

_MESSAGE_BYTES = 32 << 20
"""Protobuf messages that are kept: those of some 10 000 pods, for clients that list them again and again."""

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
        found = _decoded.get(self)
        if found is None:
            found = self.copy()
            _decoded.put(self, found, len(self.wire))
        return found

    def message(self, encode: Callable[[Object], bytes]) -> bytes:
        """The object's protobuf message, made by encode when it is not kept. Raises what encode raises."""
        found = _messages.peek(self)
        if found is None:
            found = encode(self._look())
            _messages.put(self, found, len(found))
        return found

    def copy(self) -> Object:
        """A decoded object of the caller's own."""
        decoded: Object = orjson.loads(self.wire)
        return decoded

    def at(self, revision: int) -> Entry:
        """The same object at another revision."""
        wire = resplice(self.wire, revision)
        return Entry(self.key, self.namespace, self.name, revision, wire, self._labels, self._fields, self._kind)

    def release(self) -> None:
        """Say that this version is superseded: what was made of it is not worth keeping."""
        _decoded.drop(self)
        _messages.drop(self)

    def _look(self) -> Object:
        """Decode for one look: indexing all objects must not flush the cache of the hot ones."""
        return _decoded.peek(self) or self.copy()


class _Kept(Generic[T]):
    """What was made of the most recently used entries, bounded by its size in bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._made: OrderedDict[Entry, tuple[T, int]] = OrderedDict()

    def peek(self, entry: Entry) -> T | None:
        found = self._made.get(entry)
        return None if found is None else found[0]

    def get(self, entry: Entry) -> T | None:
        """Find it, and count that as a use."""
        found = self._made.get(entry)
        if found is None:
            return None
        self._made.move_to_end(entry)
        return found[0]

    def put(self, entry: Entry, made: T, size: int) -> None:
        self._made[entry] = (made, size)
        self._size += size
        while self._size > self._limit and len(self._made) > 1:
            _, (_, gone) = self._made.popitem(last=False)
            self._size -= gone

    def drop(self, entry: Entry) -> None:
        found = self._made.pop(entry, None)
        if found is not None:
            self._size -= found[1]


_decoded: _Kept[Object] = _Kept(_DECODED_BYTES)
_messages: _Kept[bytes] = _Kept(_MESSAGE_BYTES)
