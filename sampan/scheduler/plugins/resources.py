"""NodeResourcesFit and NodeResourcesBalancedAllocation: capacity filters, free capacity and balance score."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sampan.scheduler.interface import MAX_NODE_SCORE, SKIP, SUCCESS, Code, EventKind, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sampan.scheduler.interface import ClusterEvent, CycleState, Integers, Mask
    from sampan.scheduler.nodeinfo import NodeInfo
    from sampan.scheduler.nodetable import NodeTable
    from sampan.scheduler.podinfo import PodInfo

    Events = Mapping[EventKind, Callable[[PodInfo, ClusterEvent], bool] | None]

_PODS_COLUMN = 3
_SCORED = slice(0, 2)
"""The columns of CPU and memory, which Kubernetes' default configuration scores."""


class NodeResourcesFit:
    """A node must have what the pod requests; the more would be left, the better (LeastAllocated)."""

    name = "NodeResourcesFit"

    def __init__(self) -> None:
        self.events: Events = {
            EventKind.ASSIGNED_POD_DELETE: self._freed_hint,
            EventKind.ASSIGNED_POD_UPDATE: self._freed_hint,
            EventKind.NODE_ADD: self._node_hint,
            EventKind.NODE_ALLOCATABLE: self._node_hint,
            EventKind.POD_UPDATE: None,
        }

    @staticmethod
    def _freed_hint(pod: PodInfo, event: ClusterEvent) -> bool:
        if event.pod is None or not pod.requests:
            return True
        return any(event.pod.requests.get(name) for name in pod.requests)

    @staticmethod
    def _node_hint(pod: PodInfo, event: ClusterEvent) -> bool:
        node = event.node
        return node is not None and all(node.allocatable.get(name, 0) >= value for name, value in pod.requests.items())

    def filter(self, state: CycleState, pod: PodInfo, node: NodeInfo, nodes: NodeTable) -> Status:
        del state
        row, reasons, code = node.row, [], Code.UNSCHEDULABLE
        if nodes.requested[row, _PODS_COLUMN] + 1 > nodes.allocatable[row, _PODS_COLUMN]:
            reasons.append("Too many pods")
        for name, value in pod.requests.items():
            if not value:
                continue
            column = nodes.columns.get(name)
            capacity = int(nodes.allocatable[row, column]) if column is not None else 0
            used = int(nodes.requested[row, column]) if column is not None else 0
            if value > capacity - used:
                reasons.append(f"Insufficient {name}")
                if value > capacity:
                    code = Code.UNRESOLVABLE  # no eviction makes a node larger
        return Status(code, tuple(reasons), self.name) if reasons else SUCCESS

    def filter_all(self, state: CycleState, pod: PodInfo, nodes: NodeTable) -> Mask:
        del state
        wanted = tuple((nodes.column_of(name), value) for name, value in pod.requests.items() if value)

        def fits(rows: Integers) -> Integers:
            mask = nodes.requested[rows, _PODS_COLUMN] < nodes.allocatable[rows, _PODS_COLUMN]
            for column, amount in wanted:
                mask &= nodes.allocatable[rows, column] - nodes.requested[rows, column] >= amount
            result: Integers = mask.astype(np.int64)
            return result

        result: Mask = nodes.dynamic(("fits", wanted), fits) != 0
        return result

    def score_all(self, state: CycleState, pod: PodInfo, nodes: NodeTable, rows: Integers) -> Integers:
        """Average, over CPU and memory that the node has, of the share left free, in whole percent each."""
        del state
        asked = np.array(pod.nonzero, dtype=np.int64)

        def least_allocated(changed: Integers) -> Integers:
            capacity = nodes.allocatable[changed, _SCORED]
            used = nodes.nonzero[changed] + asked
            has = capacity > 0
            free = np.where(has & (used <= capacity), capacity - used, 0)
            shares = free * MAX_NODE_SCORE // np.where(has, capacity, 1)
            result: Integers = shares.sum(axis=1) // np.maximum(has.sum(axis=1), 1)
            return result

        return nodes.dynamic(("least allocated", pod.nonzero), least_allocated)[rows]


class NodeResourcesBalancedAllocation:
    """Prefers nodes whose CPU and memory would be used to similar shares."""

    name = "NodeResourcesBalancedAllocation"

    def pre_score(self, state: CycleState, pod: PodInfo, nodes: NodeTable, rows: Integers) -> Status:
        """A pod that requests nothing balances nothing."""
        del state, nodes, rows
        return SUCCESS if any(pod.requests.get(name) for name in ("cpu", "memory")) else SKIP

    def score_all(self, state: CycleState, pod: PodInfo, nodes: NodeTable, rows: Integers) -> Integers:
        del state
        key = (pod.requests.get("cpu", 0), pod.requests.get("memory", 0))
        asked = np.array(key, dtype=np.int64)

        def balance(changed: Integers) -> Integers:
            capacity = nodes.allocatable[changed, _SCORED]
            used = nodes.requested[changed, _SCORED] + asked
            has = capacity > 0
            shares = np.where(has, np.minimum(used / np.where(has, capacity, 1), 1.0), 0.0)
            # Of two shares the standard deviation is half their distance; of one it is none.
            spread = np.where(has.all(axis=1), np.abs(shares[:, 0] - shares[:, 1]) / 2, 0.0)
            return ((1 - spread) * MAX_NODE_SCORE).astype(np.int64)

        return nodes.dynamic(("balance", key), balance)[rows]
