"""Describing Services, Endpoints and EndpointSlices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.api.errors import APIStatusError
from sampan.kubectl.describe.events import events_of, write_events
from sampan.kubectl.describe.writer import NONE, UNSET

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.kubectl.describe.writer import Writer
    from sampan.kubectl.session import Session


async def describe_service(session: Session, writer: Writer, obj: Object, *, events: bool) -> None:
    """Describe a Service, with its endpoints."""
    spec = obj["spec"]
    found = await events_of(session, obj) if events else None
    slices = await slices_of(session, obj["metadata"]["namespace"], obj["metadata"]["name"])
    writer.metadata(obj)
    selector = ",".join(f"{key}={value}" for key, value in sorted((spec.get("selector") or {}).items()))
    writer.write(0, f"Selector:\t{selector or NONE}\n")
    writer.write(0, f"Type:\t{spec.get('type', '')}\n")
    if spec.get("ipFamilyPolicy"):
        writer.write(0, f"IP Family Policy:\t{spec['ipFamilyPolicy']}\n")
    writer.write(0, f"IP Families:\t{','.join(spec.get('ipFamilies') or []) or NONE}\n")
    writer.write(0, f"IP:\t{spec.get('clusterIP', '')}\n")
    writer.write(0, f"IPs:\t{','.join(spec.get('clusterIPs') or []) or NONE}\n")
    if spec.get("externalIPs"):
        writer.write(0, f"External IPs:\t{','.join(spec['externalIPs'])}\n")
    if spec.get("loadBalancerIP"):
        writer.write(0, f"Desired LoadBalancer IP:\t{spec['loadBalancerIP']}\n")
    if spec.get("externalName"):
        writer.write(0, f"External Name:\t{spec['externalName']}\n")
    if ingress := ((obj.get("status") or {}).get("loadBalancer") or {}).get("ingress"):
        writer.write(0, f"LoadBalancer Ingress:\t{', '.join(_ingress(one) for one in ingress)}\n")
    _write_ports(writer, spec, slices)
    writer.write(0, f"Session Affinity:\t{spec.get('sessionAffinity', '')}\n")
    for title, field in (("External Traffic Policy", "externalTrafficPolicy"),
                         ("Internal Traffic Policy", "internalTrafficPolicy"),
                         ("Traffic Distribution", "trafficDistribution")):  # fmt: skip
        if spec.get(field):
            writer.write(0, f"{title}:\t{spec[field]}\n")
    if spec.get("healthCheckNodePort"):
        writer.write(0, f"HealthCheck NodePort:\t{spec['healthCheckNodePort']}\n")
    if spec.get("loadBalancerSourceRanges"):
        writer.write(0, f"LoadBalancer Source Ranges:\t{','.join(spec['loadBalancerSourceRanges'])}\n")
    write_events(writer, found)


def _ingress(one: Object) -> str:
    if one.get("ip"):
        return f"{one['ip']} ({one['ipMode']})" if one.get("ipMode") else str(one["ip"])
    return str(one.get("hostname", ""))


async def slices_of(session: Session, namespace: str, service: str) -> list[Object]:
    """The endpoint slices of a service."""
    path = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"
    try:
        listing = await session.json("GET", path, query={"labelSelector": f"kubernetes.io/service-name={service}"})
    except APIStatusError:
        return []
    items: list[Object] = listing.get("items") or []
    return items


def _write_ports(writer: Writer, spec: Object, slices: list[Object]) -> None:
    for port in spec.get("ports") or []:
        name, protocol = port.get("name") or UNSET, port.get("protocol", "TCP")
        writer.write(0, f"Port:\t{name}\t{port['port']}/{protocol}\n")
        writer.write(0, f"TargetPort:\t{port.get('targetPort', 0)}/{protocol}\n")
        if port.get("nodePort"):
            writer.write(0, f"NodePort:\t{name}\t{port['nodePort']}/{protocol}\n")
        writer.write(0, f"Endpoints:\t{endpoints_text(slices, port.get('name', ''))}\n")


def endpoints_text(slices: list[Object], port_name: str) -> str:
    """The ready addresses of a port, at most three by name."""
    if not slices:
        return NONE
    found: list[str] = []
    for one in slices:
        ports = one.get("ports") or []
        if not ports:
            found += [address for point in _ready(one) for address in point["addresses"]]
        for port in ports:
            if port.get("name", "") == port_name:
                found += [_joined(address, port["port"]) for point in _ready(one) for address in point["addresses"]]
    text = ",".join(found[:3])
    return f"{text} + {len(found) - 3} more..." if len(found) > 3 else text


def _ready(one: Object) -> list[Object]:
    return [
        point for point in one.get("endpoints") or [] if (point.get("conditions") or {}).get("ready") in (None, True)
    ]


def _joined(address: str, port: Any) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


async def describe_endpoints(session: Session, writer: Writer, obj: Object, *, events: bool) -> None:
    """Describe an Endpoints object."""
    found = await events_of(session, obj) if events else None
    writer.metadata(obj)
    writer.write(0, "Subsets:\n")
    for subset in obj.get("subsets") or []:
        for title, field in (("Addresses", "addresses"), ("NotReadyAddresses", "notReadyAddresses")):
            addresses = ",".join(one["ip"] for one in subset.get(field) or [])
            writer.write(1, f"{title}:\t{addresses or NONE}\n")
        if ports := subset.get("ports"):
            writer.write(1, "Ports:\n")
            writer.write(2, "Name\tPort\tProtocol\n")
            writer.write(2, "----\t----\t--------\n")
            for port in ports:
                writer.write(2, f"{port.get('name') or UNSET}\t{port['port']}\t{port.get('protocol', 'TCP')}\n")
        writer.write(0, "\n")
    write_events(writer, found)


async def describe_endpoint_slice(session: Session, writer: Writer, obj: Object, *, events: bool) -> None:
    """Describe an EndpointSlice."""
    found = await events_of(session, obj) if events else None
    writer.metadata(obj)
    writer.write(0, f"AddressType:\t{obj['addressType']}\n")
    ports = obj.get("ports") or []
    if not ports:
        writer.write(0, f"Ports: {UNSET}\n")
    else:
        writer.write(0, "Ports:\n")
        writer.write(1, "Name\tPort\tProtocol\n")
        writer.write(1, "----\t----\t--------\n")
        for port in ports:
            number = port.get("port", UNSET)
            writer.write(1, f"{port.get('name') or UNSET}\t{number}\t{port.get('protocol', 'TCP')}\n")
    points = obj.get("endpoints") or []
    writer.write(0, "Endpoints:\n" if points else f"Endpoints: {NONE}\n")
    for point in points:
        _write_point(writer, point)
    write_events(writer, found)


def _write_point(writer: Writer, point: Object) -> None:
    writer.write(1, f"- Addresses:\t{', '.join(point['addresses'])}\n")
    conditions = point.get("conditions") or {}
    writer.write(2, "Conditions:\n")
    ready = conditions.get("ready")
    writer.write(3, f"Ready:\t{UNSET if ready is None else str(ready).lower()}\n")
    writer.write(2, f"Hostname:\t{point.get('hostname', UNSET)}\n")
    if target := point.get("targetRef"):
        writer.write(2, f"TargetRef:\t{target['kind']}/{target['name']}\n")
    writer.write(2, f"NodeName:\t{point.get('nodeName', UNSET)}\n")
    writer.write(2, f"Zone:\t{point.get('zone', UNSET)}\n")
