"""The cluster domain: what Kubernetes' DNS-based service discovery (specification 1.1) says of a name.

`ClusterZone.look_up` is pure: services and endpoint slices in, records out. Where the specification leaves room, it
answers as CoreDNS' kubernetes plug-in does: endpoints without a hostname are named by their address with dashes, SRV
weights share out 100, pod names answer with the address that they spell, `SRV` of a service lists all its ports.

A name that exists, or has names below it, without records of the asked type is *no data*; any other is *no such name*.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sampan.api.object import Object

SPECIFICATION = "1.1.0"


class Record(NamedTuple):
    """One resource record. value: an address, a name with a final dot, a text, or for SRV ``weight port target``."""

    name: str
    type: str
    value: str


@dataclass(frozen=True, slots=True)
class Answer:
    """exists: False is NXDOMAIN. additional: addresses of SRV targets. alias: the CNAME's target, to be looked up."""

    exists: bool
    records: tuple[Record, ...] = ()
    additional: tuple[Record, ...] = ()
    alias: str = ""


NO_SUCH_NAME = Answer(exists=False)
NO_DATA = Answer(exists=True)


class Source(Protocol):
    """Where the zone finds its objects."""

    def service(self, namespace: str, name: str) -> Object | None: ...
    def slices(self, namespace: str, name: str) -> Iterable[Object]: ...
    def has_namespace(self, namespace: str) -> bool: ...
    def services_by_ip(self, ip: str) -> Iterable[Object]: ...
    def slices_by_ip(self, ip: str) -> Iterable[Object]: ...


class _Endpoint(NamedTuple):
    hostname: str
    address: str
    ports: tuple[tuple[str, str, int], ...]


class ClusterZone:
    """Answers for one cluster domain."""

    def __init__(self, domain: str, source: Source, *, server_address: str) -> None:
        self.domain = domain.strip(".").lower()
        self._suffix = tuple(self.domain.split("."))
        self._source = source
        self._server_address = server_address

    def holds(self, labels: Sequence[str]) -> bool:
        """Tell whether a name (its labels, lower case) is in the cluster domain."""
        return tuple(labels[-len(self._suffix) :]) == self._suffix

    def look_up(self, labels: Sequence[str], type_: str) -> Answer:
        """Answer a question about a name of the cluster domain."""
        name = ".".join(labels) + "."
        match list(labels[: -len(self._suffix)]):
            case []:
                ns = Record(name, "NS", f"ns.dns.{self.domain}.")
                return Answer(exists=True, records=(ns,) if type_ in ("NS", "ANY") else ())
            case ["dns-version"]:
                return _typed(type_, (Record(name, "TXT", SPECIFICATION),))
            case ["dns"] | ["svc"] | ["pod"]:
                return NO_DATA
            case ["ns", "dns"]:
                return _typed(type_, (_address_record(name, self._server_address),))
            case [namespace, "svc" | "pod"]:
                return NO_DATA if self._source.has_namespace(namespace) else NO_SUCH_NAME
            case [address, _, "pod"]:
                return self._pod(name, address, type_)
            case [*rest, service, namespace, "svc"]:
                return self._service(name, rest, service, namespace, type_)
            case _:
                return NO_SUCH_NAME

    def look_up_address(self, ip: str) -> tuple[str, ...]:
        """Tell the names of an address (PTR): of services with this cluster IP, else of endpoints."""
        names = [f"{_service_name(one)}.{self.domain}." for one in self._source.services_by_ip(ip)]
        if names:
            return tuple(names)
        found = []
        for endpoint_slice in self._source.slices_by_ip(ip):
            service = endpoint_slice["metadata"].get("labels", {}).get("kubernetes.io/service-name", "")
            namespace = endpoint_slice["metadata"]["namespace"]
            found += [
                f"{one.hostname}.{service}.{namespace}.svc.{self.domain}."
                for one in _endpoints([endpoint_slice])
                if service and one.address == ip
            ]
        return tuple(dict.fromkeys(found))

    def _pod(self, name: str, address: str, type_: str) -> Answer:
        for spelling in (address.replace("-", "."), address.replace("-", ":")):
            try:
                found = str(ipaddress.ip_address(spelling))
            except ValueError:
                continue
            return _typed(type_, (_address_record(name, found),))
        return NO_SUCH_NAME

    def _service(self, name: str, rest: list[str], service_name: str, namespace: str, type_: str) -> Answer:
        service = self._source.service(namespace, service_name)
        if service is None or len(rest) > 2:
            return NO_SUCH_NAME
        spec = service.get("spec", {})
        base = f"{service_name}.{namespace}.svc.{self.domain}."
        if spec.get("type") == "ExternalName":
            if rest:
                return NO_SUCH_NAME
            return _alias(name, spec.get("externalName", ""))
        if spec.get("clusterIP") in ("None", "", None):
            return self._headless(name, rest, base, service, type_)
        return self._cluster_ip(name, rest, base, spec, type_)

    def _cluster_ip(self, name: str, rest: list[str], base: str, spec: Object, type_: str) -> Answer:
        addresses = tuple(_address_record(base, one) for one in spec.get("clusterIPs") or [spec["clusterIP"]])
        ports = [
            (one.get("name", ""), one.get("protocol", "TCP").lower(), one["port"]) for one in spec.get("ports") or ()
        ]
        match rest:
            case []:
                wanted = ports
            case [proto] if proto in {f"_{one[1]}" for one in ports}:
                return NO_DATA
            case [port, proto] if any((f"_{one[0]}", f"_{one[1]}") == (port, proto) for one in ports):
                wanted = [one for one in ports if (f"_{one[0]}", f"_{one[1]}") == (port, proto)]
                addresses = addresses if type_ == "SRV" else ()
            case _:
                # Endpoints of a service with a cluster IP have names as well, as CoreDNS answers them.
                return self._endpoint(name, rest, base, type_)
        if type_ != "SRV":
            return _typed(type_, addresses)
        weight = 100 // max(len(wanted), 1)
        records = tuple(Record(name, "SRV", f"{weight} {port} {base}") for _, _, port in wanted)
        return Answer(exists=True, records=records, additional=addresses)

    def _headless(self, name: str, rest: list[str], base: str, service: Object, type_: str) -> Answer:
        endpoints = self._endpoints_of(service)
        protocols = {f"_{proto}" for one in endpoints for _, proto, _ in one.ports}
        ports = {(f"_{port}", f"_{proto}") for one in endpoints for port, proto, _ in one.ports}
        match rest:
            case []:
                # Without endpoints the name exists all the same: the service does.
                if type_ == "SRV":
                    return _endpoint_services(name, base, endpoints, None)
                return _typed(type_, tuple(_address_record(name, one.address) for one in endpoints))
            case [proto] if proto in protocols:
                return NO_DATA
            case [port, proto] if (port, proto) in ports:
                return _endpoint_services(name, base, endpoints, (port, proto)) if type_ == "SRV" else NO_DATA
            case _:
                return self._endpoint(name, rest, base, type_)

    def _endpoint(self, name: str, rest: list[str], base: str, type_: str) -> Answer:
        service, namespace = base.split(".", 2)[:2]
        if len(rest) != 1:
            return NO_SUCH_NAME
        found = [one for one in _endpoints(self._source.slices(namespace, service)) if one.hostname == rest[0]]
        if not found:
            return NO_SUCH_NAME
        if type_ == "SRV":
            return _endpoint_services(name, base, found, None)
        return _typed(type_, tuple(_address_record(name, one.address) for one in found))

    def _endpoints_of(self, service: Object) -> list[_Endpoint]:
        metadata = service["metadata"]
        return list(_endpoints(self._source.slices(metadata["namespace"], metadata["name"])))


def _endpoint_services(name: str, base: str, endpoints: Sequence[_Endpoint], wanted: tuple[str, str] | None) -> Answer:
    pairs = [
        (endpoint, port)
        for endpoint in endpoints
        for port_name, proto, port in endpoint.ports
        if wanted is None or wanted == (f"_{port_name}", f"_{proto}")
    ]
    weight = max(1, 100 // max(len(pairs), 1))
    records = tuple(Record(name, "SRV", f"{weight} {port} {one.hostname}.{base}") for one, port in pairs)
    targets = dict.fromkeys(_address_record(f"{one.hostname}.{base}", one.address) for one, _ in pairs)
    return Answer(exists=True, records=tuple(dict.fromkeys(records)), additional=tuple(targets))


def _endpoints(slices: Iterable[Object]) -> Iterator[_Endpoint]:
    """The ready endpoints of slices, each address once; publishNotReadyAddresses shows as ready in the slices."""
    seen: set[tuple[str, tuple[tuple[str, str, int], ...]]] = set()
    for one in slices:
        if one.get("addressType") == "FQDN":
            continue
        ports = tuple(
            (port.get("name") or "", (port.get("protocol") or "TCP").lower(), port.get("port") or 0)
            for port in one.get("ports") or ()
        )
        for endpoint in one.get("endpoints") or ():
            if (endpoint.get("conditions") or {}).get("ready") is False:
                continue
            address = endpoint["addresses"][0]
            if (address, ports) not in seen:
                seen.add((address, ports))
                yield _Endpoint(endpoint.get("hostname") or _dashed(address), address, ports)


def _dashed(address: str) -> str:
    return address.replace(".", "-").replace(":", "-")


def _service_name(service: Object) -> str:
    metadata = service["metadata"]
    return f"{metadata['name']}.{metadata['namespace']}.svc"


def _address_record(name: str, address: str) -> Record:
    return Record(name, "AAAA" if ":" in address else "A", address)


def _typed(type_: str, records: tuple[Record, ...]) -> Answer:
    found = tuple(one for one in records if type_ in (one.type, "ANY"))
    return Answer(exists=True, records=found) if found else NO_DATA


def _alias(name: str, target: str) -> Answer:
    target = target.rstrip(".") + "."
    return Answer(exists=True, records=(Record(name, "CNAME", target),), alias=target)
