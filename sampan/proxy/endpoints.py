"""Endpoints of a service port, and which of them get traffic.

Readiness, termination, locality and topology hints decide as in kube-proxy (Kubernetes, pkg/proxy/topology.go;
KEP-1669 for terminating endpoints, KEP-2433 and KEP-3015 for hints).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sampan.api.object import Object
    from sampan.proxy.family import Family
    from sampan.proxy.serviceport import ServicePort


class Target(NamedTuple):
    """Where a connection may be sent."""

    ip: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One endpoint of a service port. local: on this node."""

    target: Target
    ready: bool
    serving: bool
    terminating: bool
    local: bool
    zone_hints: tuple[str, ...] = ()
    node_hints: tuple[str, ...] = ()


class Place(NamedTuple):
    """Where the proxy runs. zone: "" when the node says none."""

    node: str
    zone: str = ""


class Choice(NamedTuple):
    """The targets of a service port: under traffic policy Cluster, and under Local."""

    cluster: tuple[Target, ...]
    local: tuple[Target, ...]


def endpoints_of(
    slices: Iterable[Object], port_name: str, protocol: str, family: Family, place: Place
) -> list[Endpoint]:
    """Collect the endpoints of one port from a service's EndpointSlices, sorted by address and each target once.

    An endpoint that two slices hold at the same time (it is being moved) counts as ready if either says so.
    """
    found: dict[Target, Endpoint] = {}
    for endpoint_slice in slices:
        if endpoint_slice.get("addressType") != f"IPv{family.version}":
            continue
        port = _port_number(endpoint_slice, port_name, protocol)
        if not port:
            continue
        for raw in endpoint_slice.get("endpoints") or ():
            endpoint = _endpoint(raw, port, place)
            other = found.get(endpoint.target)
            if other is None or (endpoint.ready and not other.ready):
                found[endpoint.target] = endpoint
    return [found[target] for target in sorted(found)]


def choose(service_port: ServicePort, endpoints: Sequence[Endpoint], place: Place) -> Choice:
    """Decide which endpoints get connections: ready ones, else those that still serve while they terminate."""
    cluster = _near([one for one in endpoints if one.ready], place) or _leaving(endpoints)
    local: list[Endpoint] = []
    if service_port.internal_local or service_port.external_local:
        here = [one for one in endpoints if one.local]
        local = [one for one in here if one.ready] or _leaving(here)
    return Choice(tuple(one.target for one in cluster), tuple(one.target for one in local))


def count_local_ready(endpoints: Iterable[Endpoint]) -> int:
    """Count the endpoints that a health check of this node counts."""
    return len({one.target.ip for one in endpoints if one.local and one.ready})


def _leaving(endpoints: Iterable[Endpoint]) -> list[Endpoint]:
    return [one for one in endpoints if one.serving and one.terminating]


def _near(ready: list[Endpoint], place: Place) -> list[Endpoint]:
    """Keep to the endpoints hinted for this node, then this zone; hints count only when every endpoint has them."""
    if ready and all(one.node_hints for one in ready):
        near = [one for one in ready if place.node in one.node_hints]
        if near:
            return near
    if ready and place.zone and all(one.zone_hints for one in ready):
        near = [one for one in ready if place.zone in one.zone_hints]
        if near:
            return near
    return ready


def _port_number(endpoint_slice: Object, port_name: str, protocol: str) -> int:
    for port in endpoint_slice.get("ports") or ():
        if (port.get("name") or "") == port_name and (port.get("protocol") or "TCP").lower() == protocol:
            return port.get("port") or 0
    return 0


def _endpoint(raw: Object, port: int, place: Place) -> Endpoint:
    conditions = raw.get("conditions") or {}
    ready = conditions.get("ready")
    ready = True if ready is None else ready
    serving = conditions.get("serving")
    hints = raw.get("hints") or {}
    return Endpoint(
        target=Target(raw["addresses"][0], port),
        ready=ready,
        serving=ready if serving is None else serving,
        terminating=bool(conditions.get("terminating")),
        local=raw.get("nodeName") == place.node,
        zone_hints=tuple(one["name"] for one in hints.get("forZones") or ()),
        node_hints=tuple(one["name"] for one in hints.get("forNodes") or ()),
    )
