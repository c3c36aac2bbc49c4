"""The status of a HorizontalPodAutoscaler while one look at it goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import quantity, times

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.controllers.hpametrics import Proposal


class Status:
    """current, desired: replicas. scaled: whether the scale was changed. failure: reason of an event about an error."""

    def __init__(self, autoscaler: Object, now: float) -> None:
        self._before: Object = autoscaler.get("status") or {}
        self._generation = autoscaler["metadata"].get("generation", 0)
        self._conditions: list[Object] = [dict(one) for one in self._before.get("conditions") or ()]
        self._metrics: list[Object] = []
        self._now = times.format_time(now)
        self.current: int = self._before.get("currentReplicas", 0)
        self.desired: int = self._before.get("desiredReplicas", 0)
        self.scaled = False
        self.failure = ""

    def set(self, type_: str, reason: str, message: str, *, ok: bool = True) -> None:
        """Set a condition; its time changes only with its status."""
        status = "True" if ok else "False"
        found = next((one for one in self._conditions if one["type"] == type_), None)
        if found is None:
            found = {"type": type_}
            self._conditions.append(found)
        if found.get("status") != status:
            found["lastTransitionTime"] = self._now
        found.update(status=status, reason=reason, message=message)

    def metric(self, metric: Object, proposal: Proposal) -> None:
        """Show what a metric is now."""
        key = "resource" if metric["type"] == "Resource" else "containerResource"
        source = metric[key]
        amount = proposal.average
        current: Object = {"averageValue": quantity.canonical(f"{amount}m")}
        if proposal.utilization is not None:
            current["averageUtilization"] = proposal.utilization
        shown = {"name": source["name"], "current": current}
        if "container" in source:
            shown["container"] = source["container"]
        self._metrics.append({"type": metric["type"], key: shown})

    def render(self, now: str) -> Object:
        """The status to write."""
        fresh: Object = {"currentReplicas": self.current, "desiredReplicas": self.desired}
        if self._generation:
            fresh["observedGeneration"] = self._generation
        if self.scaled:
            fresh["lastScaleTime"] = now
        elif "lastScaleTime" in self._before:
            fresh["lastScaleTime"] = self._before["lastScaleTime"]
        if self._metrics:
            fresh["currentMetrics"] = self._metrics
        if self._conditions:
            fresh["conditions"] = self._conditions
        return fresh
