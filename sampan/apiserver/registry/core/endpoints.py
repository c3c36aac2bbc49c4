"""Endpoints of core/v1."""

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

_SUBSETS = Path("subsets")
_KINDS = ("addresses", "notReadyAddresses")


class EndpointsStrategy(Strategy):
    """Endpoints."""

    allow_create_on_update = True
    has_status = False
    tracks_generation = False

    def default(self, obj: Object) -> None:
        for subset in obj.get("subsets") or ():
            for port in subset.get("ports") or ():
                port.setdefault("protocol", "TCP")

    def validate(self, ctx: WriteContext, obj: Object) -> Errors:
        return self._validate(obj, set())

    def validate_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        known = {
            one.get("ip", "")
            for subset in old.get("subsets") or ()
            for kind in _KINDS
            for one in subset.get(kind) or ()
        }
        return self._validate(new, known)

    @staticmethod
    def _validate(obj: Object, known: set[str]) -> Errors:
        errors: Errors = []
        for position, subset in enumerate(obj.get("subsets") or ()):
            here = _SUBSETS.index(position)
            if not any(subset.get(kind) for kind in _KINDS):
                errors.append(field.required(here, "must specify `addresses` or `notReadyAddresses`"))
            for kind in _KINDS:
                for index, one in enumerate(subset.get(kind) or ()):
                    _address(errors, here.child(kind).index(index), one, known)
            ports = subset.get("ports") or ()
            for index, port in enumerate(ports):
                _port(errors, here.child("ports").index(index), port, named=len(ports) > 1)
        return errors

    def warnings_on_create(self, ctx: WriteContext, obj: Object) -> list[str]:
        found: list[str] = []
        for position, subset in enumerate(obj.get("subsets") or ()):
            for kind in _KINDS:
                for index, one in enumerate(subset.get(kind) or ()):
                    path = _SUBSETS.index(position).child(kind).index(index).child("ip")
                    found += ip_warnings(path, one.get("ip", ""))
        return found

    def warnings_on_update(self, ctx: WriteContext, new: Object, old: Object) -> list[str]:
        return self.warnings_on_create(ctx, new)


def _address(errors: Errors, path: Path, one: Object, known: set[str]) -> None:
    text = one.get("ip", "")
    addresses.valid_ip(errors, path.child("ip"), text, strict=text not in known)
    if one.get("hostname"):
        names.dns_label(errors, path.child("hostname"), one["hostname"])
    if "nodeName" in one:
        names.dns_subdomain(errors, path.child("nodeName"), one["nodeName"])
    addresses.not_special(errors, path.child("ip"), text)


def _port(errors: Errors, path: Path, port: Object, *, named: bool) -> None:
    name = port.get("name", "")
    if named and not name:
        errors.append(field.required(path.child("name")))
    elif name:
        names.dns_label(errors, path.child("name"), name)
    numbers.port(errors, path.child("port"), port.get("port", 0))
    names.one_of_required(errors, path.child("protocol"), port.get("protocol", ""), PROTOCOLS)
    if "appProtocol" in port:
        names.qualified_name(errors, path.child("appProtocol"), port["appProtocol"])
