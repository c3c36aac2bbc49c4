"""NodePorts: a host port belongs to one pod of a node."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sampan.scheduler.interface import SKIP, SUCCESS, Code, EventKind, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sampan.scheduler.interface import ClusterEvent, CycleState, Mask
    from sampan.scheduler.nodeinfo import NodeInfo
    from sampan.scheduler.nodetable import NodeTable
    from sampan.scheduler.podinfo import PodInfo


class NodePorts:
    """Host ports of the pod must be free."""

    name = "NodePorts"

    def __init__(self) -> None:
        self.events: Mapping[EventKind, Callable[[PodInfo, ClusterEvent], bool] | None] = {
            EventKind.ASSIGNED_POD_DELETE: self._hint,
            EventKind.NODE_ADD: None,
        }

    @staticmethod
    def _hint(pod: PodInfo, event: ClusterEvent) -> bool:
        freed = {(one.protocol, one.port) for one in event.pod.host_ports} if event.pod is not None else set()
        return any((one.protocol, one.port) in freed for one in pod.host_ports)

    def pre_filter(self, state: CycleState, pod: PodInfo, nodes: NodeTable) -> Status:
        del state, nodes
        return SUCCESS if pod.host_ports else SKIP

    def filter(self, state: CycleState, pod: PodInfo, node: NodeInfo, nodes: NodeTable) -> Status:
        del state, nodes
        if node.has_free_ports(pod.host_ports):
            return SUCCESS
        return Status(Code.UNSCHEDULABLE, ("node(s) didn't have free ports for the requested pod ports",), self.name)

    def filter_all(self, state: CycleState, pod: PodInfo, nodes: NodeTable) -> Mask:
        del state
        mask = np.ones(nodes.rows, dtype=np.bool_)
        for info in nodes.nodes.values():
            if info.ports and not info.has_free_ports(pod.host_ports):
                mask[info.row] = False
        return mask
