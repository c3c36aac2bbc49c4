"""DefaultPreemption: make room for a pod by evicting pods of lower priority.

For each node where evictions may help, the fewest victims are found by taking all pods of lower priority away and
letting them come back one by one, the most important first, those protected by a disruption budget before others. The
table itself is changed for this and restored, within one turn of the event loop. Order of preference between nodes and
wording are kube-scheduler's.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sampan.api import labels
from sampan.scheduler.framework import fit_error
from sampan.scheduler.interface import SUCCESS, Code, EventKind, PostFilterResult, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from sampan.api.object import Object
    from sampan.scheduler.framework import Framework
    from sampan.scheduler.interface import ClusterEvent, CycleState, FilterOutcome
    from sampan.scheduler.nodeinfo import NodeInfo
    from sampan.scheduler.nodetable import NodeTable
    from sampan.scheduler.podinfo import PodInfo

_LEAST_CANDIDATES = 100
_CANDIDATE_SHARE = 10
"""Nodes tried: a tenth, but at least 100, as in kube-scheduler's defaults."""

_NOT_HELPFUL = Status(Code.UNRESOLVABLE, ("Preemption is not helpful for scheduling",))
_NO_VICTIMS = Status(Code.UNSCHEDULABLE, ("No preemption victims found for incoming pod",))


@dataclass(slots=True)
class _Candidate:
    node: NodeInfo
    victims: list[PodInfo]
    violations: int

    def rank(self) -> tuple[float, ...]:
        """The smallest is preferred."""
        highest = max(one.priority for one in self.victims)
        latest_start = min(_start(one) for one in self.victims if one.priority == highest)
        # Priorities are shifted to be positive, so that fewer victims always sum to less.
        return (
            self.violations,
            highest,
            sum(one.priority + 2**31 for one in self.victims),
            len(self.victims),
            -_ordinal(latest_start),
        )


class DefaultPreemption:
    """Evicts pods of lower priority."""

    name = "DefaultPreemption"
    events: Mapping[EventKind, Callable[[PodInfo, ClusterEvent], bool] | None] = {EventKind.ASSIGNED_POD_DELETE: None}

    def __init__(self, budgets: Callable[[str], Iterable[Object]], *, chance: random.Random | None = None) -> None:
        """budgets: the PodDisruptionBudgets of a namespace."""
        self._budgets = budgets
        self._chance = chance or random.Random()  # noqa: S311 - no secret
        self.framework: Framework | None = None

    def post_filter(self, state: CycleState, pod: PodInfo, nodes: NodeTable, failed: FilterOutcome) -> PostFilterResult:
        reason = _ineligible(pod, nodes)
        if reason:
            return _failure(reason, None)
        assert self.framework is not None
        statuses = self.framework.explain(state, pod, nodes, failed)
        found: dict[int, Status] = {info.row: _NOT_HELPFUL for info in nodes.nodes.values()}
        hopeful = [row for row, status in statuses.items() if status.code is Code.UNSCHEDULABLE]
        candidates: list[_Candidate] = []
        if hopeful and min(nodes.priorities, default=pod.priority) < pod.priority:
            candidates = self._candidates(pod, nodes, hopeful, found)
        else:
            found.update(dict.fromkeys(hopeful, _NO_VICTIMS))
        if not candidates:
            return _failure(fit_error(len(nodes), found), "")
        best = min(candidates, key=_Candidate.rank)
        return PostFilterResult(SUCCESS, best.node.name, tuple(one.object for one in best.victims))

    def _candidates(
        self, pod: PodInfo, nodes: NodeTable, rows: list[int], found: dict[int, Status]
    ) -> list[_Candidate]:
        wanted = max(len(rows) * _CANDIDATE_SHARE // 100, _LEAST_CANDIDATES)
        start = self._chance.randrange(len(rows))
        candidates: list[_Candidate] = []
        for row in rows[start:] + rows[:start]:
            node = nodes.by_row[row]
            assert node is not None
            candidate = self._victims_on(pod, node, nodes)
            if candidate is None:
                found[row] = _NO_VICTIMS
                continue
            candidates.append(candidate)
            if len(candidates) >= wanted and any(not one.violations for one in candidates):
                break
        return candidates

    def _victims_on(self, pod: PodInfo, node: NodeInfo, nodes: NodeTable) -> _Candidate | None:
        lower = sorted((one for one in node.pods.values() if one.priority < pod.priority), key=_importance)
        if not lower:
            return None
        for one in lower:
            nodes.remove_pod(one.key)
        away = {one.key: one for one in lower}
        try:
            if not self._fits(pod, node, nodes):
                return None
            violating, others = self._by_budget(lower)
            victims = []
            violations = 0
            for one in (*violating, *others):
                nodes.set_pod(one, node.name)
                if self._fits(pod, node, nodes):
                    del away[one.key]
                    continue
                nodes.remove_pod(one.key)
                victims.append(one)
                violations += one in violating
            return _Candidate(node, victims, violations) if victims else None
        finally:
            for one in away.values():
                nodes.set_pod(one, node.name)

    def _fits(self, pod: PodInfo, node: NodeInfo, nodes: NodeTable) -> bool:
        assert self.framework is not None
        return self.framework.filter_node(pod, node, nodes).is_success

    def _by_budget(self, pods: list[PodInfo]) -> tuple[list[PodInfo], list[PodInfo]]:
        """Split pods into those whose eviction breaks a disruption budget, and others; order is kept."""
        allowed: dict[str, int] = {}
        violating: list[PodInfo] = []
        others: list[PodInfo] = []
        for pod in pods:
            broken = False
            for budget in self._budgets(pod.namespace) if pod.labels else ():
                if not _guards(budget, pod):
                    continue
                key = f"{pod.namespace}/{budget['metadata']['name']}"
                left = allowed.setdefault(key, (budget.get("status") or {}).get("disruptionsAllowed", 0)) - 1
                allowed[key] = left
                broken = broken or left < 0
            (violating if broken else others).append(pod)
        return violating, others


def _ineligible(pod: PodInfo, nodes: NodeTable) -> str:
    if pod.object["spec"].get("preemptionPolicy") == "Never":
        return "not eligible due to preemptionPolicy=Never."
    nominated = nodes.nodes.get((pod.object.get("status") or {}).get("nominatedNodeName", ""))
    if nominated is not None:
        for one in nominated.pods.values():
            if one.is_terminating and one.priority < pod.priority:
                return "not eligible due to a terminating pod on the nominated node."
    return ""


def _failure(reason: str, nominated: str | None) -> PostFilterResult:
    return PostFilterResult(Status(Code.UNSCHEDULABLE, (f"preemption: {reason}",), DefaultPreemption.name), nominated)


def _guards(budget: Object, pod: PodInfo) -> bool:
    selector = labels.from_object((budget.get("spec") or {}).get("selector"))
    # An empty selector guards nothing here, as in kube-scheduler; evicted pods are counted already.
    if selector.is_everything or not selector.matches(pod.labels):
        return False
    return pod.name not in ((budget.get("status") or {}).get("disruptedPods") or {})


def _start(pod: PodInfo) -> str:
    status = pod.object.get("status") or {}
    found: str = status.get("startTime") or pod.object["metadata"].get("creationTimestamp") or ""
    return found


def _ordinal(timestamp: str) -> float:
    """RFC 3339 with fixed width orders as its digits do."""
    digits = "".join(character for character in timestamp if character.isdigit())
    return float(digits) if digits else 0.0


def _importance(pod: PodInfo) -> tuple[int, str]:
    """The most important first: higher priority, then running longer."""
    return (-pod.priority, _start(pod))
