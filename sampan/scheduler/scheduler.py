"""The scheduler: takes pods from the queue, places them, binds them, and says of the others why they wait.

Scheduling is synchronous, one pod a turn of the event loop; binding runs beside it. A placed pod counts on its node at
once, so the next one sees it, and is taken back when its binding fails.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sampan.api.errors import APIStatusError, NotFound
from sampan.base.log import logger
from sampan.base.tasks import STARTED_IGNORED, serve, spawn, start
from sampan.client.informer import InformerFactory
from sampan.client.resources import (
    NAMESPACES,
    NODES,
    PODDISRUPTIONBUDGETS,
    PODS,
    REPLICASETS,
    REPLICATIONCONTROLLERS,
    SERVICES,
    STATEFULSETS,
)
from sampan.scheduler.cluster import ClusterView
from sampan.scheduler.failure import condition_patch, evict
from sampan.scheduler.framework import fit_error
from sampan.scheduler.interface import Code, CycleState, Status
from sampan.scheduler.nodetable import NodeTable
from sampan.scheduler.profile import default_framework
from sampan.scheduler.queue import SchedulingQueue
from sampan.scheduler.selectors import WorkloadSelectors
from sampan.scheduler.volumecaches import VolumeCaches

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable

    from sampan.api.object import Object
    from sampan.base.clock import Clock
    from sampan.base.tasks import Started
    from sampan.client.client import Client
    from sampan.runtime.events import EventRecorder
    from sampan.scheduler.interface import FilterOutcome
    from sampan.scheduler.options import SchedulerOptions
    from sampan.scheduler.podinfo import PodInfo
    from sampan.scheduler.queue import QueuedPod

log = logger("scheduler")

_OWNERS = {
    "ReplicationController": REPLICATIONCONTROLLERS,
    "ReplicaSet": REPLICASETS,
    "StatefulSet": STATEFULSETS,
}

NO_NODES = "no nodes available to schedule pods"


class Scheduler:
    """kube-scheduler with the default profile."""

    def __init__(
        self,
        options: SchedulerOptions,
        client: Client,
        recorder: EventRecorder,
        clock: Clock,
        *,
        informers: InformerFactory | None = None,
        chance: random.Random | None = None,
    ) -> None:
        """informers: a running factory to share caches with. chance: decides between equally good nodes."""
        self._options = options
        self._client = client
        self._recorder = recorder
        self._clock = clock
        self._own_informers = None if informers else InformerFactory(client, clock=clock)
        factory = informers or self._own_informers
        assert factory is not None
        self._pods = factory.informer(PODS)
        self._node_informer = factory.informer(NODES)
        self._namespaces = factory.informer(NAMESPACES)
        self._budgets = factory.informer(PODDISRUPTIONBUDGETS)
        self._selectors = WorkloadSelectors()
        self._services = factory.informer(SERVICES)
        self._owners = {kind: factory.informer(resource) for kind, resource in _OWNERS.items()}
        self._selectors.watch_services(self._services)
        for kind, informer in self._owners.items():
            self._selectors.watch_owners(informer, kind)
        self._volumes = VolumeCaches(factory)
        self.framework = default_framework(
            options, client, self._budgets_of, selector_of=self._selectors.of, chance=chance, volumes=self._volumes,
            clock=clock,
        )  # fmt: skip
        self.nodes = NodeTable()
        self.queue = SchedulingQueue(self.framework, options, clock)
        self._view = ClusterView(self.nodes, self.queue, options.scheduler_name)
        self._slots = asyncio.Semaphore(options.parallel_binds)

    def _budgets_of(self, namespace: str) -> Iterable[Object]:
        return [one.object for one in self._budgets.list(namespace)]

    async def run(self, started: Started = STARTED_IGNORED) -> None:
        """Schedule until cancelled; started is called when caches have synced and placing begins."""
        async with asyncio.TaskGroup() as group:
            if self._own_informers is not None:
                await start(group, self._own_informers.run, name="scheduler informers")
            handlers = (
                (self._namespaces, self._view.namespace_changed),
                (self._node_informer, self._view.node_changed),
                (self._pods, self._view.pod_changed),
                *((informer, self._view.volume_changed) for informer in self._volumes.informers),
            )
            caches = (self._namespaces, self._node_informer, self._pods, self._budgets, self._services)
            for informer in (*caches, *self._volumes.informers, *self._owners.values()):
                await informer.wait_synced()
            for informer, handler in handlers:
                informer.add_handler(handler)
            try:
                serve(group, self.queue.run(), name="scheduling queue")
                started()
                while True:
                    item = await self.queue.pop()
                    await self._slots.acquire()
                    self._schedule(group, item)
                    await asyncio.sleep(0)  # one pod a turn: the API server may live in the same loop
            finally:
                for informer, handler in handlers:
                    informer.remove_handler(handler)

    def _schedule(self, group: asyncio.TaskGroup, item: QueuedPod) -> None:
        """One scheduling cycle. Takes over one slot and gives it back when the pod is bound or put back."""
        pod = item.pod
        try:
            if self._is_done_with(pod):
                self._slots.release()
                return
            state = CycleState()
            node = self._place(state, group, item)
        except Exception as error:  # a cycle's edge: one strange pod must not stop the scheduler
            log.exception("Scheduling failed", pod=pod.key)
            self._slots.release()
            self._put_back(group, item, str(error), set(), error=True)
            return
        if node is None:
            self._slots.release()
            return
        spawn(group, self._bind(group, state, item, node), name=f"bind {pod.key}")

    def _is_done_with(self, pod: PodInfo) -> bool:
        """Tell whether a pod needs no placing any more: gone, placed, or being deleted."""
        current = self._pods.get_by_key(pod.key)
        return current is None or pod.is_terminating or self.nodes.pod(pod.key) is not None

    def _place(self, state: CycleState, group: asyncio.TaskGroup, item: QueuedPod) -> str | None:
        """Find a node and reserve it; None when there is none, and the pod is put back."""
        pod = item.pod
        if not self.nodes.nodes:
            self._put_back(group, item, NO_NODES, set(), error=False)
            return None
        guests = self._seat_nominated(pod)
        try:
            outcome, status = self.framework.run_filters(state, pod, self.nodes)
        finally:
            for key in guests:
                self.nodes.remove_pod(key)
        if not outcome.feasible.any():
            self._no_node(group, state, item, outcome, status)
            return None
        node = self.framework.pick(state, pod, self.nodes, outcome).name
        self.nodes.set_pod(pod, node)
        status = self.framework.run_reserve(state, pod, node)
        if not status.is_success:
            self.nodes.remove_pod(pod.key)
            self._put_back(group, item, status.message, {status.plugin}, error=status.code is Code.ERROR)
            return None
        return node

    def _seat_nominated(self, pod: PodInfo) -> list[str]:
        """Count pods that room was made for on their nodes while others of no higher priority are filtered."""
        seated = []
        for key, (nominated, node) in self._view.nominated.items():
            if key != pod.key and nominated.priority >= pod.priority and self.nodes.pod(key) is None:
                self.nodes.set_pod(nominated, node)
                seated.append(key)
        return seated

    def _no_node(
        self, group: asyncio.TaskGroup, state: CycleState, item: QueuedPod, outcome: FilterOutcome, status: Status
    ) -> None:
        pod = item.pod
        plugins = set(outcome.rejected)
        result = self.framework.run_post_filters(state, pod, self.nodes, outcome)
        statuses = self.framework.explain(state, pod, self.nodes, outcome) if status.is_success else {}
        message = fit_error(len(self.nodes), statuses, pre_filter=status.message, post_filter=result.status.message)
        if result.nominated_node:
            self._view.nominated[pod.key] = (pod, result.nominated_node)
            for victim in result.victims:
                spawn(group, evict(self._client, self._recorder, pod, victim, result.nominated_node), name="preempt")
        elif result.nominated_node == "":
            self._view.nominated.pop(pod.key, None)
        self._put_back(group, item, message, plugins, error=False, nominated=result.nominated_node)

    def _put_back(
        self,
        group: asyncio.TaskGroup,
        item: QueuedPod,
        message: str,
        plugins: set[str],
        *,
        error: bool,
        nominated: str | None = None,
    ) -> None:
        """Queue a pod again, tell its owner why, and record it in its condition."""
        pod = item.pod
        current = self._pods.get_by_key(pod.key)
        if current is None:
            return
        self.queue.fail(item, plugins, error=error)
        self._recorder.event(pod.object, "Warning", "FailedScheduling", message, action="Scheduling")
        reason = "SchedulerError" if error else "Unschedulable"
        patch = condition_patch(pod.object, reason, message, self._clock.time(), nominated)
        if patch is not None:
            spawn(group, self._patch_status(pod, patch), name=f"condition {pod.key}")

    async def _patch_status(self, pod: PodInfo, patch: Object) -> None:
        try:
            await self._client.resource(PODS, pod.namespace).patch_status(pod.name, patch)
        except NotFound:
            return
        except (APIStatusError, OSError) as error:
            log.warning("Pod condition not written", pod=pod.key, error=error)

    async def _bind(self, group: asyncio.TaskGroup, state: CycleState, item: QueuedPod, node: str) -> None:
        pod = item.pod
        try:
            status = await self.framework.run_bind(state, pod, node)
        except Exception as error:  # a worker's edge: what a plugin did not foresee is tried again
            log.exception("Binding failed", pod=pod.key, node=node)
            status = Status(Code.ERROR, (str(error),))
        finally:
            self._slots.release()
        if status.is_success:
            self._recorder.event(
                pod.object, "Normal", "Scheduled", f"Successfully assigned {pod.key} to {node}", action="Binding"
            )
            return
        current = self._pods.get_by_key(pod.key)
        if current is not None and current.object["spec"].get("nodeName"):
            return  # bound after all: the answer was lost, the event is here
        self.framework.run_unreserve(state, pod, node)
        self.nodes.remove_pod(pod.key)
        self._put_back(group, item, status.message, set(), error=True)
