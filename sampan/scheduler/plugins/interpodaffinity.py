"""InterPodAffinity: pods near to, or away from, other pods over a topology.

Rules are kube-scheduler's: required terms filter, also those that existing pods carry against the incoming one;
preferred ones score, in both directions, and required affinity of existing pods counts as preferred with weight 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from sampan.scheduler.interface import MAX_NODE_SCORE, SKIP, SUCCESS, Code, EventKind, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sampan.scheduler.interface import ClusterEvent, CycleState, Integers, Mask
    from sampan.scheduler.nodeinfo import NodeInfo
    from sampan.scheduler.nodetable import NodeTable
    from sampan.scheduler.podinfo import PodInfo

_HARD_AFFINITY_WEIGHT = 1


class _Masks(NamedTuple):
    """Which rows satisfy each rule; None for a rule that does not apply."""

    affinity: Mask | None
    anti_affinity: Mask | None
    existing: Mask | None


class InterPodAffinity:
    """Affinity and anti-affinity between pods."""

    name = "InterPodAffinity"
    events: Mapping[EventKind, Callable[[PodInfo, ClusterEvent], bool] | None] = {
        EventKind.ASSIGNED_POD_ADD: None,
        EventKind.ASSIGNED_POD_UPDATE: None,
        EventKind.ASSIGNED_POD_DELETE: None,
        EventKind.NODE_ADD: None,
        EventKind.NODE_LABEL: None,
    }

    def pre_filter(self, state: CycleState, pod: PodInfo, nodes: NodeTable) -> Status:
        masks = _Masks(_affinity(pod, nodes), _anti_affinity(pod, nodes), _existing(pod, nodes))
        if all(one is None for one in masks):
            return SKIP
        state[self.name] = masks
        return SUCCESS

    def filter(self, state: CycleState, pod: PodInfo, node: NodeInfo, nodes: NodeTable) -> Status:
        del pod, nodes
        masks: _Masks = state[self.name]
        if masks.affinity is not None and not masks.affinity[node.row]:
            return Status(Code.UNRESOLVABLE, ("node(s) didn't match pod affinity rules",), self.name)
        if masks.anti_affinity is not None and not masks.anti_affinity[node.row]:
            return Status(Code.UNSCHEDULABLE, ("node(s) didn't match pod anti-affinity rules",), self.name)
        if masks.existing is not None and not masks.existing[node.row]:
            reason = "node(s) didn't satisfy existing pods anti-affinity rules"
            return Status(Code.UNSCHEDULABLE, (reason,), self.name)
        return SUCCESS

    def filter_all(self, state: CycleState, pod: PodInfo, nodes: NodeTable) -> Mask:
        del pod
        result = np.ones(nodes.rows, dtype=np.bool_)
        for mask in state[self.name]:
            if mask is not None:
                result &= mask
        return result

    def pre_score(self, state: CycleState, pod: PodInfo, nodes: NodeTable, rows: Integers) -> Status:
        scores = np.zeros(nodes.rows, dtype=np.int64)
        counts, any_term = nodes.counts, False
        for term in pod.terms.preferred:
            scores += term.weight * counts.by_domain(term.topology_key, counts.matching(term.unweighted))
            any_term = True
        for term, carriers in counts.carried("preferred"):
            if term.matches(pod, counts.namespaces):
                scores += term.weight * counts.by_domain(term.topology_key, carriers)
                any_term = True
        for term, carriers in counts.carried("affinity"):
            if term.matches(pod, counts.namespaces):
                scores += _HARD_AFFINITY_WEIGHT * counts.by_domain(term.topology_key, carriers)
                any_term = True
        if not any_term:
            return SKIP
        state[f"{self.name}/scores"] = scores[rows]
        return SUCCESS

    def score_all(self, state: CycleState, pod: PodInfo, nodes: NodeTable, rows: Integers) -> Integers:
        del pod, nodes, rows
        scores: Integers = state[f"{self.name}/scores"]
        lowest, highest = int(scores.min()), int(scores.max())
        if lowest == highest:
            return np.zeros(len(scores), dtype=np.int64)
        return (MAX_NODE_SCORE * ((scores - lowest) / (highest - lowest))).astype(np.int64)


def _affinity(pod: PodInfo, nodes: NodeTable) -> Mask | None:
    """Rows whose domains, for every term, hold a pod that all terms mean."""
    terms = pod.terms.affinity
    if not terms:
        return None
    counts = nodes.counts
    matching = counts.matching(*terms)
    labelled = np.ones(nodes.rows, dtype=np.bool_)
    result = labelled.copy()
    for term in terms:
        labelled &= counts.topology(term.topology_key) > 0
        result &= counts.by_domain(term.topology_key, matching) > 0
    # The first of a group that wants to be together may go anywhere, or none of them ever could.
    if not (matching[labelled] > 0).any() and all(term.matches(pod, counts.namespaces) for term in terms):
        return labelled
    return result


def _anti_affinity(pod: PodInfo, nodes: NodeTable) -> Mask | None:
    """Rows whose domains hold no pod that a term means."""
    if not pod.terms.anti_affinity:
        return None
    result = np.ones(nodes.rows, dtype=np.bool_)
    for term in pod.terms.anti_affinity:
        result &= nodes.counts.by_domain(term.topology_key, nodes.counts.matching(term)) == 0
    return result


def _existing(pod: PodInfo, nodes: NodeTable) -> Mask | None:
    """Rows whose domains hold no pod that wants to be away from this one."""
    result: Mask | None = None
    for term, carriers in nodes.counts.carried("anti_affinity"):
        if term.matches(pod, nodes.counts.namespaces):
            mask = nodes.counts.by_domain(term.topology_key, carriers) == 0
            result = mask if result is None else result & mask
    return result
