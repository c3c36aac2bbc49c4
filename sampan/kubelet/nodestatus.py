"""The Node object: registration, status and its heartbeat, and the node's Lease.

Source: kubelet_node_status.go, nodestatus/setters.go, component-helpers' lease controller.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from sampan.api import quantity, times
from sampan.api.errors import AlreadyExists, APIStatusError, NotFound
from sampan.api.volumes import LOCAL_PATH
from sampan.base.log import logger
from sampan.client.resources import LEASES, NODES
from sampan.kubelet.machine import memory_available, read_machine
from sampan.kubelet.runtime import RuntimeFault
from sampan.kubelet.volumes import localpath

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sampan.api.object import Object
    from sampan.base.clock import Clock
    from sampan.client.client import Client
    from sampan.kubelet.events import Recorder
    from sampan.kubelet.machine import Machine
    from sampan.kubelet.options import KubeletOptions
    from sampan.kubelet.runtime import ContainerRuntime

_log = logger("kubelet.node")

VERSION = "v1.36.2"
_LEASE_NAMESPACE = "kube-node-lease"
_FAST_SECONDS = 0.1
_MAX_IMAGES = 50
_MAX_NAMES = 5
_GOOD = {
    "MemoryPressure": ("KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    "DiskPressure": ("KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    "PIDPressure": ("KubeletHasSufficientPID", "kubelet has sufficient PID available"),
}


def capacity(machine: Machine, options: KubeletOptions) -> dict[str, str]:
    """Tell what the machine has, as resource quantities."""
    return {
        "cpu": str(machine.cpus),
        "ephemeral-storage": f"{machine.disk // 1024}Ki",
        **{f"hugepages-{size}": quantity.of(amount, "BinarySI") for size, amount in machine.hugepages.items()},
        "memory": f"{machine.memory // 1024}Ki",
        "pods": str(options.max_pods),
    }


def allocatable(machine: Machine, options: KubeletOptions) -> dict[str, str]:
    """Tell what pods may have: the capacity without what is reserved and the hard eviction thresholds."""
    result = capacity(machine, options)
    reserved = {**options.system_reserved}
    memory = machine.memory - quantity.to_int(options.eviction_memory)
    memory -= quantity.to_int(reserved.get("memory", "0")) + sum(machine.hugepages.values())
    result["memory"] = f"{max(memory, 0) // 1024}Ki"
    result["ephemeral-storage"] = str(machine.disk - machine.disk // 10)
    if "cpu" in reserved:
        milli = machine.cpus * 1000 - quantity.milli_value(reserved["cpu"])
        result["cpu"] = quantity.canonical(f"{milli}m")
    return result


class NodeStatus:
    """Keeps the Node object and the Lease. port: tells the kubelet server's port."""

    def __init__(
        self,
        options: KubeletOptions,
        client: Client,
        runtime: ContainerRuntime,
        recorder: Recorder,
        clock: Clock,
        *,
        port: Callable[[], int],
    ) -> None:
        self._options = options
        self._nodes = client.resource(NODES)
        self._leases = client.resource(LEASES, _LEASE_NAMESPACE)
        self._runtime = runtime
        self._recorder = recorder
        self._clock = clock
        self._port = port
        self._machine = read_machine(options.data_dir)
        self._reported: Object = {}
        self._reported_at = float("-inf")
        self._uid = ""
        self._conditions: dict[str, Object] = {}
        self._lease: Object | None = None

    @property
    def machine(self) -> Machine:
        return self._machine

    def reference(self) -> Object:
        """The ObjectReference under which kubelet records events of the node."""
        name = self._options.node_name
        return {"kind": "Node", "name": name, "uid": name}

    async def register(self) -> Object:
        """Create the Node, or bring an existing one's labels up to date; return it. Raises APIStatusError, OSError."""
        node = await self._initial()
        try:
            node = await self._nodes.create(node)
        except AlreadyExists:
            existing = await self._nodes.get(self._options.node_name)
            wanted = {key: node["metadata"][key] for key in ("labels", "annotations")}
            have = {key: existing["metadata"].get(key) or {} for key in wanted}
            if any(have[part].get(key) != value for part, pairs in wanted.items() for key, value in pairs.items()):
                patch = {"metadata": wanted}
                existing = await self._nodes.patch(self._options.node_name, patch)
            node = existing
        self._uid = node["metadata"]["uid"]
        self._conditions = {c["type"]: c for c in (node.get("status") or {}).get("conditions") or ()}
        self._reported = node.get("status") or {}
        return node

    async def _initial(self) -> Object:
        options, machine = self._options, self._machine
        labels = {
            "beta.kubernetes.io/arch": machine.architecture,
            "beta.kubernetes.io/os": "linux",
            "kubernetes.io/arch": machine.architecture,
            "kubernetes.io/hostname": options.node_name,
            "kubernetes.io/os": "linux",
            **options.labels,
        }
        metadata: Object = {
            "name": options.node_name,
            "labels": labels,
            "annotations": {
                "volumes.kubernetes.io/controller-managed-attach-detach": "true",
                LOCAL_PATH: str(localpath.root(options.data_dir)),
            },
        }
        spec: Object = {}
        if options.provider_id:
            spec["providerID"] = options.provider_id
        if options.taints:
            spec["taints"] = list(options.taints)
        return {
            "kind": "Node",
            "apiVersion": "v1",
            "metadata": metadata,
            "spec": spec,
            "status": await self.status(),
        }

    async def status(self) -> Object:
        """Compute the node's status as it is now."""
        options, machine = self._options, self._machine
        version, conditions, images = await self._runtime_state()
        return {
            "addresses": [
                *({"type": "InternalIP", "address": ip} for ip in options.node_ips),
                {"type": "Hostname", "address": options.node_name},
            ],
            "allocatable": allocatable(machine, options),
            "capacity": capacity(machine, options),
            "conditions": self._all_conditions(conditions),
            "daemonEndpoints": {"kubeletEndpoint": {"Port": self._port()}},
            "features": {"supplementalGroupsPolicy": False},
            "images": images,
            "nodeInfo": {
                "architecture": machine.architecture,
                "bootID": machine.boot_id,
                "containerRuntimeVersion": version,
                "kernelVersion": machine.kernel,
                "kubeProxyVersion": "",
                "kubeletVersion": VERSION,
                "machineID": machine.machine_id,
                "operatingSystem": "linux",
                "osImage": machine.os_image,
                "systemUUID": machine.system_uuid,
            },
            "runtimeHandlers": [{"features": {"recursiveReadOnlyMounts": False, "userNamespaces": False}, "name": ""}],
        }

    async def _runtime_state(self) -> tuple[str, Mapping[str, tuple[bool, str, str]], list[Object]]:
        try:
            version = await self._runtime.version()
            conditions = await self._runtime.conditions()
            images = [
                {"names": [*image.digests, *image.tags][:_MAX_NAMES], "sizeBytes": image.size}
                for image in sorted(await self._runtime.list_images(), key=lambda image: -image.size)
                if image.digests or image.tags
            ]
        except RuntimeFault as error:
            return "", {"RuntimeReady": (False, "", str(error))}, []
        return f"{version.name}://{version.version}", conditions, images[:_MAX_IMAGES]

    def _all_conditions(self, runtime: Mapping[str, tuple[bool, str, str]]) -> list[Object]:
        pressure = self._pressures()
        conditions = []
        for kind, (reason, message) in _GOOD.items():
            bad = pressure.get(kind)
            conditions.append(self._condition(kind, "True" if bad else "False", *(bad or (reason, message))))
        problems = [
            f"container runtime network not ready: NetworkReady=false reason:{reason} message:{message}"
            if kind == "NetworkReady"
            else f"[container runtime is down] {reason} {message}".strip()
            for kind, (good, reason, message) in runtime.items()
            if not good and kind in ("RuntimeReady", "NetworkReady")
        ]
        if problems:
            conditions.append(self._condition("Ready", "False", "KubeletNotReady", ", ".join(problems)))
        else:
            conditions.append(self._condition("Ready", "True", "KubeletReady", "kubelet is posting ready status"))
        self._conditions = {c["type"]: c for c in conditions}
        return conditions

    def _condition(self, kind: str, status: str, reason: str, message: str) -> Object:
        now = times.format_time(self._clock.time())
        old = self._conditions.get(kind)
        since = old["lastTransitionTime"] if old and old["status"] == status else now
        if old and old["status"] != status and kind == "Ready":
            event = "NodeReady" if status == "True" else "NodeNotReady"
            name = self._options.node_name
            self._recorder.event(self.reference(), "Normal", event, f"Node {name} status is now: {event}")
        return {
            "type": kind,
            "status": status,
            "lastHeartbeatTime": now,
            "lastTransitionTime": since,
            "reason": reason,
            "message": message,
        }

    def _pressures(self) -> dict[str, tuple[str, str]]:
        found = {}
        if memory_available() < quantity.to_int(self._options.eviction_memory):
            found["MemoryPressure"] = ("KubeletHasInsufficientMemory", "kubelet has insufficient memory available")
        stat = os.statvfs(self._options.data_dir)
        if stat.f_bavail * 10 < stat.f_blocks or (stat.f_files and stat.f_favail * 20 < stat.f_files):
            found["DiskPressure"] = ("KubeletHasDiskPressure", "kubelet has disk pressure")
        return found

    async def run(self) -> None:
        """Report until cancelled.

        Often until the node is Ready for the first time, then when something changed, and every few minutes anyway.
        """
        was_ready = False
        while True:
            status = await self.status()
            try:
                await self._report(status)
            except (APIStatusError, OSError, TimeoutError) as error:
                _log.warning("Error updating node status, will retry", error=error)
            is_ready = any(c["type"] == "Ready" and c["status"] == "True" for c in status["conditions"])
            was_ready = was_ready or is_ready
            await self._clock.sleep(self._options.node_status_seconds if was_ready else _FAST_SECONDS)

    async def _report(self, status: Object) -> None:
        due = self._clock.monotonic() - self._reported_at >= self._options.node_report_seconds
        if not due and _without_heartbeats(status) == _without_heartbeats(self._reported):
            return
        patch = {key: value for key, value in status.items() if value != self._reported.get(key)}
        if "addresses" in patch and self._reported.get("addresses"):
            patch["addresses"] = [*patch["addresses"], {"$patch": "replace"}]
        try:
            await self._nodes.patch_status(self._options.node_name, {"status": patch})
        except NotFound:
            await self.register()  # somebody deleted the Node; it is still a node
            return
        self._reported = status
        self._reported_at = self._clock.monotonic()

    async def keep_lease(self) -> None:
        """Renew the Lease until cancelled."""
        while True:
            try:
                await self._renew()
            except (APIStatusError, OSError, TimeoutError) as error:
                _log.warning("Failed to update lease", error=error)
                self._lease = None
            await self._clock.sleep(self._options.lease_seconds / 4)

    async def _renew(self) -> None:
        renewed = times.format_micro(self._clock.time())
        name = self._options.node_name
        if self._lease is None:
            try:
                self._lease = await self._leases.get(name)
            except NotFound:
                owner = {"apiVersion": "v1", "kind": "Node", "name": name, "uid": self._uid}
                spec = {"holderIdentity": name, "leaseDurationSeconds": self._options.lease_seconds}
                self._lease = await self._leases.create(
                    {
                        "apiVersion": "coordination.k8s.io/v1",
                        "kind": "Lease",
                        "metadata": {"name": name, "namespace": _LEASE_NAMESPACE, "ownerReferences": [owner]},
                        "spec": {**spec, "renewTime": renewed},
                    }
                )
                return
        spec = {**self._lease["spec"], "renewTime": renewed, "holderIdentity": name}
        self._lease = await self._leases.update({**self._lease, "spec": spec})


def _without_heartbeats(status: Object) -> Object:
    conditions = [
        {key: value for key, value in c.items() if key != "lastHeartbeatTime"} for c in status.get("conditions") or ()
    ]
    return {**status, "conditions": conditions}
