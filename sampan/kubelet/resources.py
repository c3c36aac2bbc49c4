"""Requests and limits as cgroup settings: shares, quotas, memory limits, oom_score_adj.

Source: kubelet's cm/helpers_linux.go (MilliCPUToShares, MilliCPUToQuota) and qos/policy.go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import quantity
from sampan.kubelet.pods import containers_of, init_containers_of, is_sidecar
from sampan.kubelet.runtime import LinuxResources

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sampan.api.object import Object

_MIN_SHARES = 2
_MAX_SHARES = 262144
_SHARES_PER_CPU = 1024
_PERIOD = 100_000
_MIN_QUOTA = 1000
_CRITICAL_PRIORITY = 2_000_000_000


def milli_cpu(amount: str | None) -> int:
    """Read a quantity of CPU as millicores, rounded up."""
    return 0 if amount is None else quantity.milli_value(amount)


def whole(amount: str | None) -> int:
    """Read a quantity as a whole number (bytes), rounded up."""
    return 0 if amount is None else quantity.to_int(amount)


def cpu_shares(milli: int) -> int:
    if milli == 0:
        return _MIN_SHARES
    return min(max(milli * _SHARES_PER_CPU // 1000, _MIN_SHARES), _MAX_SHARES)


def cpu_quota(milli: int) -> int:
    """Tell microseconds per period, 0 for no limit."""
    return 0 if milli == 0 else max(milli * _PERIOD // 1000, _MIN_QUOTA)


def container_resources(pod: Object, container: Object, qos: str, machine_memory: int) -> LinuxResources:
    """Build a container's cgroup settings. machine_memory: bytes."""
    resources = container.get("resources") or {}
    requests: Mapping[str, str] = resources.get("requests") or {}
    limits: Mapping[str, str] = resources.get("limits") or {}
    limit = milli_cpu(limits.get("cpu"))
    quota = cpu_quota(limit)
    return LinuxResources(
        cpu_shares=cpu_shares(milli_cpu(requests.get("cpu")) if "cpu" in requests or not limit else limit),
        cpu_period=_PERIOD if quota else 0,
        cpu_quota=quota,
        memory_limit=whole(limits.get("memory")),
        oom_score_adj=oom_score(pod, container, qos, machine_memory),
        hugepage_limits={
            name.removeprefix("hugepages-"): whole(amount)
            for name, amount in limits.items()
            if name.startswith("hugepages-")
        },
    )


def oom_score(pod: Object, container: Object, qos: str, machine_memory: int) -> int:
    """Compute oom_score_adj by QoS class and memory request."""
    if (pod["spec"].get("priority") or 0) >= _CRITICAL_PRIORITY or qos == "Guaranteed":
        return -997
    if qos == "BestEffort":
        return 1000
    request = whole(((container.get("resources") or {}).get("requests") or {}).get("memory"))
    if is_sidecar(container):
        # A sidecar must not die before the containers it serves: it takes the best score among them.
        requests = [
            whole(((other.get("resources") or {}).get("requests") or {}).get("memory")) for other in containers_of(pod)
        ]
        request = max([request, *requests])
    score = 1000 - 1000 * request // machine_memory if machine_memory else 1000
    if score < 3:
        return 3
    return 999 if score == 1000 else score


def pod_resources(pod: Object) -> tuple[int, int, int]:
    """Sum up a pod for its own cgroup: (CPU shares, CPU quota or 0, memory limit or 0).

    A limit of the pod exists only when every container has one; init containers count with their maximum.
    """
    regular, init = list(containers_of(pod)), list(init_containers_of(pod))
    sidecars = [c for c in init if is_sidecar(c)]
    steady = [*regular, *sidecars]

    def get(container: Object, kind: str, name: str) -> str | None:
        value: str | None = ((container.get("resources") or {}).get(kind) or {}).get(name)
        return value

    def total(kind: str, name: str) -> int:
        convert = milli_cpu if name == "cpu" else whole
        running = sum(convert(get(c, kind, name)) for c in steady)
        peak = max((convert(get(c, kind, name)) for c in init if not is_sidecar(c)), default=0)
        return max(running, peak)

    limited_cpu = all(get(c, "limits", "cpu") for c in [*regular, *init])
    limited_memory = all(get(c, "limits", "memory") for c in [*regular, *init])
    shares = cpu_shares(total("requests", "cpu"))
    quota = cpu_quota(total("limits", "cpu")) if limited_cpu else 0
    return shares, quota, total("limits", "memory") if limited_memory else 0
