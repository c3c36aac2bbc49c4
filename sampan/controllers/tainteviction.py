"""Eviction of pods from nodes with NoExecute taints that they do not tolerate, or not for longer.

Behaviour: kube-controller-manager's pkg/controller/tainteviction. A pod that tolerates all taints, some of them only
for so many seconds, goes after the shortest of these, counted from when the taints were first seen on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import taints, times
from sampan.api.errors import NotFound
from sampan.client.resources import NODES, PODS
from sampan.controllers.nodelifecycle import index_by_node
from sampan.controllers.nodetaints import taints_of
from sampan.runtime import DONE, Controller, Request, Result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sampan.api.object import Object
    from sampan.client.interface import Stored
    from sampan.controllers.context import ControllerContext

_NODE_INDEX = "spec.nodeName"


def new(context: ControllerContext) -> Controller:
    """The taint eviction controller."""
    return _Evictions(context).controller


class _Evictions:
    def __init__(self, context: ControllerContext) -> None:
        self._client = context.client
        self._clock = context.clock
        self._recorder = context.recorder("taint-eviction-controller")
        self._nodes = context.informer(NODES)
        self._pods = context.informer(PODS)
        self._pods.add_index(_NODE_INDEX, index_by_node)
        self._since: dict[Request, float] = {}
        self.controller = Controller("taint-eviction-controller", self, clock=context.clock, workers=8)
        self._nodes.add_handler(self._on_node)
        self._pods.add_handler(self._on_pod)

    def _on_node(self, old: Stored | None, new: Stored | None) -> None:
        before = [] if old is None else no_execute_taints(old.object)
        after = [] if new is None else no_execute_taints(new.object)
        item = new or old
        if before != after and item is not None:
            for pod in self._pods.by_index(_NODE_INDEX, item.name):
                self.controller.queue.add(Request(pod.namespace, pod.name))

    def _on_pod(self, old: Stored | None, new: Stored | None) -> None:
        item = new or old
        assert item is not None
        spec = item.object.get("spec") or {}
        if new is None:
            self.controller.queue.add(Request(item.namespace, item.name))
        elif spec.get("nodeName"):
            before = {} if old is None else old.object.get("spec") or {}
            if (before.get("nodeName"), before.get("tolerations")) != (spec["nodeName"], spec.get("tolerations")):
                self.controller.queue.add(Request(item.namespace, item.name))

    async def reconcile(self, request: Request) -> Result:
        """Evict one pod if its time has come."""
        stored = self._pods.get(request.namespace, request.name)
        pod = None if stored is None else stored.object
        if pod is None or "deletionTimestamp" in pod["metadata"]:
            self._since.pop(request, None)
            return DONE
        spec = pod.get("spec") or {}
        node = self._nodes.get("", spec.get("nodeName", ""))
        found = [] if node is None else no_execute_taints(node.object)
        left = seconds_tolerated(found, spec.get("tolerations") or ()) if found else None
        if left is None:
            if self._since.pop(request, None) is not None:
                message = f"Cancelling deletion of Pod {request}"
                self._recorder.event(pod, "Normal", "TaintManagerEviction", message)
            return DONE
        since = self._since.setdefault(request, self._clock.monotonic())
        wait = since + left - self._clock.monotonic()
        if wait > 0:
            return Result(requeue_after=wait)
        await self._evict(request, pod)
        return DONE

    async def _evict(self, request: Request, pod: Object) -> None:
        self._recorder.event(pod, "Normal", "TaintManagerEviction", f"Marking for deletion Pod {request}")
        resource = self._client.resource(PODS, request.namespace)
        condition = {
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "DeletionByTaintManager",
            "message": "Taint manager: deleting due to NoExecute taint",
            "lastTransitionTime": times.format_time(self._clock.time()),
        }
        uid = pod["metadata"]["uid"]
        try:
            await resource.patch_status(request.name, {"metadata": {"uid": uid}, "status": {"conditions": [condition]}})
            await resource.delete(request.name, uid=uid)
        except NotFound:
            pass
        self._since.pop(request, None)


def no_execute_taints(node: Object) -> list[Object]:
    """A node's taints with the effect NoExecute."""
    return [one for one in taints_of(node) if one["effect"] == "NoExecute"]


def seconds_tolerated(found: Sequence[Object], tolerations: Sequence[Object]) -> float | None:
    """How long a pod tolerates all the taints: 0 for not at all, None for ever."""
    used = taints.matching_tolerations(found, tolerations)
    if used is None:
        return 0.0
    seconds = taints.toleration_seconds(used)
    return None if seconds is None else max(seconds, 0.0)
