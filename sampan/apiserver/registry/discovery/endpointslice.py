"""EndpointSlices."""

# ruff: noqa: ARG002 - a strategy's methods have the arguments that any kind may need

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import field
from sampan.api.field import Path
from sampan.apiserver.registry.core.podspec.containers import PROTOCOLS
from sampan.apiserver.registry.core.podspec.warnings import ip_warnings
from sampan.apiserver.registry.strategy import Strategy
from sampan.apiserver.registry.validation import addresses, names, numbers

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.apiserver.registry.strategy import WriteContext
    from sampan.apiserver.registry.validation.names import Errors

_ENDPOINTS = Path("endpoints")
_PORTS = Path("ports")
_TYPES = ("FQDN", "IPv4", "IPv6")
_MAX_ENDPOINTS = 1000
_MAX_PORTS = 20000
_MAX_ADDRESSES = 100
_MAX_TOPOLOGY = 16
_MAX_HINTS = 8


class EndpointSliceStrategy(Strategy):
    """Endpoint slices."""

    has_status = False
    tracks_generation = True

    def default(self, obj: Object) -> None:
        for port in obj.get("ports") or ():
            if port.get("name") is None:
                port["name"] = ""
            if port.get("protocol") is None:
                port["protocol"] = "TCP"

    def prepare_for_update(self, ctx: WriteContext, new: Object, old: Object) -> None:
        # Labels carry meaning here (the service's name), so their change counts as one of the spec.
        after, before = new["metadata"], old["metadata"]
        if after.get("labels") != before.get("labels") and all(
            new.get(key) == old.get(key) for key in ("endpoints", "ports", "addressType")
        ):
            after["generation"] = before.get("generation", 0) + 1

    def validate(self, ctx: WriteContext, obj: Object) -> Errors:
        return self._validate(obj, set())

    def validate_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        known = {address for one in old.get("endpoints") or () for address in one.get("addresses") or ()}
        errors = self._validate(new, known)
        if new.get("addressType") != old.get("addressType"):
            errors.append(field.invalid(Path("addressType"), new.get("addressType", ""), "field is immutable"))
        return errors

    @staticmethod
    def _validate(obj: Object, known: set[str]) -> Errors:
        errors: Errors = []
        kind = obj.get("addressType", "")
        if not kind:
            errors.append(field.required(Path("addressType")))
        else:
            names.one_of(errors, Path("addressType"), kind, _TYPES)
        endpoints = obj.get("endpoints") or []
        if len(endpoints) > _MAX_ENDPOINTS:
            errors.append(field.too_many(_ENDPOINTS, len(endpoints), _MAX_ENDPOINTS))
            return errors
        for position, one in enumerate(endpoints):
            _endpoint(errors, _ENDPOINTS.index(position), one, kind, known)
        _ports(errors, obj.get("ports") or [])
        return errors

    def warnings_on_create(self, ctx: WriteContext, obj: Object) -> list[str]:
        found: list[str] = []
        if obj.get("addressType") == "FQDN":
            found.append("addressType: FQDN endpoints are deprecated")
        for position, one in enumerate(obj.get("endpoints") or ()):
            for index, text in enumerate(one.get("addresses") or ()):
                found += ip_warnings(_ENDPOINTS.index(position).child("addresses").index(index), text)
        return found

    def warnings_on_update(self, ctx: WriteContext, new: Object, old: Object) -> list[str]:
        return self.warnings_on_create(ctx, new)


def _endpoint(errors: Errors, path: Path, one: Object, kind: str, known: set[str]) -> None:
    listed = one.get("addresses") or []
    where = path.child("addresses")
    if not listed:
        errors.append(field.required(where, "must contain at least 1 address"))
    elif len(listed) > _MAX_ADDRESSES:
        errors.append(field.too_many(where, len(listed), _MAX_ADDRESSES))
    for position, text in enumerate(listed):
        _address(errors, where.index(position), text, kind, known)
    if "nodeName" in one:
        names.dns_subdomain(errors, path.child("nodeName"), one["nodeName"])
    topology = one.get("deprecatedTopology") or {}
    if len(topology) > _MAX_TOPOLOGY:
        errors.append(field.too_many(path.child("deprecatedTopology"), len(topology), _MAX_TOPOLOGY))
    for key in topology:
        if key in ("kubernetes.io/hostname", "topology.kubernetes.io/zone"):
            errors.append(field.invalid(path.child("deprecatedTopology").key(key), key, "may not be specified"))
    if "hostname" in one:
        names.dns_label(errors, path.child("hostname"), one["hostname"])
    if "hints" in one:
        _hints(errors, path.child("hints"), one["hints"])


def _address(errors: Errors, path: Path, text: str, kind: str, known: set[str]) -> None:
    if kind == "FQDN":
        names.dns_subdomain(errors, path, text)
        return
    if kind not in ("IPv4", "IPv6") or not addresses.valid_ip(errors, path, text, strict=text not in known):
        return
    if addresses.is_ipv6(text) != (kind == "IPv6"):
        errors.append(field.invalid(path, text, f"must be an {kind} address"))
    addresses.not_special(errors, path, text)


def _hints(errors: Errors, path: Path, hints: Object) -> None:
    for kind, what in (("forZones", "zone"), ("forNodes", "node")):
        items = hints.get(kind) or []
        if len(items) > _MAX_HINTS:
            errors.append(field.too_many(path.child(kind), len(items), _MAX_HINTS))
            continue
        seen: set[str] = set()
        for position, one in enumerate(items):
            where, name = path.child(kind).index(position).child("name"), one.get("name", "")
            if name in seen:
                errors.append(field.duplicate(where, name))
            elif what == "zone":
                names.label_value(errors, where, name)
            else:
                names.dns_subdomain(errors, where, name)
            seen.add(name)


def _ports(errors: Errors, ports: list[Object]) -> None:
    if len(ports) > _MAX_PORTS:
        errors.append(field.too_many(_PORTS, len(ports), _MAX_PORTS))
        return
    seen: set[str] = set()
    for position, port in enumerate(ports):
        path = _PORTS.index(position)
        name = port.get("name") or ""
        if name:
            names.dns_label(errors, path.child("name"), name)
        if name in seen:
            errors.append(field.duplicate(path.child("name"), name))
        seen.add(name)
        if port.get("protocol") is None:
            errors.append(field.required(path.child("protocol")))
        else:
            names.one_of(errors, path.child("protocol"), port["protocol"], PROTOCOLS)
        if port.get("port") is not None:
            numbers.port(errors, path.child("port"), port["port"])
        if port.get("appProtocol") is not None:
            names.qualified_name(errors, path.child("appProtocol"), port["appProtocol"])
