"""What of a Service the proxy needs: one `ServicePort` per port and address family.

Which services are proxied, and which addresses count, is decided as in kube-proxy (Kubernetes,
pkg/proxy/serviceport.go).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sampan.api.object import labels_of
from sampan.proxy.family import is_family

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.proxy.family import Family

SERVICE_NAME_LABEL = "kubernetes.io/service-name"

BY_SERVICE = "proxy/service"
"""The index of EndpointSlices by their service's ``namespace/name``."""

_NOT_OURS = ("service.kubernetes.io/service-proxy-name", "service.kubernetes.io/headless")
_DEFAULT_AFFINITY_SECONDS = 10800


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicePort:
    """One port of a service in one family. protocol: tcp, udp or sctp. affinity_seconds: 0 for no session affinity."""

    namespace: str
    name: str
    port_name: str
    protocol: str
    port: int
    node_port: int
    cluster_ip: str
    external_ips: tuple[str, ...]
    load_balancer_ips: tuple[str, ...]
    source_ranges: tuple[str, ...]
    internal_local: bool
    external_local: bool
    affinity_seconds: int

    @property
    def is_external(self) -> bool:
        """Tell whether anything but the cluster IP leads to it."""
        return bool(self.node_port or self.external_ips or self.load_balancer_ips)


def is_proxied(service: Object) -> bool:
    """Tell whether the node's proxy serves a Service: it has a cluster IP and no other proxy's label."""
    spec = service.get("spec", {})
    if spec.get("type") == "ExternalName" or spec.get("clusterIP", "") in ("", "None"):
        return False
    labels = labels_of(service)
    return not any(label in labels for label in _NOT_OURS)


def service_ports(service: Object, family: Family) -> tuple[ServicePort, ...]:
    """Read the ports of a proxied Service in one family; none when it has no cluster IP of that family."""
    spec = service["spec"]
    cluster_ip = family.first_of(spec.get("clusterIPs") or [spec["clusterIP"]])
    if not cluster_ip:
        return ()
    metadata = service["metadata"]
    return tuple(
        ServicePort(
            namespace=metadata["namespace"],
            name=metadata["name"],
            port_name=port.get("name", ""),
            protocol=port.get("protocol", "TCP").lower(),
            port=port["port"],
            node_port=port.get("nodePort", 0),
            cluster_ip=cluster_ip,
            external_ips=_of_family(spec.get("externalIPs"), family),
            load_balancer_ips=_ingress_ips(service, family),
            source_ranges=_of_family([one.strip() for one in spec.get("loadBalancerSourceRanges") or ()], family),
            internal_local=spec.get("internalTrafficPolicy") == "Local",
            external_local=spec.get("externalTrafficPolicy") == "Local",
            affinity_seconds=_affinity_seconds(spec),
        )
        for port in spec.get("ports") or ()
    )


def health_check_node_port(service: Object) -> int:
    """The port on which load balancers ask whether this node has endpoints of its own; 0 for none."""
    spec = service.get("spec", {})
    if spec.get("type") != "LoadBalancer" or spec.get("externalTrafficPolicy") != "Local":
        return 0
    result: int = spec.get("healthCheckNodePort", 0)
    return result


def load_balancer_addresses(service: Object) -> tuple[str, ...]:
    """The addresses of a Service that its nodes themselves must answer for, of any family."""
    if service.get("spec", {}).get("type") != "LoadBalancer":
        return ()
    ingress = (service.get("status", {}).get("loadBalancer") or {}).get("ingress") or ()
    return tuple(one["ip"] for one in ingress if one.get("ip") and one.get("ipMode", "VIP") == "VIP")


def _ingress_ips(service: Object, family: Family) -> tuple[str, ...]:
    return _of_family(load_balancer_addresses(service), family)


def _of_family(addresses: list[str] | tuple[str, ...] | None, family: Family) -> tuple[str, ...]:
    return tuple(one for one in addresses or () if is_family(one, family))


def _affinity_seconds(spec: Object) -> int:
    if spec.get("sessionAffinity") != "ClientIP":
        return 0
    client_ip = (spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}
    result: int = client_ip.get("timeoutSeconds") or _DEFAULT_AFFINITY_SECONDS
    return result
