"""One Service with its EndpointSlices, rendered for every family: rules, UDP flows, count of local endpoints."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sampan.proxy.conntrack import Flows
from sampan.proxy.endpoints import choose, count_local_ready, endpoints_of
from sampan.proxy.render import Fragment, render
from sampan.proxy.serviceport import is_proxied, service_ports

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sampan.api.object import Object
    from sampan.proxy.endpoints import Endpoint, Place
    from sampan.proxy.family import Family
    from sampan.proxy.options import NetworkOptions
    from sampan.proxy.serviceport import ServicePort


@dataclass(slots=True)
class RenderedService:
    """What a service needs on this node."""

    fragments: dict[Family, Fragment] = field(default_factory=dict)
    udp: dict[Family, Flows] = field(default_factory=dict)
    local_endpoints: int = 0


class ServiceRenderer:
    """Renders services for one place in the cluster."""

    def __init__(self, options: NetworkOptions, place: Place) -> None:
        self._options = options
        self._place = place

    def render(self, service: Object, slices: Sequence[Object]) -> RenderedService | None:
        """Render a service; None when it is not this proxy's (headless, external name, the node's own DNS address)."""
        if not is_proxied(service):
            return None
        rendered = RenderedService()
        for family in self._options.families:
            fragment, flows = Fragment(), Flows()
            for port in service_ports(service, family):
                # The DNS server listens on its service's address itself: rules would only get in its way.
                if port.cluster_ip != self._options.dns_address:
                    local = self._render_port(port, slices, family, fragment, flows)
                    rendered.local_endpoints = max(rendered.local_endpoints, local)
            rendered.fragments[family] = fragment
            rendered.udp[family] = flows
        return rendered

    def _render_port(
        self, port: ServicePort, slices: Sequence[Object], family: Family, fragment: Fragment, flows: Flows
    ) -> int:
        endpoints = endpoints_of(slices, port.port_name, port.protocol, family, self._place)
        choice = choose(port, endpoints, self._place)
        render(port, choice, family, self._options.cluster_cidr_of(family), fragment)
        if port.protocol == "udp":
            _add_flows(port, endpoints, flows)
        return count_local_ready(endpoints)


def _add_flows(port: ServicePort, endpoints: Sequence[Endpoint], flows: Flows) -> None:
    """A flow may stay with an endpoint that still serves, though new ones go elsewhere."""
    allowed = frozenset(one.target for one in endpoints if one.ready or one.serving)
    for address in (port.cluster_ip, *port.external_ips, *port.load_balancer_ips):
        flows.addresses[address, port.port] = allowed
    if port.node_port:
        flows.node_ports[port.node_port] = allowed
