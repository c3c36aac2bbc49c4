"""The Node objects and Leases of simulated nodes: registered once, then kept alive as cheaply as the API allows.

Leases are renewed one after the other, evenly spread: each every 10 s, as kubelets do, but with many nodes so that no
more than 200 a second are written, at the slowest every 25 s, well within the 50 s after which nodes count as lost. The
status is reported every 5 minutes.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sampan.api import times
from sampan.api.errors import AlreadyExists, APIStatusError, NotFound
from sampan.base.log import logger
from sampan.base.tasks import spawn
from sampan.client.interface import MERGE_PATCH
from sampan.client.resources import LEASES, NODES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from sampan.api.object import Object
    from sampan.base.clock import Clock
    from sampan.client.client import Client
    from sampan.kubelet.simulated.addresses import Addresses
    from sampan.kubelet.simulated.options import SimulatedOptions

_log = logger("kubelet.simulated")
_VERSION = "v1.36.2"
_LEASE_NAMESPACE = "kube-node-lease"
_LEASE_SECONDS = 40
_SHORTEST_RENEWAL, _LONGEST_RENEWAL = 10.0, 25.0
_RENEWALS_PER_SECOND = 200.0
_REPORT_SECONDS = 300.0
_TURN_SECONDS = 0.25
_CONDITIONS = (
    ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
    ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
)


class SimulatedNodes:
    """All nodes of a simulator. port: of their common kubelet server."""

    def __init__(self, options: SimulatedOptions, client: Client, clock: Clock, addresses: Addresses) -> None:
        self._options = options
        self._nodes = client.resource(NODES)
        self._leases = client.resource(LEASES, _LEASE_NAMESPACE)
        self._clock = clock
        self._addresses = addresses
        self._names = [options.name(number) for number in range(options.nodes)]
        self._since = times.format_time(clock.time())
        self.port = options.port

    async def register(self) -> None:
        """Create all nodes and their leases, or take over those that are there. Raises APIStatusError, OSError."""
        await self._each(self._names, self._register)

    async def keep_leases(self) -> None:
        """Renew leases until cancelled."""
        whole = max(_SHORTEST_RENEWAL, min(_LONGEST_RENEWAL, len(self._names) / _RENEWALS_PER_SECOND))
        await self._go_round(whole, self._renew)

    async def keep_status(self) -> None:
        """Report status until cancelled."""
        await self._go_round(_REPORT_SECONDS, self._report)

    async def _go_round(self, seconds: float, work: Callable[[str], Awaitable[None]]) -> None:
        """Do the work for every node once in so many seconds, evenly spread."""
        done, began, count = 0, self._clock.monotonic(), len(self._names)
        while True:
            await self._clock.sleep(max(_TURN_SECONDS, seconds / count))
            wanted = int((self._clock.monotonic() - began) * count / seconds)
            wanted = min(wanted, done + count)  # after a pause once each is enough
            await self._each([self._names[number % count] for number in range(done, wanted)], work)
            done = wanted

    async def _each(self, names: Sequence[str], work: Callable[[str], Awaitable[None]]) -> None:
        waiting = iter(names)

        async def worker() -> None:
            for name in waiting:
                try:
                    await work(name)
                except (APIStatusError, OSError, TimeoutError) as error:
                    _log.warning("Node not written", node=name, error=error)

        async with asyncio.TaskGroup() as group:
            for _ in range(min(self._options.workers, len(names))):
                spawn(group, worker(), name="simulated node")

    async def _register(self, name: str) -> None:
        node = self._node(name)
        try:
            await self._nodes.create(node)
        except AlreadyExists:
            patch = {"metadata": {key: node["metadata"][key] for key in ("labels", "annotations")}}
            await self._nodes.patch(name, patch, content_type=MERGE_PATCH)
            await self._nodes.patch_status(name, {"status": node["status"]})
        await self._renew(name)

    async def _renew(self, name: str) -> None:
        stamp = times.format_micro(self._clock.time())
        try:
            await self._leases.patch(name, {"spec": {"renewTime": stamp}}, content_type=MERGE_PATCH)
        except NotFound:
            spec = {"holderIdentity": name, "leaseDurationSeconds": _LEASE_SECONDS, "renewTime": stamp}
            lease = {
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": {"name": name, "namespace": _LEASE_NAMESPACE},
                "spec": spec,
            }
            await self._leases.create(lease)

    async def _report(self, name: str) -> None:
        try:
            await self._nodes.patch_status(name, {"status": {"conditions": self._conditions()}})
        except NotFound:
            await self._nodes.create(self._node(name))  # deleted, but its machine is there: it registers again

    def _conditions(self) -> list[Object]:
        now = times.format_time(self._clock.time())
        return [
            {
                "type": type_,
                "status": status,
                "reason": reason,
                "message": message,
                "lastHeartbeatTime": now,
                "lastTransitionTime": self._since,
            }
            for type_, status, reason, message in _CONDITIONS
        ]

    def _node(self, name: str) -> Object:
        options = self._options
        amounts = {"cpu": options.cpu, "memory": options.memory, "pods": options.pods, "ephemeral-storage": "1Ti"}
        cidr = self._addresses.cidr(name)
        labels = {
            "beta.kubernetes.io/arch": "amd64",
            "beta.kubernetes.io/os": "linux",
            "kubernetes.io/arch": "amd64",
            "kubernetes.io/hostname": name,
            "kubernetes.io/os": "linux",
            "sampan.io/simulated": "true",
            **options.labels,
        }
        return {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": name,
                "labels": labels,
                "annotations": {"volumes.kubernetes.io/controller-managed-attach-detach": "true"},
            },
            "spec": {"podCIDR": cidr, "podCIDRs": [cidr]},
            "status": {
                "addresses": [
                    {"type": "InternalIP", "address": self._addresses.node(name)},
                    {"type": "Hostname", "address": name},
                ],
                "allocatable": amounts,
                "capacity": amounts,
                "conditions": self._conditions(),
                "daemonEndpoints": {"kubeletEndpoint": {"Port": self.port}},
                "nodeInfo": {
                    "architecture": "amd64",
                    "bootID": "",
                    "containerRuntimeVersion": "simulated://1",
                    "kernelVersion": "simulated",
                    "kubeProxyVersion": "",
                    "kubeletVersion": _VERSION,
                    "machineID": "",
                    "operatingSystem": "linux",
                    "osImage": "simulated",
                    "systemUUID": "",
                },
            },
        }
