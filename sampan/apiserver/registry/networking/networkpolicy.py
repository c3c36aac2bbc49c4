"""NetworkPolicies."""

# ruff: noqa: ARG002 - a strategy's methods have the arguments that any kind may need

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import field
from sampan.api.field import Path
from sampan.apiserver.registry.core.podspec.warnings import ip_warnings
from sampan.apiserver.registry.strategy import Strategy
from sampan.apiserver.registry.validation import addresses, names, numbers, selectors

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.apiserver.registry.strategy import WriteContext
    from sampan.apiserver.registry.validation.names import Errors

_SPEC = Path("spec")


class NetworkPolicyStrategy(Strategy):
    """Network policies."""

    has_status = False
    tracks_generation = True

    def default(self, obj: Object) -> None:
        spec = obj.setdefault("spec", {})
        for kind in ("ingress", "egress"):
            for rule in spec.get(kind) or ():
                for port in rule.get("ports") or ():
                    port.setdefault("protocol", "TCP")
        if not spec.get("policyTypes"):
            spec["policyTypes"] = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]

    def validate(self, ctx: WriteContext, obj: Object) -> Errors:
        return self._validate(obj["spec"], None)

    def validate_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        return self._validate(new["spec"], old.get("spec"))

    @staticmethod
    def _validate(spec: Object, old: Object | None) -> Errors:
        errors: Errors = []
        selectors.label_selector(errors, _SPEC.child("podSelector"), spec.get("podSelector"))
        known = _blocks(old) if old is not None else set()
        for kind, peers in (("ingress", "from"), ("egress", "to")):
            for position, rule in enumerate(spec.get(kind) or ()):
                here = _SPEC.child(kind).index(position)
                for index, port in enumerate(rule.get("ports") or ()):
                    _port(errors, here.child("ports").index(index), port)
                for index, peer in enumerate(rule.get(peers) or ()):
                    _peer(errors, here.child(peers).index(index), peer, known)
        types = spec.get("policyTypes") or []
        where = _SPEC.child("policyTypes")
        if len(types) > 2:
            errors.append(field.invalid(where, types, "may not specify more than two policyTypes"))
            return errors
        for position, one in enumerate(types):
            names.one_of(errors, where.index(position), one, ("Ingress", "Egress"))
        return errors

    def warnings_on_create(self, ctx: WriteContext, obj: Object) -> list[str]:
        found: list[str] = []
        for kind, peers in (("ingress", "from"), ("egress", "to")):
            for position, rule in enumerate(obj["spec"].get(kind) or ()):
                for index, peer in enumerate(rule.get(peers) or ()):
                    path = _SPEC.child(kind).index(position).child(peers).index(index).child("ipBlock")
                    found += _block_warnings(path, peer.get("ipBlock") or {})
        return found


def _block_warnings(path: Path, block: Object) -> list[str]:
    cidr = block.get("cidr", "")
    host = cidr.partition("/")[0]
    return ip_warnings(path.child("cidr"), host) if host else []


def _blocks(spec: Object) -> set[str]:
    return {
        text
        for kind, peers in (("ingress", "from"), ("egress", "to"))
        for rule in spec.get(kind) or ()
        for peer in rule.get(peers) or ()
        if (block := peer.get("ipBlock")) is not None
        for text in (block.get("cidr", ""), *(block.get("except") or ()))
    }


def _port(errors: Errors, path: Path, port: Object) -> None:
    protocol = port.get("protocol")
    if protocol is not None:
        names.one_of(errors, path.child("protocol"), protocol, ("TCP", "UDP", "SCTP"))
    value, end = port.get("port"), port.get("endPort")
    where = path.child("endPort")
    if value is None:
        if end is not None:
            errors.append(field.invalid(where, end, "may not be specified when `port` is not specified"))
        return
    if isinstance(value, str):
        if end is not None:
            errors.append(field.invalid(where, end, "may not be specified when `port` is non-numeric"))
        numbers.port_or_name(errors, path.child("port"), value)
        return
    numbers.port(errors, path.child("port"), value)
    if end is not None:
        if end < value:
            errors.append(field.invalid(where, value, "must be greater than or equal to `port`"))
        numbers.port(errors, where, end)


def _peer(errors: Errors, path: Path, peer: Object, known: set[str]) -> None:
    count = 0
    for key in ("podSelector", "namespaceSelector"):
        if key in peer:
            count += 1
            selectors.label_selector(errors, path.child(key), peer[key])
    if "ipBlock" in peer:
        count += 1
        _ip_block(errors, path.child("ipBlock"), peer["ipBlock"], known)
        if count > 1:
            errors.append(field.forbidden(path, "may not specify both ipBlock and another peer"))
    if not count:
        errors.append(field.required(path, "must specify a peer"))


def _ip_block(errors: Errors, path: Path, block: Object, known: set[str]) -> None:
    cidr = block.get("cidr", "")
    if not cidr:
        errors.append(field.required(path.child("cidr")))
        return
    if not addresses.valid_cidr(errors, path.child("cidr"), cidr, strict=cidr not in known):
        return
    outer = addresses.parse_cidr(cidr)
    for position, text in enumerate(block.get("except") or ()):
        where = path.child("except").index(position)
        if not addresses.valid_cidr(errors, where, text, strict=text not in known):
            continue
        inner = addresses.parse_cidr(text)
        assert outer is not None
        assert inner is not None
        inside = inner.version == outer.version and inner.network_address in outer
        if not inside or inner.prefixlen <= outer.prefixlen:
            errors.append(field.invalid(where, text, "must be a strict subset of `cidr`"))
