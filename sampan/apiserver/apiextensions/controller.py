"""What kube-apiserver does with CustomResourceDefinitions by itself: accepts names, establishes, cleans up.

One worker goes through the definitions that changed. What is served follows the watch cache at once, in the same turn
of the loop in which a definition's status is stored. A deleted definition goes when its last instance has gone.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sampan.api.errors import APIStatusError, Conflict, NotFound
from sampan.apiserver.apiextensions.definition import FINALIZER, Definition
from sampan.apiserver.apiextensions.naming import set_condition, settled
from sampan.apiserver.apiextensions.serving import Serving
from sampan.apiserver.authn.user import MASTERS, User
from sampan.apiserver.registry import deletion, ownership
from sampan.apiserver.registry.deletion import DeleteOptions
from sampan.apiserver.registry.write import Write
from sampan.apiserver.storage.resourcestore import Selection
from sampan.base.log import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sampan.api.object import Object
    from sampan.apiserver.discovery import Discovery
    from sampan.apiserver.openapi import OpenAPI
    from sampan.apiserver.registry.generic import Registry
    from sampan.apiserver.registry.resources import Resources
    from sampan.apiserver.storage.entry import Entry
    from sampan.apiserver.storage.resourcestore import Batch, ResourceStore, Watcher
    from sampan.base.clock import Clock

log = logger("apiextensions")

_KEY = ("apiextensions.k8s.io", "v1", "customresourcedefinitions")
_ITSELF = User("system:apiserver", groups=(MASTERS,))
_MANAGER = "kube-apiserver"
_TERMINATING = "Terminating"


class _Sink:
    """Hears of a store's changes."""

    def __init__(self, changed: Callable[[str, Entry], None], lost: Callable[[], None]) -> None:
        self._changed = changed
        self._lost = lost

    def events(self, batch: Batch) -> None:
        for type_, entry, _ in batch:
            self._changed(type_, entry)

    def progress(self, revision: int) -> None:
        del revision

    def expired(self) -> None:
        self._lost()


class CustomResources:
    """See the module."""

    def __init__(self, resources: Resources, discovery: Discovery, openapi: OpenAPI, clock: Clock) -> None:
        self.serving = Serving(resources, discovery, openapi)
        self._resources = resources
        self._clock = clock
        self._queue: asyncio.Queue[str] = asyncio.Queue()
        self._queued: set[str] = set()
        self._emptying: dict[str, Watcher] = {}
        self._registry: Registry

    def begin(self) -> None:
        """Serve what is established already, and follow the definitions; when the store is loaded."""
        registry = self._resources.get(_KEY)
        assert registry is not None
        self._registry = registry
        self._follow()

    def _follow(self) -> None:
        store = self._registry.store
        for entry in store.list(Selection()).entries:
            self.serving.put(entry.object)
            self._enqueue(entry.name)
        store.watch(Selection(), _Sink(self._changed, self._follow), after=store.revision)

    def _changed(self, type_: str, entry: Entry) -> None:
        if type_ == "DELETED":
            self.serving.remove(entry.name)
            self._stop_emptying(entry.name)
            for other in self._registry.store.list(Selection()).entries:  # their names may be free now
                self._enqueue(other.name)
            return
        self.serving.put(entry.object)
        self._enqueue(entry.name)

    def _enqueue(self, name: str) -> None:
        if name not in self._queued:
            self._queued.add(name)
            self._queue.put_nowait(name)

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            name = await self._queue.get()
            self._queued.discard(name)
            try:
                await self._sync(name)
            except NotFound:
                continue
            except Conflict:
                self._enqueue(name)
            except APIStatusError as error:
                log.warning("A definition could not be settled", name=name, error=error)

    async def _sync(self, name: str) -> None:
        entry = self._registry.store.get("", name)
        if entry is None:
            return
        obj = entry.object
        if obj["metadata"].get("deletionTimestamp"):
            await self._clean(name, obj)
            return
        now = self._clock.time()
        if settled(obj, self._others(obj), now) != obj.get("status"):
            await self._write(name, lambda new: new.update(status=settled(new, self._others(new), now)))

    def _others(self, obj: Object) -> list[Object]:
        group, name = obj["spec"]["group"], obj["metadata"]["name"]
        others = (entry.object for entry in self._registry.store.list(Selection()).entries if entry.name != name)
        return [one for one in others if one["spec"]["group"] == group]

    async def _write(self, name: str, change: Callable[[Object], None]) -> None:
        registry = self._registry
        write = Write(user=_ITSELF, namespace="", name=name, subresource="status", manager=_MANAGER)

        async def transform(old: Object | None, current: Entry | None) -> Object:
            assert old is not None
            assert current is not None
            new = registry.mutable(current)
            change(new)
            ownership.updated(registry, write, new, old)
            return new

        await registry.update(write, transform)

    # -- deletion

    async def _clean(self, name: str, obj: Object) -> None:
        if FINALIZER not in (obj["metadata"].get("finalizers") or ()):
            return
        definition = Definition(obj)
        store = self._resources.raw_store(definition.group, definition.plural)
        mine = definition.established and self._owns(definition)
        if mine and not await self._delete_instances(definition, store):
            return
        self._stop_emptying(name)
        now = self._clock.time()

        def finish(new: Object) -> None:
            conditions = [dict(one) for one in new["status"].get("conditions") or ()]
            reason = "InstanceDeletionCompleted"
            set_condition(conditions, _TERMINATING, "False", reason, "removed all instances", now)
            new["status"]["conditions"] = conditions
            kept = [one for one in new["metadata"]["finalizers"] if one != FINALIZER]
            new["metadata"].pop("finalizers")
            if kept:
                new["metadata"]["finalizers"] = kept

        await self._write(name, finish)

    def _owns(self, definition: Definition) -> bool:
        """Whether the instances are this definition's, not another's of the same names."""
        return definition.name == f"{definition.plural}.{definition.group}"

    async def _delete_instances(self, definition: Definition, store: ResourceStore) -> bool:
        """Delete all instances; False while some are left."""
        entries: Sequence[Entry] = store.list(Selection()).entries
        if not entries:
            return True
        self._watch_emptying(definition.name, store)
        registry = self.serving.registry_for(definition)
        for entry in entries:
            if "deletionTimestamp" in entry.object["metadata"]:
                continue
            write = Write(user=_ITSELF, namespace=entry.namespace, name=entry.name)
            try:
                await deletion.delete(registry, write, DeleteOptions.of({}))
            except NotFound:
                continue
        return not store.list(Selection()).entries

    def _watch_emptying(self, name: str, store: ResourceStore) -> None:
        """Look again whenever an instance has gone: finalizers may hold them for long."""
        if name in self._emptying:
            return

        def changed(type_: str, _: Entry) -> None:
            if type_ == "DELETED":
                self._enqueue(name)

        sink = _Sink(changed, lambda: self._enqueue(name))
        self._emptying[name] = store.watch(Selection(), sink, after=store.revision)

    def _stop_emptying(self, name: str) -> None:
        watcher = self._emptying.pop(name, None)
        if watcher is not None:
            watcher.close()
