"""Rows of networking kinds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.api.tables.text import NONE, age, labels, selector

if TYPE_CHECKING:
    from sampan.api.object import Object

_SHOWN = 3


def _name(obj: Object) -> str:
    found: str = obj["metadata"].get("name", "")
    return found


def service(obj: Object, now: float) -> list[Any]:
    spec = obj.get("spec") or {}
    addresses = spec.get("clusterIPs") or ()
    ports = ",".join(_port(one) for one in spec.get("ports") or ()) or NONE
    return [
        _name(obj),
        spec.get("type", ""),
        (addresses[0] if addresses else spec.get("clusterIP")) or NONE,
        _external(obj, spec),
        ports,
        age(obj, now),
        labels(spec.get("selector")),
    ]


def _port(port: Object) -> str:
    number, node = port.get("port", 0), port.get("nodePort")
    shown = f"{number}:{node}" if node else str(number)
    return f"{shown}/{port.get('protocol', '')}"


def _external(obj: Object, spec: Object) -> str:
    kind, own = spec.get("type"), list(spec.get("externalIPs") or ())
    if kind == "ExternalName":
        return spec.get("externalName") or ""
    if kind == "LoadBalancer":
        ingress = ((obj.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
        found = list(dict.fromkeys(one.get("ip") or one.get("hostname") or "" for one in ingress))
        shown = ",".join(sorted(one for one in found if one))
        if own:
            return ",".join([shown, *own] if shown else own)
        return shown or "<pending>"
    if kind in ("ClusterIP", "NodePort"):
        return ",".join(own) or NONE
    return "<unknown>"


def endpoints(obj: Object, now: float) -> list[Any]:
    found = []
    for subset in obj.get("subsets") or ():
        addresses = [one.get("ip", "") for one in subset.get("addresses") or ()]
        ports = subset.get("ports") or ()
        if ports:
            found += [_joined(address, port.get("port", 0)) for port in ports for address in addresses]
        else:
            found += addresses
    return [_name(obj), _some(found), age(obj, now)]


def _joined(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _some(values: list[str], separator: str = ",") -> str:
    if not values:
        return NONE
    shown = separator.join(values[:_SHOWN])
    return f"{shown} + {len(values) - _SHOWN} more..." if len(values) > _SHOWN else shown


def endpoint_slice(obj: Object, now: float) -> list[Any]:
    ports = obj.get("ports")
    if ports is None:
        shown = "<unset>"
    else:
        shown = _some(["*" if one.get("port") is None else str(one["port"]) for one in ports])
    addresses = [address for one in obj.get("endpoints") or () for address in one.get("addresses") or ()]
    found = _some(addresses) if addresses else "<unset>"
    return [_name(obj), obj.get("addressType", ""), shown, found, age(obj, now)]


def ingress(obj: Object, now: float) -> list[Any]:
    spec = obj.get("spec") or {}
    hosts = [one["host"] for one in spec.get("rules") or () if one.get("host")]
    shown = "*"
    if hosts:
        shown = ",".join(hosts[:_SHOWN])
        if len(hosts) > _SHOWN:
            shown += f" + {len(hosts) - _SHOWN} more..."
    balancer = ((obj.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    addresses = sorted({one.get("ip") or one.get("hostname") or "" for one in balancer} - {""})
    return [
        _name(obj),
        spec.get("ingressClassName") or NONE,
        shown,
        ",".join(addresses),
        "80, 443" if spec.get("tls") else "80",
        age(obj, now),
    ]


def ingress_class(obj: Object, now: float) -> list[Any]:
    spec = obj.get("spec") or {}
    parameters, shown = spec.get("parameters"), NONE
    if parameters:
        shown = parameters.get("kind", "")
        if parameters.get("apiGroup"):
            shown += f".{parameters['apiGroup']}"
        shown += f"/{parameters.get('name', '')}"
    return [_name(obj), spec.get("controller", ""), shown, age(obj, now)]


def network_policy(obj: Object, now: float) -> list[Any]:
    return [_name(obj), selector((obj.get("spec") or {}).get("podSelector") or {}), age(obj, now)]


def ip_address(obj: Object, now: float) -> list[Any]:
    parent, shown = (obj.get("spec") or {}).get("parentRef"), NONE
    if parent:
        resource = parent.get("resource", "")
        if parent.get("group"):
            resource += f".{parent['group']}"
        parts = [resource, parent.get("namespace", ""), parent.get("name", "")]
        shown = "/".join(part for part in parts if part)
    return [_name(obj), shown, age(obj, now)]


def service_cidr(obj: Object, now: float) -> list[Any]:
    return [_name(obj), ",".join((obj.get("spec") or {}).get("cidrs") or ()), age(obj, now)]
