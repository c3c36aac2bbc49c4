"""An in-memory API for tests of controllers: a `Transport` with the semantics that controllers depend on.

It keeps resourceVersions and conflicts, uids, generations, the status split, generateName, finalizers, those of
foreground and orphaning deletion too, graceful deletion of bound pods, label and field selectors, ordered watches, and
patches (merge patches, where lists of conditions and owners merge by their keys). It does no defaulting, no validation,
no admission. `FakeTransport.react` lets a test fail or delay requests; `FakeTransport.requests` is what was asked.
"""

from __future__ import annotations

import asyncio
import itertools
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sampan.api import errors, fields, labels
from sampan.client.interface import STRATEGIC_MERGE_PATCH, ObjectList, Request, WatchEvent
from sampan.client.item import Item, copy_object

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from sampan.api.gvk import GroupVersionResource
    from sampan.api.object import Object
    from sampan.base.clock import Clock

_MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"
_WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})

Matcher = "Callable[[Object], bool]"


class _Watch:
    """One open watch: what it selects, what waits to be read."""

    def __init__(self, gvr: GroupVersionResource, namespace: str, matches: Callable[[Object], bool]) -> None:
        self.gvr = gvr
        self.namespace = namespace
        self.matches = matches
        self.events: list[WatchEvent] = []
        self.ready = asyncio.Event()
        self.ended = False


class FakeTransport:
    """The fake API server and its transport in one."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._objects: dict[GroupVersionResource, dict[tuple[str, str], Object]] = {}
        self._history: list[tuple[int, GroupVersionResource, str, Object, Object | None]] = []
        self._watches: list[_Watch] = []
        self._revision = 0
        self._compacted = 0
        self._uids = itertools.count(1)
        self._suffixes = itertools.count(1)
        self.requests: list[Request] = []
        self.react: Callable[[Request], Object | None] = lambda _: None

    @property
    def writes(self) -> list[Request]:
        """The requests that change something, in order."""
        return [request for request in self.requests if request.verb in _WRITES]

    def add(self, gvr: GroupVersionResource, obj: Object) -> Object:
        """Put an object there, as if somebody had created it (its status is kept)."""
        return self._create(gvr, obj.get("metadata", {}).get("namespace", ""), copy_object(obj))

    def all(self, gvr: GroupVersionResource, namespace: str = "") -> Sequence[Object]:
        """Return copies of all objects, in order of their keys."""
        found = sorted(self._objects.get(gvr, {}).items())
        return [copy_object(obj) for (place, _), obj in found if not namespace or place == namespace]

    def get(self, gvr: GroupVersionResource, namespace: str, name: str) -> Object | None:
        """Return a copy of an object."""
        found = self._objects.get(gvr, {}).get((namespace, name))
        return None if found is None else copy_object(found)

    def change(self, gvr: GroupVersionResource, namespace: str, name: str, change: Callable[[Object], None]) -> Object:
        """Change an object in place, as if somebody had updated all of it."""
        obj = copy_object(self._current(gvr, namespace, name))
        change(obj)
        return self._store(gvr, obj)

    def remove(self, gvr: GroupVersionResource, namespace: str, name: str) -> None:
        """Delete an object without ceremony."""
        self._drop(gvr, self._current(gvr, namespace, name))

    def compact(self) -> None:
        """Forget the history and end every watch: resuming one answers 410."""
        self._compacted = self._revision + 1
        self._revision += 1
        self.disconnect()

    def disconnect(self) -> None:
        """End every watch."""
        for watch in self._watches:
            watch.ended = True
            watch.ready.set()

    async def send(self, request: Request) -> Object:
        """Answer any request but a watch."""
        await asyncio.sleep(0)
        self.requests.append(request)
        answer = self.react(request)
        if answer is not None:
            return answer
        gvr, namespace, name = request.resource, request.namespace, request.name
        if request.verb == "get":
            return copy_object(self._current(gvr, namespace, name))
        if request.verb == "create":
            return self._post(request)
        if request.verb == "update":
            return self._put(request, copy_object(request.body))
        if request.verb == "patch":
            return self._put(request, self._patched(request))
        if request.verb == "delete":
            return self._delete(gvr, namespace, name, request.body or {})
        if request.verb == "deletecollection":
            for obj in self._select(request):
                place = obj["metadata"].get("namespace", "")
                self._delete(gvr, place, obj["metadata"]["name"], request.body or {})
            return {"kind": "Status", "apiVersion": "v1", "status": "Success"}
        return {"items": [copy_object(obj) for obj in self._select(request)]}

    async def list(self, request: Request) -> ObjectList:
        """List without pages."""
        await asyncio.sleep(0)
        self.requests.append(request)
        self.react(request)
        items = [Item(copy_object(obj)) for obj in self._select(request)]
        return ObjectList(items=items, resource_version=str(self._revision))

    @asynccontextmanager
    async def watch(self, request: Request) -> AsyncIterator[AsyncIterator[Sequence[WatchEvent]]]:
        """Watch from a resourceVersion; its history is kept until `compact`."""
        self.requests.append(request)
        self.react(request)
        after = int(request.query.get("resourceVersion") or self._revision)
        if after < self._compacted:
            raise errors.expired(f"too old resource version: {after} ({self._compacted})")
        watch = _Watch(request.resource, request.namespace, _matcher(request))
        self._watches.append(watch)
        for revision, gvr, type_, obj, old in self._history:
            if revision > after:
                self._offer(watch, gvr, type_, obj, old)
        try:
            yield self._batches(watch)
        finally:
            self._watches.remove(watch)

    async def close(self) -> None:
        """Nothing to release."""

    async def _batches(self, watch: _Watch) -> AsyncIterator[Sequence[WatchEvent]]:
        while True:
            await watch.ready.wait()
            watch.ready.clear()
            batch, watch.events = watch.events, []
            if batch:
                yield batch
            if watch.ended:
                return

    def _select(self, request: Request) -> Sequence[Object]:
        matches = _matcher(request)
        found = sorted(self._objects.get(request.resource, {}).items())
        return [obj for (place, _), obj in found if request.namespace in ("", place) and matches(obj)]

    def _current(self, gvr: GroupVersionResource, namespace: str, name: str) -> Object:
        found = self._objects.get(gvr, {}).get((namespace, name))
        if found is None:
            raise errors.not_found(gvr.group_resource, name)
        return found

    def _post(self, request: Request) -> Object:
        body = copy_object(request.body)
        if request.subresource == "binding":
            self.change(
                request.resource,
                request.namespace,
                request.name,
                lambda pod: pod["spec"].update(nodeName=body["target"]["name"]),
            )
            return {"kind": "Status", "apiVersion": "v1", "status": "Success"}
        return self._create(request.resource, request.namespace, body)

    def _create(self, gvr: GroupVersionResource, namespace: str, obj: Object) -> Object:
        metadata = obj.setdefault("metadata", {})
        if namespace:
            metadata["namespace"] = namespace
        if not metadata.get("name"):
            metadata["name"] = f"{metadata['generateName']}{next(self._suffixes):05d}"
        if (namespace, metadata["name"]) in self._objects.get(gvr, {}):
            raise errors.already_exists(gvr.group_resource, metadata["name"])
        metadata.setdefault("uid", f"uid-{next(self._uids)}")
        metadata.setdefault("creationTimestamp", self._now())
        metadata.setdefault("generation", 1)
        return self._store(gvr, obj)

    def _put(self, request: Request, obj: Object) -> Object:
        gvr = request.resource
        old = self._current(gvr, request.namespace, request.name)
        metadata = obj["metadata"]
        if metadata.get("resourceVersion", old["metadata"]["resourceVersion"]) != old["metadata"]["resourceVersion"]:
            raise errors.conflict(gvr.group_resource, request.name, _MODIFIED)
        if metadata.get("uid", old["metadata"]["uid"]) != old["metadata"]["uid"]:
            raise errors.conflict(gvr.group_resource, request.name, "Precondition failed: UID in precondition")
        if request.subresource == "status":
            obj = {**copy_object(old), "status": obj.get("status", {})}
        elif not request.subresource:
            if "status" in old and "spec" in old:
                obj["status"] = copy_object(old["status"])
            if obj.get("spec") != old.get("spec"):
                obj["metadata"]["generation"] = old["metadata"].get("generation", 1) + 1
        elif request.subresource == "scale":
            replicas = obj["spec"]["replicas"]
            obj = copy_object(old)
            obj["spec"]["replicas"] = replicas
            obj["metadata"]["generation"] = old["metadata"].get("generation", 1) + 1
        if {**obj, "metadata": {**obj["metadata"], "resourceVersion": ""}} == {
            **old,
            "metadata": {**old["metadata"], "resourceVersion": ""},
        }:
            return copy_object(old)
        return self._store(gvr, obj)

    def _patched(self, request: Request) -> Object:
        old = copy_object(self._current(request.resource, request.namespace, request.name))
        merged: Object = _merge(old, request.body, keyed=request.content_type == STRATEGIC_MERGE_PATCH)
        return merged

    def _delete(self, gvr: GroupVersionResource, namespace: str, name: str, options: Object) -> Object:
        current = self._current(gvr, namespace, name)
        wanted = options.get("preconditions") or {}
        for field in ("uid", "resourceVersion"):
            if field in wanted and wanted[field] != current["metadata"][field]:
                raise errors.conflict(gvr.group_resource, name, f"Precondition failed: {field} in precondition")
        obj = copy_object(current)
        metadata = obj["metadata"]
        policy = options.get("propagationPolicy")
        finalizers = [one for one in metadata.get("finalizers", []) if one not in ("orphan", "foregroundDeletion")]
        if policy in ("Orphan", "Foreground"):
            finalizers.append("orphan" if policy == "Orphan" else "foregroundDeletion")
        elif policy is None:
            finalizers = metadata.get("finalizers", [])
        metadata["finalizers"] = finalizers
        grace = options.get("gracePeriodSeconds")
        bound = gvr.resource == "pods" and obj.get("spec", {}).get("nodeName") and grace != 0
        ends = gvr.resource == "namespaces" and obj.get("spec", {}).get("finalizers")
        if ends:
            obj.setdefault("status", {})["phase"] = "Terminating"
        if not finalizers and not bound and not ends:
            self._drop(gvr, obj)
            return obj
        if "deletionTimestamp" not in metadata:
            metadata["deletionTimestamp"] = self._now()
            metadata["deletionGracePeriodSeconds"] = 30 if bound and grace is None else grace or 0
            metadata["generation"] = metadata.get("generation", 1) + 1
        return self._store(gvr, obj)

    def _store(self, gvr: GroupVersionResource, obj: Object) -> Object:
        metadata = obj["metadata"]
        place = (metadata.get("namespace", ""), metadata["name"])
        old = self._objects.get(gvr, {}).get(place)
        blocked = metadata.get("finalizers") or obj.get("spec", {}).get("finalizers")
        if "deletionTimestamp" in metadata and not blocked and not metadata.get("deletionGracePeriodSeconds"):
            self._drop(gvr, obj)
            return copy_object(obj)
        self._revision += 1
        metadata["resourceVersion"] = str(self._revision)
        self._objects.setdefault(gvr, {})[place] = obj
        self._publish(gvr, "ADDED" if old is None else "MODIFIED", obj, old)
        return copy_object(obj)

    def _drop(self, gvr: GroupVersionResource, obj: Object) -> None:
        metadata = obj["metadata"]
        old = self._objects[gvr].pop((metadata.get("namespace", ""), metadata["name"]))
        self._revision += 1
        last = copy_object(obj)
        last["metadata"]["resourceVersion"] = str(self._revision)
        self._publish(gvr, "DELETED", last, old)

    def _publish(self, gvr: GroupVersionResource, type_: str, obj: Object, old: Object | None) -> None:
        self._history.append((self._revision, gvr, type_, obj, old))
        for watch in self._watches:
            self._offer(watch, gvr, type_, obj, old)

    @staticmethod
    def _offer(watch: _Watch, gvr: GroupVersionResource, type_: Any, obj: Object, old: Object | None) -> None:
        if gvr != watch.gvr or watch.namespace not in ("", obj["metadata"].get("namespace", "")):
            return
        now, before = type_ != "DELETED" and watch.matches(obj), old is not None and watch.matches(old)
        if not now and not before:
            return
        type_ = "DELETED" if not now else "MODIFIED" if before else "ADDED"
        watch.events.append(WatchEvent(type_, Item(copy_object(obj))))
        watch.ready.set()

    def _now(self) -> str:
        return datetime.fromtimestamp(self._clock.time(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _matcher(request: Request) -> Callable[[Object], bool]:
    label_selector = labels.parse(request.query.get("labelSelector", ""))
    field_selector = fields.parse(request.query.get("fieldSelector", ""))

    def matches(obj: Object) -> bool:
        if not label_selector.matches(obj["metadata"].get("labels") or {}):
            return False
        return field_selector.matches(_Fields(obj))

    return matches


class _Fields(dict[str, str]):
    """Any path of an object as a selectable field."""

    def __init__(self, obj: Object) -> None:
        super().__init__()
        self._obj = obj

    def __contains__(self, path: object) -> bool:
        return True

    def get(self, path: str, default: Any = "") -> Any:
        return self[path] or default

    def __getitem__(self, path: str) -> str:
        value: Any = self._obj
        for part in path.split("."):
            value = value.get(part, "") if isinstance(value, dict) else ""
        return str(value)


def _merge(target: Any, patch: Any, *, keyed: bool) -> Any:
    if not isinstance(patch, dict):
        return patch
    merged: Object = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if keyed and key.startswith("$deleteFromPrimitiveList/"):
            name = key.partition("/")[2]
            merged[name] = [one for one in merged.get(name) or [] if one not in value]
        elif value is None:
            merged.pop(key, None)
        else:
            lists = keyed and key in _KEYS
            merged[key] = (
                _merge_list(key, merged.get(key), value) if lists else _merge(merged.get(key), value, keyed=keyed)
            )
    return merged


_KEYS = {"ownerReferences": "uid", "conditions": "type"}


def _merge_list(name: str, target: list[Object] | None, patch: list[Object]) -> list[Object]:
    """What strategic merge does to the lists that controllers patch."""
    key = _KEYS[name]
    merged = {one[key]: one for one in target or []}
    for one in patch:
        if one.get("$patch") == "delete":
            merged.pop(one[key], None)
        else:
            merged[one[key]] = _merge(merged.get(one[key]), one, keyed=True)
    return list(merged.values())
