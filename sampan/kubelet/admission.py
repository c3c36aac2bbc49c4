"""What a node refuses: pods that do not fit, whatever the scheduler thought (or that it never saw). Pure.

Source: kubelet's lifecycle/predicate.go; reasons and messages are its.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import quantity
from sampan.api.pods import requests
from sampan.kubelet.pods import containers_of
from sampan.kubelet.resources import whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from decimal import Decimal

    from sampan.api.object import Object

_RESOURCES = ("cpu", "memory", "ephemeral-storage")
_SAFE_SYSCTLS = frozenset(
    {
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ping_group_range",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.tcp_wmem",
    }
)
"""Namespaced and isolated: they touch neither other pods nor the node (kubelet's sysctl/safe_sysctls.go)."""

_ANY = ("", "0.0.0.0", "::")  # noqa: S104 - compared, not bound


def refuse(pod: Object, others: Sequence[Object], allocatable: Mapping[str, str]) -> tuple[str, str] | None:
    """Tell why a pod cannot run beside the others, as (reason, message); None when it can."""
    if "pods" in allocatable and len(others) + 1 > whole(allocatable["pods"]):
        return _out_of("pods", 1, len(others), whole(allocatable["pods"]))
    for resource in _RESOURCES:
        wanted = request(pod, resource)
        if not wanted or resource not in allocatable:
            continue
        used = sum(request(other, resource) for other in others)
        capacity = _amount(resource, quantity.parse(allocatable[resource]))
        if wanted + used > capacity:
            return _out_of(resource, wanted, used, capacity)
    refusal = _refuse_sysctls(pod)
    if refusal is not None:
        return refusal
    if (pod["spec"].get("securityContext") or {}).get("supplementalGroupsPolicy") == "Strict":
        # containerd before 2.0 always adds the image's groups.
        return "SupplementalGroupsPolicyNotSupported", "SupplementalGroupsPolicy=Strict is not supported in this node"
    taken = [port for other in others for port in _host_ports(other)]
    if any(_collide(port, other) for port in _host_ports(pod) for other in taken):
        reason = "node(s) didn't have free ports for the requested pod ports"
        return "NodePorts", f"Predicate NodePorts failed: {reason}"
    return None


def _refuse_sysctls(pod: Object) -> tuple[str, str] | None:
    spec = pod["spec"]
    for entry in (spec.get("securityContext") or {}).get("sysctls") or ():
        name = entry["name"].replace("/", ".")
        if spec.get("hostNetwork") and name.startswith("net."):
            return "SysctlForbidden", f'forbidden sysctl: "{name}" not allowed with host net enabled'
        if spec.get("hostIPC") and name == "kernel.shm_rmid_forced":
            return "SysctlForbidden", f'forbidden sysctl: "{name}" not allowed with host ipc enabled'
        if name not in _SAFE_SYSCTLS:
            return "SysctlForbidden", f'forbidden sysctl: "{name}" not allowlisted'
    return None


def _out_of(resource: str, wanted: int, used: int, capacity: int) -> tuple[str, str]:
    numbers = f"requested: {wanted}, used: {used}, capacity: {capacity}"
    return f"OutOf{resource}", f"Node didn't have enough resource: {resource}, {numbers}"


def _amount(resource: str, amount: Decimal | None) -> int:
    return 0 if amount is None else quantity.scaled(amount, 3 if resource == "cpu" else 0)


def request(pod: Object, resource: str) -> int:
    """Tell what a pod requests: millicores or bytes."""
    return _amount(resource, requests(pod).get(resource))


def _host_ports(pod: Object) -> Iterable[tuple[str, str, int]]:
    for container in containers_of(pod):
        for port in container.get("ports") or ():
            if port.get("hostPort"):
                yield port.get("hostIP") or "", port.get("protocol") or "TCP", port["hostPort"]


def _collide(one: tuple[str, str, int], other: tuple[str, str, int]) -> bool:
    return one[1:] == other[1:] and (one[0] == other[0] or one[0] in _ANY or other[0] in _ANY)
