"""The graph of owners and dependents, kept from informers of every resource.

Only what has owners is in it: an object without any costs nothing. Owners are found by uid; whether they exist is
asked of the caches here and, before anything is deleted, of the API by the garbage collector.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sampan.api.gvk import GroupVersionKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sampan.api.gvk import GroupVersionResource
    from sampan.api.object import Object

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"


class ObjectKey(NamedTuple):
    """One object of one life."""

    gvr: GroupVersionResource
    namespace: str
    name: str
    uid: str

    def __str__(self) -> str:
        place = f"{self.namespace}/" if self.namespace else ""
        return f"{self.gvr.group_resource} {place}{self.name}"


class OwnerReference(NamedTuple):
    """One ownerReference. blocks: blockOwnerDeletion."""

    gvk: GroupVersionKind
    name: str
    uid: str
    blocks: bool


def owners_of(obj: Object) -> tuple[OwnerReference, ...]:
    """The ownerReferences of an object."""
    found = obj["metadata"].get("ownerReferences")
    if not found:
        return ()
    return tuple(
        OwnerReference(
            GroupVersionKind.parse(one.get("apiVersion", ""), one.get("kind", "")),
            one.get("name", ""),
            one.get("uid", ""),
            bool(one.get("blockOwnerDeletion")),
        )
        for one in found
    )


def is_deleting_with(obj: Object, finalizer: str) -> bool:
    """Whether the object is being deleted and waits for this finalizer."""
    metadata = obj["metadata"]
    return "deletionTimestamp" in metadata and finalizer in (metadata.get("finalizers") or ())


class OwnerGraph:
    """Dependents by the uid of their owner."""

    def __init__(self) -> None:
        self._owners: dict[ObjectKey, tuple[OwnerReference, ...]] = {}
        self._dependents: dict[str, dict[ObjectKey, bool]] = {}
        self.deleting_dependents: set[str] = set()

    def put(self, key: ObjectKey, owners: tuple[OwnerReference, ...]) -> tuple[OwnerReference, ...]:
        """Record an object's owners; return those it had before."""
        before = self._owners.get(key, ())
        if before != owners:
            self._unlink(key, before)
            for owner in owners:
                self._dependents.setdefault(owner.uid, {})[key] = owner.blocks
            if owners:
                self._owners[key] = owners
            else:
                self._owners.pop(key, None)
        return before

    def drop(self, key: ObjectKey) -> tuple[OwnerReference, ...]:
        """Forget an object; return the owners it had."""
        before = self._owners.pop(key, ())
        self._unlink(key, before)
        self.deleting_dependents.discard(key.uid)
        return before

    def dependents(self, uid: str) -> Sequence[ObjectKey]:
        """The objects that an object owns."""
        return list(self._dependents.get(uid, ()))

    def blocking(self, uid: str) -> Sequence[ObjectKey]:
        """The dependents that hold up a foreground deletion."""
        return [key for key, blocks in self._dependents.get(uid, {}).items() if blocks]

    def owned(self) -> Sequence[ObjectKey]:
        """All objects that have owners."""
        return list(self._owners)

    def owners(self, key: ObjectKey) -> tuple[OwnerReference, ...]:
        """An object's owners."""
        return self._owners.get(key, ())

    def _unlink(self, key: ObjectKey, owners: tuple[OwnerReference, ...]) -> None:
        for owner in owners:
            found = self._dependents.get(owner.uid)
            if found is not None:
                found.pop(key, None)
                if not found:
                    del self._dependents[owner.uid]
