"""``/stats/summary`` and ``/metrics``: usage of the node and its pods.

Source: kubelet's pkg/kubelet/apis/stats/v1alpha1, Kubernetes metric names.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from sampan.api import times
from sampan.kubelet.machine import meminfo

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sampan.api.object import Object
    from sampan.base.clock import Clock
    from sampan.kubelet.options import KubeletOptions
    from sampan.kubelet.podworkers import PodWorkers
    from sampan.kubelet.runtime import ContainerRuntime, ContainerStats


_CPU, _MEMORY = "Cumulative cpu time consumed in core-seconds", "Current working set in bytes"
_RESOURCE_METRICS = {
    f"{scope}_{name}": (kind, text)
    for scope in ("container", "node", "pod")
    for name, kind, text in (
        ("cpu_usage_seconds_total", "counter", _CPU),
        ("memory_working_set_bytes", "gauge", _MEMORY),
    )
}


class UsageCollector:
    """Collects usage on request. Rates come from the difference to the reading before."""

    def __init__(self, options: KubeletOptions, workers: PodWorkers, runtime: ContainerRuntime, clock: Clock) -> None:
        self._options = options
        self._workers = workers
        self._runtime = runtime
        self._clock = clock
        self._started = clock.time()
        self._last: dict[str, tuple[int, int]] = {}
        self._node_last: tuple[float, int] | None = None

    async def summary(self) -> Object:
        """Build the Summary object. Raises RuntimeFault."""
        stats = {stat.id: stat for stat in await self._runtime.stats()}
        now = times.format_time(self._clock.time())
        pods = [self._pod(worker.pod, [r.id for r in worker.records], stats, now) for worker in self._workers.all()]
        return {"node": self._node(now), "pods": [pod for pod in pods if pod["containers"]]}

    def _pod(self, pod: Object, ids: Sequence[str], stats: dict[str, ContainerStats], now: str) -> Object:
        meta = pod["metadata"]
        names = {r.id: r for worker in self._workers.all() for r in worker.records}
        containers = [self._container(stats[i], names[i].name, names[i].started_at) for i in ids if i in stats]
        return {
            "podRef": {"name": meta["name"], "namespace": meta["namespace"], "uid": meta["uid"]},
            "startTime": (pod.get("status") or {}).get("startTime"),
            "containers": containers,
            "cpu": {
                "time": now,
                "usageNanoCores": sum(c["cpu"]["usageNanoCores"] for c in containers),
                "usageCoreNanoSeconds": sum(c["cpu"]["usageCoreNanoSeconds"] for c in containers),
            },
            "memory": {
                "time": now,
                "usageBytes": sum(c["memory"]["usageBytes"] for c in containers),
                "workingSetBytes": sum(c["memory"]["workingSetBytes"] for c in containers),
                "rssBytes": sum(c["memory"]["rssBytes"] for c in containers),
            },
        }

    def _container(self, stat: ContainerStats, name: str, started_at: int) -> Object:
        before = self._last.get(stat.id)
        self._last[stat.id] = (stat.timestamp, stat.cpu)
        elapsed = stat.timestamp - before[0] if before else 0
        rate = (stat.cpu - before[1]) * 10**9 // elapsed if before and elapsed > 0 else 0
        stamp = times.format_time(stat.timestamp / 1e9)
        return {
            "name": name,
            "startTime": times.format_time(started_at / 1e9),
            "cpu": {"time": stamp, "usageNanoCores": rate, "usageCoreNanoSeconds": stat.cpu},
            "memory": {
                "time": stamp,
                "usageBytes": stat.usage,
                "workingSetBytes": stat.working_set,
                "rssBytes": stat.rss,
                "pageFaults": stat.page_faults,
                "majorPageFaults": stat.major_page_faults,
            },
            "rootfs": {"time": stamp, "usedBytes": stat.filesystem_used, "inodesUsed": stat.inodes_used},
        }

    def _node(self, now: str) -> Object:
        memory = meminfo()
        disk = os.statvfs(self._options.data_dir)
        total, free = disk.f_blocks * disk.f_frsize, disk.f_bavail * disk.f_frsize
        used = _cpu_nanoseconds()
        wall = self._clock.monotonic()
        last, self._node_last = self._node_last, (wall, used)
        rate = int((used - last[1]) / (wall - last[0])) if last and wall > last[0] else 0
        return {
            "nodeName": self._options.node_name,
            "startTime": times.format_time(self._started),
            "cpu": {"time": now, "usageNanoCores": rate, "usageCoreNanoSeconds": used},
            "memory": {
                "time": now,
                "availableBytes": memory["MemAvailable"],
                "usageBytes": memory["MemTotal"] - memory["MemFree"],
                "workingSetBytes": memory["MemTotal"] - memory["MemAvailable"],
                "rssBytes": memory.get("AnonPages", 0),
            },
            "fs": {"time": now, "availableBytes": free, "capacityBytes": total, "usedBytes": total - free},
        }

    async def resource_metrics(self) -> str:
        """Write ``/metrics/resource``, which metrics servers read. Raises RuntimeFault."""
        summary = await self.summary()
        samples: dict[str, list[str]] = {name: [] for name in _RESOURCE_METRICS}

        def add(scope: str, labels: str, usage: Object) -> None:
            stamp = int(times.parse(usage["cpu"]["time"]) * 1000)
            seconds = usage["cpu"]["usageCoreNanoSeconds"] / 1e9
            samples[f"{scope}_cpu_usage_seconds_total"].append(f"{labels} {seconds} {stamp}")
            samples[f"{scope}_memory_working_set_bytes"].append(
                f"{labels} {usage['memory']['workingSetBytes']} {stamp}"
            )

        add("node", "", summary["node"])
        for pod in summary["pods"]:
            where = f'namespace="{pod["podRef"]["namespace"]}",pod="{pod["podRef"]["name"]}"'
            add("pod", f"{{{where}}}", pod)
            for container in pod["containers"]:
                add("container", f'{{container="{container["name"]}",{where}}}', container)
        lines = []
        for name, (kind, text) in _RESOURCE_METRICS.items():
            lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}", *(name + sample for sample in samples[name])]
        return "\n".join(lines) + "\n"

    def metrics(self) -> str:
        """Write what the agent counts, in Prometheus' text format."""
        workers = self._workers.all()
        running = sum(len(worker.records.running()) for worker in workers)
        lines = [
            "# HELP kubelet_running_pods Number of pods that have a running pod sandbox",
            "# TYPE kubelet_running_pods gauge",
            f"kubelet_running_pods {sum(worker.records.ready_sandbox is not None for worker in workers)}",
            "# HELP kubelet_running_containers Number of containers currently running",
            "# TYPE kubelet_running_containers gauge",
            f'kubelet_running_containers{{container_state="running"}} {running}',
            "# HELP kubelet_node_name The node's name. The count is always 1.",
            "# TYPE kubelet_node_name gauge",
            f'kubelet_node_name{{node="{self._options.node_name}"}} 1',
            "# HELP process_start_time_seconds Start time of the process since unix epoch in seconds.",
            "# TYPE process_start_time_seconds gauge",
            f"process_start_time_seconds {self._started:.2f}",
        ]
        return "\n".join(lines) + "\n"


def _cpu_nanoseconds() -> int:
    """Tell the processor time of the whole machine, without what was idle."""
    with open("/proc/stat") as file:  # noqa: PTH123
        fields = [int(value) for value in file.readline().split()[1:]]
    idle = fields[3] + (fields[4] if len(fields) > 4 else 0)
    return (sum(fields[:8]) - idle) * 10**9 // os.sysconf("SC_CLK_TCK")
