"""VolumeRestrictions and VolumeZone: who may share a claim, and in which zone a volume can be used."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sampan.api import volumes as rules
from sampan.api.object import labels_of
from sampan.scheduler.interface import SKIP, SUCCESS, Code, EventKind, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sampan.scheduler.interface import ClusterEvent, CycleState, Mask
    from sampan.scheduler.nodeinfo import NodeInfo
    from sampan.scheduler.nodetable import NodeTable
    from sampan.scheduler.podinfo import PodInfo
    from sampan.scheduler.volumecaches import VolumeCaches

_ZONE_LABELS = (
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
)
_IN_USE = "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode"


class VolumeRestrictions:
    """A claim with the access mode ReadWriteOncePod has one pod."""

    name = "VolumeRestrictions"
    events: Mapping[EventKind, Callable[[PodInfo, ClusterEvent], bool] | None] = {
        EventKind.ASSIGNED_POD_DELETE: None,
        EventKind.VOLUME_CHANGE: None,
        EventKind.NODE_ADD: None,
    }

    def __init__(self, caches: VolumeCaches) -> None:
        self._caches = caches

    def pre_filter(self, state: CycleState, pod: PodInfo, nodes: NodeTable) -> Status:
        exclusive = False
        for name, _ in rules.claim_names(pod.object):
            claim = self._caches.claim(pod.namespace, name)
            if claim is None or "ReadWriteOncePod" not in (claim["spec"].get("accessModes") or ()):
                continue
            exclusive = True
            users = self._caches.users(f"{pod.namespace}/{name}")
            state[self.name] = state.get(self.name, False) or any(
                item.name != pod.name and nodes.pod(f"{item.namespace}/{item.name}") is not None for item in users
            )
        return SUCCESS if exclusive else SKIP

    def filter(self, state: CycleState, pod: PodInfo, node: NodeInfo, nodes: NodeTable) -> Status:
        del pod, node, nodes
        return Status(Code.UNSCHEDULABLE, (_IN_USE,), self.name) if state[self.name] else SUCCESS

    def filter_all(self, state: CycleState, pod: PodInfo, nodes: NodeTable) -> Mask:
        del pod
        return np.full(nodes.rows, not state[self.name], dtype=np.bool_)


class VolumeZone:
    """Volumes with zone or region labels are used there only."""

    name = "VolumeZone"
    events: Mapping[EventKind, Callable[[PodInfo, ClusterEvent], bool] | None] = {
        EventKind.NODE_ADD: None,
        EventKind.NODE_LABEL: None,
        EventKind.VOLUME_CHANGE: None,
    }

    def __init__(self, caches: VolumeCaches) -> None:
        self._caches = caches

    def pre_filter(self, state: CycleState, pod: PodInfo, nodes: NodeTable) -> Status:
        del nodes
        wanted: list[tuple[str, frozenset[str]]] = []
        for name, _ in rules.claim_names(pod.object):
            claim = self._caches.claim(pod.namespace, name)
            volume = self._caches.volume(claim["spec"].get("volumeName", "")) if claim is not None else None
            for key, value in labels_of(volume).items() if volume is not None else ():
                if key in _ZONE_LABELS:
                    wanted.append((key, frozenset(value.split("__"))))
        if not wanted:
            return SKIP
        state[self.name] = tuple(wanted)
        return SUCCESS

    def filter(self, state: CycleState, pod: PodInfo, node: NodeInfo, nodes: NodeTable) -> Status:
        del pod, nodes
        if _is_in(state[self.name], node):
            return SUCCESS
        return Status(Code.UNRESOLVABLE, ("node(s) had no available volume zone",), self.name)

    def filter_all(self, state: CycleState, pod: PodInfo, nodes: NodeTable) -> Mask:
        del pod
        wanted = state[self.name]
        return nodes.static(("volume zone", wanted), lambda node: _is_in(wanted, node)).astype(np.bool_)


def _is_in(wanted: tuple[tuple[str, frozenset[str]], ...], node: NodeInfo) -> bool:
    """A node without any of these labels is in a cluster of one zone."""
    if not any(key in node.labels for key in _ZONE_LABELS):
        return True
    return all(_label(node, key) in values for key, values in wanted)


def _label(node: NodeInfo, key: str) -> str | None:
    """A node's label; its beta or stable sibling where it has only that."""
    found = node.labels.get(key)
    if found is None:
        kind = key.rpartition("/")[2]
        prefix = "topology" if key.startswith("failure") else "failure-domain.beta"
        found = node.labels.get(f"{prefix}.kubernetes.io/{kind}")
    return found
