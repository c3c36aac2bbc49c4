"""From informers to the scheduler's queue and table: each event once, and what it may mean for waiting pods."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api.pods import is_terminal
from sampan.base.log import logger
from sampan.scheduler.interface import ClusterEvent, EventKind
from sampan.scheduler.podinfo import PodInfo

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.client.interface import Stored
    from sampan.scheduler.nodetable import NodeTable
    from sampan.scheduler.queue import SchedulingQueue

log = logger("scheduler")


class ClusterView:
    """Keeps table and queue equal to the API. Its methods are informers' handlers."""

    def __init__(self, nodes: NodeTable, queue: SchedulingQueue, scheduler_name: str) -> None:
        self._nodes = nodes
        self._queue = queue
        self._scheduler_name = scheduler_name
        self.nominated: dict[str, tuple[PodInfo, str]] = {}
        """Pods for which room is being made, with the node."""

    def pod_changed(self, old: Stored | None, new: Stored | None) -> None:
        """Take a pod event."""
        item = new or old
        assert item is not None
        key = f"{item.namespace}/{item.name}"
        obj = new.object if new is not None else None
        if obj is None or is_terminal(obj):
            self._pod_gone(key)
        elif obj["spec"].get("nodeName"):
            self._pod_assigned(PodInfo(obj))
        elif obj["spec"].get("schedulerName", self._scheduler_name) == self._scheduler_name:
            self._pod_waits(key, obj, old)

    def _pod_gone(self, key: str) -> None:
        self._queue.remove(key)
        nominated = self.nominated.pop(key, None)
        pod = self._nodes.pod(key)
        if pod is not None:
            node = self._nodes.nodes.get(self._nodes.node_of(key))
            self._nodes.remove_pod(key)
            self._queue.move(ClusterEvent(EventKind.ASSIGNED_POD_DELETE, node=node, pod=pod))
        elif nominated is not None:
            self._queue.move(ClusterEvent(EventKind.ASSIGNED_POD_DELETE, pod=nominated[0]))

    def _pod_assigned(self, pod: PodInfo) -> None:
        self._queue.remove(pod.key)
        self.nominated.pop(pod.key, None)
        before = self._nodes.pod(pod.key)
        on = self._nodes.node_of(pod.key)
        if before is not None and on == pod.node_name and before.object is pod.object:
            return
        self._nodes.set_pod(pod, pod.node_name)
        node = self._nodes.nodes.get(pod.node_name)
        if before is None or on != pod.node_name or not before.node_name:
            self._queue.move(ClusterEvent(EventKind.ASSIGNED_POD_ADD, node=node, pod=pod))
        elif before.labels != pod.labels or before.requests != pod.requests:
            self._queue.move(ClusterEvent(EventKind.ASSIGNED_POD_UPDATE, node=node, pod=pod))

    def _pod_waits(self, key: str, obj: Object, old: Stored | None) -> None:
        if self._nodes.pod(key) is not None:
            return  # assumed: its binding is under way
        pod = PodInfo(obj)
        nominated = (obj.get("status") or {}).get("nominatedNodeName")
        if nominated:
            self.nominated[key] = (pod, nominated)
        if pod.is_terminating:
            self._queue.remove(key)
        elif old is None:
            self._queue.add(pod)
        else:
            before = old.object
            helps = before["spec"] != obj["spec"] or before["metadata"].get("labels") != obj["metadata"].get("labels")
            self._queue.update(pod, helps=helps)

    def node_changed(self, old: Stored | None, new: Stored | None) -> None:
        """Take a node event."""
        if new is None:
            assert old is not None
            self._nodes.remove_node(old.name)
            return
        known = self._nodes.nodes.get(new.name)
        if known is None:
            self._queue.move(ClusterEvent(EventKind.NODE_ADD, node=self._nodes.set_node(new.object)))
            return
        before = (known.allocatable, known.labels, known.taints, known.unschedulable)
        fresh = new.object
        if not _matters(known.object, fresh):
            return  # a heartbeat
        node = self._nodes.set_node(fresh)
        kinds = []
        if before[0] != node.allocatable:
            kinds.append(EventKind.NODE_ALLOCATABLE)
        if before[1] != node.labels:
            kinds.append(EventKind.NODE_LABEL)
        if before[2:] != (node.taints, node.unschedulable):
            kinds.append(EventKind.NODE_TAINT)
        for kind in kinds:
            self._queue.move(ClusterEvent(kind, node=node))

    def volume_changed(self, old: Stored | None, new: Stored | None) -> None:
        """Take an event of a claim, volume or storage class."""
        del old
        if new is not None:
            self._queue.move(ClusterEvent(EventKind.VOLUME_CHANGE))

    def namespace_changed(self, old: Stored | None, new: Stored | None) -> None:
        """Take a namespace event."""
        item = new or old
        assert item is not None
        if new is None or old is None or old.labels != new.labels:
            self._nodes.counts.set_namespace(item.name, new.labels if new is not None else None)


def _matters(before: Object, after: Object) -> bool:
    """Tell whether a node changed in what scheduling reads."""
    if before.get("spec") != after.get("spec") or before["metadata"].get("labels") != after["metadata"].get("labels"):
        return True
    was, now = before.get("status") or {}, after.get("status") or {}
    return was.get("allocatable") != now.get("allocatable") or was.get("images") != now.get("images")
