"""NodeVolumeLimits: a node attaches no more volumes of a CSI driver than its CSINode allows."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from sampan.api import volumes as rules
from sampan.scheduler.interface import SKIP, SUCCESS, Code, EventKind, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sampan.scheduler.interface import ClusterEvent, CycleState, Mask
    from sampan.scheduler.nodeinfo import NodeInfo
    from sampan.scheduler.nodetable import NodeTable
    from sampan.scheduler.podinfo import PodInfo
    from sampan.scheduler.volumecaches import VolumeCaches

_EXCEEDED = "node(s) exceed max volume count"


class NodeVolumeLimits:
    """Counts volumes, not their users: what a node has attached already is free."""

    name = "NodeVolumeLimits"
    events: Mapping[EventKind, Callable[[PodInfo, ClusterEvent], bool] | None] = {
        EventKind.ASSIGNED_POD_DELETE: None,
        EventKind.VOLUME_CHANGE: None,
        EventKind.NODE_ADD: None,
    }

    def __init__(self, caches: VolumeCaches) -> None:
        self._caches = caches

    def pre_filter(self, state: CycleState, pod: PodInfo, nodes: NodeTable) -> Status:
        del nodes
        wanted = dict(self._volumes(pod))
        if not wanted:
            return SKIP
        state[self.name] = wanted
        return SUCCESS

    def filter(self, state: CycleState, pod: PodInfo, node: NodeInfo, nodes: NodeTable) -> Status:
        del pod, nodes
        if self._has_room(state[self.name], node):
            return SUCCESS
        return Status(Code.UNSCHEDULABLE, (_EXCEEDED,), self.name)

    def filter_all(self, state: CycleState, pod: PodInfo, nodes: NodeTable) -> Mask:
        del pod
        wanted = state[self.name]
        mask = np.ones(nodes.rows, dtype=np.bool_)
        for name in self._caches.limited_nodes():
            info = nodes.nodes.get(name)
            if info is not None and not self._has_room(wanted, info):
                mask[info.row] = False
        return mask

    def _has_room(self, wanted: Mapping[str, str], node: NodeInfo) -> bool:
        limits = self._caches.limits(node.name)
        if not limits:
            return True
        attached: dict[str, str] = {}
        for pod in node.pods.values():
            attached.update(self._volumes(pod))
        fresh = Counter(driver for handle, driver in wanted.items() if handle not in attached)
        used = Counter(attached.values())
        return all(used[driver] + count <= limits.get(driver, used[driver] + count) for driver, count in fresh.items())

    def _volumes(self, pod: PodInfo) -> Iterator[tuple[str, str]]:
        """The CSI volumes of a pod, each with its driver; those still to be provisioned by their claim."""
        if not pod.object["spec"].get("volumes"):
            return
        for name, _ in rules.claim_names(pod.object):
            claim = self._caches.claim(pod.namespace, name)
            if claim is None:
                continue
            volume = self._caches.volume(claim["spec"].get("volumeName", ""))
            if volume is not None:
                source = volume["spec"].get("csi")
                if source:
                    yield f"{source['driver']}/{source['volumeHandle']}", source["driver"]
                continue
            storage_class = self._caches.storage_class(rules.class_of(claim))
            if storage_class is not None and storage_class["provisioner"] != rules.NO_PROVISIONER:
                driver = storage_class["provisioner"]
                yield f"{driver}/{pod.namespace}/{name}", driver
