"""The current objects of one resource: by name, in key order, and by label or field value.

A bucket per namespace ("" for cluster-scoped resources) holds entries by name and the sorted names. Indexes on a label
or field are built when a selection first asks for it, and kept up from then on.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import OrderedDict
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sampan.apiserver.storage.entry import Entry
    from sampan.apiserver.storage.resourcestore import Selection

_INDEX_FROM = 64
"""Objects below which a scan is cheaper than keeping an index."""

_INDEXES = 16
"""Labels and fields indexed at once; the one unused for longest gives way."""


class _Bucket:
    """One namespace's entries. names: sorted, or None while not needed (a load appends in any order)."""

    __slots__ = ("_names", "entries")

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self._names: list[str] | None = None

    @property
    def names(self) -> list[str]:
        if self._names is None:
            self._names = sorted(self.entries)
        return self._names

    def put(self, entry: Entry) -> Entry | None:
        previous = self.entries.get(entry.name)
        self.entries[entry.name] = entry
        if previous is None and self._names is not None:
            insort(self._names, entry.name)
        return previous

    def remove(self, name: str) -> Entry | None:
        previous = self.entries.pop(name, None)
        if previous is not None and self._names is not None:
            del self._names[bisect_left(self._names, name)]
        return previous


class _Index:
    """Entries by one label's or field's value, and by key within it."""

    __slots__ = ("_value_of", "_values")

    def __init__(self, value_of: Callable[[Entry], str | None]) -> None:
        self._value_of = value_of
        self._values: dict[str, dict[str, Entry]] = {}

    def change(self, previous: Entry | None, entry: Entry | None) -> None:
        new = None if entry is None else self._value_of(entry)
        if previous is not None and (old := self._value_of(previous)) is not None and old != new:
            held = self._values[old]
            del held[previous.key]
            if not held:
                del self._values[old]
        if entry is not None and new is not None:
            self._values.setdefault(new, {})[entry.key] = entry

    def get(self, value: str) -> dict[str, Entry]:
        return self._values.get(value, {})


class Objects:
    """Current entries of one resource."""

    def __init__(self) -> None:
        self._buckets: dict[str, _Bucket] = {}
        self._namespaces: list[str] | None = None
        self._indexes: OrderedDict[tuple[str, str], _Index] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def get(self, namespace: str, name: str) -> Entry | None:
        bucket = self._buckets.get(namespace)
        return None if bucket is None else bucket.entries.get(name)

    def put(self, entry: Entry) -> Entry | None:
        """Store the newest version and return the one before."""
        bucket = self._buckets.get(entry.namespace)
        if bucket is None:
            bucket = self._buckets[entry.namespace] = _Bucket()
            self._namespaces = None
        previous = bucket.put(entry)
        if previous is None:
            self._count += 1
        for index in self._indexes.values():
            index.change(previous, entry)
        return previous

    def remove(self, namespace: str, name: str) -> Entry | None:
        """Remove an object and return its last version."""
        bucket = self._buckets.get(namespace)
        previous = None if bucket is None else bucket.remove(name)
        if bucket is None or previous is None:
            return None
        self._count -= 1
        if not bucket.entries:
            del self._buckets[namespace]
            self._namespaces = None
        for index in self._indexes.values():
            index.change(previous, None)
        return previous

    def select(self, selection: Selection) -> list[Entry]:
        """List all matches, in key order."""
        if not self._count:
            return []
        if selection.name:
            return [entry for entry in self._named(selection) if matches(selection, entry)]
        found = self._indexed(selection)
        if found is None:
            found = self._all(selection.namespace)
        if is_plain(selection):
            return found
        return [entry for entry in found if matches(selection, entry)]

    def count(self, namespace: str) -> int:
        if not namespace:
            return self._count
        bucket = self._buckets.get(namespace)
        return 0 if bucket is None else len(bucket.entries)

    def behind(self, namespace: str, after: str) -> int:
        """Count the objects (of a namespace, or all for "") whose key comes behind `after`, which ends in /ns/name."""
        return sum(len(bucket.names) - start for _, bucket, start in self._walk(namespace, after))

    def iterate(self, namespace: str, after: str) -> Iterator[Entry]:
        """Go through the objects whose key comes behind `after` ("" for the first), in key order."""
        for _, bucket, start in self._walk(namespace, after):
            for name in islice(bucket.names, start, None):
                yield bucket.entries[name]

    def candidates(self, selection: Selection, after: str) -> Iterator[Entry]:
        """Go through what may match behind `after`, in key order: by an index if one serves."""
        found = self._indexed(selection)
        if found is None:
            return self.iterate(selection.namespace, after)
        return (entry for entry in found if entry.key > after)

    def _walk(self, namespace: str, after: str) -> Iterator[tuple[str, _Bucket, int]]:
        after_namespace, after_name = split_key(after)
        for one in self._ordered() if not namespace else (namespace,):
            bucket = self._buckets.get(one)
            if bucket is None:
                continue
            if not after or one == after_namespace:
                yield one, bucket, bisect_right(bucket.names, after_name) if after else 0
            elif f"{one}/" > f"{after_namespace}/":
                yield one, bucket, 0

    def _ordered(self) -> list[str]:
        if self._namespaces is None:
            # As their keys sort: "a-b/" comes before "a/".
            self._namespaces = sorted(self._buckets, key=lambda namespace: f"{namespace}/")
        return self._namespaces

    def _all(self, namespace: str) -> list[Entry]:
        found: list[Entry] = []
        for one in self._ordered() if not namespace else (namespace,):
            bucket = self._buckets.get(one)
            if bucket is not None:
                found += map(bucket.entries.__getitem__, bucket.names)
        return found

    def _named(self, selection: Selection) -> list[Entry]:
        buckets = [selection.namespace] if selection.namespace else self._ordered()
        found = (self.get(namespace, selection.name) for namespace in buckets)
        return [entry for entry in found if entry is not None]

    def _indexed(self, selection: Selection) -> list[Entry] | None:
        if self._count < _INDEX_FROM or not (selection.labels or selection.fields):
            return None
        sets = [self._index("label", key).get(value) for key, value in selection.labels]
        sets += [self._index("field", key).get(value) for key, value in selection.fields]
        smallest = min(sets, key=len)
        return [smallest[key] for key in sorted(smallest)]

    def _index(self, kind: str, key: str) -> _Index:
        found = self._indexes.get((kind, key))
        if found is not None:
            self._indexes.move_to_end((kind, key))
            return found
        index = _Index(_label(key) if kind == "label" else _field(key))
        for bucket in self._buckets.values():
            for entry in bucket.entries.values():
                index.change(None, entry)
        self._indexes[kind, key] = index
        if len(self._indexes) > _INDEXES:
            self._indexes.popitem(last=False)
        return index


def _label(key: str) -> Callable[[Entry], str | None]:
    return lambda entry: entry.labels.get(key)


def _field(key: str) -> Callable[[Entry], str | None]:
    return lambda entry: entry.fields.get(key, "")


def split_key(key: str) -> tuple[str, str]:
    """Tell (namespace, name) of a key; namespace "" when the resource is cluster-scoped."""
    parts = key.split("/")
    return (parts[4], parts[5]) if len(parts) > 5 else ("", parts[-1])


def is_plain(selection: Selection) -> bool:
    """Whether a namespace is all that selects."""
    return not (selection.name or selection.labels or selection.fields) and selection.matches is None


def matches(selection: Selection, entry: Entry) -> bool:
    """Whether an entry is selected."""
    if selection.namespace and entry.namespace != selection.namespace:
        return False
    if selection.name and entry.name != selection.name:
        return False
    for key, value in selection.fields:
        if entry.fields.get(key, "") != value:
            return False
    if selection.labels:
        labels = entry.labels
        for key, value in selection.labels:
            if labels.get(key) != value:
                return False
    return selection.matches is None or selection.matches(entry)
