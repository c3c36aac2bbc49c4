"""All nodes and the pods on them, held so that common predicates run over arrays.

The table is the scheduler's cache and its snapshot in one: it changes only between cycles (event handlers and cycles
run in turns of one event loop). A pod that was placed is *assumed*: it counts from that moment, not from when its
binding comes back as an event.

`static` gives a column computed from nodes' labels and taints by a Python rule. Its result is kept under a key; only
rows whose node changed since are computed again, so thousands of pods of one controller cost one evaluation.
`dynamic` does the same for what also depends on the pods of a node, such as free capacity: placing a pod changes one
row, so the next pod with the same requests costs one row, however many nodes there are.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from typing import TYPE_CHECKING

import numpy as np

from sampan.scheduler.nodeinfo import NodeInfo
from sampan.scheduler.podcounts import PodCounts
from sampan.scheduler.resources import CPU, EPHEMERAL_STORAGE, MEMORY, PODS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sampan.api.object import Object
    from sampan.scheduler.interface import Integers, Mask
    from sampan.scheduler.podinfo import PodInfo

_STATIC_ENTRIES = 256
_FIRST_ROWS = 64


class _Static:
    __slots__ = ("seen", "values")

    def __init__(self, rows: int) -> None:
        self.values = np.zeros(rows, dtype=np.int64)
        self.seen = -1


class NodeTable:
    """Nodes by row. Rows are reused; ``live`` tells which hold a node."""

    def __init__(self) -> None:
        self.columns: dict[str, int] = {CPU: 0, MEMORY: 1, EPHEMERAL_STORAGE: 2, PODS: 3}
        self.allocatable: Integers = np.zeros((_FIRST_ROWS, 4), dtype=np.int64)
        self.requested: Integers = np.zeros((_FIRST_ROWS, 4), dtype=np.int64)
        self.nonzero: Integers = np.zeros((_FIRST_ROWS, 2), dtype=np.int64)
        self.live: Mask = np.zeros(_FIRST_ROWS, dtype=np.bool_)
        self.unschedulable: Mask = np.zeros(_FIRST_ROWS, dtype=np.bool_)
        self.nodes: dict[str, NodeInfo] = {}
        self.by_row: list[NodeInfo | None] = [None] * _FIRST_ROWS
        self.images: dict[str, dict[int, int]] = {}
        self.counts = PodCounts(self)
        self._free = list(range(_FIRST_ROWS - 1, -1, -1))
        self._changed: Integers = np.full(_FIRST_ROWS, -1, dtype=np.int64)
        self._accounted: Integers = np.full(_FIRST_ROWS, -1, dtype=np.int64)
        self._accounts = 0
        self._version = 0
        self._static: OrderedDict[tuple[object, ...], _Static] = OrderedDict()
        self._dynamic: OrderedDict[tuple[object, ...], _Static] = OrderedDict()
        self._orphans: dict[str, dict[str, PodInfo]] = {}
        self._pods: dict[str, tuple[PodInfo, str]] = {}
        self.priorities: Counter[int] = Counter()
        """How many pods have each priority, those on unknown nodes included."""

    def __len__(self) -> int:
        return len(self.nodes)

    @property
    def rows(self) -> int:
        """The length of all columns."""
        return len(self.live)

    def set_node(self, node: Object) -> NodeInfo:
        """Add a node or take its new version."""
        name: str = node["metadata"]["name"]
        info = self.nodes.get(name)
        if info is None:
            if not self._free:
                self._grow()
            info = NodeInfo(node, self._free.pop())
            self.nodes[name] = info
            self.by_row[info.row] = info
            self.live[info.row] = True
            self._describe(info)
            for pod in self._orphans.pop(name, {}).values():
                self._put(info, pod)
        else:
            self._forget_images(info)
            info.set_object(node)
            self._describe(info)
        return info

    def remove_node(self, name: str) -> None:
        """Forget a node. Its pods are kept, in case it comes back before they go."""
        info = self.nodes.pop(name, None)
        if info is None:
            return
        self._forget_images(info)
        if info.pods:
            self._orphans[name] = dict(info.pods)
        for pod in list(info.pods.values()):
            self._take(info, pod)
        self.live[info.row] = False
        self.by_row[info.row] = None
        self.allocatable[info.row] = 0
        self._touch(info.row)
        self._free.append(info.row)

    def pod(self, key: str) -> PodInfo | None:
        """Look up a pod that occupies a node."""
        found = self._pods.get(key)
        return None if found is None else found[0]

    def node_of(self, key: str) -> str:
        """Tell on which node a pod counts, "" when it does not."""
        found = self._pods.get(key)
        return "" if found is None else found[1]

    def set_pod(self, pod: PodInfo, node: str) -> None:
        """Count a pod on a node; a former version of it is replaced."""
        self.remove_pod(pod.key)
        self._pods[pod.key] = (pod, node)
        self.priorities[pod.priority] += 1
        info = self.nodes.get(node)
        if info is None:
            self._orphans.setdefault(node, {})[pod.key] = pod
        else:
            self._put(info, pod)

    def remove_pod(self, key: str) -> None:
        """Count a pod out; one that is not counted is no error."""
        pod, name = self._pods.pop(key, (None, ""))
        if pod is None:
            return
        self.priorities[pod.priority] -= 1
        if not self.priorities[pod.priority]:
            del self.priorities[pod.priority]
        info = self.nodes.get(name)
        if info is not None:
            self._take(info, pod)
            return
        orphans = self._orphans.get(name, {})
        orphans.pop(key, None)
        if not orphans:
            self._orphans.pop(name, None)

    def column_of(self, resource: str) -> int:
        """Tell a resource's column; one that no node has gets its own, zero everywhere."""
        return self._column(resource)

    def mask_of(self, names: Iterable[str]) -> Mask:
        """The rows of these nodes."""
        mask = np.zeros(self.rows, dtype=np.bool_)
        for name in names:
            info = self.nodes.get(name)
            if info is not None:
                mask[info.row] = True
        return mask

    def static(self, key: tuple[object, ...], rule: Callable[[NodeInfo], int]) -> Integers:
        """Return a column of rule(node), from the cache under key where nodes did not change. Not to be changed."""
        entry = self._static.get(key)
        if entry is None or len(entry.values) != self.rows:
            entry = self._static[key] = _Static(self.rows)
            if len(self._static) > _STATIC_ENTRIES:
                self._static.popitem(last=False)
        else:
            self._static.move_to_end(key)
        if entry.seen != self._version:
            for row in np.nonzero(self._changed > entry.seen)[0].tolist():
                info = self.by_row[row]
                entry.values[row] = rule(info) if info is not None else 0
            entry.seen = self._version
        return entry.values

    def dynamic(self, key: tuple[object, ...], compute: Callable[[Integers], Integers]) -> Integers:
        """Return a column of compute(rows), from the cache under key where neither nodes nor pods on them changed.

        compute must depend on the key and on its rows' capacity and pods alone. The column is not to be changed.
        """
        entry = self._dynamic.get(key)
        if entry is None or len(entry.values) != self.rows:
            entry = self._dynamic[key] = _Static(self.rows)
            if len(self._dynamic) > _STATIC_ENTRIES:
                self._dynamic.popitem(last=False)
        else:
            self._dynamic.move_to_end(key)
        if entry.seen != self._accounts:
            changed = np.nonzero(self._accounted > entry.seen)[0]
            entry.values[changed] = compute(changed)
            entry.seen = self._accounts
        return entry.values

    def _put(self, info: NodeInfo, pod: PodInfo) -> None:
        info.pods[pod.key] = pod
        info.add_ports(pod, 1)
        self._account(info.row, pod, 1)

    def _take(self, info: NodeInfo, pod: PodInfo) -> None:
        del info.pods[pod.key]
        info.add_ports(pod, -1)
        self._account(info.row, pod, -1)

    def _account(self, row: int, pod: PodInfo, sign: int) -> None:
        for name, value in pod.requests.items():
            column = self._column(name)  # may replace the array, so before it is read
            self.requested[row, column] += sign * value
        self.requested[row, 3] += sign
        self.nonzero[row, 0] += sign * pod.nonzero[0]
        self.nonzero[row, 1] += sign * pod.nonzero[1]
        self._accounts += 1
        self._accounted[row] = self._accounts
        self.counts.account(row, pod, sign)

    def _describe(self, info: NodeInfo) -> None:
        row = info.row
        self.allocatable[row] = 0
        for name, value in info.allocatable.items():
            column = self._column(name)
            self.allocatable[row, column] = value
        self.unschedulable[row] = info.unschedulable
        for name, size in info.images.items():
            self.images.setdefault(name, {})[row] = size
        self._touch(row)

    def _forget_images(self, info: NodeInfo) -> None:
        for name in info.images:
            holders = self.images.get(name)
            if holders is not None:
                holders.pop(info.row, None)
                if not holders:
                    del self.images[name]

    def _touch(self, row: int) -> None:
        self._version += 1
        self._changed[row] = self._version
        self._accounts += 1
        self._accounted[row] = self._accounts

    def _column(self, name: str) -> int:
        column = self.columns.get(name)
        if column is None:
            column = self.columns[name] = len(self.columns)
            empty = np.zeros((self.rows, 1), dtype=np.int64)
            self.allocatable = np.hstack((self.allocatable, empty))
            self.requested = np.hstack((self.requested, empty))
        return column

    def _grow(self) -> None:
        old = self.rows
        self.allocatable = np.vstack((self.allocatable, np.zeros_like(self.allocatable)))
        self.requested = np.vstack((self.requested, np.zeros_like(self.requested)))
        self.nonzero = np.vstack((self.nonzero, np.zeros_like(self.nonzero)))
        self.live = np.concatenate((self.live, np.zeros(old, dtype=np.bool_)))
        self.unschedulable = np.concatenate((self.unschedulable, np.zeros(old, dtype=np.bool_)))
        self._changed = np.concatenate((self._changed, np.full(old, -1, dtype=np.int64)))
        self._accounted = np.concatenate((self._accounted, np.full(old, -1, dtype=np.int64)))
        self.by_row += [None] * old
        self._free = list(range(2 * old - 1, old - 1, -1))
        self._static.clear()
        self._dynamic.clear()
        self.counts.grow(2 * old)
