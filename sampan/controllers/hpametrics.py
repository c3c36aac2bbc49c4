"""How many replicas a metric asks for: HorizontalPodAutoscaler's arithmetic.

Behaviour: kube-controller-manager's pkg/controller/podautoscaler (replica calculator): pods that are being deleted or
failed do not count, pods that are not ready yet or have no metrics are assumed to use nothing when the others call for
more, and all of their target when the others call for less; small deviations change nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sampan.api import quantity, times
from sampan.api.pods import condition, is_restartable_init
from sampan.base.errors import SampanError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sampan.api.object import Object

CPU_INITIALIZATION = 300.0
INITIAL_READINESS = 30.0
"""Seconds: kube-controller-manager's defaults of how long metrics of young pods are mistrusted."""


class MetricError(SampanError):
    """A metric gives no number of replicas; the message is Kubernetes'."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One pod's usage in thousandths. taken: epoch seconds; window: seconds that it is an average of."""

    value: int
    taken: float
    window: float


@dataclass(slots=True)
class _Groups:
    ready: int = 0
    unready: set[str] = field(default_factory=set)
    missing: set[str] = field(default_factory=set)
    ignored: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """Deviations from the target, as ratios, that change nothing."""

    up: float = 0.1
    down: float = 0.1

    def covers(self, ratio: float) -> bool:
        return 1.0 - self.down <= ratio <= 1.0 + self.up


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """replicas: asked for. average: usage a pod, in thousandths. utilization: of what it requests, in per cent."""

    replicas: int
    average: int
    utilization: int | None = None


def samples(metrics: Sequence[Object], resource: str, container: str = "") -> dict[str, Sample]:
    """Read PodMetrics: usage by pod, of all containers or of one. Pods that miss a container's usage are left out."""
    found = {}
    for one in metrics:
        usages = [
            each.get("usage", {}).get(resource)
            for each in one.get("containers") or ()
            if not container or each["name"] == container
        ]
        if not usages or None in usages:
            continue
        window = times.parse_duration(one.get("window", "0s")) / 1e9
        total = sum(quantity.milli_value(usage) for usage in usages)
        found[one["metadata"]["name"]] = Sample(total, times.parse(one["timestamp"]), window)
    return found


def by_utilization(
    current: int, target: int, resource: str, *, pods: Sequence[Object], usage: dict[str, Sample], tolerance: Tolerance,
    now: float, container: str = "",
) -> Proposal:  # fmt: skip
    """What a target in per cent of the requests asks for. Raises MetricError."""
    groups = _group(pods, usage, resource, now)
    usage = _counted(usage, groups)
    requests = {
        pod["metadata"]["name"]: _requests(pod, resource, container)
        for pod in pods
        if pod["metadata"]["name"] not in groups.ignored
    }
    ratio, utilization, average = _utilization(usage, requests, target)

    def fill(name: str) -> int:
        return requests.get(name, 0) * target // 100

    def again(all_usage: Mapping[str, Sample]) -> float:
        return _utilization(all_usage, requests, target)[0]

    replicas = _replicas(current, ratio, groups=groups, usage=usage, assumed=fill, ratio_of=again, tolerance=tolerance)
    return Proposal(replicas=replicas, average=average, utilization=utilization)


def by_average(
    current: int, target: int, resource: str, *, pods: Sequence[Object], usage: dict[str, Sample], tolerance: Tolerance,
    now: float,
) -> Proposal:  # fmt: skip
    """What a target in usage a pod (thousandths) asks for. Raises MetricError."""
    groups = _group(pods, usage, resource, now)
    usage = _counted(usage, groups)

    def again(all_usage: Mapping[str, Sample]) -> float:
        return sum(one.value for one in all_usage.values()) / len(all_usage) / target

    ratio = again(usage)
    average = sum(one.value for one in usage.values()) // len(usage)
    replicas = _replicas(
        current, ratio, groups=groups, usage=usage, assumed=lambda _: target, ratio_of=again, tolerance=tolerance
    )
    return Proposal(replicas=replicas, average=average)


def _counted(usage: Mapping[str, Sample], groups: _Groups) -> dict[str, Sample]:
    found = {name: one for name, one in usage.items() if name not in groups.ignored and name not in groups.unready}
    if not found:
        raise MetricError("did not receive metrics for targeted pods (pods might be unready)")
    return found


def _replicas(
    current: int,
    ratio: float,
    *,
    groups: _Groups,
    usage: Mapping[str, Sample],
    assumed: Callable[[str], int],
    ratio_of: Callable[[Mapping[str, Sample]], float],
    tolerance: Tolerance,
) -> int:
    """From a ratio of those with metrics to replicas. assumed: a pod's usage when it meets its target."""
    count_unready = bool(groups.unready) and ratio > 1.0
    if not count_unready and not groups.missing:
        return current if tolerance.covers(ratio) else math.ceil(round(ratio * groups.ready, 9))
    filled = dict(usage)
    for name in groups.missing:
        filled[name] = Sample(assumed(name) if ratio < 1.0 else 0, 0.0, 0.0)
    if count_unready:
        filled.update((name, Sample(0, 0.0, 0.0)) for name in groups.unready)
    again = ratio_of(filled)
    if tolerance.covers(again) or (ratio < 1.0 < again) or (again < 1.0 < ratio):
        return current
    wanted = math.ceil(round(again * len(filled), 9))
    against = (again < 1.0 and wanted > current) or (again > 1.0 and wanted < current)
    return current if against else wanted


def _group(pods: Sequence[Object], usage: Mapping[str, Sample], resource: str, now: float) -> _Groups:
    groups = _Groups()
    for pod in pods:
        name, status = pod["metadata"]["name"], pod.get("status") or {}
        if "deletionTimestamp" in pod["metadata"] or status.get("phase") == "Failed":
            groups.ignored.add(name)
        elif status.get("phase") == "Pending":
            groups.unready.add(name)
        elif name not in usage:
            groups.missing.add(name)
        elif resource == "cpu" and _is_young(pod, usage[name], now):
            groups.unready.add(name)
        else:
            groups.ready += 1
    return groups


def _is_young(pod: Object, sample: Sample, now: float) -> bool:
    """Whether a pod's CPU usage may be that of its start."""
    started, ready = (pod.get("status") or {}).get("startTime"), condition(pod, "Ready")
    if not started or ready is None:
        return True
    since, begun, is_ready = times.parse(ready["lastTransitionTime"]), times.parse(started), ready["status"] != "False"
    if begun + CPU_INITIALIZATION > now:
        return not is_ready or sample.taken < since + sample.window
    return not is_ready and begun + INITIAL_READINESS > since


def _requests(pod: Object, resource: str, container: str) -> int:
    """What a pod requests, in thousandths. Raises MetricError when a container requests nothing."""
    spec = pod["spec"]
    own = ((spec.get("resources") or {}).get("requests") or {}).get(resource)
    if own is not None and not container:
        return quantity.milli_value(own)
    sidecars = [one for one in spec.get("initContainers") or () if is_restartable_init(one)]
    total = 0
    for one in (*spec.get("containers", ()), *sidecars):
        if container and one["name"] != container:
            continue
        wanted = ((one.get("resources") or {}).get("requests") or {}).get(resource)
        if wanted is None:
            where = f"in container {one['name']} of Pod {pod['metadata']['name']}"
            raise MetricError(f"missing request for {resource} {where}")
        total += quantity.milli_value(wanted)
    return total


def _utilization(usage: Mapping[str, Sample], requests: Mapping[str, int], target: int) -> tuple[float, int, int]:
    """Ratio to the target, utilization in per cent, usage a pod."""
    both = [name for name in usage if name in requests]
    total = sum(usage[name].value for name in both)
    wanted = sum(requests[name] for name in both)
    if not wanted:
        raise MetricError("no metrics returned matched known pods")
    utilization = total * 100 // wanted
    return utilization / target, utilization, total // len(both)
