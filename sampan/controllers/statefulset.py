"""StatefulSets: pods with names and claims of their own, made, updated and removed in order.

Behaviour: kube-controller-manager's pkg/controller/statefulset: OrderedReady and Parallel, rolling updates from the
highest ordinal down to the partition, OnDelete, revisions, claims and their retention, ordinals.start, minReadySeconds.
The feature gate MaxUnavailableStatefulSet is off, as in v1.36.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import labels
from sampan.api.errors import Conflict, NotFound
from sampan.api.object import controller_of, name_of, namespace_of, uid_of
from sampan.client.item import copy_object
from sampan.client.resources import (
    CONTROLLERREVISIONS,
    PERSISTENTVOLUMECLAIMS,
    PODS,
    STATEFULSETS,
)
from sampan.controllers.controllerrevisions import History
from sampan.controllers.podcontrol import Claims, controller_reference
from sampan.controllers.podview import PodIndex
from sampan.controllers.statefulpods import ordinal_of, revision_of
from sampan.controllers.statefulsync import StatefulSync
from sampan.runtime import DONE, Controller, Request, Result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sampan.api.object import Object
    from sampan.client.interface import Stored
    from sampan.client.lister import Matcher
    from sampan.controllers.context import ControllerContext


def new(context: ControllerContext) -> Controller:
    """The StatefulSet controller."""
    return _StatefulSets(context).controller


class _StatefulSets:
    def __init__(self, context: ControllerContext) -> None:
        self._client = context.client
        self._clock = context.clock
        self._recorder = context.recorder("statefulset-controller")
        self._sets = context.informer(STATEFULSETS)
        self._pod_informer = context.informer(PODS)
        self._pods = PodIndex(self._pod_informer)
        self._claims = context.informer(PERSISTENTVOLUMECLAIMS)
        self._history = History(context.client, context.informer(CONTROLLERREVISIONS), "StatefulSet")
        self.controller = Controller(
            "statefulset-controller", self, clock=context.clock, workers=context.options.concurrent_syncs
        )
        self._queue = self.controller.queue
        self._sets.add_handler(self._on_set)
        self._pod_informer.add_handler(self._on_pod)

    def _on_set(self, old: Stored | None, new: Stored | None) -> None:
        item = new or old
        assert item is not None
        self._queue.add(Request(item.namespace, item.name))

    def _on_pod(self, old: Stored | None, new: Stored | None) -> None:
        for item in (old, new):
            owner = None if item is None else controller_of(item.object)
            if item is not None and owner is not None and owner["kind"] == "StatefulSet":
                self._queue.add(Request(item.namespace, owner["name"]))
        if new is not None and controller_of(new.object) is None:
            for one in self._sets.list(new.namespace):
                if labels.from_object(one.object["spec"]["selector"]).matches(new.labels):
                    self._queue.add(Request(one.namespace, one.name))

    async def reconcile(self, request: Request) -> Result:
        """Sync one StatefulSet."""
        stored = self._sets.get(request.namespace, request.name)
        if stored is None:
            return DONE
        owner = copy_object(stored.object)
        selector = labels.from_object(owner["spec"]["selector"])
        found = await self._history.list(owner, selector)
        pods = await self._claimed(owner, selector)
        status = owner.get("status") or {}
        revisions = await self._history.sync(owner, found, status.get("currentRevision", ""))
        sync = StatefulSync(
            self._client,
            self._recorder,
            claims=self._claims,
            owner=owner,
            pods=pods,
            revisions=revisions,
            now=self._clock.time(),
        )
        try:
            await sync.run()
        finally:
            await self._write_status(owner, sync.status)
        await self._history.truncate(owner, revisions, {revision_of(pod) for pod in pods})
        return self._next(owner, sync.status)

    async def _claimed(self, owner: Object, selector: Matcher) -> Sequence[Object]:
        """The set's pods: owned ones, and orphans that match and bear a name of the set."""
        resource = self._client.resource(STATEFULSETS, namespace_of(owner))
        reference = controller_reference(owner, "apps/v1", "StatefulSet")
        claims = Claims(self._client, owner, reference, selector, lambda: resource.get(name_of(owner)))
        candidates = self._pods.owned_by(uid_of(owner)) + self._pods.orphans(namespace_of(owner))
        named = [pod for pod in candidates if ordinal_of(owner, pod.name) is not None]
        found = []
        for pod in await claims.claim(named):
            item = self._pod_informer.get(pod.namespace, pod.name)
            if item is not None:
                found.append(item.object)
        return found

    async def _write_status(self, owner: Object, status: Object) -> None:
        if status == {key: value for key, value in (owner.get("status") or {}).items() if _is_kept(key, value)}:
            return
        resource = self._client.resource(STATEFULSETS, namespace_of(owner))
        try:
            await resource.update_status({**owner, "status": status})
        except Conflict:
            fresh = await resource.get(name_of(owner))
            if uid_of(fresh) == uid_of(owner):
                await resource.update_status({**fresh, "status": status})
        except NotFound:
            return

    def _next(self, owner: Object, status: Object) -> Result:
        """Come back when ready pods become available."""
        seconds = owner["spec"].get("minReadySeconds", 0)
        if seconds and status.get("availableReplicas", 0) != owner["spec"].get("replicas", 1):
            return Result(requeue_after=float(seconds))
        return DONE


def _is_kept(key: str, value: object) -> bool:
    return bool(value) or key in ("replicas", "availableReplicas", "collisionCount")
