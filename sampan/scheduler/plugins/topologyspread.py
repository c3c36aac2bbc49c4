"""PodTopologySpread: pods of a kind spread evenly over the domains of a topology (KEP-895, KEP-3022, KEP-3094)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sampan.api import labels
from sampan.api.labels import Requirement
from sampan.scheduler.interface import MAX_NODE_SCORE, SKIP, SUCCESS, Code, EventKind, Status
from sampan.scheduler.plugins.nodes import has_node_rules, matching_nodes, tolerated_nodes
from sampan.scheduler.terms import Term

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sampan.api.object import Object
    from sampan.scheduler.interface import ClusterEvent, CycleState, Integers, Mask
    from sampan.scheduler.nodeinfo import NodeInfo
    from sampan.scheduler.nodetable import NodeTable
    from sampan.scheduler.podinfo import PodInfo

_HOSTNAME = "kubernetes.io/hostname"
_ZONE = "topology.kubernetes.io/zone"
_REASON = "node(s) didn't match pod topology spread constraints"


@dataclass(frozen=True, slots=True)
class Constraint:
    """One topologySpreadConstraint, compiled. own: 1 when the pod itself counts."""

    key: str
    max_skew: int
    min_domains: int
    term: Term
    own: int
    honor_affinity: bool
    honor_taints: bool


@dataclass(frozen=True, slots=True)
class _Soft:
    """What scoring goes by. strict: nodes without all the labels get nothing (not so for the default constraints)."""

    constraints: list[Constraint]
    strict: bool


class PodTopologySpread:
    """DoNotSchedule constraints filter, ScheduleAnyway ones score.

    A pod without constraints that shares a selector with others gets the system defaults: hosts with a skew of 3,
    zones of 5, by score alone.
    """

    name = "PodTopologySpread"

    def __init__(self, selector_of: Callable[[PodInfo], labels.Selector | None] | None = None) -> None:
        """selector_of: the selector that a pod shares with its like; without it there are no default constraints."""
        self._selector_of = selector_of

    events: Mapping[EventKind, Callable[[PodInfo, ClusterEvent], bool] | None] = {
        EventKind.ASSIGNED_POD_ADD: None,
        EventKind.ASSIGNED_POD_UPDATE: None,
        EventKind.ASSIGNED_POD_DELETE: None,
        EventKind.NODE_ADD: None,
        EventKind.NODE_LABEL: None,
        EventKind.NODE_TAINT: None,
    }

    def pre_filter(self, state: CycleState, pod: PodInfo, nodes: NodeTable) -> Status:
        constraints = _constraints(pod, "DoNotSchedule")
        if not constraints:
            return SKIP
        everywhere = _labelled(constraints, nodes)
        labelled = np.ones(nodes.rows, dtype=np.bool_)
        fits = np.ones(nodes.rows, dtype=np.bool_)
        for one in constraints:
            codes = nodes.counts.topology(one.key)
            labelled &= codes > 0
            eligible = everywhere & _eligible(one, pod, nodes)
            sums = np.bincount(codes, weights=np.where(eligible, nodes.counts.matching(one.term), 0)).astype(np.int64)
            domains = np.unique(codes[eligible])
            lowest = int(sums[domains].min()) if len(domains) >= max(one.min_domains, 1) else 0
            known = np.zeros(len(sums), dtype=np.bool_)
            known[domains] = True
            fits &= np.where(known[codes], sums[codes], 0) + one.own - lowest <= one.max_skew
        state[self.name] = (labelled, fits)
        return SUCCESS

    def filter(self, state: CycleState, pod: PodInfo, node: NodeInfo, nodes: NodeTable) -> Status:
        del pod, nodes
        labelled, fits = state[self.name]
        if not labelled[node.row]:
            return Status(Code.UNRESOLVABLE, (f"{_REASON} (missing required label)",), self.name)
        return SUCCESS if fits[node.row] else Status(Code.UNSCHEDULABLE, (_REASON,), self.name)

    def filter_all(self, state: CycleState, pod: PodInfo, nodes: NodeTable) -> Mask:
        del pod, nodes
        labelled, fits = state[self.name]
        result: Mask = labelled & fits
        return result

    def pre_score(self, state: CycleState, pod: PodInfo, nodes: NodeTable, rows: Integers) -> Status:
        del nodes, rows
        soft = _Soft(_constraints(pod, "ScheduleAnyway"), strict=True)
        if not pod.constraints and self._selector_of is not None:
            selector = self._selector_of(pod)
            if selector is not None:
                soft = _Soft(_default_constraints(pod, selector), strict=False)
        if not soft.constraints:
            return SKIP
        state[f"{self.name}/soft"] = soft
        return SUCCESS

    def score_all(self, state: CycleState, pod: PodInfo, nodes: NodeTable, rows: Integers) -> Integers:
        soft: _Soft = state[f"{self.name}/soft"]
        everywhere = _labelled(soft.constraints, nodes) if soft.strict else nodes.live
        scored = everywhere[rows]
        total = np.zeros(len(rows), dtype=np.float64)
        for one in soft.constraints:
            codes = nodes.counts.topology(one.key)
            if one.key == _HOSTNAME:
                size = int(scored.sum())
                found = nodes.counts.matching(one.term)[rows]
            else:
                size = len(np.unique(codes[rows][scored]))
                counted = np.where(everywhere & _eligible(one, pod, nodes), nodes.counts.matching(one.term), 0)
                found = np.bincount(codes, weights=counted).astype(np.int64)[codes[rows]]
            score = found * math.log(size + 2) + (one.max_skew - 1)
            total += np.where(codes[rows] > 0, score, 0.0)
        return _spread_scores(np.floor(total + 0.5).astype(np.int64), scored)


def _spread_scores(scores: Integers, scored: Mask) -> Integers:
    """The fewer pods the better; nodes without the labels get nothing."""
    if not scored.any():
        return np.zeros(len(scores), dtype=np.int64)
    lowest, highest = int(scores[scored].min()), int(scores[scored].max())
    if highest == 0:
        return np.where(scored, MAX_NODE_SCORE, 0).astype(np.int64)
    return np.where(scored, MAX_NODE_SCORE * (highest + lowest - scores) // highest, 0).astype(np.int64)


def _labelled(constraints: list[Constraint], nodes: NodeTable) -> Mask:
    """Nodes that have all the topology labels; only their pods count."""
    mask = nodes.live.copy()
    for one in constraints:
        mask &= nodes.counts.topology(one.key) > 0
    return mask


def _eligible(constraint: Constraint, pod: PodInfo, nodes: NodeTable) -> Mask:
    """Nodes that count, by the constraint's policies: those the pod's affinity and tolerations allow."""
    mask = np.ones(nodes.rows, dtype=np.bool_)
    if constraint.honor_affinity and has_node_rules(pod):
        mask &= matching_nodes(pod, nodes)
    if constraint.honor_taints:
        mask &= tolerated_nodes(pod, nodes)
    return mask


def _default_constraints(pod: PodInfo, selector: labels.Selector) -> list[Constraint]:
    return [
        Constraint(
            key=key,
            max_skew=skew,
            min_domains=1,
            term=Term(frozenset((pod.namespace,)), None, selector, live_only=True),
            own=1,
            honor_affinity=True,
            honor_taints=False,
        )
        for key, skew in ((_HOSTNAME, 3), (_ZONE, 5))
    ]


def _constraints(pod: PodInfo, when: str) -> list[Constraint]:
    return [_compile(one, pod) for one in pod.constraints if one.get("whenUnsatisfiable") == when]


def _compile(constraint: Object, pod: PodInfo) -> Constraint:
    selector = labels.from_object(constraint.get("labelSelector"))
    extra = [
        Requirement(key, "in", (pod.labels[key],))
        for key in constraint.get("matchLabelKeys") or ()
        if key in pod.labels
    ]
    if extra and not selector.matches_nothing:
        selector = labels.Selector([*selector.requirements, *extra])
    return Constraint(
        key=constraint["topologyKey"],
        max_skew=constraint["maxSkew"],
        min_domains=constraint.get("minDomains") or 1,
        term=Term(frozenset((pod.namespace,)), None, selector, live_only=True),
        own=int(selector.matches(pod.labels)),
        honor_affinity=constraint.get("nodeAffinityPolicy", "Honor") == "Honor",
        honor_taints=constraint.get("nodeTaintsPolicy", "Ignore") == "Honor",
    )
