"""The garbage collector: dependents go when all their owners are gone; foreground and orphaning deletion.

Behaviour: kube-controller-manager's pkg/controller/garbagecollector, for every resource that can be listed, watched and
deleted, custom ones included. Caches only say what to look at: before an object is deleted, it and its owners are read
from the API, and the deletion names the uid and resourceVersion that were judged.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING

from sampan.api.errors import APIStatusError, NotFound
from sampan.api.object import uid_of
from sampan.base.clock import deadline
from sampan.base.log import logger
from sampan.base.tasks import serve
from sampan.client.interface import MERGE_PATCH
from sampan.client.workqueue import WorkQueue
from sampan.controllers.catalog import Catalog
from sampan.controllers.ownergraph import (
    FOREGROUND,
    ORPHAN,
    ObjectKey,
    OwnerGraph,
    OwnerReference,
    is_deleting_with,
    owners_of,
)
from sampan.runtime import Controller

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from sampan.api.gvk import GroupVersionResource, ResourceInfo
    from sampan.api.object import Object
    from sampan.client.client import Propagation
    from sampan.client.informer import SharedInformer
    from sampan.client.interface import Stored
    from sampan.controllers.context import ControllerContext

log = logger("controllers.garbagecollector")

_WORKERS = 20
_SYNC_SECONDS = 30.0
_ABSENT_LIMIT = 500
_IGNORED = frozenset({("", "events"), ("events.k8s.io", "events")})


def new(context: ControllerContext) -> Controller:
    """The garbage collector."""
    collector = _Collector(context)
    return Controller("garbage-collector-controller", None, clock=context.clock, services=(collector.run,))


class _Collector:
    def __init__(self, context: ControllerContext) -> None:
        self._client = context.client
        self._context = context
        self._recorder = context.recorder("garbage-collector-controller")
        self._graph = OwnerGraph()
        self._to_delete: WorkQueue[ObjectKey] = WorkQueue(context.clock)
        self._to_orphan: WorkQueue[ObjectKey] = WorkQueue(context.clock)
        self._absent: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._monitors: dict[GroupVersionResource, tuple[SharedInformer, Callable[..., None]]] = {}
        self._infos: dict[GroupVersionResource, ResourceInfo] = {}
        self._running = False
        self._catalog = Catalog(context)
        self._catalog.on_change(self._sync_monitors)
        self._sync_monitors()

    async def run(self) -> None:
        """Collect until cancelled. Caches that do not sync in time are done without: they only say what to look at."""
        try:
            async with deadline(self._context.clock, _SYNC_SECONDS):
                for informer, _ in list(self._monitors.values()):
                    await informer.wait_synced()
        except TimeoutError:
            log.warning("Collecting with incomplete caches")
        self._running = True
        for key in self._graph.owned():  # what happened while nobody collected
            if any(not self._seems_present(key, owner) for owner in self._graph.owners(key)):
                self._to_delete.add(key)
        async with asyncio.TaskGroup() as group:
            for queue, action in ((self._to_delete, self._attempt_to_delete), (self._to_orphan, self._orphan)):
                serve(group, queue.run(), name="garbage collector delays")
                for number in range(_WORKERS):
                    serve(group, self._work(queue, action), name=f"garbage collector {number}")

    async def _work(self, queue: WorkQueue[ObjectKey], action: Callable[[ObjectKey], Awaitable[None]]) -> None:
        while True:
            key = await queue.get()
            try:
                await action(key)
                queue.forget(key)
            except Exception as error:
                if isinstance(error, (APIStatusError, OSError, LookupError)):
                    log.debug("Collecting failed", object=key, error=error)
                else:
                    log.exception("Collecting failed", object=key)
                queue.add_rate_limited(key)
            finally:
                queue.done(key)

    def _sync_monitors(self) -> None:
        """Watch what can be collected; custom resources come and go."""
        wanted = {
            info.gvr: info
            for info in self._catalog
            if {"delete", "list", "watch"} <= set(info.verbs) and info.group_resource not in _IGNORED
        }
        self._infos = wanted
        for gvr in [gvr for gvr in self._monitors if gvr not in wanted]:
            informer, handler = self._monitors.pop(gvr)
            informer.remove_handler(handler)
            for item in informer.list():  # not seen to be deleted: their dependents are left alone
                self._graph.drop(_key(gvr, item))
            self._context.informers.release(informer)
        for gvr in wanted:
            if gvr not in self._monitors:
                handler = self._handler(gvr)
                informer = self._context.informers.informer(gvr)  # none is waited for: what we delete we read first
                self._monitors[gvr] = (informer, handler)
                informer.add_handler(handler)

    def _handler(self, gvr: GroupVersionResource) -> Callable[[Stored | None, Stored | None], None]:
        def handle(old: Stored | None, new: Stored | None) -> None:
            if old is not None and new is not None and uid_of(old.object) != uid_of(new.object):
                self._gone(_key(gvr, old))  # deleted and made again while nobody watched
                old = None
            if new is None:
                assert old is not None
                self._gone(_key(gvr, old))
            else:
                self._changed(_key(gvr, new), None if old is None else old.object, new.object)

        return handle

    def _changed(self, key: ObjectKey, old: Object | None, new: Object) -> None:
        owners = owners_of(new)
        before = self._graph.put(key, owners)
        if owners and before != owners and self._running:
            for owner in owners:
                if owner not in before and not self._seems_present(key, owner):
                    self._to_delete.add(key)
        for owner in before:  # one that no longer blocks its owner's foreground deletion
            if owner not in owners and owner.uid in self._graph.deleting_dependents:
                self._add_owner(key, owner)
        if is_deleting_with(new, ORPHAN) and not (old is not None and is_deleting_with(old, ORPHAN)):
            self._to_orphan.add(key)
        if is_deleting_with(new, FOREGROUND) and key.uid not in self._graph.deleting_dependents:
            self._graph.deleting_dependents.add(key.uid)
            for dependent in self._graph.dependents(key.uid):
                self._to_delete.add(dependent)
            self._to_delete.add(key)

    def _gone(self, key: ObjectKey) -> None:
        owners = self._graph.drop(key)
        for dependent in self._graph.dependents(key.uid):
            self._remember_absent(key.uid, dependent.namespace)
            self._to_delete.add(dependent)
        for owner in owners:
            if owner.uid in self._graph.deleting_dependents:
                self._add_owner(key, owner)

    def _add_owner(self, dependent: ObjectKey, owner: OwnerReference) -> None:
        info = self._catalog.by_kind(owner.gvk)
        if info is not None:
            namespace = dependent.namespace if info.namespaced else ""
            self._to_delete.add(ObjectKey(info.gvr, namespace, owner.name, owner.uid))

    def _seems_present(self, dependent: ObjectKey, owner: OwnerReference) -> bool:
        """Whether a cache shows the owner; no proof of its absence."""
        info = self._catalog.by_kind(owner.gvk)
        if info is None or info.gvr not in self._monitors:
            return False
        found = self._monitors[info.gvr][0].get(dependent.namespace if info.namespaced else "", owner.name)
        return found is not None and uid_of(found.object) == owner.uid

    async def _attempt_to_delete(self, key: ObjectKey) -> None:
        latest = await self._read(key)
        if latest is None:
            self._gone(key)
            return
        if "deletionTimestamp" in latest["metadata"]:
            if is_deleting_with(latest, FOREGROUND):
                await self._finish_foreground(key, latest)
            return
        owners = owners_of(latest)
        if not owners:
            return
        solid, dangling, waiting = await self._classify(key, latest, owners)
        if solid:
            if dangling or waiting:
                await self._remove_owners(key, latest, {owner.uid for owner in (*dangling, *waiting)})
            return
        await self._delete_unowned(key, latest, waits=bool(waiting))

    async def _delete_unowned(self, key: ObjectKey, latest: Object, *, waits: bool) -> None:
        """Delete an object that no living owner has. waits: an owner of it waits for its dependents' end."""
        dependents = self._graph.dependents(key.uid)
        if waits and dependents:
            if any(one.uid in self._graph.deleting_dependents for one in dependents):
                await self._unblock_owners(key, latest)  # a circle of foreground deletions: cut it here
            await self._delete(key, latest, "Foreground")
            return
        finalizers = latest["metadata"].get("finalizers") or ()
        policy: Propagation = "Background"
        if ORPHAN in finalizers:
            policy = "Orphan"
        elif FOREGROUND in finalizers:
            policy = "Foreground"
        await self._delete(key, latest, policy)

    async def _classify(
        self, key: ObjectKey, latest: Object, owners: Sequence[OwnerReference]
    ) -> tuple[list[OwnerReference], list[OwnerReference], list[OwnerReference]]:
        """Sort owners into those that live, those that are gone, and those that wait for their dependents' end."""
        solid: list[OwnerReference] = []
        dangling: list[OwnerReference] = []
        waiting: list[OwnerReference] = []
        for owner in owners:
            if (owner.uid, key.namespace) in self._absent:
                dangling.append(owner)
                continue
            info = self._catalog.by_kind(owner.gvk)
            if info is None:
                raise LookupError(f"no resource is served for owner kind {owner.gvk}")
            if info.namespaced and not key.namespace:
                self._report_namespaced_owner(latest, owner)
                solid.append(owner)  # it can never be found: nothing is deleted on its account
                continue
            found = await self._read_owner(info, key.namespace, owner)
            if found is None:
                self._remember_absent(owner.uid, key.namespace)
                dangling.append(owner)
            elif is_deleting_with(found, FOREGROUND):
                waiting.append(owner)
            else:
                solid.append(owner)
        return solid, dangling, waiting

    async def _read(self, key: ObjectKey) -> Object | None:
        """Read the very object that the key means; None when it is gone."""
        try:
            found = await self._client.resource(key.gvr, key.namespace).get(key.name)
        except NotFound:
            return None
        return found if uid_of(found) == key.uid else None

    async def _read_owner(self, info: ResourceInfo, namespace: str, owner: OwnerReference) -> Object | None:
        resource = self._client.resource(info.gvr, namespace if info.namespaced else "")
        try:
            found = await resource.get(owner.name)
        except NotFound:
            return None
        return found if uid_of(found) == owner.uid else None

    def _report_namespaced_owner(self, latest: Object, owner: OwnerReference) -> None:
        message = (
            f"ownerRef [{owner.gvk.api_version}/{owner.gvk.kind}, namespace: , name: {owner.name}, uid: {owner.uid}] "
            'does not exist in namespace ""'
        )
        self._recorder.event(latest, "Warning", "OwnerRefInvalidNamespace", message)

    async def _delete(self, key: ObjectKey, latest: Object, policy: Propagation) -> None:
        version = latest["metadata"].get("resourceVersion", "")
        try:
            await self._client.resource(key.gvr, key.namespace).delete(
                key.name, propagation=policy, uid=key.uid, resource_version=version
            )
        except NotFound:
            self._gone(key)

    async def _finish_foreground(self, key: ObjectKey, latest: Object) -> None:
        """Let the owner go once nothing that blocks it is left."""
        blocking = self._graph.blocking(key.uid)
        if not blocking:
            await self._remove_finalizer(key, latest, FOREGROUND)
            return
        for dependent in blocking:
            if dependent.uid not in self._graph.deleting_dependents:
                self._to_delete.add(dependent)

    async def _orphan(self, key: ObjectKey) -> None:
        """Cut the dependents loose, then let the owner go."""
        for dependent in self._graph.dependents(key.uid):
            found = await self._read(dependent)
            if found is not None:
                await self._remove_owners(dependent, found, {key.uid})
        latest = await self._read(key)
        if latest is not None and is_deleting_with(latest, ORPHAN):
            await self._remove_finalizer(key, latest, ORPHAN)

    async def _remove_owners(self, key: ObjectKey, latest: Object, uids: set[str]) -> None:
        kept = [one for one in latest["metadata"].get("ownerReferences") or () if one["uid"] not in uids]
        await self._patch_metadata(key, latest, {"ownerReferences": kept or None})

    async def _unblock_owners(self, key: ObjectKey, latest: Object) -> None:
        owners = [{**one, "blockOwnerDeletion": False} for one in latest["metadata"].get("ownerReferences") or ()]
        await self._patch_metadata(key, latest, {"ownerReferences": owners})

    async def _remove_finalizer(self, key: ObjectKey, latest: Object, finalizer: str) -> None:
        kept = [one for one in latest["metadata"].get("finalizers") or () if one != finalizer]
        await self._patch_metadata(key, latest, {"finalizers": kept or None})

    async def _patch_metadata(self, key: ObjectKey, latest: Object, metadata: Object) -> None:
        """Patch with the resourceVersion that was read: whole lists are replaced, so nobody may have changed them."""
        metadata = {**metadata, "resourceVersion": latest["metadata"]["resourceVersion"], "uid": key.uid}
        resource = self._client.resource(key.gvr, key.namespace)
        try:
            await resource.patch(key.name, {"metadata": metadata}, content_type=MERGE_PATCH)
        except NotFound:
            return

    def _remember_absent(self, uid: str, namespace: str) -> None:
        self._absent[uid, namespace] = None
        if len(self._absent) > _ABSENT_LIMIT:
            self._absent.popitem(last=False)


def _key(gvr: GroupVersionResource, item: Stored) -> ObjectKey:
    return ObjectKey(gvr, item.namespace, item.name, uid_of(item.object))
