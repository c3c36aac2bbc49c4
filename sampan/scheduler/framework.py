"""One profile: the plugins of each stage, and how a stage runs."""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from sampan.scheduler.interface import (
    SUCCESS,
    BindPlugin,
    Code,
    CycleState,
    EnqueueExtensions,
    FilterOutcome,
    FilterPlugin,
    PermitPlugin,
    PostBindPlugin,
    PostFilterPlugin,
    PostFilterResult,
    PreBindPlugin,
    PreEnqueuePlugin,
    PreFilterPlugin,
    PreScorePlugin,
    QueueSortPlugin,
    ReservePlugin,
    ScorePlugin,
    Status,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sampan.scheduler.interface import ClusterEvent, Integers, Mask, Plugin
    from sampan.scheduler.nodeinfo import NodeInfo
    from sampan.scheduler.nodetable import NodeTable
    from sampan.scheduler.podinfo import PodInfo


_EXPLANATION = "framework/explanation"


class Framework:
    """Runs the stages. Plugins are asked in the order given."""

    def __init__(
        self, plugins: Sequence[Plugin], weights: Mapping[str, int], *, chance: random.Random | None = None
    ) -> None:
        """weights: of score plugins, 1 for those not named. chance: decides between equally good nodes."""
        self._chance = chance or random.Random()  # noqa: S311 - no secret
        self._weights = weights
        self._pre_enqueue = [one for one in plugins if isinstance(one, PreEnqueuePlugin)]
        self._pre_filter = {one.name: one for one in plugins if isinstance(one, PreFilterPlugin)}
        self._filter = [one for one in plugins if isinstance(one, FilterPlugin)]
        self._post_filter = [one for one in plugins if isinstance(one, PostFilterPlugin)]
        self._pre_score = {one.name: one for one in plugins if isinstance(one, PreScorePlugin)}
        self._score = [one for one in plugins if isinstance(one, ScorePlugin)]
        self._reserve = [one for one in plugins if isinstance(one, ReservePlugin)]
        self._permit = [one for one in plugins if isinstance(one, PermitPlugin)]
        self._pre_bind = [one for one in plugins if isinstance(one, PreBindPlugin)]
        self._bind = [one for one in plugins if isinstance(one, BindPlugin)]
        self._post_bind = [one for one in plugins if isinstance(one, PostBindPlugin)]
        self._events = {one.name: one.events for one in plugins if isinstance(one, EnqueueExtensions)}
        self.queue_sort = next(one for one in plugins if isinstance(one, QueueSortPlugin))

    def run_pre_enqueue(self, pod: PodInfo) -> Status:
        """Tell whether a pod may enter the active queue."""
        for plugin in self._pre_enqueue:
            status = plugin.pre_enqueue(pod)
            if not status.is_success:
                return status
        return SUCCESS

    def may_help(self, plugin: str, pod: PodInfo, event: ClusterEvent) -> bool:
        """Tell whether an event may make a pod schedulable that a plugin turned down."""
        events = self._events.get(plugin)
        if events is None:
            return True  # a plugin that names no events is asked again after any
        if event.kind not in events:
            return False
        hint = events[event.kind]
        return hint is None or hint(pod, event)

    def run_filters(self, state: CycleState, pod: PodInfo, nodes: NodeTable) -> tuple[FilterOutcome, Status]:
        """Find the feasible rows. A failed status: a PreFilter ended the cycle, for all nodes."""
        outcome = FilterOutcome(nodes.live.copy())
        skipped, status = self._run_pre_filters(state, pod, nodes)
        if not status.is_success:
            outcome.rejected[status.plugin] = outcome.feasible
            state[_EXPLANATION] = dict.fromkeys(np.nonzero(outcome.feasible)[0].tolist(), status)
            outcome.feasible = np.zeros_like(outcome.feasible)
            return outcome, status
        for name, only in state.only_nodes.items():
            _reject(outcome, name, nodes.mask_of(only))
        for plugin in self._filter:
            if plugin.name not in skipped:
                if not outcome.feasible.any():
                    break
                _reject(outcome, plugin.name, plugin.filter_all(state, pod, nodes))
        return outcome, SUCCESS

    def filter_node(self, pod: PodInfo, node: NodeInfo, nodes: NodeTable) -> Status:
        """Ask all filters about one node, by their single-node rules, with the table as it is now."""
        state = CycleState()
        skipped, status = self._run_pre_filters(state, pod, nodes)
        if not status.is_success:
            return status
        narrowed = _narrowed(state, node)
        if narrowed is not None:
            return narrowed
        for plugin in self._filter:
            if plugin.name not in skipped:
                status = plugin.filter(state, pod, node, nodes)
                if not status.is_success:
                    return status
        return SUCCESS

    def explain(self, state: CycleState, pod: PodInfo, nodes: NodeTable, failed: FilterOutcome) -> dict[int, Status]:
        """Say for each rejected row which plugin rejected it and why; worked out once a cycle."""
        known: dict[int, Status] | None = state.get(_EXPLANATION)
        if known is not None:
            return known
        filters = {one.name: one for one in self._filter}
        found: dict[int, Status] = {}
        state[_EXPLANATION] = found
        for name, mask in failed.rejected.items():
            plugin = filters.get(name)
            for row in np.nonzero(mask)[0].tolist():
                info = nodes.by_row[row]
                if info is not None and plugin is not None:
                    found[row] = _narrowed(state, info) or plugin.filter(state, pod, info, nodes)
        return found

    def run_post_filters(
        self, state: CycleState, pod: PodInfo, nodes: NodeTable, failed: FilterOutcome
    ) -> PostFilterResult:
        """Let plugins make room; the first that succeeds decides, else all their reasons count."""
        reasons: list[str] = []
        nominated: str | None = None
        for plugin in self._post_filter:
            result = plugin.post_filter(state, pod, nodes, failed)
            if result.status.is_success:
                return result
            reasons += result.status.reasons
            nominated = result.nominated_node if result.nominated_node is not None else nominated
        return PostFilterResult(Status(Code.UNSCHEDULABLE, tuple(reasons)), nominated)

    def pick(self, state: CycleState, pod: PodInfo, nodes: NodeTable, outcome: FilterOutcome) -> NodeInfo:
        """Score the feasible nodes and pick one of the best."""
        rows = np.nonzero(outcome.feasible)[0]
        if len(rows) > 1:
            rows = rows[self._best(state, pod, nodes, rows)]
        row = int(rows[0]) if len(rows) == 1 else int(rows[self._chance.randrange(len(rows))])
        info = nodes.by_row[row]
        assert info is not None
        return info

    def _best(self, state: CycleState, pod: PodInfo, nodes: NodeTable, rows: Integers) -> Integers:
        total = self.scores(state, pod, nodes, rows)
        return np.nonzero(total == total.max())[0]

    def scores(self, state: CycleState, pod: PodInfo, nodes: NodeTable, rows: Integers) -> Integers:
        """The weighted sum of all plugins' scores for these rows."""
        total = np.zeros(len(rows), dtype=np.int64)
        skipped = {
            name
            for name, plugin in self._pre_score.items()
            if plugin.pre_score(state, pod, nodes, rows).code is Code.SKIP
        }
        for plugin in self._score:
            if plugin.name not in skipped:
                total += self._weights.get(plugin.name, 1) * plugin.score_all(state, pod, nodes, rows)
        return total

    def run_reserve(self, state: CycleState, pod: PodInfo, node: str) -> Status:
        """Reserve, then ask for permission; on a failure everything is unreserved."""
        status = SUCCESS
        for reserving in self._reserve:
            status = reserving.reserve(state, pod, node)
            if not status.is_success:
                break
        else:
            for permitting in self._permit:
                status = permitting.permit(state, pod, node)
                if not status.is_success:
                    break
        if not status.is_success:
            self.run_unreserve(state, pod, node)
        return status

    def run_unreserve(self, state: CycleState, pod: PodInfo, node: str) -> None:
        """Undo reservations, last one first."""
        for plugin in reversed(self._reserve):
            plugin.unreserve(state, pod, node)

    async def run_bind(self, state: CycleState, pod: PodInfo, node: str) -> Status:
        """Bind a pod; tells what failed."""
        for preparing in self._pre_bind:
            status = await preparing.pre_bind(state, pod, node)
            if not status.is_success:
                return status
        for binding in self._bind:
            status = await binding.bind(state, pod, node)
            if status.code is Code.SKIP:
                continue
            if status.is_success:
                for hearing in self._post_bind:
                    hearing.post_bind(state, pod, node)
            return status
        return Status(Code.ERROR, ("no plugin bound the pod",))

    def _run_pre_filters(self, state: CycleState, pod: PodInfo, nodes: NodeTable) -> tuple[set[str], Status]:
        skipped = set()
        for name, plugin in self._pre_filter.items():
            status = plugin.pre_filter(state, pod, nodes)
            if status.code is Code.SKIP:
                skipped.add(name)
            elif not status.is_success:
                return skipped, status
        return skipped, SUCCESS


def _reject(outcome: FilterOutcome, plugin: str, passed: Mask) -> None:
    """Take away the feasible rows that a plugin turns down."""
    rejected = outcome.feasible & ~passed
    if rejected.any():
        before = outcome.rejected.get(plugin)
        outcome.rejected[plugin] = rejected if before is None else before | rejected
        outcome.feasible &= passed


def _narrowed(state: CycleState, node: NodeInfo) -> Status | None:
    """Say of a node that a PreFilter left out that it did, in kube-scheduler's words."""
    plugins = sorted(name for name, only in state.only_nodes.items() if node.name not in only)
    if not plugins:
        return None
    reason = f"node(s) didn't satisfy plugin(s) [{' '.join(sorted(state.only_nodes))}]"
    return Status(Code.UNRESOLVABLE, (reason,), plugins[0])


def fit_error(total: int, statuses: Mapping[int, Status], *, pre_filter: str = "", post_filter: str = "") -> str:
    """Word why a pod fits no node, as kube-scheduler does: reasons with their counts, sorted as text."""
    message = f"0/{total} nodes are available"
    if pre_filter:
        message += f": {pre_filter}."
    else:
        reasons = Counter(reason for status in statuses.values() for reason in status.reasons)
        listed = sorted(f"{count} {reason}" for reason, count in reasons.items())
        message += f": {', '.join(listed)}." if listed else ":."
    return f"{message} {post_filter}" if post_filter else message
