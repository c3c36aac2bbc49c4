"""PrioritySort and SchedulingGates: who may be scheduled, and in which order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.scheduler.interface import SUCCESS, Code, EventKind, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sampan.scheduler.interface import ClusterEvent
    from sampan.scheduler.podinfo import PodInfo


class PrioritySort:
    """Higher priority first, then who waits longest."""

    name = "PrioritySort"

    def sort_key(self, pod: PodInfo, added: float) -> tuple[float, ...]:
        return (-pod.priority, added)


class SchedulingGates:
    """Keeps pods out of the queue while they have scheduling gates (KEP-3521)."""

    name = "SchedulingGates"
    events: Mapping[EventKind, Callable[[PodInfo, ClusterEvent], bool] | None] = {EventKind.POD_UPDATE: None}

    def pre_enqueue(self, pod: PodInfo) -> Status:
        gates = [one["name"] for one in pod.object["spec"].get("schedulingGates") or ()]
        if not gates:
            return SUCCESS
        return Status(Code.UNRESOLVABLE, (f"waiting for scheduling gates: [{' '.join(gates)}]",), self.name)
