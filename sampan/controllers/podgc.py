"""Pods that nobody will ever finish: on nodes that are gone, unscheduled and terminating, or finished and too many.

Behaviour: kube-controller-manager's pkg/controller/podgc. A round runs every 20 seconds; a pod of an absent node is
only deleted after the node has been absent for 40 seconds and the API confirmed it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import times
from sampan.api.errors import APIStatusError, NotFound
from sampan.base.log import logger
from sampan.client.resources import NODES, PODS
from sampan.controllers.podview import PodIndex
from sampan.runtime import Controller

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sampan.client.interface import Stored
    from sampan.controllers.context import ControllerContext
    from sampan.controllers.podview import PodView

log = logger("controllers.podgc")

_PERIOD = 20.0
_QUARANTINE = 40.0
_OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"


def new(context: ControllerContext) -> Controller:
    """The pod garbage collector."""
    collector = _PodGC(context)
    return Controller("pod-garbage-collector-controller", None, clock=context.clock, services=(collector.run,))


class _PodGC:
    def __init__(self, context: ControllerContext) -> None:
        self._client = context.client
        self._clock = context.clock
        self._threshold = context.options.terminated_pod_gc_threshold
        self._nodes = context.informer(NODES)
        self._pods = PodIndex(context.informer(PODS))
        self._absent: dict[str, float] = {}

    async def run(self) -> None:
        """Collect every 20 seconds."""
        while True:
            try:
                await self._collect()
            except (APIStatusError, OSError) as error:
                log.debug("Pod collection failed", error=error)
            await self._clock.sleep(_PERIOD)

    async def _collect(self) -> None:
        pods = list(self._pods.views.values())
        await self._collect_terminated(pods)
        await self._collect_out_of_service(pods)
        await self._collect_orphaned(pods)
        await self._collect_unscheduled(pods)

    async def _collect_terminated(self, pods: Sequence[PodView]) -> None:
        """Over the threshold, the oldest finished pods go."""
        finished = [pod for pod in pods if pod.terminal]
        surplus = len(finished) - self._threshold
        if self._threshold <= 0 or surplus <= 0:
            return
        finished.sort(key=lambda pod: (pod.created, pod.name))
        for pod in finished[:surplus]:
            await self._delete(pod, None)

    async def _collect_out_of_service(self, pods: Sequence[PodView]) -> None:
        """Terminating pods of nodes that are not ready and tainted out-of-service."""
        nodes = {item.name for item in self._nodes.list() if _is_out_of_service(item)}
        for pod in pods:
            if pod.deleting and pod.node in nodes:
                await self._delete(pod, None)

    async def _collect_orphaned(self, pods: Sequence[PodView]) -> None:
        """Pods of nodes that do not exist: they have been told so before they are deleted."""
        now = self._clock.monotonic()
        absent = {pod.node for pod in pods if pod.node and self._nodes.get("", pod.node) is None}
        self._absent = {node: self._absent.get(node, now) for node in absent}
        for node, since in list(self._absent.items()):
            if now - since < _QUARANTINE or not await self._is_absent(node):
                continue
            for pod in pods:
                if pod.node == node:
                    await self._delete(pod, "PodGC: node no longer exists")

    async def _is_absent(self, node: str) -> bool:
        try:
            await self._client.resource(NODES).get(node)
        except NotFound:
            return True
        return False

    async def _collect_unscheduled(self, pods: Sequence[PodView]) -> None:
        for pod in pods:
            if pod.deleting and not pod.node:
                await self._delete(pod, None)

    async def _delete(self, pod: PodView, disruption: str | None) -> None:
        """Mark the pod failed, so that whoever counts it knows its end, and delete it without grace."""
        resource = self._client.resource(PODS, pod.namespace)
        try:
            if not pod.terminal:
                status: dict[str, object] = {"phase": "Failed"}
                if disruption is not None:
                    now = times.format_time(self._clock.time())
                    condition = {
                        "type": "DisruptionTarget",
                        "status": "True",
                        "reason": "DeletionByPodGC",
                        "message": disruption,
                        "lastTransitionTime": now,
                    }
                    status["conditions"] = [condition]
                await resource.patch_status(pod.name, {"status": status, "metadata": {"uid": pod.uid}})
            await resource.delete(pod.name, grace_period_seconds=0, uid=pod.uid)
        except NotFound:
            return
        except (APIStatusError, OSError) as error:
            log.warning("Pod not collected", pod=pod.key, error=error)
        else:
            log.info("Pod collected", pod=pod.key, node=pod.node)


def _is_out_of_service(item: Stored) -> bool:
    node = item.object
    taints = (node.get("spec") or {}).get("taints") or ()
    if not any(one["key"] == _OUT_OF_SERVICE for one in taints):
        return False
    conditions = (node.get("status") or {}).get("conditions") or ()
    return not any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
