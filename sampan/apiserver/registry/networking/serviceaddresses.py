"""IPAddresses and ServiceCIDRs: cluster IPs as objects."""

# ruff: noqa: ARG002 - a strategy's methods have the arguments that any kind may need

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import field
from sampan.api.field import Path
from sampan.apiserver.registry.strategy import Strategy
from sampan.apiserver.registry.validation import addresses, gotypes, names

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.apiserver.registry.strategy import WriteContext
    from sampan.apiserver.registry.validation.names import Errors

_SPEC = Path("spec")
_CIDRS = _SPEC.child("cidrs")


class IPAddressStrategy(Strategy):
    """IP addresses, named after the address."""

    has_status = False
    name_kind = "none"
    selectable = ("spec.parentRef.group", "spec.parentRef.resource", "spec.parentRef.namespace", "spec.parentRef.name")

    def validate(self, ctx: WriteContext, obj: Object) -> Errors:
        errors: Errors = []
        addresses.canonical_ip(errors, Path("metadata").child("name"), obj["metadata"].get("name", ""))
        _parent(errors, _SPEC.child("parentRef"), (obj.get("spec") or {}).get("parentRef"))
        return errors

    def validate_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        errors: Errors = []
        parent = (new.get("spec") or {}).get("parentRef")
        if parent != (old.get("spec") or {}).get("parentRef"):
            shown = gotypes.internal("networking.v1.ParentReference", parent) if parent is not None else None
            errors.append(field.invalid(_SPEC.child("parentRef"), shown, "field is immutable"))
        return errors

    def selectable_fields(self, obj: Object) -> dict[str, str]:
        parent = (obj.get("spec") or {}).get("parentRef") or {}
        return {f"spec.parentRef.{key}": parent.get(key, "") for key in ("group", "resource", "namespace", "name")}


def _parent(errors: Errors, path: Path, parent: Object | None) -> None:
    if parent is None:
        errors.append(field.required(path))
        return
    if parent.get("group"):
        names.dns_subdomain(errors, path.child("group"), parent["group"])
    for key in ("resource", "name"):
        if not parent.get(key):
            errors.append(field.required(path.child(key)))
        else:
            names.path_segment(errors, path.child(key), parent[key])
    if parent.get("namespace"):
        names.path_segment(errors, path.child("namespace"), parent["namespace"])


class ServiceCIDRStrategy(Strategy):
    """Service CIDRs."""

    tracks_generation = False

    def validate(self, ctx: WriteContext, obj: Object) -> Errors:
        errors: Errors = []
        cidrs = (obj.get("spec") or {}).get("cidrs") or []
        if not cidrs:
            errors.append(field.required(_CIDRS, "at least one CIDR required"))
            return errors
        if len(cidrs) > 2:
            errors.append(field.too_many(_CIDRS, len(cidrs), 2))
            return errors
        if len(cidrs) == 2 and not addresses.dual_stack(cidrs):
            detail = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/96"
            errors.append(field.invalid(_CIDRS, cidrs, detail))
        for position, text in enumerate(cidrs):
            _canonical(errors, _CIDRS.index(position), text)
        return errors

    def validate_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        cidrs, before = (new.get("spec") or {}).get("cidrs") or [], (old.get("spec") or {}).get("cidrs") or []
        # A second family may be added, the first one stays.
        if len(before) == 1 and len(cidrs) == 2 and before[0] == cidrs[0]:
            return self.validate(ctx, new)
        errors: Errors = []
        if cidrs != before:
            errors.append(field.invalid(_CIDRS, cidrs, "field is immutable"))
        return errors


def _canonical(errors: Errors, path: Path, text: str) -> None:
    network = addresses.parse_cidr(text)
    if network is None:
        addresses.valid_cidr(errors, path, text)
    elif str(network) != text:
        errors.append(field.invalid(path, text, f'must be in canonical form ("{network}")'))
