"""ReplicaSet and ReplicationController: one engine, two kinds.

Behaviour: kube-controller-manager's pkg/controller/replicaset. Pods are made in slow-start batches of at most 500 a
sync, the cheapest go first on scale-down, orphans that match are adopted, pods that no longer match are released, and
expectations keep a stale cache from making too many.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sampan.api import labels
from sampan.api.errors import APIStatusError, Conflict, NotFound
from sampan.api.gvk import GroupVersionKind
from sampan.api.object import controller_of, name_of, namespace_of, uid_of
from sampan.client.item import copy_object
from sampan.client.resources import PODS, REPLICASETS, REPLICATIONCONTROLLERS
from sampan.controllers.expectations import Expectations
from sampan.controllers.podcontrol import (
    Claims,
    PodControl,
    controller_reference,
    is_namespace_terminating,
    slow_start,
    together,
)
from sampan.controllers.podview import PodIndex, view
from sampan.controllers.replicas import pods_to_delete, replica_status
from sampan.runtime import DONE, Controller, Request, Result, add_batched

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sampan.api.gvk import GroupVersionResource
    from sampan.api.object import Object
    from sampan.client.interface import Stored
    from sampan.client.lister import Matcher
    from sampan.controllers.context import ControllerContext
    from sampan.controllers.podview import PodView

_BURST = 500
"""Pods made or deleted in one sync."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """What tells the two kinds apart."""

    gvr: GroupVersionResource
    gvk: GroupVersionKind
    component: str
    counts_terminating: bool

    def selector(self, owner: Object) -> Matcher:
        spec = owner["spec"]
        if self.gvk.kind == "ReplicationController":
            return labels.from_map(spec.get("selector") or {})
        return labels.from_object(spec.get("selector"))


_REPLICA_SET = _Kind(
    gvr=REPLICASETS,
    gvk=GroupVersionKind("apps", "v1", "ReplicaSet"),
    component="replicaset-controller",
    counts_terminating=True,
)
_REPLICATION_CONTROLLER = _Kind(
    gvr=REPLICATIONCONTROLLERS,
    gvk=GroupVersionKind("", "v1", "ReplicationController"),
    component="replication-controller",
    counts_terminating=False,
)


def new(context: ControllerContext) -> Controller:
    """The ReplicaSet controller."""
    return _Engine(context, _REPLICA_SET, "replicaset-controller").controller


def new_replication_controller(context: ControllerContext) -> Controller:
    """The ReplicationController controller."""
    return _Engine(context, _REPLICATION_CONTROLLER, "replicationcontroller-controller").controller


class _Engine:
    def __init__(self, context: ControllerContext, kind: _Kind, name: str) -> None:
        self._client = context.client
        self._clock = context.clock
        self._kind = kind
        self._owners = context.informer(kind.gvr)
        self._pods = PodIndex(pods := context.informer(PODS))
        self._expectations: Expectations[Request] = Expectations(context.clock)
        self._pod_control = PodControl(context.client, context.recorder(kind.component))
        self.controller = Controller(name, self, clock=context.clock, workers=context.options.concurrent_syncs)
        self._queue = self.controller.queue
        self._owners.add_index("parent-uid", _parent_uid)
        self._owners.add_handler(self._on_owner)
        pods.add_handler(self._on_pod)

    def _on_owner(self, old: Stored | None, new: Stored | None) -> None:
        item = new or old
        assert item is not None
        request = Request(item.namespace, item.name)
        if new is None or (old is not None and uid_of(old.object) != uid_of(new.object)):
            self._expectations.forget(request)
        if old is not None and new is not None and _only_status_differs(old.object, new.object):
            add_batched(self._queue, request, self._pods.count(uid_of(new.object)))  # mostly our own write
        else:
            self._queue.add(request)

    def _on_pod(self, old: Stored | None, new: Stored | None) -> None:
        if new is None:
            assert old is not None
            self._pod_gone(view(old))
            return
        pod = self._pods.views[f"{new.namespace}/{new.name}"]
        before = None if old is None else controller_of(old.object)
        if pod.deleting:
            self._pod_gone(pod)
            return
        if before is not None and before["uid"] != pod.owner_uid:
            self._enqueue_owner(pod.namespace, before["kind"], before["name"], before["uid"])
        if not pod.owner_uid:
            if old is None or old.labels != new.labels or before is not None:
                self._enqueue_matching(pod)
            return
        request = self._owner_request(pod.namespace, pod.owner_kind, pod.owner_name, pod.owner_uid)
        if request is None:
            return
        if old is None:
            self._expectations.creation_observed(request)
        add_batched(self._queue, request, self._pods.count(pod.owner_uid))

    def _pod_gone(self, pod: PodView) -> None:
        if not pod.owner_uid:
            return
        request = self._owner_request(pod.namespace, pod.owner_kind, pod.owner_name, pod.owner_uid)
        if request is not None:
            self._expectations.deletion_observed(request, pod.key)
            self._queue.add(request)

    def _enqueue_owner(self, namespace: str, kind: str, name: str, uid: str) -> None:
        request = self._owner_request(namespace, kind, name, uid)
        if request is not None:
            self._queue.add(request)

    def _owner_request(self, namespace: str, kind: str, name: str, uid: str) -> Request | None:
        """The request of a pod's controller, if it is of this kind and still the same object."""
        if kind != self._kind.gvk.kind:
            return None
        owner = self._owners.get(namespace, name)
        if owner is None or uid_of(owner.object) != uid:
            return None
        return Request(namespace, name)

    def _enqueue_matching(self, pod: PodView) -> None:
        if not pod.labels:
            return
        for owner in self._owners.list(pod.namespace):
            if self._kind.selector(owner.object).matches(pod.labels):
                self._queue.add(Request(owner.namespace, owner.name))

    async def reconcile(self, request: Request) -> Result:
        """Sync one owner."""
        stored = self._owners.get(request.namespace, request.name)
        if stored is None:
            self._expectations.forget(request)
            return DONE
        owner = stored.object
        may_manage = self._expectations.satisfied(request)
        try:
            selector = self._kind.selector(owner)
        except ValueError:
            return DONE  # the API refuses such selectors; nothing that a retry could mend
        mine = await self._claimed(owner, selector)
        active, terminating = mine
        failure: Exception | None = None
        difference = len(active) - owner["spec"].get("replicas", 1)
        if may_manage and "deletionTimestamp" not in owner["metadata"]:
            failure = await self._manage(request, owner, active)
        reason = "FailedCreate" if difference < 0 else "FailedDelete"
        updated = await self._update_status(
            owner, active, terminating, None if failure is None else (reason, str(failure))
        )
        if failure is not None:
            raise failure
        return self._next(updated, active)

    async def _claimed(self, owner: Object, selector: Matcher) -> tuple[list[PodView], int]:
        """The owner's active pods, after adoptions and releases, and the number of those being deleted."""
        resource = self._client.resource(self._kind.gvr, namespace_of(owner))
        claims = Claims(self._client, owner, self._reference(owner), selector, lambda: resource.get(name_of(owner)))
        owned = self._pods.owned_by(uid_of(owner))
        candidates = owned + self._pods.orphans(namespace_of(owner))
        active = await claims.claim([pod for pod in candidates if pod.active])
        return active, sum(pod.deleting and not pod.terminal for pod in owned)

    def _reference(self, owner: Object) -> Object:
        return controller_reference(owner, self._kind.gvk.api_version, self._kind.gvk.kind)

    async def _manage(self, request: Request, owner: Object, active: Sequence[PodView]) -> Exception | None:
        """Make missing pods or delete surplus ones; return the error that is to be shown and retried."""
        missing = owner["spec"].get("replicas", 1) - len(active)
        if missing > 0:
            return await self._create(request, owner, min(missing, _BURST))
        if missing < 0:
            return await self._delete(request, owner, active, min(-missing, _BURST))
        return None

    async def _create(self, request: Request, owner: Object, count: int) -> Exception | None:
        self._expectations.expect_creations(request, count)
        template, reference = owner["spec"].get("template") or {}, self._reference(owner)

        async def create() -> None:
            try:
                await self._pod_control.create(owner, template, reference)
            except APIStatusError as error:
                if not is_namespace_terminating(error):
                    raise
                self._expectations.creation_observed(request)  # the namespace's end takes the owner with it

        done, failure = await slow_start(count, create)
        for _ in range(count - done):
            self._expectations.creation_observed(request)
        return failure

    async def _delete(self, request: Request, owner: Object, active: Sequence[PodView], count: int) -> Exception | None:
        victims = pods_to_delete(active, self._related(owner), count, self._clock.time())
        self._expectations.expect_deletions(request, [pod.key for pod in victims])

        async def delete(pod: PodView) -> None:
            try:
                await self._pod_control.delete(owner, pod.name)
            except NotFound:
                self._expectations.deletion_observed(request, pod.key)
            except (APIStatusError, OSError):
                self._expectations.deletion_observed(request, pod.key)
                raise

        failures = await together([lambda pod=pod: delete(pod) for pod in victims])  # type: ignore[misc]
        return failures[0] if failures else None

    def _related(self, owner: Object) -> list[PodView]:
        """Pods of all owners under the same parent (a Deployment): scale-down prefers nodes that hold several."""
        parent = controller_of(owner)
        owners = [owner]
        if parent is not None:
            owners = [item.object for item in self._owners.by_index("parent-uid", parent["uid"])]
        return [pod for one in owners for pod in self._pods.owned_by(uid_of(one))]

    async def _update_status(
        self, owner: Object, active: Sequence[PodView], terminating: int, failure: tuple[str, str] | None
    ) -> Object:
        template = (owner["spec"].get("template") or {}).get("metadata") or {}
        status = replica_status(
            owner,
            active,
            labels.from_map(template.get("labels") or {}),
            terminating=terminating if self._kind.counts_terminating else None,
            failure=failure,
            now=self._clock.time(),
        )
        if status == _without_empty(owner.get("status") or {}):
            return owner
        resource = self._client.resource(self._kind.gvr, namespace_of(owner))
        changed = copy_object({**owner, "status": status})
        try:
            return await resource.update_status(changed)
        except Conflict:
            fresh = await resource.get(name_of(owner))
            if uid_of(fresh) != uid_of(owner):
                return owner
            return await resource.update_status({**fresh, "status": status})

    def _next(self, owner: Object, active: Sequence[PodView]) -> Result:
        """Come back when the next ready pod becomes available."""
        min_ready, status = owner["spec"].get("minReadySeconds", 0), owner.get("status") or {}
        if not min_ready or status.get("readyReplicas", 0) == status.get("availableReplicas", 0):
            return DONE
        now = self._clock.time()
        waits = [
            pod.ready_since + min_ready - now
            for pod in active
            if pod.ready_since is not None and not pod.available(min_ready, now)
        ]
        return Result(requeue_after=max(min(waits, default=float(min_ready)), 0.0) + 0.001)


def _only_status_differs(old: Object, new: Object) -> bool:
    before, after = old["metadata"], new["metadata"]
    return (
        before["uid"] == after["uid"]
        and before.get("generation") == after.get("generation")
        and ("deletionTimestamp" in before) == ("deletionTimestamp" in after)
        and old["spec"] == new["spec"]
    )


def _parent_uid(item: Stored) -> tuple[str, ...]:
    parent = controller_of(item.object)
    return () if parent is None else (parent["uid"],)


def _without_empty(status: Object) -> Object:
    return {key: value for key, value in status.items() if value or key in ("replicas", "terminatingReplicas")}
