"""NodeName, NodeUnschedulable, TaintToleration, NodeAffinity: what depends on the node's own fields alone.

Each is a rule over (pod's part, node), so `NodeTable.static` keeps its results for all pods with the same part.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sampan.api.affinity import preference, required_matches, required_node_names
from sampan.api.taints import NO_SCHEDULE, PREFER_NO_SCHEDULE, is_tolerated, untolerated
from sampan.scheduler.interface import MAX_NODE_SCORE, SKIP, SUCCESS, Code, EventKind, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sampan.api.object import Object
    from sampan.scheduler.interface import ClusterEvent, CycleState, Integers, Mask
    from sampan.scheduler.nodeinfo import NodeInfo
    from sampan.scheduler.nodetable import NodeTable
    from sampan.scheduler.podinfo import PodInfo

    Events = Mapping[EventKind, Callable[[PodInfo, ClusterEvent], bool] | None]

_UNSCHEDULABLE_TAINT = {"key": "node.kubernetes.io/unschedulable", "effect": NO_SCHEDULE}


class NodeName:
    """A pod that names its node runs nowhere else."""

    name = "NodeName"

    def __init__(self) -> None:
        self.events: Events = {EventKind.NODE_ADD: self._hint}

    @staticmethod
    def _hint(pod: PodInfo, event: ClusterEvent) -> bool:
        return event.node is not None and event.node.name == pod.node_name

    def pre_filter(self, state: CycleState, pod: PodInfo, nodes: NodeTable) -> Status:
        del state, nodes
        return SUCCESS if pod.node_name else SKIP

    def filter(self, state: CycleState, pod: PodInfo, node: NodeInfo, nodes: NodeTable) -> Status:
        del state, nodes
        if pod.node_name == node.name:
            return SUCCESS
        return Status(Code.UNRESOLVABLE, ("node(s) didn't match the requested node name",), self.name)

    def filter_all(self, state: CycleState, pod: PodInfo, nodes: NodeTable) -> Mask:
        del state
        mask = np.zeros(nodes.rows, dtype=np.bool_)
        info = nodes.nodes.get(pod.node_name)
        if info is not None:
            mask[info.row] = True
        return mask


class NodeUnschedulable:
    """Cordoned nodes take no pods but those that tolerate it."""

    name = "NodeUnschedulable"

    def __init__(self) -> None:
        self.events: Events = {EventKind.NODE_ADD: self._hint, EventKind.NODE_TAINT: self._hint}

    def _hint(self, pod: PodInfo, event: ClusterEvent) -> bool:
        return event.node is not None and (not event.node.unschedulable or _tolerates_cordon(pod))

    def filter(self, state: CycleState, pod: PodInfo, node: NodeInfo, nodes: NodeTable) -> Status:
        del state, nodes
        if not node.unschedulable or _tolerates_cordon(pod):
            return SUCCESS
        return Status(Code.UNRESOLVABLE, ("node(s) were unschedulable",), self.name)

    def filter_all(self, state: CycleState, pod: PodInfo, nodes: NodeTable) -> Mask:
        del state
        return np.ones(nodes.rows, dtype=np.bool_) if _tolerates_cordon(pod) else ~nodes.unschedulable


class TaintToleration:
    """Taints keep pods away that do not tolerate them; of the soft kind, the fewer the better."""

    name = "TaintToleration"

    def __init__(self) -> None:
        self.events: Events = {EventKind.NODE_ADD: self._hint, EventKind.NODE_TAINT: self._hint}

    def _hint(self, pod: PodInfo, event: ClusterEvent) -> bool:
        return event.node is not None and not repels(event.node, pod.tolerations)

    def filter(self, state: CycleState, pod: PodInfo, node: NodeInfo, nodes: NodeTable) -> Status:
        del state, nodes
        if not repels(node, pod.tolerations):
            return SUCCESS
        return Status(Code.UNRESOLVABLE, ("node(s) had untolerated taint(s)",), self.name)

    def filter_all(self, state: CycleState, pod: PodInfo, nodes: NodeTable) -> Mask:
        del state
        return tolerated_nodes(pod, nodes)

    def score_all(self, state: CycleState, pod: PodInfo, nodes: NodeTable, rows: Integers) -> Integers:
        del state
        soft = [one for one in pod.tolerations if one.get("effect") in (None, "", PREFER_NO_SCHEDULE)]
        column = nodes.static(("soft taints", pod.taint_rules), lambda node: _count_soft(node, soft))[rows]
        return normalize(column, reverse=True)


class NodeAffinity:
    """nodeSelector and node affinity: required terms filter, preferred ones score."""

    name = "NodeAffinity"

    def __init__(self) -> None:
        self.events: Events = {EventKind.NODE_ADD: self._hint, EventKind.NODE_LABEL: self._hint}

    def _hint(self, pod: PodInfo, event: ClusterEvent) -> bool:
        return event.node is not None and required_matches(pod.object["spec"], event.node.object)

    def pre_filter(self, state: CycleState, pod: PodInfo, nodes: NodeTable) -> Status:
        del nodes
        if not has_node_rules(pod):
            return SKIP
        names = required_node_names(pod.object["spec"])
        if names is not None:
            if not names:
                return Status(Code.UNRESOLVABLE, ("pod affinity terms conflict",), self.name)
            state.only_nodes[self.name] = names
        return SUCCESS

    def filter(self, state: CycleState, pod: PodInfo, node: NodeInfo, nodes: NodeTable) -> Status:
        del state, nodes
        if required_matches(pod.object["spec"], node.object):
            return SUCCESS
        return Status(Code.UNRESOLVABLE, ("node(s) didn't match Pod's node affinity/selector",), self.name)

    def filter_all(self, state: CycleState, pod: PodInfo, nodes: NodeTable) -> Mask:
        del state
        return matching_nodes(pod, nodes)

    def pre_score(self, state: CycleState, pod: PodInfo, nodes: NodeTable, rows: Integers) -> Status:
        del state, nodes, rows
        return SUCCESS if (pod.affinity.get("nodeAffinity") or {}).get(_PREFERRED) else SKIP

    def score_all(self, state: CycleState, pod: PodInfo, nodes: NodeTable, rows: Integers) -> Integers:
        del state
        spec = pod.object["spec"]
        column = nodes.static(("preferred nodes", pod.node_rules), lambda node: preference(spec, node.object))
        return normalize(column[rows])


def has_node_rules(pod: PodInfo) -> bool:
    """Tell whether a pod restricts its nodes by selector or required affinity."""
    required = (pod.affinity.get("nodeAffinity") or {}).get(_REQUIRED)
    return bool(pod.object["spec"].get("nodeSelector")) or required is not None


def matching_nodes(pod: PodInfo, nodes: NodeTable) -> Mask:
    """The rows that a pod's selector and required affinity allow."""
    spec = pod.object["spec"]
    column = nodes.static(("node affinity", pod.node_rules), lambda node: required_matches(spec, node.object))
    mask: Mask = column != 0
    return mask


def tolerated_nodes(pod: PodInfo, nodes: NodeTable) -> Mask:
    """The rows whose taints a pod tolerates."""
    column = nodes.static(("repels", pod.taint_rules), lambda node: repels(node, pod.tolerations))
    mask: Mask = column == 0
    return mask


_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


def normalize(scores: Integers, *, reverse: bool = False) -> Integers:
    """Scale scores so that the highest becomes `MAX_NODE_SCORE`; reverse: so that the lowest is best."""
    highest = int(scores.max(initial=0))
    if highest == 0:
        return np.full(len(scores), MAX_NODE_SCORE if reverse else 0, dtype=np.int64)
    scaled = scores * MAX_NODE_SCORE // highest
    return MAX_NODE_SCORE - scaled if reverse else scaled


def _tolerates_cordon(pod: PodInfo) -> bool:
    return is_tolerated(_UNSCHEDULABLE_TAINT, pod.tolerations)


def repels(node: NodeInfo, tolerations: list[Object]) -> bool:
    """Tell whether a taint of a node keeps a pod with these tolerations away."""
    return untolerated(node.taints, tolerations) is not None


def _count_soft(node: NodeInfo, tolerations: list[Object]) -> int:
    return sum(
        taint.get("effect") == PREFER_NO_SCHEDULE and not is_tolerated(taint, tolerations) for taint in node.taints
    )
