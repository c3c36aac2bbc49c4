"""DaemonSets: one pod on every node that fits.

Behaviour: kube-controller-manager's pkg/controller/daemon: affinity and taints decide where, failed pods are replaced
with back-off, rolling updates by maxUnavailable or maxSurge, OnDelete, revisions, expectations against stale caches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import labels
from sampan.api.errors import APIStatusError, Conflict, NotFound
from sampan.api.object import controller_of, name_of, namespace_of, uid_of
from sampan.client.item import copy_object
from sampan.client.resources import CONTROLLERREVISIONS, DAEMONSETS, NODES, PODS
from sampan.client.workqueue import RateLimiter
from sampan.controllers.controllerrevisions import History
from sampan.controllers.daemonpods import REVISION_LABEL, bind_to, fits, pod_template
from sampan.controllers.daemonsync import DaemonSync
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
from sampan.runtime import DONE, Controller, Request, Result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sampan.api.object import Object
    from sampan.client.interface import Stored
    from sampan.client.lister import Matcher
    from sampan.controllers.context import ControllerContext
    from sampan.controllers.podview import PodView

_BURST = 250
_BACKOFF_FIRST, _BACKOFF_LAST = 1.0, 900.0


def new(context: ControllerContext) -> Controller:
    """The DaemonSet controller."""
    return _DaemonSets(context).controller


class _DaemonSets:
    def __init__(self, context: ControllerContext) -> None:
        self._client = context.client
        self._clock = context.clock
        self._recorder = context.recorder("daemonset-controller")
        self._pod_control = PodControl(context.client, self._recorder)
        self._sets = context.informer(DAEMONSETS)
        self._nodes = context.informer(NODES)
        self._pod_informer = context.informer(PODS)
        self._pods = PodIndex(self._pod_informer)
        self._history = History(
            context.client, context.informer(CONTROLLERREVISIONS), "DaemonSet", label=REVISION_LABEL
        )
        self._expectations: Expectations[Request] = Expectations(context.clock)
        self._failures: RateLimiter[tuple[str, str]] = RateLimiter(
            context.clock, base=_BACKOFF_FIRST, limit=_BACKOFF_LAST, rate=1e9, burst=10**9
        )
        self._retry_at: dict[tuple[str, str], float] = {}
        self.controller = Controller("daemonset-controller", self, clock=context.clock, workers=2)
        self._queue = self.controller.queue
        self._sets.add_handler(self._on_set)
        self._pod_informer.add_handler(self._on_pod)
        self._nodes.add_handler(self._on_node)

    def _on_set(self, old: Stored | None, new: Stored | None) -> None:
        item = new or old
        assert item is not None
        if new is None:
            self._expectations.forget(Request(item.namespace, item.name))
        self._queue.add(Request(item.namespace, item.name))

    def _on_node(self, old: Stored | None, new: Stored | None) -> None:
        """Sets whose pods a change of a node starts or ends."""
        if old is not None and new is not None:
            before, after = old.object, new.object
            same_labels = old.labels == new.labels
            if same_labels and (before.get("spec") or {}).get("taints") == (after.get("spec") or {}).get("taints"):
                return
        for item in self._sets.list():
            was = (False, False) if old is None else fits(item.object, old.object)
            now = (False, False) if new is None else fits(item.object, new.object)
            if was != now:
                self._queue.add(Request(item.namespace, item.name))

    def _on_pod(self, old: Stored | None, new: Stored | None) -> None:
        if new is None:
            assert old is not None
            self._pod_gone(view(old))
            return
        pod = self._pods.views[f"{new.namespace}/{new.name}"]
        if pod.deleting:
            self._pod_gone(pod)
            return
        before = None if old is None else controller_of(old.object)
        if before is not None and before["uid"] != pod.owner_uid and before["kind"] == "DaemonSet":
            self._queue.add(Request(pod.namespace, before["name"]))
        request = self._owner_request(pod)
        if request is not None:
            if old is None:
                self._expectations.creation_observed(request)
            self._queue.add(request)
        elif not pod.owner_uid and (old is None or old.labels != new.labels or before is not None):
            for item in self._sets.list(pod.namespace):
                if labels.from_object(item.object["spec"]["selector"]).matches(pod.labels):
                    self._queue.add(Request(item.namespace, item.name))

    def _pod_gone(self, pod: PodView) -> None:
        request = self._owner_request(pod)
        if request is not None:
            self._expectations.deletion_observed(request, pod.key)
            self._queue.add(request)

    def _owner_request(self, pod: PodView) -> Request | None:
        if pod.owner_kind != "DaemonSet":
            return None
        owner = self._sets.get(pod.namespace, pod.owner_name)
        if owner is None or uid_of(owner.object) != pod.owner_uid:
            return None
        return Request(pod.namespace, pod.owner_name)

    async def reconcile(self, request: Request) -> Result:
        """Sync one DaemonSet."""
        stored = self._sets.get(request.namespace, request.name)
        if stored is None:
            self._expectations.forget(request)
            return DONE
        owner = copy_object(stored.object)
        if not any((owner["spec"].get("selector") or {}).values()):
            message = "This daemon set is selecting all pods. A non-empty selector is required."
            self._recorder.event(owner, "Warning", "SelectingAll", message)
            return DONE
        if "deletionTimestamp" in owner["metadata"]:
            return DONE
        selector = labels.from_object(owner["spec"]["selector"])
        revisions = await self._history.sync(owner, await self._history.list(owner, selector), "")
        digest = (revisions.update["metadata"].get("labels") or {}).get(REVISION_LABEL, "")
        sync = DaemonSync(owner, digest, await self._claimed(owner, selector), self._nodes, now=self._clock.time())
        result = DONE
        if self._expectations.satisfied(request):
            result = await self._manage(request, owner, digest, sync)
            if self._expectations.satisfied(request):
                await self._update_pods(request, owner, digest, sync)
            await self._history.truncate(owner, revisions, self._live_revisions(owner, sync))
        await self._write_status(owner, sync.status(revisions.collisions))
        return result if result.requeue_after is not None else sync.next()

    async def _claimed(self, owner: Object, selector: Matcher) -> Sequence[Object]:
        resource = self._client.resource(DAEMONSETS, namespace_of(owner))
        reference = controller_reference(owner, "apps/v1", "DaemonSet")
        claims = Claims(self._client, owner, reference, selector, lambda: resource.get(name_of(owner)))
        candidates = self._pods.owned_by(uid_of(owner)) + self._pods.orphans(namespace_of(owner))
        items = [self._pod_informer.get(pod.namespace, pod.name) for pod in await claims.claim(candidates)]
        return [item.object for item in items if item is not None]

    def _live_revisions(self, owner: Object, sync: DaemonSync) -> set[str]:
        hashes = {(pod["metadata"].get("labels") or {}).get(REVISION_LABEL, "") for pod in sync.pods}
        return {f"{name_of(owner)}-{digest}" for digest in hashes}

    async def _manage(self, request: Request, owner: Object, digest: str, sync: DaemonSync) -> Result:
        """Start missing pods, remove those that do not belong, replace failed ones no faster than their back-off."""
        missing, surplus, failed = sync.plan()
        wait: float | None = None
        for pod in failed:
            node = sync.node_of(pod)
            key = (uid_of(owner), node)
            due = self._retry_at.get(key)
            if due is not None and due > self._clock.monotonic():
                left = due - self._clock.monotonic()
                wait = left if wait is None else min(wait, left)
                continue
            self._retry_at[key] = self._clock.monotonic() + self._failures.when(key)
            what = f"{namespace_of(pod)}/{name_of(pod)} on node {node}"
            message = f"Found failed daemon pod {what}, will try to kill it"
            self._recorder.event(owner, "Warning", "FailedDaemonPod", message)
            surplus.append(pod)
        for pod in sync.succeeded:
            what = f"{namespace_of(pod)}/{name_of(pod)} on node {sync.node_of(pod)}"
            message = f"Found succeeded daemon pod {what}, will try to delete it"
            self._recorder.event(owner, "Normal", "SucceededDaemonPod", message)
            surplus.append(pod)
        await self._apply(request, owner, digest, missing, surplus)
        return Result(requeue_after=wait)

    async def _update_pods(self, request: Request, owner: Object, digest: str, sync: DaemonSync) -> None:
        if (owner["spec"].get("updateStrategy") or {}).get("type") == "OnDelete":
            return
        nodes, pods = sync.plan_update()
        await self._apply(request, owner, digest, nodes, pods)

    async def _apply(
        self, request: Request, owner: Object, digest: str, nodes: Sequence[str], pods: Sequence[Object]
    ) -> None:
        nodes, pods = nodes[:_BURST], pods[:_BURST]
        if not nodes and not pods:
            return
        keys = [f"{namespace_of(pod)}/{name_of(pod)}" for pod in pods]
        self._expectations.expect(request, len(nodes), keys)
        template, reference = pod_template(owner, digest), controller_reference(owner, "apps/v1", "DaemonSet")
        waiting = list(nodes)

        async def create() -> None:
            node = waiting.pop(0)
            try:
                await self._pod_control.create(owner, template, reference, change=lambda pod: bind_to(pod, node))
            except APIStatusError as error:
                if not is_namespace_terminating(error):
                    raise
                self._expectations.creation_observed(request)

        async def delete(pod: Object, key: str) -> None:
            try:
                await self._pod_control.delete(owner, name_of(pod))
            except NotFound:
                self._expectations.deletion_observed(request, key)
            except (APIStatusError, OSError):
                self._expectations.deletion_observed(request, key)
                raise

        done, failure = await slow_start(len(nodes), create)
        self._expectations.creation_observed(request, len(nodes) - done)
        failures = await together(
            [lambda pod=pod, key=key: delete(pod, key) for pod, key in zip(pods, keys, strict=True)]  # type: ignore[misc]
        )
        if failure is not None or failures:
            raise failure or failures[0]

    async def _write_status(self, owner: Object, status: Object) -> None:
        current = owner.get("status") or {}
        if {key: value for key, value in current.items() if value} == {k: v for k, v in status.items() if v}:
            return
        resource = self._client.resource(DAEMONSETS, namespace_of(owner))
        if current.get("conditions"):
            status["conditions"] = current["conditions"]
        try:
            await resource.update_status({**owner, "status": status})
        except Conflict:
            fresh = await resource.get(name_of(owner))
            if uid_of(fresh) == uid_of(owner):
                await resource.update_status({**fresh, "status": status})
