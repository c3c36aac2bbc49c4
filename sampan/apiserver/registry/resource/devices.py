"""Requests for devices: in claims, in templates, in classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import field
from sampan.api.names import is_c_identifier
from sampan.apiserver.registry.core.podspec.scheduling import tolerations
from sampan.apiserver.registry.resource import celselectors
from sampan.apiserver.registry.validation import names

if TYPE_CHECKING:
    from sampan.api.field import Path
    from sampan.api.object import Object
    from sampan.apiserver.registry.validation.names import Errors

_MAX = 32
_MAX_FIRST = 8
_MAX_EXPRESSION = 10 * 1024
_MODES = ("All", "ExactCount")


def default_claim(spec: Object) -> None:
    """Default a claim's spec."""
    holder = spec.setdefault("devices", {})
    for request in holder.get("requests") or ():
        for one in (request.get("exactly"), *(request.get("firstAvailable") or ())):
            if one is None:
                continue
            if not one.get("allocationMode"):
                one["allocationMode"] = "ExactCount"
            if one["allocationMode"] == "ExactCount" and not one.get("count"):
                one["count"] = 1
            for toleration in one.get("tolerations") or ():
                if not toleration.get("operator"):
                    toleration["operator"] = "Equal"


def device_claim(errors: Errors, path: Path, claim: Object) -> None:
    requests = claim.get("requests") or []
    where = path.child("requests")
    if len(requests) > _MAX:
        errors.append(field.too_many(where, len(requests), _MAX))
    seen: set[str] = set()
    known: set[str] = set()
    for position, request in enumerate(requests):
        name = request.get("name", "")
        here = where.index(position)
        names.required_dns_label(errors, here.child("name"), name)
        if name in seen:
            errors.append(field.duplicate(here, name))
        seen.add(name)
        known.add(name)
        known |= {f"{name}/{one.get('name', '')}" for one in request.get("firstAvailable") or ()}
        _request(errors, here, request)
    for position, constraint in enumerate(claim.get("constraints") or ()):
        _constraint(errors, path.child("constraints").index(position), constraint, known)
    if len(claim.get("constraints") or ()) > _MAX:
        errors.append(field.too_many(path.child("constraints"), len(claim["constraints"]), _MAX))
    configs = claim.get("config") or []
    if len(configs) > _MAX:
        errors.append(field.too_many(path.child("config"), len(configs), _MAX))
    for position, config in enumerate(configs):
        here = path.child("config").index(position)
        _known_requests(errors, here.child("requests"), config.get("requests") or [], known)
        _opaque(errors, here, config)


def _request(errors: Errors, path: Path, request: Object) -> None:
    exactly, first = request.get("exactly"), request.get("firstAvailable") or []
    if (exactly is None) == (not first):
        detail = "exactly one of `exactly` or `firstAvailable` is required"
        if exactly is None:
            errors.append(field.required(path, detail))
        else:
            errors.append(field.invalid(path, None, f"{detail}, but multiple fields are set"))
        return
    if exactly is not None:
        _exact(errors, path.child("exactly"), exactly)
        return
    if len(first) > _MAX_FIRST:
        errors.append(field.too_many(path.child("firstAvailable"), len(first), _MAX_FIRST))
    seen: set[str] = set()
    for position, one in enumerate(first):
        here, name = path.child("firstAvailable").index(position), one.get("name", "")
        names.required_dns_label(errors, here.child("name"), name)
        if name in seen:
            errors.append(field.duplicate(here, name))
        seen.add(name)
        _exact(errors, here, one)


def _exact(errors: Errors, path: Path, one: Object) -> None:
    name = one.get("deviceClassName", "")
    if not name:
        errors.append(field.required(path.child("deviceClassName")))
    else:
        names.dns_subdomain(errors, path.child("deviceClassName"), name)
    selectors_of(errors, path.child("selectors"), one.get("selectors") or [])
    mode, count = one.get("allocationMode", ""), one.get("count", 0)
    if mode == "All":
        if count:
            detail = "must not be specified when allocationMode is 'All'"
            errors.append(field.invalid(path.child("count"), count, detail))
    elif mode == "ExactCount":
        if count <= 0:
            errors.append(field.invalid(path.child("count"), count, "must be greater than zero"))
    else:
        errors.append(field.not_supported(path.child("allocationMode"), mode, _MODES))
    if one.get("tolerations"):
        tolerations(errors, path.child("tolerations"), one["tolerations"])


def selectors_of(errors: Errors, path: Path, items: list[Object]) -> None:
    """Selectors of devices."""
    if len(items) > _MAX:
        errors.append(field.too_many(path, len(items), _MAX))
    for position, one in enumerate(items):
        here, cel = path.index(position).child("cel"), one.get("cel")
        if cel is None:
            errors.append(field.required(here))
            continue
        expression = cel.get("expression", "")
        if not expression:
            errors.append(field.required(here.child("expression")))
        elif len(expression.encode()) > _MAX_EXPRESSION:
            errors.append(field.too_long(here.child("expression"), expression, _MAX_EXPRESSION))
        else:
            celselectors.check(errors, here.child("expression"), expression)


def _known_requests(errors: Errors, path: Path, requests: list[str], known: set[str]) -> None:
    if len(requests) > _MAX:
        errors.append(field.too_many(path, len(requests), _MAX))
    seen: set[str] = set()
    for position, name in enumerate(requests):
        here = path.index(position)
        parts = name.split("/")
        for part in parts:
            names.dns_label(errors, here, part)
        if name not in known:
            detail = (
                "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'"
            )
            errors.append(field.invalid(here, name, detail))
        if name in seen:
            errors.append(field.duplicate(here, name))
        seen.add(name)


def _constraint(errors: Errors, path: Path, constraint: Object, known: set[str]) -> None:
    _known_requests(errors, path.child("requests"), constraint.get("requests") or [], known)
    attribute, distinct = constraint.get("matchAttribute"), constraint.get("distinctAttribute")
    if attribute is None and distinct is None:
        errors.append(field.required(path.child("matchAttribute")))
    for key, value in (("matchAttribute", attribute), ("distinctAttribute", distinct)):
        if value is not None:
            fully_qualified_name(errors, path.child(key), value)


def fully_qualified_name(errors: Errors, path: Path, value: str) -> None:
    """``domain/identifier``."""
    if not value:
        errors.append(field.required(path, "name required"))
        return
    domain, slash, identifier = value.partition("/")
    if not slash:
        errors.append(field.invalid(path, value, "must include a domain"))
        return
    if not domain:
        errors.append(field.invalid(path, "", "the domain must not be empty"))
    else:
        names.csi_driver_name(errors, path, domain)
    if not identifier:
        errors.append(field.invalid(path, "", "the name must not be empty"))
    else:
        c_identifier(errors, path, identifier)


def c_identifier(errors: Errors, path: Path, value: str) -> None:
    """A name of an attribute or capacity: up to 32 characters."""
    if len(value) > 32:
        errors.append(field.too_long(path, value, 32))
    names.report(errors, path, value, is_c_identifier(value))


def class_configuration(errors: Errors, path: Path, items: list[Object]) -> None:
    """Configuration that a device class carries."""
    if len(items) > _MAX:
        errors.append(field.too_many(path, len(items), _MAX))
    for position, one in enumerate(items):
        _opaque(errors, path.index(position), one)


def _opaque(errors: Errors, path: Path, config: Object) -> None:
    opaque = config.get("opaque")
    if opaque is None:
        errors.append(field.required(path, "exactly one of `opaque` is required"))
        return
    driver_name(errors, path.child("opaque", "driver"), opaque.get("driver", ""))
    parameters = opaque.get("parameters")
    where = path.child("opaque", "parameters")
    if parameters is None:
        errors.append(field.required(where))
    elif not isinstance(parameters, dict):
        errors.append(field.invalid(where, "<value omitted>", "must be a valid JSON object"))


def driver_name(errors: Errors, path: Path, value: str) -> None:
    """The name of a DRA driver."""
    if not value:
        errors.append(field.required(path))
        return
    if len(value) > 63:
        errors.append(field.too_long(path, value, 63))
    names.report(errors, path, value, names.subdomain_messages(value.lower()))
