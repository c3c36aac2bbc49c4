"""Host ports of this node's pods, in the proxy's own tables.

The CNI portmap plugin would do it with iptables chains that outlive the cluster. These rules appear when the pod's
address is known to the API, and go with the pod.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from sampan.proxy.conntrack import Flows
from sampan.proxy.endpoints import Target
from sampan.proxy.family import is_family
from sampan.proxy.render import HAIRPIN, MARK, NODE_PORTS, SERVICE_IPS, Fragment
from sampan.proxy.servicerules import RenderedService

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sampan.api.object import Object
    from sampan.proxy.family import Family

_EVERYWHERE = ("", "0.0.0.0", "::")  # noqa: S104 - compared, not bound


def render_host_ports(pod: Object, families: Iterable[Family]) -> RenderedService | None:
    """Render a pod's host ports; None when it has none that need rules (no address yet, host network, ended)."""
    spec, status = pod["spec"], pod.get("status") or {}
    if spec.get("hostNetwork") or status.get("phase") in ("Succeeded", "Failed") or not status.get("podIP"):
        return None
    ports = [
        port
        for group in ("initContainers", "containers")
        for container in spec.get(group) or ()
        for port in container.get("ports") or ()
        if port.get("hostPort", 0) > 0
    ]
    if not ports:
        return None
    addresses = [one["ip"] for one in status.get("podIPs") or ({"ip": status["podIP"]},)]
    rendered = RenderedService()
    for family in families:
        rendered.fragments[family], rendered.udp[family] = Fragment(), Flows()
        address = family.first_of(addresses)
        for port in ports if address else ():
            _render(pod, port, address, family, rendered)
    return rendered


def _render(pod: Object, port: Object, address: str, family: Family, rendered: RenderedService) -> None:
    fragment, flows = rendered.fragments[family], rendered.udp[family]
    host_ip, number, protocol = port.get("hostIP", ""), port["hostPort"], port.get("protocol", "TCP").lower()
    if host_ip not in _EVERYWHERE and not is_family(host_ip, family):
        return
    target = Target(address, port["containerPort"])
    identity = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}/{host_ip}/{protocol}/{number}"
    chain = f"hp-{hashlib.sha256(identity.encode()).hexdigest()[:8]}-{protocol}/{number}"
    literal = f"[{target.ip}]:{target.port}" if family.version == 6 else f"{target.ip}:{target.port}"
    fragment.chains[chain] = (
        f"fib saddr type local {MARK}",
        f"meta l4proto {protocol} dnat {family.nft} to {literal}",
    )
    fragment.elements[HAIRPIN, f"{address} . {address}"] = ""
    if host_ip in _EVERYWHERE:
        fragment.elements[NODE_PORTS, f"{protocol} . {number}"] = f"goto {chain}"
    else:
        fragment.elements[SERVICE_IPS, f"{host_ip} . {protocol} . {number}"] = f"goto {chain}"
    if protocol == "udp" and host_ip in _EVERYWHERE:
        flows.node_ports[number] = frozenset((target,))
    elif protocol == "udp":
        flows.addresses[host_ip, number] = frozenset((target,))
